--- rollout histories: who has which policies across restarts, failovers, canaries and the way back. Each test is one history.
local cluster = require 'cluster'
local edits = require 'edits'

local eventually = cluster.eventually
local await_running, await_stamp, await_state = edits.await_running, edits.await_stamp, edits.await_state
local put, stamp, stamp_of = edits.put, edits.stamp, edits.stamp_of

local RECORD = 'asya-operator-policies-live'

local labelled = edits.labelled
local generation = edits.generation

local function deployments(ns)
  local by_name = {}
  for _, each in ipairs(cluster.list('deployments', ns)) do by_name[each.metadata.name] = each end
  return by_name
end

--- How many of these Deployments have pods that this function accepts, now.
local function reached(ns, fn)
  local count = 0
  for _, each in pairs(deployments(ns)) do count = count + (fn(each) and 1 or 0) end
  return count
end

local function has_stamp(value)
  return function(deployment) return ((deployment.spec.template.metadata or {}).annotations or {}).stamp == value end
end

describe('who has which policies', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run histories'
    return
  end

  local ns, own
  before_each(function() ns, own = edits.begin() end)
  after_each(function() edits.finish(ns) end)

  local SLOWLY = { maxRestarting = 1, maxFailed = 0, readySeconds = 30, minReadySeconds = 2 }

  local function operator(rollout, env, args)
    local settings = rollout and 'ASYA_POLICY_ROLLOUT=' .. cluster.quote((require 'json'.encode(rollout)))
    return cluster.operator { args = ('--namespace %s %s'):format(own, args or ''), env = (settings or '') .. ' ' .. (env or '') }
  end

  local function record() return require 'json'.decode(cluster.get('configmap', RECORD, own).data.record) end

  --- Actors a, b, c, d that run with pods stamped v1.
  local function four(rollout, args)
    local names, op = { 'a', 'b', 'c', 'd' }, operator(rollout, nil, args)
    for _, name in ipairs(names) do cluster.apply(labelled(name, ns, 'one: "yes"')) end
    await_running(ns, 'a', 'b', 'c', 'd')
    put(own, 'team', { ['stamp.lua'] = stamp('v1', true) })
    for _, name in ipairs(names) do await_stamp(name, ns, 'v1', true) end
    await_state(own, 'team', 'live: bundle')
    return op, names
  end

  local function generations(names)
    local now = {}
    for _, name in ipairs(names) do now[name] = generation(name, ns) end
    return now
  end

  local function each_moved_once(names, before)
    for _, name in ipairs(names) do assert.equal(before[name] + 1, generation(name, ns), name .. ' was moved to and fro') end
  end

  it('is known after a kill in mid-rollout: it goes on forward, at the same pace', function()
    local first, names = four(SLOWLY)
    local before = generations(names)
    put(own, 'team', { ['stamp.lua'] = stamp('v2', true) })
    eventually('some are reached', 20, function() return reached(ns, has_stamp 'v2') >= 2 end)
    first.kill()
    local at_kill = reached(ns, has_stamp 'v2')
    assert.is_true(at_kill < 4)
    local second = operator(SLOWLY)
    eventually('it leads', 30, function() return second.log():find('caches are filled', 1, true) end)
    cluster.sleep(1)
    assert.is_true(reached(ns, has_stamp 'v2') <= at_kill + 1, 'one at a time')
    for _, name in ipairs(names) do await_stamp(name, ns, 'v2', true) end
    await_state(own, 'team', 'live: bundle')
    each_moved_once(names, before)
  end)

  it('is known to a standby that takes over', function()
    local first, names = four(SLOWLY, '--leader-elect')
    operator(SLOWLY, nil, '--leader-elect --health-probe-bind-address 127.0.0.1:18498')
    eventually('it stands by', 20, function() return cluster.sh('curl -s -m 5 "http://127.0.0.1:18498/readyz?verbose"'):find('standing by', 1, true) end)
    local before = generations(names)
    put(own, 'team', { ['stamp.lua'] = stamp('v2', true) })
    eventually('some are reached', 20, function() return reached(ns, has_stamp 'v2') >= 1 end)
    first.kill()
    for _, name in ipairs(names) do
      eventually(name .. ' is reached', 60, function() return stamp_of(name, ns, true) == 'v2', stamp_of(name, ns, true) end)
    end
    await_state(own, 'team', 'live: bundle')
    each_moved_once(names, before)
  end)

  --- A ConfigMap of two policies that do nothing, 500 KB in all.
  local function put_large(i)
    local files = {}
    for _, half in ipairs { 'a', 'b' } do
      local name = ('notes-%d-%s'):format(i, half)
      files[name .. '.lua'] = ("-- %s\nreturn require('policy').define { name = '%s' }\n"):format(('x'):rep(250000), name)
    end
    put(own, 'large-' .. i, files)
  end

  it('is known of a bundle that is larger than a ConfigMap', function()
    local first = operator()
    cluster.apply(cluster.actor('one', ns))
    await_running(ns, 'one')
    for i = 1, 3 do put_large(i) end
    put(own, 'team', { ['stamp.lua'] = stamp 'kept' })
    await_stamp('one', ns, 'kept')
    await_state(own, 'team', 'live: bundle')
    put(own, 'team', { ['stamp.lua'] = 'return (((' })
    await_state(own, 'team', 'rejected')
    first.kill()
    operator()
    cluster.apply(cluster.actor('two', ns))
    await_stamp('two', ns, 'kept')
    assert.equal('kept', stamp_of('one', ns))
    for i = 4, 9 do put_large(i) end
    put(own, 'team', { ['stamp.lua'] = stamp 'more' })
    await_state(own, 'team', 'at most 4096 KiB are allowed')
    assert.equal('kept', stamp_of('one', ns))
  end)

  it('stays as it is when the bundle that was live cannot be had any more', function()
    local first = operator()
    edits.keep_one(ns, own)
    first.stop()
    put(own, 'team', { ['stamp.lua'] = 'return (((' })
    cluster.kubectl("delete configmaps -n %s -l asya.sh/policies-kept=true", own)
    local before = generation('one', ns)
    local second = operator(nil, nil, '--health-probe-bind-address 127.0.0.1:18498')
    local function ready() return cluster.sh 'curl -s -m 5 "http://127.0.0.1:18498/readyz?verbose"' end
    eventually('readiness is degraded', 30, function() local text = ready() return text:find('cannot be loaded', 1, true), text end)
    cluster.event(own, RECORD, 'PoliciesMissing', 20)
    cluster.kubectl("patch asyncactor one -n %s --type merge -p %s", ns, cluster.quote '{"spec":{"workload":{"replicas":2}}}')
    cluster.sleep(4)
    assert.equal(before, generation('one', ns))
    assert.equal('kept', stamp_of('one', ns))
    local actor = cluster.get('asyncactor', 'one', ns)
    assert.is_true(actor.status.observedGeneration < actor.metadata.generation, 'nothing is claimed that was not carried out')
    put(own, 'team', { ['stamp.lua'] = stamp 'mended' })
    await_stamp('one', ns, 'mended')
    eventually('the edit of the actor is carried out, too', 20, function() return cluster.get('deployment', 'one', ns).spec.replicas == 2 end)
    eventually('readiness is well', 20, function() return not ready():find('degraded', 1, true) end)
    assert.is_nil(second.log():find('deleted', 1, true))
  end)

  it('changes at the pace of a rollout when a setting changes, wherever it comes from', function()
    local function image(value) return function(d) return d.spec.template.spec.containers[2].image == value end end
    local first = operator(SLOWLY, 'ASYA_SIDECAR_IMAGE=example/sidecar:1')
    for _, name in ipairs { 'a', 'b', 'c', 'd' } do cluster.apply(cluster.actor(name, ns)) end
    await_running(ns, 'a', 'b', 'c', 'd')
    assert.equal(4, reached(ns, image 'example/sidecar:1'))
    first.stop()
    local second = operator(SLOWLY, 'ASYA_SIDECAR_IMAGE=example/sidecar:2')
    eventually('the first is reached', 30, function() return reached(ns, image 'example/sidecar:2') >= 1 end)
    cluster.sleep(1)
    assert.equal(1, reached(ns, image 'example/sidecar:2'))
    eventually('all are reached', 40, function() return reached(ns, image 'example/sidecar:2') == 4 end)
    assert.is_nil(second.log():find('cannot be loaded', 1, true), 'what was live is kept from the first start on')
  end)

  it('is each track for itself: a wrong edit of one is not blamed on the other', function()
    local op = operator(SLOWLY)
    for _, name in ipairs { 'bird-1', 'bird-2', 'bird-3' } do cluster.apply(labelled(name, ns, 'team: canary')) end
    cluster.apply(cluster.actor('miner', ns))
    await_running(ns, 'bird-1', 'bird-2', 'bird-3', 'miner')
    put(own, 'try', { ['stamp.lua'] = stamp('new', true) }, 'asya.sh/policies-canary', 'asya.sh/policies-canary-selector: team=canary')
    eventually('the canary begins', 20, function() return reached(ns, has_stamp 'new') == 1 end)
    put(own, 'team', { ['wrong.lua'] = "return require('policy').define { name = 'wrong', render = function() error 'not for anybody' end }" })
    local state = await_state(own, 'team', 'rejected')
    assert.is_truthy(state:find('not for anybody', 1, true), state)
    for _, name in ipairs { 'bird-1', 'bird-2', 'bird-3' } do
      eventually(name, 40, function() return stamp_of(name, ns, true) == 'new' end)
    end
    assert.is_nil(stamp_of('miner', ns, true))
    cluster.kubectl('delete configmap team -n %s', own)
    await_state(own, 'try', 'live: bundle')
    assert.is_nil(op.log():find('rolled back', 1, true))
  end)

  it('is tried on everybody also while a canary has all of them', function()
    operator()
    cluster.apply(cluster.actor('one', ns))
    await_running(ns, 'one')
    put(own, 'try', { ['stamp.lua'] = stamp 'canary' }, 'asya.sh/policies-canary', 'asya.sh/policies-canary-percent: "100"')
    await_stamp('one', ns, 'canary')
    await_state(own, 'try', 'live: bundle')
    put(own, 'team', { ['wrong.lua'] = "return require('policy').define { name = 'wrong', render = function() error 'not for anybody' end }" })
    await_state(own, 'team', 'not for anybody')
    assert.equal('canary', stamp_of('one', ns))
  end)

  it('goes back for everybody, at the same pace, and is not tried again by the next operator', function()
    local first, names = four { maxRestarting = 2, maxFailed = 1, readySeconds = 4 }
    local good = cluster.get('asyncactor', 'a', ns).status.bundleDigest
    local before = generations(names)
    put(own, 'team', { ['stamp.lua'] = (stamp('v2', true):gsub('end }', "object.metadata.annotations['bed.asya.sh/fault'] = 'image'\nend }")) })
    await_state(own, 'team', 'rolled back: ')
    for _, name in ipairs(names) do
      await_stamp(name, ns, 'v1', true)
      eventually(name .. ' has the good bundle', 20, function() return cluster.get('asyncactor', name, ns).status.bundleDigest == good end)
    end
    await_running(ns, 'a', 'b', 'c', 'd')
    local touched = 0
    for _, name in ipairs(names) do touched = touched + (generation(name, ns) > before[name] and 1 or 0) end
    assert.equal(2, touched, 'no more than had failed')
    local now = generations(names)
    first.kill()
    local second = operator { maxRestarting = 2, maxFailed = 1, readySeconds = 4 }
    eventually('it says so', 40, function() return second.log():find('rejected before this start', 1, true) end)
    cluster.sleep(4)
    assert.same(now, generations(names))
    put(own, 'team', { ['stamp.lua'] = stamp('v3', true) })
    for _, name in ipairs(names) do await_stamp(name, ns, 'v3', true) end
  end)

  it('arrives untouched when only a queue changes', function()
    local brokers = require 'brokers'
    local mq = brokers.namespace()
    local name = brokers.fresh 'more'
    brokers.operator { args = '--namespace ' .. own }
    cluster.apply(cluster.actor(name, mq))
    brokers.await_transport(mq, name, 'True', 'TransportValidated')
    put(own, 'team', { ['more.lua'] = [[return require('policy').define { name = 'more', after = { 'queue' }, queues = function(actor, ctx, plan)
      local config = ctx.settings.transports.transports.rabbitmq.config
      local name = 'asya-' .. actor.metadata.name .. '-more'
      plan:queue { name = name, transport = 'rabbitmq', type = 'rabbitmq', config = config, secrets = { password = config.passwordSecretRef },
        want = { name = name, durable = true, create = true }, deletion = 'Delete' }
    end }]] })
    eventually('the queue is there', 30, function() return brokers.queue(name .. '-more') end)
    cluster.kubectl('delete asyncactor %s -n %s --timeout=30s', name, mq)
    assert.is_nil(brokers.queue(name .. '-more'))
  end)

  it('arrives untouched when only the status changes', function()
    operator()
    cluster.apply(cluster.actor('one', ns))
    await_running(ns, 'one')
    local before = generation('one', ns)
    put(own, 'team', { ['say.lua'] = [[return require('policy').define { name = 'say', after = { 'status' }, status = function(actor, ctx, status)
      for _, each in ipairs(status.conditions) do if each.type == 'Ready' then each.message = 'as we say it' end end
    end }]] })
    eventually('the status says it', 20, function()
      local ready = cluster.condition(cluster.get('asyncactor', 'one', ns), 'Ready')
      return ready.message == 'as we say it', ready.message
    end)
    assert.equal(before, generation('one', ns))
  end)

  it('does not make a shared object of a canary everybody\'s', function()
    operator()
    cluster.apply(labelled('bird', ns, 'team: canary'))
    cluster.apply(cluster.actor('miner', ns))
    await_running(ns, 'bird', 'miner')
    local function runtime() return cluster.get('configmap', 'asya-runtime', ns) end
    local before = runtime()
    put(own, 'try', { ['asya_runtime.py'] = 'print("of the canary")\n', ['stamp.lua'] = stamp 'canary' }, 'asya.sh/policies-canary',
      'asya.sh/policies-canary-selector: team=canary')
    await_stamp('bird', ns, 'canary')
    await_state(own, 'try', 'live: bundle')
    for _, name in ipairs { 'bird', 'miner' } do cluster.kubectl('label asyncactor %s -n %s touched=yes', name, ns) end
    cluster.sleep(3)
    assert.equal(before.metadata.resourceVersion, runtime().metadata.resourceVersion)
    cluster.kubectl('label configmap try -n %s asya.sh/policies=true asya.sh/policies-canary-', own)
    eventually('promoted, it is everybody\'s', 20, function() return require 'json'.encode(runtime().data):find('of the canary', 1, true) end)
  end)

  it('goes back at the usual pace for those that a canary does not select any more', function()
    operator(SLOWLY)
    local birds = { 'bird-1', 'bird-2', 'bird-3' }
    for i, name in ipairs(birds) do cluster.apply(labelled(name, ns, 'team: canary, number: "' .. i .. '"')) end
    await_running(ns, 'bird-1', 'bird-2', 'bird-3')
    put(own, 'try', { ['stamp.lua'] = stamp('new', true) }, 'asya.sh/policies-canary', 'asya.sh/policies-canary-selector: team=canary')
    for _, name in ipairs(birds) do eventually(name, 40, function() return stamp_of(name, ns, true) == 'new' end) end
    await_state(own, 'try', 'live: bundle')
    cluster.kubectl("annotate configmap try -n %s --overwrite asya.sh/policies-canary-selector=number=1", own)
    eventually('one has gone back', 20, function() return reached(ns, has_stamp 'new') == 2 end)
    cluster.sleep(1)
    assert.equal(2, reached(ns, has_stamp 'new'))
    eventually('the other, too', 20, function() return reached(ns, has_stamp 'new') == 1 end)
    assert.equal('new', stamp_of('bird-1', ns, true))
  end)

  it('goes on when an operator starts in the middle of it and cannot read what is wanted', function()
    local first, names = four(SLOWLY)
    local before = generations(names)
    put(own, 'team', { ['stamp.lua'] = stamp('v2', true) })
    eventually('one is reached', 20, function() return reached(ns, has_stamp 'v2') >= 1 end)
    put(own, 'wrong', { ['manifest.lua'] = 'return (((' })
    first.kill()
    local second = operator(SLOWLY)
    for _, name in ipairs(names) do eventually(name, 60, function() return stamp_of(name, ns, true) == 'v2' end) end
    await_state(own, 'wrong', 'rejected')
    each_moved_once(names, before)
    assert.is_true(#second.log() < 20000, 'a few lines are enough')
    assert.is_nil(second.log():find('in time', 1, true), second.log())
  end)

  it('is found again when the texts of what is live were deleted', function()
    local first = operator()
    edits.keep_one(ns, own)
    first.stop()
    local before = generation('one', ns)
    cluster.kubectl('delete configmaps -n %s -l asya.sh/policies-kept=true', own)
    put(own, 'team', { ['stamp.lua'] = 'return (((' })
    operator(nil, nil, '--health-probe-bind-address 127.0.0.1:18498')
    local function ready() return cluster.sh 'curl -s -m 5 "http://127.0.0.1:18498/readyz?verbose"' end
    eventually('it is missing', 30, function() return ready():find('cannot be loaded', 1, true), ready() end)
    put(own, 'team', { ['stamp.lua'] = stamp 'kept' })
    eventually('it is there', 30, function() return not ready():find('degraded', 1, true), ready() end)
    eventually('its texts are kept again', 20, function()
      local slots = record().kept[record().main.live.bundle]
      return slots and cluster.get('configmap', 'asya-operator-policies-kept-' .. slots[1], own)
    end)
    assert.equal(before, generation('one', ns), 'it was never touched')
  end)

  it('does not make shared objects of built-in policies while everybody is held', function()
    local first = operator()
    cluster.apply(cluster.actor('one', ns))
    await_running(ns, 'one')
    first.stop()
    cluster.kubectl("patch configmap %s -n %s --type merge -p %s", RECORD, own, cluster.quote '{"data":{"record":"nonsense"}}')
    cluster.kubectl('delete configmap asya-runtime -n default --ignore-not-found')
    local second = operator()
    cluster.event(own, RECORD, 'PoliciesRecordWrong', 20)
    cluster.sleep(3)
    assert.is_nil(cluster.get('configmap', 'asya-runtime', 'default'), second.log())
  end)

  it('adds a kind to watch once, with what was live before still known', function()
    local manifest = cluster.read 'policies/manifest.lua'
    operator()
    cluster.apply(cluster.actor('one', ns))
    await_running(ns, 'one')
    put(own, 'team', { ['stamp.lua'] = stamp 'first' })
    await_stamp('one', ns, 'first')
    await_state(own, 'team', 'live: bundle')
    local more = manifest:gsub('  children = {', "%0\n    { apiVersion = 'networking.k8s.io/v1', kind = 'NetworkPolicy', plural = 'networkpolicies' },", 1)
    put(own, 'team', { ['stamp.lua'] = stamp 'second', ['manifest.lua'] = more })
    await_stamp('one', ns, 'second')
    eventually('the record has both', 20, function() return #record().revisions >= 3, #record().revisions end)
    for _, revision in ipairs(record().revisions) do
      assert.is_table(record().kept[revision.bundle], 'revision ' .. revision.number .. ' can be gone back to')
    end
  end)

  it('is held by what it has while an edit takes the place of another, also after a restart', function()
    local first, names = four(SLOWLY)
    put(own, 'team', { ['stamp.lua'] = stamp('v2', true) })
    eventually('one is reached', 20, function() return reached(ns, has_stamp 'v2') >= 1 end)
    cluster.kubectl('annotate configmap team -n %s asya.sh/policies-rollout=pause', own)
    await_state(own, 'team', 'paused')
    cluster.sleep(5) -- who is on the way arrives, and leaves the record
    put(own, 'team', { ['stamp.lua'] = stamp('v3', true) })
    eventually('the third is accepted', 20, function() return select(2, first.log():gsub('policies: bundle', '')) >= 3 end)
    cluster.sleep(2)
    first.kill()
    local second = operator(SLOWLY)
    eventually('it leads', 30, function() return second.log():find('caches are filled', 1, true) end)
    cluster.sleep(3)
    assert.is_nil(second.log():find('cannot be loaded', 1, true), second.log())
    for _, name in ipairs(names) do
      cluster.kubectl('patch asyncactor %s -n %s --type merge -p %s', name, ns, cluster.quote '{"spec":{"workload":{"replicas":2}}}')
      eventually(name .. ' is worked on', 20, function() return cluster.get('deployment', name, ns).spec.replicas == 2 end)
    end
    cluster.kubectl('annotate configmap %s -n %s asya.sh/policies-rollout=resume', RECORD, own)
    for _, name in ipairs(names) do eventually(name, 60, function() return stamp_of(name, ns, true) == 'v3' end) end
  end)

  it('is served by an operator that is not allowed to write the record', function()
    local faults = cluster.faults()
    local wrong = { kind = 'Status', apiVersion = 'v1', status = 'Failure', reason = 'Forbidden', message = 'configmaps is forbidden', code = 403 }
    faults.add { method = 'PATCH', path = '/configmaps/asya-operator-policies', act = 'status', status = 403, body = require 'json'.encode(wrong) }
    finally(function() faults.clear() end)
    operator(nil, nil, ('--kubeconfig %s --health-probe-bind-address 127.0.0.1:18498'):format(faults.kubeconfig))
    cluster.apply(cluster.actor('one', ns))
    await_running(ns, 'one')
    local function ready() return cluster.sh 'curl -s -m 5 "http://127.0.0.1:18498/readyz?verbose"' end
    eventually('it says so', 20, function() return ready():find('cannot write which policies are live', 1, true), ready() end)
  end)

  it('is waited for by an operator whose right to read it comes after it has started', function()
    local first = operator()
    edits.keep_one(ns, own)
    first.stop()
    local faults = cluster.faults()
    local wrong = { kind = 'Status', apiVersion = 'v1', status = 'Failure', reason = 'Forbidden', message = 'configmaps is forbidden', code = 403 }
    faults.add { method = 'GET', path = ('/configmaps/%s$'):format(RECORD), act = 'status', status = 403, body = require 'json'.encode(wrong) }
    finally(function() faults.clear() end)
    local second = operator(nil, nil, '--kubeconfig ' .. faults.kubeconfig)
    eventually('it waits', 20, function() return second.log():find('configmaps is forbidden; waiting for it', 1, true), second.log() end)
    faults.clear()
    eventually('it leads', 40, function() return second.log():find('caches are filled', 1, true), second.log() end)
    cluster.kubectl('patch asyncactor one -n %s --type merge -p %s', ns, cluster.quote '{"spec":{"workload":{"replicas":2}}}')
    eventually('it works', 20, function() return cluster.get('deployment', 'one', ns).spec.replicas == 2 end)
    assert.equal('kept', stamp_of('one', ns))
  end)

  it('stays undone when the word could not be taken off before a restart', function()
    local first = operator()
    edits.keep_one(ns, own)
    put(own, 'team', { ['stamp.lua'] = stamp 'bad' })
    await_stamp('one', ns, 'bad')
    await_state(own, 'team', 'live: bundle')
    first.stop()
    local faults = cluster.faults()
    faults.add { method = 'PATCH', path = ('/configmaps/%s.fieldManager'):format(RECORD), act = 'status', status = 503 }
    finally(function() faults.clear() end)
    local second = operator(nil, nil, '--kubeconfig ' .. faults.kubeconfig)
    cluster.kubectl('annotate configmap %s -n %s asya.sh/policies-rollout=undo', RECORD, own)
    await_stamp('one', ns, 'kept')
    eventually('it is recorded', 20, function() return record().wentBackTo and record().main.stage == 'rest' end)
    second.kill()
    faults.clear()
    operator()
    eventually('the word is taken off', 30, function()
      return not (cluster.get('configmap', RECORD, own).metadata.annotations or {})['asya.sh/policies-rollout']
    end)
    cluster.sleep(3)
    assert.equal('kept', stamp_of('one', ns))
  end)

  it('keeps its canary when main policies add a kind', function()
    local manifest = cluster.read 'policies/manifest.lua'
    operator()
    cluster.apply(labelled('bird', ns, 'team: canary'))
    cluster.apply(cluster.actor('miner', ns))
    await_running(ns, 'bird', 'miner')
    put(own, 'try', { ['stamp.lua'] = stamp 'canary' }, 'asya.sh/policies-canary', 'asya.sh/policies-canary-selector: team=canary')
    await_stamp('bird', ns, 'canary')
    await_state(own, 'try', 'live: bundle')
    local more = manifest:gsub('  children = {', "%0\n    { apiVersion = 'networking.k8s.io/v1', kind = 'NetworkPolicy', plural = 'networkpolicies' },", 1)
    put(own, 'team', { ['manifest.lua'] = more, ['stamp.lua'] = stamp 'main' })
    await_stamp('miner', ns, 'main')
    await_state(own, 'team', 'live: bundle')
    eventually('the canary is live again', 30, function()
      local canary = record().canary
      return canary.stage == 'rest' and canary.live and canary.live.bundle == cluster.get('asyncactor', 'bird', ns).status.bundleDigest
    end)
    await_state(own, 'try', 'live: bundle')
    assert.same({}, record().refused)
    assert.equal('canary', stamp_of('bird', ns))
  end)

  it('is degraded no more when a canary that was refused goes', function()
    operator(nil, nil, '--health-probe-bind-address 127.0.0.1:18498')
    local function ready() return cluster.sh 'curl -s -m 5 "http://127.0.0.1:18498/readyz?verbose"' end
    put(own, 'try', { ['stamp.lua'] = 'return (((' }, 'asya.sh/policies-canary', 'asya.sh/policies-canary-percent: "50"')
    await_state(own, 'try', 'rejected')
    eventually('it is degraded', 20, function() return ready():find('degraded', 1, true) end)
    cluster.kubectl('delete configmap try -n %s', own)
    eventually('it is not', 20, function() return not ready():find('degraded', 1, true), ready() end)
  end)

  describe('and people steer it:', function()
    local function rollout(arguments) return cluster.sh('%s/asya-operator rollout %s --operator-namespace %s', cluster.build, arguments, own) end

    it('pause, status, resume, undo, history', function()
      local _, names = four(SLOWLY)
      local v1 = cluster.get('asyncactor', 'a', ns).status.bundleDigest
      put(own, 'team', { ['stamp.lua'] = stamp('v2', true) })
      eventually('some are reached', 20, function() return reached(ns, has_stamp 'v2') >= 1 end)
      local said, ok = rollout 'pause'
      assert.is_true(ok, said)
      assert.is_truthy(said:find('paused', 1, true), said)
      cluster.sleep(5)
      local at_pause = reached(ns, has_stamp 'v2')
      assert.is_true(at_pause < 4)
      said = rollout 'status --watch=false'
      assert.is_truthy(said:find('of 4 reached', 1, true) and said:find('(paused)', 1, true), said)
      cluster.sleep(3)
      assert.equal(at_pause, reached(ns, has_stamp 'v2'))
      rollout 'resume'
      said, ok = rollout 'status'
      assert.is_true(ok, said)
      assert.is_truthy(said:find('4 of 4 reached, 0 on their way, 0 waiting, 0 failed', 1, true), said)
      assert.equal(4, reached(ns, has_stamp 'v2'))
      said = rollout 'history'
      assert.is_truthy(said:find(v1, 1, true) and said:find('live', 1, true), said)
      said, ok = rollout 'undo'
      assert.is_true(ok, said)
      for _, name in ipairs(names) do eventually(name, 40, function() return stamp_of(name, ns, true) == 'v1' end) end
      assert.equal(v1, record().wentBackTo)
      said, ok = rollout 'undo'
      assert.is_false(ok)
      assert.is_truthy(said:find('it has gone back already', 1, true), said)
      put(own, 'team', { ['stamp.lua'] = 'return (((' }) -- a slip, and its correction
      await_state(own, 'team', 'rejected')
      put(own, 'team', { ['stamp.lua'] = stamp('v2', true) })
      cluster.sleep(5)
      assert.equal(0, reached(ns, has_stamp 'v2'))
      said, ok = rollout 'undo --to-revision 77'
      assert.is_false(ok)
      assert.is_truthy(said:find('there is no such revision', 1, true), said)
    end)

    it('approve, abort, and words that nobody knows', function()
      operator { maxRestarting = 1, requireApproval = true }
      cluster.apply(cluster.actor('one', ns))
      await_running(ns, 'one')
      put(own, 'team', { ['stamp.lua'] = stamp 'first' })
      local state = await_state(own, 'team', 'waits for approval')
      assert.is_truthy(state:find('1 children change', 1, true), state)
      cluster.sleep(2)
      assert.is_nil(stamp_of('one', ns))
      cluster.kubectl('annotate configmap team -n %s asya.sh/policies-rollout=approve', own)
      await_stamp('one', ns, 'first')
      put(own, 'team', { ['stamp.lua'] = stamp 'second' })
      await_state(own, 'team', 'waits for approval')
      local said, ok = rollout 'abort'
      assert.is_true(ok, said)
      await_state(own, 'team', 'rejected')
      assert.equal('first', stamp_of('one', ns))
      cluster.kubectl('annotate configmap team -n %s asya.sh/policies-rollout=faster', own)
      state = await_state(own, 'team', 'not a known word')
      assert.is_truthy(state:find('pause, resume, abort, approve, undo', 1, true), state)
      cluster.event(own, 'team', 'RolloutCommandWrong', 20)
    end)

    it('but not by editing the record, or one from a newer version', function()
      local op = operator()
      edits.keep_one(ns, own)
      cluster.kubectl("patch configmap %s -n %s --type merge -p %s", RECORD, own, cluster.quote '{"data":{"record":"nonsense"}}')
      cluster.event(own, RECORD, 'PoliciesRecordEdited', 20)
      eventually('it is written again', 20, function() return pcall(record) and record().version == 1 end)
      op.stop()
      local text = cluster.get('configmap', RECORD, own).data.record
      cluster.kubectl("patch configmap %s -n %s --type merge -p %s", RECORD, own,
        cluster.quote(require 'json'.encode { data = { record = (text:gsub('"version":%s*1', '"version": 9')) } }))
      op = operator()
      cluster.event(own, RECORD, 'PoliciesRecordWrong', 20)
      cluster.kubectl("label asyncactor one -n %s touched=yes", ns)
      put(own, 'team', { ['stamp.lua'] = stamp 'late' })
      cluster.sleep(3)
      assert.equal('kept', stamp_of('one', ns))
      cluster.kubectl("patch configmap %s -n %s --type merge -p %s", RECORD, own, cluster.quote(require 'json'.encode { data = { record = text } }))
      await_stamp('one', ns, 'late')
      op.stop()
    end)

    it('or two canaries that are for different actors', function()
      operator()
      cluster.apply(labelled('bird', ns, 'team: canary'))
      await_running(ns, 'bird')
      put(own, 'try', { ['stamp.lua'] = stamp 'new' }, 'asya.sh/policies-canary', 'asya.sh/policies-canary-selector: team=canary')
      await_stamp('bird', ns, 'new')
      put(own, 'try-too', { ['stamp.lua'] = stamp 'other' }, 'asya.sh/policies-canary', 'asya.sh/policies-canary-percent: "50"')
      await_state(own, 'try-too', 'are for different parents')
      cluster.sleep(2)
      assert.equal('new', stamp_of('bird', ns))
    end)
  end)
end)
