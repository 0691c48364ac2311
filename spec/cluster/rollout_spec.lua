--- rollout: who has which bundle when an operator starts, when actors go in mid-rollout, and when parameters come before their policy.
local chart = require 'chart'
local cluster = require 'cluster'
local edits = require 'edits'

local eventually = cluster.eventually
local await_running, await_stamp, await_state = edits.await_running, edits.await_stamp, edits.await_state
local put, stamp = edits.put, edits.stamp

local labelled = edits.labelled
local generation = edits.generation

describe('a rollout', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  local ns, own
  before_each(function() ns, own = edits.begin() end)
  after_each(function() edits.finish(ns) end)

  local function operator(rollout)
    return cluster.operator { args = '--namespace ' .. own, env = rollout and 'ASYA_POLICY_ROLLOUT=' .. cluster.quote(rollout) }
  end

  local BIRDS, MINERS = { 'bird-1', 'bird-2', 'bird-3' }, { 'miner-1', 'miner-2', 'miner-3' }

  --- Actors that built-in policies serve, of which some are for a canary, and nobody who works on them.
  local function flock()
    local first = operator()
    for _, name in ipairs(BIRDS) do cluster.apply(labelled(name, ns, 'team: canary')) end
    for _, name in ipairs(MINERS) do cluster.apply(cluster.actor(name, ns)) end
    await_running(ns, 'bird-1', 'bird-2', 'bird-3', 'miner-1', 'miner-2', 'miner-3')
    first.stop()
  end

  local function put_canary(source)
    put(own, 'try', { ['stamp.lua'] = source }, 'asya.sh/policies-canary', 'asya.sh/policies-canary-selector: team=canary')
  end

  local function untouched(names)
    for _, name in ipairs(names) do assert.equal(1, generation(name, ns), name .. ' was reached by a canary that is not for it') end
  end

  it('is not stopped after a restart by an actor on which what is live raises the same error', function()
    local first = operator()
    cluster.apply(cluster.actor('well', ns))
    cluster.apply(cluster.actor('twins', ns, nil, '        - {name: asya-runtime, image: a, ports: [{containerPort: 80}, {containerPort: 80, name: b}]}\n'))
    await_running(ns, 'well')
    put(own, 'team', { ['stamp.lua'] = stamp 'v1' })
    await_stamp('well', ns, 'v1')
    eventually('it is told that the edit errs on one', 20, function() return first.log():find('twins: is slow after', 1, true), first.log() end)
    first.stop()
    put(own, 'team', { ['stamp.lua'] = stamp 'v2' })
    local second = operator()
    await_stamp('well', ns, 'v2')
    assert.is_nil(second.log():find('rejected', 1, true), second.log())
  end)

  it('of a canary that is there when an operator starts reaches only those it is for', function()
    flock()
    put_canary(stamp('canary', true))
    local second = operator()
    for _, name in ipairs(BIRDS) do await_stamp(name, ns, 'canary', true) end
    await_state(own, 'try', 'live: bundle')
    untouched(MINERS)
    assert.is_truthy(second.log():find('passed on 3 of asyncactors', 1, true), second.log())
    second.kill()
    operator() -- and so at each start
    await_state(own, 'try', 'live: bundle')
    for _, name in ipairs(BIRDS) do await_stamp(name, ns, 'canary', true) end
    untouched(MINERS)
  end)

  it('of a canary that is there when an operator starts goes at the usual pace, and back', function()
    flock()
    put_canary((stamp('canary', true):gsub('end }', "object.metadata.annotations['bed.asya.sh/fault'] = 'creating'\nend }")))
    operator '{"maxRestarting":1,"maxFailed":0,"readySeconds":4}'
    await_state(own, 'try', 'rolled back')
    for _, name in ipairs(BIRDS) do await_stamp(name, ns, nil, true) end
    local touched = 0
    for _, name in ipairs(BIRDS) do touched = touched + (generation(name, ns) > 1 and 1 or 0) end
    assert.equal(1, touched, 'only the first was reached')
    untouched(MINERS)
  end)

  it('goes back where actors do not say any more whether they are ready', function()
    local op = operator '{"maxRestarting":1,"maxFailed":0,"readySeconds":4}'
    for _, name in ipairs(MINERS) do cluster.apply(cluster.actor(name, ns)) end
    await_running(ns, 'miner-1', 'miner-2', 'miner-3')
    put(own, 'team', { ['stamp.lua'] = stamp('silent', true), ['silent.lua'] = [[
return require 'policy'.define { name = 'silent', after = { 'status' }, status = function(actor, ctx, status)
  for i = #status.conditions, 1, -1 do
    if status.conditions[i].type == 'Ready' then table.remove(status.conditions, i) end
  end
end }]] })
    await_state(own, 'team', 'rolled back')
    for _, name in ipairs(MINERS) do await_stamp(name, ns, nil, true) end
    await_running(ns, 'miner-1', 'miner-2', 'miner-3')
    local touched = 0
    for _, name in ipairs(MINERS) do touched = touched + (generation(name, ns) > 1 and 1 or 0) end
    assert.equal(1, touched, 'only the first was reached')
    assert.is_truthy(op.log():find('does not say any more whether it is ready', 1, true), op.log())
  end)

  it('is not to blame for pods that somebody told their Deployment to keep', function()
    local op = operator '{"maxRestarting":1,"maxFailed":0,"readySeconds":4}'
    for _, name in ipairs(MINERS) do cluster.apply(cluster.actor(name, ns)) end
    await_running(ns, 'miner-1', 'miner-2', 'miner-3')
    cluster.kubectl('rollout pause deployment/miner-1 deployment/miner-2 -n %s', ns)
    put(own, 'team', { ['stamp.lua'] = stamp('v1', true) })
    await_state(own, 'team', 'live: bundle')
    for _, name in ipairs(MINERS) do await_stamp(name, ns, 'v1', true) end
    assert.is_nil(op.log():find('not ready in time', 1, true), op.log())
    for _, name in ipairs { 'miner-1', 'miner-2' } do
      assert.equal(0, cluster.get('deployment', name, ns).status.updatedReplicas or 0, name .. ' still keeps its pods')
    end
  end)

  local function uid_of(name)
    local deployment = cluster.get('deployment', name, ns)
    return deployment and deployment.metadata.uid
  end

  it('that gives workloads another name goes at the usual pace, and back', function()
    operator '{"maxRestarting":1,"maxFailed":0,"readySeconds":4}'
    for _, name in ipairs(MINERS) do cluster.apply(cluster.actor(name, ns)) end
    await_running(ns, 'miner-1', 'miner-2', 'miner-3')
    local before = {}
    for _, name in ipairs(MINERS) do before[name] = uid_of(name) end
    put(own, 'team', { ['name.lua'] = [[
return require 'policy'.define { name = 'name', after = { 'sidecar' }, render = function(_, _, plan)
  local workload = plan:get 'workload'
  workload.metadata.name = workload.metadata.name .. '-2'
  workload.spec.template.metadata.annotations = { ['bed.asya.sh/fault'] = 'creating' }
end }]] })
    await_state(own, 'team', 'rolled back')
    await_running(ns, 'miner-1', 'miner-2', 'miner-3')
    local touched = 0
    for _, name in ipairs(MINERS) do touched = touched + (uid_of(name) == before[name] and 0 or 1) end
    assert.equal(1, touched, 'only the first was reached')
  end)

  it('does not fail because actors are deleted that it has reached, or has not reached yet', function()
    local op = operator '{"maxRestarting":2,"maxFailed":1,"readySeconds":6}'
    local names = { 'a', 'b', 'c', 'd' }
    for _, name in ipairs(names) do cluster.apply(labelled(name, ns, 'slow: "yes"')) end
    cluster.apply(cluster.actor('stays', ns))
    await_running(ns, 'a', 'b', 'c', 'd', 'stays')
    put(own, 'team', { ['stamp.lua'] = (stamp('v1', true):gsub('end }', [[
      if (actor.metadata.labels or {}).slow then object.metadata.annotations['bed.asya.sh/fault'] = 'creating' end
end }]])) })
    local reached, waiting
    eventually('two are on their way', 20, function()
      reached, waiting = {}, {}
      for _, name in ipairs(names) do table.insert(edits.stamp_of(name, ns, true) == 'v1' and reached or waiting, name) end
      return #reached == 2, #reached
    end)
    cluster.kubectl('delete asyncactor %s -n %s --timeout=20s', table.concat(waiting, ' '), ns)
    cluster.kubectl('delete asyncactor %s -n %s --timeout=20s', table.concat(reached, ' '), ns)
    await_stamp('stays', ns, 'v1', true)
    local state = await_state(own, 'team', 'live: bundle')
    cluster.sleep(8) -- longer than somebody who fails is waited for
    assert.equal(state, await_state(own, 'team', ': '))
    assert.equal('v1', edits.stamp_of('stays', ns, true))
    assert.is_nil(op.log():find('rolled back', 1, true))
    assert.is_nil(op.log():find('not ready', 1, true))
  end)

  it('goes on after a restart where statuses cannot say how far it was, because the CRD is an older one', function()
    local names = { 'a', 'b', 'c', 'd', 'e', 'f' }
    local function stamped(value)
      local n = 0
      for _, name in ipairs(names) do n = n + (edits.stamp_of(name, ns, true) == value and 1 or 0) end
      return n
    end
    finally(function() cluster.kubectl 'apply -f crds/asyncactors.asya.sh.yaml' end)
    cluster.kubectl([[patch crd asyncactors.asya.sh --type=json -p '[{"op": "remove", "path": "%s"}]']],
      '/spec/versions/0/schema/openAPIV3Schema/properties/status/properties/bundleDigest')
    local first = operator '{"maxRestarting":1}'
    for _, name in ipairs(names) do cluster.apply(cluster.actor(name, ns)) end
    await_running(ns, table.unpack(names))
    for _, name in ipairs(names) do assert.is_nil(cluster.get('asyncactor', name, ns).status.bundleDigest) end
    put(own, 'team', { ['stamp.lua'] = stamp('v1', true) })
    eventually('it has reached half of them', 30, function() return stamped 'v1' >= 3, stamped 'v1' end)
    first.kill()
    assert.is_true(stamped 'v1' < 6, 'it was too quick')
    operator '{"maxRestarting":1}'
    eventually('it has reached all', 60, function() return stamped 'v1' == 6, stamped 'v1' end)
    await_state(own, 'team', 'live: bundle')
    for _, name in ipairs(names) do assert.equal(2, generation(name, ns), name .. ' was turned back') end
  end)
end)

local CHEAP = [[
local policy, schema = require 'policy', require 'schema'
return policy.define {
  name = 'cheap', after = { 'workload' }, params = { tier = schema.string():default('none') },
  render = function(_, ctx, plan) plan:get('workload').metadata.annotations = { stamp = ctx.params.tier } end,
}
]]

describe('parameters in the configuration', function()
  if not cluster.available then return end

  local ns, own
  before_each(function()
    cluster.clear()
    chart.clean()
    ns, own = cluster.namespace 'actors', cluster.namespace 'operator'
  end)
  after_each(function()
    cluster.sh('kubectl delete asyncactors --all -n %s --timeout=20s', ns)
    cluster.stop_all()
    chart.clean()
  end)

  local NOTE = "params: there is no policy 'cheap' in the bundle"

  local function ready(port) return cluster.sh('curl -s -m 5 "http://127.0.0.1:%d/readyz?verbose"', port) end

  local function await_ready(port, degraded)
    return eventually(degraded and 'readiness is degraded' or 'readiness is not degraded', 20, function()
      local text = ready(port)
      return text:find('readyz check passed', 1, true) and (text:find('note: policies: degraded', 1, true) ~= nil) == degraded and text, text
    end)
  end

  it('may be for a policy that comes later in a ConfigMap, and goes again', function()
    local config = cluster.write(cluster.temp 'config.yaml', 'params: {cheap: {tier: spot}}\n')
    local op = cluster.operator { args = ('--namespace %s --config %s --health-probe-bind-address 127.0.0.1:18487'):format(own, config) }
    cluster.apply(cluster.actor('one', ns))
    await_running(ns, 'one')
    assert.is_truthy(await_ready(18487, true):find(NOTE, 1, true))
    local function notes() return select(2, op.log():gsub(NOTE:gsub('%p', '%%%0'), '')) end
    assert.equal(1, notes(), op.log())
    assert.is_nil(op.log():find('that were live cannot be used', 1, true), 'nothing was live')

    put(own, 'team', { ['cheap.lua'] = CHEAP })
    await_stamp('one', ns, 'spot')
    await_state(own, 'team', 'live: bundle')
    await_ready(18487, false)
    assert.equal(1, notes(), op.log())

    cluster.kubectl('delete configmap team -n %s', own)
    await_stamp('one', ns, nil)
    await_ready(18487, true)
    assert.equal(2, notes(), op.log())
  end)

  it('that a policy refuses are the one thing that is said of them, at a first start', function()
    put(own, 'team', { ['cheap.lua'] = CHEAP })
    local config = cluster.write(cluster.temp 'config.yaml', 'params: {cheap: {tier: 5}}\n')
    local op = cluster.operator { args = ('--namespace %s --config %s --health-probe-bind-address 127.0.0.1:18488'):format(own, config) }
    cluster.apply(cluster.actor('one', ns))
    await_running(ns, 'one')
    await_state(own, 'team', "rejected, nothing was changed: cheap.lua: params of policy 'cheap'.tier: expected string, got integer '5'")
    assert.is_truthy(await_ready(18488, true):find("params of policy 'cheap'", 1, true))
    assert.is_nil(op.log():find(NOTE, 1, true), op.log())
    assert.is_nil(op.log():find('that were live', 1, true), op.log())
  end)

  it('for a policy of policies.extra work with helm install, from the first start on', function()
    local values = cluster.write(cluster.temp 'values.yaml', ([[
policies: {extra: {cheap.lua: %s}}
policyParams: {cheap: {tier: spot}}
]]):format((require 'json'.encode(CHEAP))))
    local said, ok = cluster.sh('helm install asya-operator %s -n %s --set runtime.namespace=%s --values %s', cluster.PACKAGE, own, ns, values)
    assert(ok, said)
    local op = chart.operator(own, { runtime_namespace = ns })
    cluster.apply(cluster.actor('one', ns))
    await_stamp('one', ns, 'spot')
    await_running(ns, 'one')
    assert.is_nil(op.log():find(NOTE, 1, true), 'the policy was there all the time:\n' .. op.log())
    op.stop()
    op = chart.operator(own, { runtime_namespace = ns })
    eventually('it works', 20, function() return op.log():find('caches are filled', 1, true) end)
    await_stamp('one', ns, 'spot')
    assert.is_nil(op.log():find('cannot be used any more', 1, true), op.log())
  end)

  it('for a policy that is in no bundle are told by check, and noted by render', function()
    local config = cluster.write(cluster.temp 'config.yaml', 'params: {scalling: {scale_up_pods: 3}}\n')
    local actor = cluster.write(cluster.temp 'actor.yaml', cluster.actor('one', 'apps'))
    local function run(arguments)
      return cluster.sh('ASYA_TRANSPORT_CONFIG=%s %s/asya-operator %s --config %s', cluster.quote(cluster.TRANSPORTS), cluster.build, arguments, config)
    end
    local told = "params: there is no policy 'scalling' in the bundle; did you mean scaling?"
    local said, ok = run 'check'
    assert.is_false(ok)
    assert.is_truthy(said:find('error: ' .. told, 1, true), said)
    said, ok = run('render -f ' .. actor)
    assert.is_true(ok, said)
    assert.is_truthy(said:find('note: ' .. told, 1, true) and said:find('kind: Deployment', 1, true), said)
  end)
end)
