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
    cluster.clear()
    ns, own = cluster.namespace 'bundle', cluster.namespace 'bundle-own'
  end)
  after_each(function()
    cluster.stop_all()
    for _, kind in ipairs { 'greetings', 'farewells', 'laters', 'rings' } do -- an operator after this one would look for the bundle that served them
      cluster.sh('kubectl delete %s -n %s --all --wait=false', kind, ns)
      cluster.sh('kubectl get %s -n %s -o name | xargs -r -n 1 kubectl patch -n %s --type=merge -p %s', kind, ns, ns,
        cluster.quote '{"metadata":{"finalizers":null}}')
    end
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
    local folder = cluster.folder 'loud'
    cluster.write(folder .. '/loud.lua', loud)
    local told = cluster.sh('%s/san/asya-operator diff --bundle %s --policies %s --operator-namespace %s -n %s', cluster.build, GREETING, folder, own, ns)
    assert.matches('HELLO', told)
    assert.matches('1 greetings looked at, 1 children differ', told)
    edits.put(own, 'loud', { ['loud.lua'] = loud }, LABEL)
    await_page('hello', ns, 'HELLO')
    eventually('the ConfigMap says that it is live', 30, function()
      local notes = cluster.get('configmap', 'loud', own).metadata.annotations or {}
      return (notes[LABEL .. '-state'] or ''):find('live: bundle', 1, true), require('json').encode(notes)
    end)
    assert.is_table(cluster.get('configmap', 'greeting-operator-policies-live', own))
    op.stop()
  end)

  it('takes policies from ConfigMaps that name it in the label of all bundles, once where they have its own label, too', function()
    local op = cluster.operator { args = ('--bundle builtin --bundle %s --namespace %s'):format(GREETING, own) }
    cluster.apply(greeting('hello', ns, 'Hello'))
    await_page('hello', ns, 'Hello')
    local function map_with(what, fn)
      cluster.kubectl('create configmap %s -n %s --from-file=page.lua=%s', what, own, cluster.write(cluster.temp 'page.lua', ([[
local policy = require 'policy'
return policy.define { name = 'page', after = { 'greeting' }, render = function(_, _, plan)
  local page = plan:get 'page'
  if page then page.data['index.html'] = %s end
end }
]]):format(fn)))
    end
    local function label(what, text) cluster.kubectl('label configmap %s -n %s %s', what, own, text) end
    local function state(what) return (cluster.get('configmap', what, own).metadata.annotations or {})[LABEL .. '-state'] or 'none' end
    local function await_state(what, text)
      return eventually(('%s is %s'):format(what, text), 30, function() return state(what):find(text, 1, true) and state(what), state(what) end)
    end
    map_with('b-loud', "page.data['index.html']:upper()")
    map_with('a-quiet', "page.data['index.html']:lower()")
    label('b-loud', 'asya.sh/bundle=greeting-operator')
    await_page('hello', ns, 'HELLO')
    local live = await_state('b-loud', 'live: bundle')
    label('b-loud', LABEL .. '=true')
    label('a-quiet', LABEL .. '=true')
    assert.matches('page.lua is superseded by ConfigMap b%-loud', await_state('a-quiet', 'superseded'))
    assert.equal(live, state 'b-loud')
    label('b-loud', LABEL .. '-')
    local told = cluster.sh('%s/san/asya-operator check --bundle %s --operator-namespace %s --live', cluster.build, GREETING, own)
    assert.matches('configmap b%-loud: .*live: bundle', told)
    assert.equal('HELLO', page_of('hello', ns))
    for _, word in ipairs { 'pause', 'resume' } do
      cluster.kubectl('annotate configmap b-loud -n %s %s-rollout=%s', own, LABEL, word)
      eventually('its word is obeyed', 30, function()
        return not cluster.get('configmap', 'b-loud', own).metadata.annotations[LABEL .. '-rollout']
      end)
    end
    label('b-loud', '--overwrite asya.sh/bundle=somebody-else')
    await_page('hello', ns, 'hello')
    op.stop()
  end)

  it('is edited in a ConfigMap that holds all of it and has its label; one that is for another kind is refused, and concerns nobody else', function()
    local op = cluster.operator { args = ('--bundle builtin --bundle %s --namespace %s'):format(GREETING, own) }
    cluster.apply(greeting('hello', ns, 'Hello'))
    cluster.apply(cluster.actor('worker', ns))
    await_page('hello', ns, 'Hello')
    edits.await_running(ns, 'worker')
    cluster.kubectl('create configmap whole -n %s --from-file=%s', own, GREETING)
    cluster.kubectl('label configmap whole -n %s %s=true', own, LABEL)
    local function state() return (cluster.get('configmap', 'whole', own).metadata.annotations or {})[LABEL .. '-state'] or 'none' end
    local function edit(file, ...)
      local data = { [file] = (cluster.read(GREETING .. '/' .. file):gsub(...)) }
      cluster.kubectl('patch configmap whole -n %s --type=merge -p %s', own, cluster.quote(require 'json'.encode { data = data }))
    end
    local function await_state(what, text)
      return eventually(what, 30, function() return state():find(text, 1, true) and state(), state() end)
    end
    local live = await_state('the label alone changes nothing', 'live: bundle')
    edit('greeting.lua', 'greeting%.spec%.text }', 'greeting.spec.text .. "!" }')
    await_state('its own cases refuse an edit that does not change them', 'rejected')
    edit('hello.case.yaml', 'index.html: ([%w ]+)', 'index.html: %1!')
    await_page('hello', ns, 'Hello!')
    eventually('the edit is live', 30, function() return state():find('live: bundle', 1, true) and state() ~= live, state() end)

    for _, parent in ipairs { 'demo.example.com/v1 Other', 'asya.sh/v1alpha1 AsyncActor' } do
      edit('manifest.lua', 'demo.example.com/v1 Greeting', parent)
      local kind = parent:match '%S+$'
      local refusal = ('the parent is %s (%s), and this operator works on Greeting'):format(kind, parent:match '^%S+')
      await_state('an edit for another kind is refused', refusal)
      local said, ok = cluster.sh('%s/san/asya-operator check --live --bundle %s --operator-namespace %s 2>&1', cluster.build, GREETING, own)
      assert.is_false(ok)
      assert.is_truthy(said:find(refusal, 1, true), said)
    end
    edit('manifest.lua', '^', '')
    await_state('it is mended', 'live: bundle')
    cluster.apply(greeting('hello', ns, 'Ciao'))
    await_page('hello', ns, 'Ciao!')
    cluster.kubectl('delete greeting hello -n %s --timeout=30s', ns)
    cluster.kubectl('delete asyncactor worker -n %s --timeout=60s', ns)
    assert.is_nil(op.log():find('starting all watches again', 1, true), op.log())
    op.stop()
  end)

  it('does not begin for another kind than its record is of: those of the first would keep its finalizer for ever', function()
    local folder = cluster.temp 'greeter'
    cluster.sh('cp -r %s %s', GREETING, folder)
    local function name(parent)
      local text = cluster.read(GREETING .. '/manifest.lua'):gsub("parent = '[^']+'", ("parent = '%s', component = 'greeter'"):format(parent))
      cluster.sh('mv %s %s/manifest.lua', cluster.write(cluster.temp 'manifest.lua', text), folder)
    end
    local args = ('--bundle %s --namespace %s --metrics-bind-address 0 --health-probe-bind-address 127.0.0.1:18472'):format(folder, own)
    name 'demo.example.com/v1 Greeting'
    local op = cluster.operator { args = args }
    cluster.apply(greeting('hello', ns, 'Hello'))
    await_page('hello', ns, 'Hello')
    op.stop()
    name 'demo.example.com/v1 Other'
    local said, ok = cluster.sh('timeout 20 %s/asya-operator run %s 2>&1', cluster.build, args)
    assert.is_false(ok)
    assert.is_truthy(said:find('the parent is Other (demo.example.com/v1), and this operator works on Greeting (demo.example.com/v1)', 1, true), said)
    name 'demo.example.com/v1 Greeting'
    op = cluster.operator { args = args }
    cluster.kubectl('delete greeting hello -n %s --timeout=30s', ns)
    op.stop()
  end)

  --- A folder with a bundle that makes a ConfigMap of each object of a kind of example.com, and the CRD of that kind beside it.
  local function small(kind)
    local folder, plural = cluster.folder(kind), kind:lower() .. 's'
    cluster.write(folder .. '/manifest.lua', ("return require 'policy'.manifest { parent = 'small.example.com/v1 %s', children = { 'v1 ConfigMap' } }\n")
      :format(kind))
    cluster.write(folder .. '/small.lua', [[
return require 'policy'.define { name = 'small', render = function(it, _, plan)
  plan:add('map', { apiVersion = 'v1', kind = 'ConfigMap', metadata = { name = it.metadata.name }, data = { ['index.html'] = it.spec.text } })
end }
]])
    local crd = cluster.read(GREETING .. '/crd/greetings.yaml'):gsub('demo%.example%.com', 'small.example.com'):gsub('greetings', plural)
      :gsub('Greeting', kind):gsub('greeting', kind:lower())
    return folder, cluster.write(cluster.temp(kind .. '.yaml'), crd)
  end

  local function object(kind, name, text)
    return greeting(name, ns, text):gsub('demo', 'small'):gsub('Greeting', kind)
  end

  it('stands beside the built-in one: each has its lease, record, policies, metrics and pages', function()
    local folder, crd = small 'Farewell'
    local records = cluster.folder 'records'
    cluster.kubectl('apply -f %s', crd)
    cluster.kubectl 'wait --for=condition=Established crd/farewells.small.example.com --timeout=30s'
    local op = cluster.operator {
      args = ('--bundle builtin --bundle %s --bundle %s --namespace %s --leader-elect --metrics-bind-address 127.0.0.1:18470 ' ..
        '--health-probe-bind-address 127.0.0.1:18471 --record %s'):format(GREETING, folder, own, records),
    }
    cluster.apply(cluster.actor('worker', ns))
    cluster.apply(greeting('hello', ns, 'Hello'))
    cluster.apply(object('Farewell', 'bye', 'Bye'))
    edits.await_running(ns, 'worker')
    await_page('hello', ns, 'Hello')
    await_page('bye', ns, 'Bye')
    for _, name in ipairs { 'asya-operator.asya.sh', 'greeting-operator.demo.example.com', 'farewell-operator.small.example.com' } do
      assert.is_table(cluster.get('lease', name, own), name)
    end
    local function curl(path) return (cluster.sh('curl -s -m 10 %s', cluster.quote('http://127.0.0.1:' .. path))) end
    local page, text = curl '18470/metrics', curl '18471/readyz?verbose'
    for _, name in ipairs { 'asya-operator', 'greeting-operator', 'farewell-operator' } do
      assert.is_truthy(page:find(('policy_bundle_degraded{bundle="%s"} 0'):format(name), 1, true), page)
      assert.is_truthy(text:find(name .. ': yes', 1, true), text)
    end
    assert.is_truthy(page:find('controller_runtime_max_concurrent_reconciles{bundle="greeting-operator",controller="greeting"}', 1, true), page)
    assert.is_truthy(curl('18470/debug/'):find('/debug/greetings/', 1, true))
    assert.is_truthy(curl('18470/debug/'):find('/debug/actors/', 1, true))
    assert.is_truthy(curl(('18470/debug/greetings/%s/hello'):format(ns)):find('"Hello"', 1, true))
    for path, name in pairs { actors = 'worker', greetings = 'hello', farewells = 'bye' } do
      assert.is_truthy(curl('18470/debug/records/'):find(('%s_%s_%s.json'):format(path, ns, name), 1, true), curl '18470/debug/records/')
    end

    -- what breaks one changes nothing for the others
    edits.put(own, 'broken', { ['greeting.lua'] = 'return nothing.at.all' }, LABEL)
    eventually('the edit is refused', 30, function()
      local notes = cluster.get('configmap', 'broken', own).metadata.annotations or {}
      return (notes[LABEL .. '-state'] or ''):find('rejected', 1, true), require('json').encode(notes)
    end)
    page = curl '18470/metrics'
    assert.is_truthy(page:find('policy_bundle_degraded{bundle="greeting-operator"} 1', 1, true), page)
    assert.is_truthy(page:find('policy_bundle_degraded{bundle="farewell-operator"} 0', 1, true), page)
    cluster.apply(object('Farewell', 'bye', 'Goodbye'))
    await_page('bye', ns, 'Goodbye')
    cluster.apply(greeting('hello', ns, 'Ciao'))
    await_page('hello', ns, 'Ciao')
    cluster.kubectl('delete farewell bye -n %s --timeout=30s', ns)
    cluster.kubectl('delete asyncactor worker -n %s --timeout=60s', ns)
    op.stop()
    assert.equal('', cluster.get('lease', 'farewell-operator.small.example.com', own).spec.holderIdentity or '')
  end)

  it('serves the class that its manifest names, beside one of the same kind that serves the class of the process', function()
    local folder, crd = small 'Farewell'
    cluster.kubectl('apply -f %s', crd)
    cluster.kubectl 'wait --for=condition=Established crd/farewells.small.example.com --timeout=30s'
    local red, manifest = cluster.temp 'red', [[return require 'policy'.manifest { parent = 'small.example.com/v1 Farewell', children = { 'v1 ConfigMap' },
      %s component = 'red-farewells', policies_label = 'small.example.com/red-policies', debug_path = 'red' }]]
    cluster.sh('cp -r %s %s', folder, red)
    cluster.write(red .. '/manifest.lua', manifest:format "class = 'red',")
    cluster.write(red .. '/small.lua', (cluster.read(red .. '/small.lua'):gsub('it%.spec%.text }', 'it.spec.text .. ", red" }')))
    local op = cluster.operator { args = ('--bundle %s --bundle %s --namespace %s --leader-elect'):format(folder, red, own) }
    cluster.apply(object('Farewell', 'usual', 'Bye'))
    cluster.apply((object('Farewell', 'other', 'Bye'):gsub('namespace:', 'annotations: {small.example.com/operator-class: red}, %0')))
    await_page('usual', ns, 'Bye')
    await_page('other', ns, 'Bye, red')
    for _, lease in ipairs { 'farewell-operator.small.example.com', 'red-farewells.small.example.com-red' } do
      assert.is_table(cluster.get('lease', lease, own), lease)
    end
    eventually('its status says who works on it', 30, function()
      local status = cluster.get('farewell', 'other', ns).status or {}
      return status.operator and status.operator.lease == own .. '/red-farewells.small.example.com-red', require('json').encode(status)
    end)
    for _, record in ipairs { 'red-farewells-policies-live-red', 'farewell-operator-policies-live' } do
      eventually('the record is ' .. record, 30, function() return cluster.get('configmap', record, own) end)
    end

    cluster.kubectl('annotate farewell usual -n %s small.example.com/operator-class=red', ns)
    await_page('usual', ns, 'Bye, red')
    local told, ok = cluster.sh('%s/san/asya-operator rollout status --bundle %s --operator-namespace %s', cluster.build, red, own)
    assert.is_true(ok, told)
    cluster.sh('mv %s %s/manifest.lua', cluster.write(cluster.temp 'manifest.lua', manifest:format "class = 'blue',"), red)
    eventually('an edit of the class is refused', 30, function()
      return op.log():find("the class is 'blue', and this operator serves 'red'", 1, true), op.log()
    end)
    cluster.sh('mv %s %s/manifest.lua', cluster.write(cluster.temp 'manifest.lua', manifest:format "class = 'red',"), red)
    cluster.kubectl('delete farewell usual other -n %s --timeout=30s', ns)
    op.stop()

    cluster.sh('mv %s %s/manifest.lua', cluster.write(cluster.temp 'manifest.lua', manifest:format ''), red)
    local both = cluster.sh('%s/san/asya-operator run --bundle %s --bundle %s --namespace %s', cluster.build, folder, red, own)
    assert.is_truthy(both:find('are both for Farewell (small.example.com/v1); one kind has one bundle: leave one out, or name a class', 1, true), both)
  end)

  --- A bundle whose objects name each other in their text: the map of each counts one more than that of the other.
  local function ring()
    local folder, crd = small 'Ring'
    cluster.write(folder .. '/manifest.lua', [[return require 'policy'.manifest {
      parent = 'small.example.com/v1 Ring', children = { 'v1 ConfigMap' }, related = { { apiVersion = 'v1', kind = 'ConfigMap', rules = true } },
    }]])
    cluster.write(folder .. '/small.lua', [[
return require 'policy'.define {
  name = 'ring',
  relate = function(it) return { { kind = 'ConfigMap', name = it.spec.text } } end,
  render = function(it, ctx, plan)
    local n = 0
    for _, other in ipairs(ctx.related) do n = other.metadata.name == it.spec.text and tonumber(other.data.n) + 1 or n end
    plan:add('map', { apiVersion = 'v1', kind = 'ConfigMap', metadata = { name = it.metadata.name }, data = { n = tostring(n) } })
  end,
}
]])
    cluster.kubectl('apply -f %s', crd)
    cluster.kubectl 'wait --for=condition=Established crd/rings.small.example.com --timeout=30s'
    return folder
  end

  it('waits for its kind, or rests while it cannot be loaded, and keeps no other from working; a relation in a circle is told', function()
    local folder, crd = small 'Later'
    cluster.kubectl 'delete crd laters.small.example.com --ignore-not-found --timeout=30s'
    local broken = cluster.folder 'broken'
    cluster.write(broken .. '/manifest.lua', "return require 'policy'.manifest {\n  children = {},\n}\n")
    local op = cluster.operator {
      args = ('--bundle %s --bundle %s --bundle %s --bundle %s --namespace %s'):format(broken, folder, GREETING, ring(), own),
    }
    cluster.apply(greeting('hello', ns, 'Hello'))
    cluster.apply(object('Ring', 'left', 'right'))
    cluster.apply(object('Ring', 'right', 'left'))
    await_page('hello', ns, 'Hello')
    eventually('it is said what is wrong', 20, function()
      return op.log():find('manifest.lua:1: policy.manifest.parent is missing', 1, true) and op.log():find('this bundle rests', 1, true), op.log()
    end)
    eventually('it is said which kind is missing', 20, function() return op.log():find('laters', 1, true) or op.log():find('Later', 1, true), op.log() end)

    cluster.kubectl('apply -f %s', crd)
    cluster.kubectl 'wait --for=condition=Established crd/laters.small.example.com --timeout=30s'
    cluster.apply(object('Later', 'bye', 'Later'))
    await_page('bye', ns, 'Later')
    cluster.sh('cp %s/*.lua %s', small 'Mended', broken)
    eventually('what was broken waits for its kind now', 40, function() return op.log():find 'mendeds' or op.log():find 'Mended', op.log() end)
    cluster.kubectl('delete later bye -n %s --timeout=30s', ns)
    for _, name in ipairs { 'left', 'right' } do
      local note = cluster.event(ns, name, 'RelationCircle', 60)
      assert.is_truthy(note:find(('ConfigMap %s was changed 20 times in a row'):format(name), 1, true), note)
    end
    cluster.kubectl('delete ring left right -n %s --timeout=30s', ns)
    op.stop()
  end)
end)
