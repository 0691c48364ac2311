--- shapes: plans made in stages, ways to update children, policies that hold a parent until they are done with it, and objects that they ask for.
local cluster = require 'cluster'
local edits = require 'edits'

local eventually = cluster.eventually

local POLICY = [[
local policy, k8s = require 'policy', require 'k8s'

local function note(object, key) return k8s.get(object, { 'metadata', 'annotations', key }) end
local function is_open(child) return note(child, 'open') == 'yes', 'it is closed' end
local function is_seen(child) return note(child, 'seen') == note(child, 'version'), 'nobody has looked at it' end

return policy.define {
  name = 'shapes', after = { 'workload' }, finalize_seconds = 25,
  kinds = {
    { apiVersion = 'v1', kind = 'Service', plural = 'services' },
    { apiVersion = 'v1', kind = 'ResourceQuota', plural = 'resourcequotas', update = 'RollingRecreate' },
    { apiVersion = 'networking.k8s.io/v1', kind = 'NetworkPolicy', plural = 'networkpolicies', update = 'Recreate' },
    { apiVersion = 'policy/v1', kind = 'PodDisruptionBudget', plural = 'poddisruptionbudgets', update = 'OnDelete' },
  },
  relate = function(actor)
    if k8s.get(actor, 'metadata.labels.shape') ~= 'looks' then return end
    local team = actor.metadata.namespace .. '-' .. actor.metadata.name
    return { { kind = 'ConfigMap', name = note(actor, 'source') }, { kind = 'ConfigMap', namespace = '*', labels = { team = team } }, { kind = 'Phantom' } }
  end,
  render = function(actor, ctx, plan)
    local shape, name = k8s.get(actor, 'metadata.labels.shape'), actor.metadata.name
    local version = note(actor, 'version') or '1'
    local function child(version_of, kind, suffix, spec)
      return { apiVersion = version_of, kind = kind, metadata = { name = name .. suffix, annotations = { version = version } }, spec = spec }
    end
    if shape == 'stages' then
      plan:add('door', child('v1', 'Service', '-door', { ports = { { port = 80 } } }))
      local door = plan:after('door', is_open)
      if not door then return end
      plan:add('room', child('networking.k8s.io/v1', 'NetworkPolicy', '-room', { podSelector = { matchLabels = { ip = door.spec.clusterIP } } }))
    elseif shape == 'looks' then
      local net, seen = child('networking.k8s.io/v1', 'NetworkPolicy', '-net', { podSelector = {} }), {}
      for _, it in ipairs(ctx.related) do
        if it.kind == 'ConfigMap' then seen[#seen + 1] = it.metadata.name .. '=' .. it.data.value end
      end
      net.metadata.annotations.seen = table.concat(seen, ' ')
      plan:add('net', net)
    elseif shape == 'ways' then
      for _, each in ipairs { 'a', 'b', 'c' } do
        plan:add(each, child('v1', 'ResourceQuota', '-' .. each, { hard = { ['count/cronjobs.batch'] = version } }), { ready = is_seen })
      end
      plan:add('net', child('networking.k8s.io/v1', 'NetworkPolicy', '-net', { podSelector = {} }))
      plan:add('budget', child('policy/v1', 'PodDisruptionBudget', '-budget', { maxUnavailable = 1 }))
    end
  end,
  status = function(_, ctx, _, plan)
    for _, list in ipairs { ctx.outcome.waits or {}, ctx.outcome.outdated or {} } do
      for _, it in ipairs(list) do plan:event { reason = 'Waits', note = it.name .. ': ' .. it.message } end
    end
  end,
  finalize = function(actor, _, plan)
    if k8s.get(actor, 'metadata.labels.shape') ~= 'leaves' then return true end
    plan:add('farewell', { apiVersion = 'v1', kind = 'Service', metadata = { name = actor.metadata.name .. '-bye' }, spec = { ports = { { port = 80 } } } })
    return plan:ready('farewell', is_open) or 'the farewell'
  end,
}
]]

describe('a policy', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  local ns, op
  setup(function()
    local own
    ns, own = edits.begin()
    local folder = cluster.folder 'policies'
    cluster.write(folder .. '/shapes.lua', POLICY)
    local manifest = cluster.read 'policies/manifest.lua'
    local row = "{ apiVersion = 'v1', kind = 'ConfigMap', plural = 'configmaps', rules = true },"
      .. " { apiVersion = 'example.com/v1', kind = 'Phantom', plural = 'phantoms', rules = true },"
    cluster.write(folder .. '/manifest.lua', (manifest:gsub('related = {', '%0 ' .. row, 1)))
    op = edits.operator(own, { args = '--policies ' .. folder })
    cluster.apply(edits.labelled('endless', ns, 'shape: leaves')) -- its time runs while the other tests do
    edits.await_running(ns, 'endless')
    cluster.kubectl('delete asyncactor endless -n %s --wait=false', ns)
  end)
  teardown(function() edits.finish(ns) end)

  local function get(kind, name) return cluster.get(kind, name, ns) end
  local function annotate(what, text) cluster.kubectl('annotate --overwrite %s -n %s %s', what, ns, text) end
  local function version_of(kind, name)
    local object = get(kind, name)
    return object and object.metadata.annotations.version
  end
  local function is_told(name, text)
    eventually(('an Event of %s says: %s'):format(name, text), 20, function()
      for _, event in ipairs(cluster.list('events', ns)) do
        if event.involvedObject.name == name and (event.message or ''):find(text, 1, true) then return true end
      end
    end, op.log())
  end
  local function await(what, fn) return eventually(what, 20, fn, op.log()) end

  it('plans what comes next when what came before is ready, from what the cluster has filled in there', function()
    cluster.apply(edits.labelled('home', ns, 'shape: stages'))
    await('there is a door', function() return get('service', 'home-door') end)
    is_told('home', 'home-door: it is closed')
    assert.is_nil(get('networkpolicy', 'home-room'))

    annotate('service home-door', 'open=yes')
    local room = await('there is a room', function() return get('networkpolicy', 'home-room') end)
    assert.equal(get('service', 'home-door').spec.clusterIP, room.spec.podSelector.matchLabels.ip)

    annotate('service home-door', 'open=no')
    annotate('asyncactor home', 'version=2')
    await('the first stage is kept up to date', function() return version_of('service', 'home-door') == '2' end)
    assert.equal(room.metadata.uid, get('networkpolicy', 'home-room').metadata.uid, 'what came later stays')
    assert.equal('1', version_of('networkpolicy', 'home-room'))
    annotate('service home-door', 'open=yes')
    await('the second one follows', function() return version_of('networkpolicy', 'home-room') == '2' end)

    cluster.kubectl('label asyncactor home -n %s shape=none --overwrite', ns)
    await('nothing stays of a plan that is over', function() return not get('networkpolicy', 'home-room') and not get('service', 'home-door') end)
  end)

  it('has children replaced one by one, at once, or when somebody deletes them', function()
    local function quota(each) return 'ways-' .. each end
    local function see(each, version) annotate('resourcequota ' .. quota(each), 'seen=' .. version) end
    cluster.apply(edits.labelled('ways', ns, 'shape: ways'))
    for _, each in ipairs { 'a', 'b', 'c' } do
      await('there is a quota ' .. each, function() return get('resourcequota', quota(each)) end)
      see(each, '1')
    end
    await('there is a budget', function() return get('pdb', 'ways-budget') end)
    local net = get('networkpolicy', 'ways-net').metadata.uid

    annotate('asyncactor ways', 'version=2')
    await('a is new', function() return version_of('resourcequota', 'ways-a') == '2' end)
    is_told('ways', 'ways-b: its turn comes when ways-a is ready')
    await('the policy is new', function() return version_of('networkpolicy', 'ways-net') == '2' end)
    assert.not_equal(net, get('networkpolicy', 'ways-net').metadata.uid)
    is_told('ways', 'ways-budget: it is not as the plan wants it, and stays until somebody deletes it')
    assert.same({ '1', '1', '1' }, { version_of('resourcequota', 'ways-b'), version_of('resourcequota', 'ways-c'), version_of('pdb', 'ways-budget') })

    see('a', '2')
    await('b is new', function() return version_of('resourcequota', 'ways-b') == '2' end)
    assert.equal('1', version_of('resourcequota', 'ways-c'))
    see('b', '2')
    await('c is new', function() return version_of('resourcequota', 'ways-c') == '2' end)

    cluster.kubectl('delete pdb ways-budget -n %s', ns)
    await('the budget is new', function() return version_of('pdb', 'ways-budget') == '2' end)
    assert.is_nil(op.log():find('cannot', 1, true), 'nothing was refused')
  end)

  it('is shown the objects that it asks for, and called again when one of them changes', function()
    local other = cluster.namespace 'other'
    local function config(name, where, value, labels)
      cluster.apply(('{apiVersion: v1, kind: ConfigMap, metadata: {name: %s, namespace: %s, labels: {%s}}, data: {value: "%s"}}'):format(
        name, where, labels or '', value))
    end
    local function sees(name, text)
      await(('%s sees "%s"'):format(name, text), function()
        local net = get('networkpolicy', name .. '-net')
        return net and net.metadata.annotations.seen == text, net and net.metadata.annotations.seen
      end)
    end
    for _, name in ipairs { 'blue', 'red' } do
      cluster.apply((edits.labelled(name, ns, 'shape: looks'):gsub('labels:', ('annotations: {source: %s-source}, %%0'):format(name))))
    end
    sees('blue', '')
    assert.is_truthy(op.log():find('Phantom (example.com/v1) is not installed in this cluster; waiting for it', 1, true), op.log())
    config('blue-source', ns, 1)
    sees('blue', 'blue-source=1')
    config('blue-source', ns, 2)
    sees('blue', 'blue-source=2')
    config('far', other, 3, ('team: %s-blue'):format(ns))
    eventually('blue sees both', 20, function()
      local net = get('networkpolicy', 'blue-net')
      local seen = net and net.metadata.annotations.seen
      return seen == 'far=3 blue-source=2' or seen == 'blue-source=2 far=3', seen
    end, op.log())
    config('far', other, 3, ('team: %s-red'):format(ns))
    sees('blue', 'blue-source=2')
    sees('red', 'far=3')
    cluster.kubectl('delete configmap blue-source -n %s', ns)
    sees('blue', '')
  end)

  it('holds a parent until it is done with it, or has had its time', function()
    cluster.apply(edits.labelled('polite', ns, 'shape: leaves'))
    edits.await_running(ns, 'polite')
    cluster.kubectl('delete asyncactor polite -n %s --wait=false', ns)
    await('it makes what it needs', function() return get('service', 'polite-bye') end)
    is_told('polite', "at the latest: policy 'shapes': the farewell")
    assert.is_truthy(get('deployment', 'polite'), 'its children work on')
    assert.equal('Terminating', get('asyncactor', 'polite').status.status)
    annotate('service polite-bye', 'open=yes')
    await('it goes', function() return not get('asyncactor', 'polite') end)
    assert.is_nil(get('deployment', 'polite'))
    assert.is_nil(get('service', 'polite-bye'))
    eventually('the other one goes, too', 30, function() return not get('asyncactor', 'endless') end, op.log())
    is_told('endless', 'policies were not done with it after 25 seconds')
  end)
end)

describe('the example catset', function()
  if not cluster.available then return end

  it('makes its pods one after the other, replaces them one after the other, and keeps the claims of those that go', function()
    local ns, own = cluster.namespace 'cats', cluster.namespace 'own'
    cluster.kubectl 'apply --server-side -f policies/examples/catset/crd/'
    cluster.kubectl 'wait --for=condition=Established crd/catsets.ctl.example.com --timeout=30s'
    finally(function()
      cluster.sh('kubectl delete catsets -n %s --all --timeout=20s', ns)
      cluster.stop_all()
    end)
    local op = edits.operator(own, { args = '--bundle policies/examples/catset' })
    local function pod(i) return cluster.get('pod', 'tom-' .. i, ns) end
    local function image(i)
      local it = pod(i)
      return it and not it.metadata.deletionTimestamp and it.spec.containers[1].image
    end
    local function await(what, fn) return eventually(what, 20, fn, op.log()) end
    local function set_ready(i) -- no volume is ever bound here, so nobody else does
      cluster.kubectl('patch pod tom-%d -n %s --subresource=status --type=merge -p %s', i, ns,
        cluster.quote '{"status":{"conditions":[{"type":"Ready","status":"True"}]}}')
    end
    cluster.apply(('{apiVersion: ctl.example.com/v1, kind: CatSet, metadata: {name: tom, namespace: %s}, spec: {replicas: 2, storage: 1Gi, image: "cat:1"}}')
      :format(ns))
    await('there is a first cat', function() return pod(0) end)
    await('the status says what it waits for', function()
      local it = cluster.get('catset', 'tom', ns)
      local message = it.status and it.status.conditions and it.status.conditions[1].message or ''
      return message:find('tom-0: ', 1, true), message
    end)
    assert.is_nil(pod(1))
    set_ready(0)
    await('there is a second cat', function() return pod(1) end)
    set_ready(1)
    cluster.kubectl('patch catset tom -n %s --type=merge -p %s', ns, cluster.quote '{"spec":{"image":"cat:2"}}')
    await('the first cat is new', function() return image(0) == 'cat:2' end)
    assert.equal('cat:1', image(1))
    set_ready(0)
    await('the second cat is new', function() return image(1) == 'cat:2' end)
    cluster.kubectl('patch catset tom -n %s --type=merge -p %s', ns, cluster.quote '{"spec":{"replicas":1}}')
    await('the second cat goes', function() return not image(1) end)
    assert.is_truthy(cluster.get('pvc', 'tom-1', ns))
  end)
end)
