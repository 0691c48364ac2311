--- what a render has read: the time, pods, queues. It is asked again when they change, and at the time that it named; nobody else is.
local brokers = require 'brokers'
local cluster = require 'cluster'
local edits = require 'edits'

local await_running, await_state, put, stamp_of = edits.await_running, edits.await_state, edits.put, edits.stamp_of

--- A policy that stamps Deployments with what `value`, an expression in Lua, says; `more` is called beside it.
local function policy(value, more)
  return ([[
return require('policy').define { name = 'stamp', after = { 'workload' }, render = function(actor, ctx, plan)
  log.info('renders %%s', actor.metadata.name)
  plan:get('workload').metadata.annotations = { stamp = tostring(%s) }
  %s
end }
]]):format(value, more or '')
end

describe('a render', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  local ns, own
  before_each(function() ns, own = edits.begin() end)
  after_each(function() edits.finish(ns) end)

  local function operator(options) return edits.operator(own, options) end

  --- Waits until the stamp is one that `fits`.
  local function stamped(what, seconds, fits)
    return cluster.eventually(what, seconds, function()
      local stamp = stamp_of('one', ns)
      return stamp and fits(stamp) and stamp, stamp
    end)
  end

  local function renders(op) return select(2, op.log():gsub('renders one', '')) end

  it('is made again at the time it asked for', function()
    put(own, 'team', { ['stamp.lua'] = policy('ctx.now', 'plan:requeue_after(3)') })
    operator()
    cluster.apply(cluster.actor('one', ns))
    await_running(ns, 'one')
    await_state(own, 'team', 'live: bundle')
    local first = stamp_of('one', ns)
    local second = stamped('another time', 10, function(stamp) return stamp ~= first end)
    stamped('a third time', 10, function(stamp) return stamp ~= second and stamp ~= first end)
  end)

  it('is made again when pods change that it has read', function()
    put(own, 'team', { ['stamp.lua'] = policy '#ctx.related' })
    operator()
    cluster.apply(cluster.actor('one', ns))
    stamped('the pod that came', 20, function(stamp) return stamp == '1' end)
    cluster.apply(('{apiVersion: v1, kind: Pod, metadata: {name: more, namespace: %s, labels: {asya.sh/asya: one}}, spec: {containers: [{name: a, image: a}]}}')
      :format(ns))
    stamped('another pod with the label', 20, function(stamp) return stamp == '2' end)
  end)

  it('is not made again when it has read nothing that changed', function()
    put(own, 'team', { ['stamp.lua'] = policy "'x'" })
    local op = operator()
    cluster.apply(cluster.actor('one', ns))
    await_running(ns, 'one')
    await_state(own, 'team', 'live: bundle')
    local pod = cluster.list('pods', ns)[1].metadata.name
    local before = renders(op)
    cluster.kubectl('annotate pod %s -n %s seen=1', pod, ns)
    cluster.kubectl('delete pod %s -n %s --grace-period=0 --force', pod, ns)
    cluster.eventually('another pod', 20, function()
      local now = cluster.list('pods', ns)[1]
      return now and now.metadata.name ~= pod
    end)
    await_running(ns, 'one')
    cluster.sleep(2)
    assert.equal(before, renders(op))
  end)

  it('is made again when its queue changes that it has read', function()
    put(own, 'team', { ['stamp.lua'] = policy "ctx.queues[1] and ctx.queues[1].messages or 'none'" })
    local name = brokers.fresh 'read'
    brokers.put_secret(ns)
    brokers.operator { interval = '1s', args = '--namespace ' .. own }
    cluster.apply(cluster.actor(name, ns))
    local function stamped_as(value)
      cluster.eventually('stamped ' .. value, 30, function()
        local stamp = stamp_of(name, ns)
        return stamp == value, stamp
      end)
    end
    stamped_as '0'
    brokers.publish(name, 3)
    stamped_as '3'
  end)

  it('follows the clock: the example office-hours closes at its hour', function()
    local hour = cluster.read 'policies/examples/office-hours.lua'
    local now = os.time()
    if (now + 30) // 86400 > now // 86400 then cluster.sleep(31) end -- not over midnight
    local closes = os.date('!%H:%M:%S', os.time() + 12)
    local config = cluster.write(cluster.temp 'config.yaml',
      ('params: {office-hours: {from: "00:00", to: "%s", weekend: true}}\n'):format(closes))
    local policies = cluster.folder 'policies'
    cluster.write(policies .. '/office-hours.lua', hour)
    operator { args = ('--config %s --policies %s'):format(config, policies) }
    cluster.apply((cluster.actor('one', ns):gsub('namespace: [^}]*', '%0, labels: {example.com/office-hours: "yes"}')))
    local function replicas() return (cluster.get('deployment', 'one', ns) or { spec = {} }).spec.replicas end
    cluster.eventually('it works', 10, function() return replicas() == 1, replicas() end)
    cluster.eventually('it rests', 20, function() return replicas() == 0, replicas() end)
    assert.is_true(os.date '!%H:%M:%S' >= closes)
  end)
end)
