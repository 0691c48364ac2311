--- bundle: operators for other kinds than the built-in one, each of some lines of Lua.
local cluster = require 'cluster'
local edits = require 'edits'

local eventually = cluster.eventually
local GREETING <const> = 'policies/examples/greeting'
local LABEL <const> = 'demo.example.com/greeting-policies'

local function greeting(name, ns, text)
  return ('apiVersion: demo.example.com/v1\nkind: Greeting\nmetadata: {name: %s, namespace: %s}\nspec: {text: %s}\n'):format(name, ns, text)
end

local function ready_of(object)
  for _, each in ipairs(object.status and object.status.conditions or {}) do
    if each.type == 'Ready' then return each.status end
  end
end

--- What a text was made to on the page.
local function page_of(name, ns)
  local map = cluster.get('configmap', name, ns)
  return map and map.data['index.html']
end

local function await_page(name, ns, text)
  eventually(('the page of %s says %s'):format(name, text), 30, function()
    local now = page_of(name, ns)
    return now == text, now
  end)
end

describe('a bundle of its own', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  local ns, own
  before_each(function()
    cluster.kubectl('apply -f %s/crd/', GREETING)
    cluster.kubectl('wait --for=condition=Established crd/greetings.demo.example.com --timeout=30s')
    ns, own = cluster.namespace 'bundle', cluster.namespace 'bundle-own'
  end)
  after_each(function()
    cluster.stop_all()
    cluster.sh('kubectl patch greetings -n %s --all --type=merge -p %s', ns, cluster.quote '{"metadata":{"finalizers":null}}')
    cluster.sh('kubectl delete namespace %s %s --wait=false', ns, own)
  end)

  it('makes children, a status and a clean end of a kind of its own, and names all that is its own after that kind', function()
    local op = cluster.operator { args = ('--bundle %s --namespace %s --leader-elect'):format(GREETING, own) }
    cluster.apply(greeting('hello', ns, 'Hello'))
    await_page('hello', ns, 'Hello')
    eventually('its status says how it is', 30, function() return ready_of(cluster.get('greeting', 'hello', ns)) end)
    local it_ = cluster.get('greeting', 'hello', ns)
    assert.same({ 'demo.example.com/finalizer' }, it_.metadata.finalizers)
    assert.is_string(it_.status.renderedDigest)
    assert.is_string(it_.status.bundleDigest)
    assert.equal(own .. '/greeting-operator.demo.example.com', it_.status.operator.lease)
    assert.is_table(cluster.get('lease', 'greeting-operator.demo.example.com', own))
    assert.equal('Greeting', cluster.get('deployment', 'hello', ns).metadata.ownerReferences[1].kind)
    assert.is_nil(op.log():find('asyncactor', 1, true))

    cluster.kubectl('patch deployment hello -n %s --subresource=status --type=merge -p %s', ns, cluster.quote(
      '{"status":{"conditions":[{"type":"Available","status":"True","reason":"Yes","message":"","lastTransitionTime":"2026-01-01T00:00:00Z"}]}}'))
    eventually('it is ready', 30, function() return ready_of(cluster.get('greeting', 'hello', ns)) == 'True' end)
    cluster.apply(greeting('hello', ns, 'Ciao'))
    await_page('hello', ns, 'Ciao')
    cluster.kubectl('delete greeting hello -n %s --timeout=60s', ns)
    assert.is_nil(cluster.get('deployment', 'hello', ns))
    assert.is_nil(cluster.get('configmap', 'hello', ns))
    op.stop()
  end)

  it('takes policies from ConfigMaps with its own label, and diff shows before what they change', function()
    local op = cluster.operator { args = ('--bundle %s --namespace %s'):format(GREETING, own) }
    cluster.apply(greeting('hello', ns, 'Hello'))
    await_page('hello', ns, 'Hello')
    local loud = [[
local policy = require 'policy'
return policy.define { name = 'loud', after = { 'greeting' }, render = function(_, _, plan)
  local page = plan:get 'page'
  page.data['index.html'] = page.data['index.html']:upper()
end }
]]
    local folder = cluster.temp 'loud'
    cluster.sh('mkdir -p %s', folder)
    cluster.write(folder .. '/loud.lua', loud)
    local told = cluster.sh('%s/san/asya-operator diff --bundle %s --policies %s --operator-namespace %s -n %s', cluster.build, GREETING, folder, own, ns)
    assert.matches('HELLO', told)
    assert.matches('1 greetings looked at, 1 children differ', told)
    edits.put(own, 'loud', { ['loud.lua'] = loud }, LABEL)
    await_page('hello', ns, 'HELLO')
    eventually('the ConfigMap says that it is live', 30, function()
      local notes = cluster.get('configmap', 'loud', own).metadata.annotations
      return (notes[LABEL .. '-state'] or ''):find('live: bundle', 1, true), require('json').encode(notes)
    end)
    assert.is_table(cluster.get('configmap', 'greeting-operator-policies-live', own))
    op.stop()
  end)
end)
