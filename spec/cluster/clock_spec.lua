--- clock: what the sandbox's clock stops says nothing about a policy: it is tried again, and nobody is blamed.
local brokers = require 'brokers'
local cluster = require 'cluster'
local edits = require 'edits'

local eventually = cluster.eventually

--- A policy that spends its time inside single instructions, which no step shows, until the moment that the actor's annotation `slow` says.
local function slow(hook, more)
  return ([[
local policy = require 'policy'
local a, b = ('x'):rep(200000), ('x'):rep(199999) .. 'y'
return policy.define { name = 'slow', after = { 'sidecar', 'status' }, %s = function(actor, ctx, plan)
  local till = (actor.metadata.annotations or {}).slow
  if till and ctx.now < till %s then while a <= b do end end
  if plan.get and plan:get 'workload' then plan:get('workload').metadata.annotations = { stamp = 'in time' } end
end }
]]):format(hook, more or '')
end

local function moment(seconds) return os.date('!%Y-%m-%dT%H:%M:%SZ', os.time() + seconds) end

local function slow_actor(name, ns, seconds)
  return (cluster.actor(name, ns):gsub('namespace: [^}]*', ('%%0, annotations: {slow: "%s"}'):format(moment(seconds)), 1))
end

local function events(ns) return cluster.kubectl('get events -n %s -o jsonpath=%s', ns, cluster.quote '{range .items[*]}{.reason}{"\\n"}{end}') end

local function await_line(op, text)
  eventually(('the log says "%s"'):format(text), 60, function() return op.log():find(text, 1, true), op.log():sub(-2000) end)
end

describe('what the clock of the sandbox stops', function()
  if not cluster.available or not os.getenv 'BED_RABBITMQCTL' then
    pending 'needs a control plane with brokers: run it through spec/run cluster'
    return
  end

  local ns, own
  setup(brokers.clear)
  before_each(function()
    cluster.clear()
    ns, own = brokers.namespace(), cluster.namespace 'operator'
  end)
  after_each(function()
    cluster.sh('kubectl delete asyncactors --all -n %s --timeout=20s', ns)
    cluster.stop_all()
  end)

  local function operator() return cluster.operator { args = '--namespace ' .. own } end

  local function nobody_is_blamed(op)
    assert.is_nil(op.log():find('PolicyError', 1, true))
    assert.is_nil(events(ns):find('PolicyError', 1, true))
    assert.is_nil(op.log():find('rejected', 1, true), op.log())
  end

  for hook, name in pairs { render = 'a plan', status = 'a status' } do
    it(('is %s that is made again, without any edit'):format(name), function()
      local op = operator()
      cluster.apply(cluster.actor('first', ns))
      edits.await_running(ns, 'first')
      edits.put(own, 'team', { ['slow.lua'] = slow(hook) })
      edits.await_state(own, 'team', 'live: bundle')
      cluster.apply(slow_actor('late', ns, 6))
      await_line(op, ("policy 'slow', %s: stopped by the clock after 500 ms (slow.lua:5): will be tried again"):format(hook))
      local ready = cluster.condition(cluster.get('asyncactor', 'late', ns), 'Ready')
      assert.not_equal('PolicyError', ready and ready.reason)
      edits.await_running(ns, 'late')
      cluster.event(ns, 'late', 'Created', 10) -- though it was made in a pass that was stopped
      nobody_is_blamed(op)
    end)
  end

  it('is a deletion that waits, and then cleans up', function()
    local op = brokers.operator { args = '--namespace ' .. own }
    local name = brokers.fresh 'slow'
    cluster.apply(cluster.actor(name, ns))
    brokers.await_transport(ns, name, 'True', 'TransportValidated')
    edits.put(own, 'team', { ['slow.lua'] = slow('queues', 'and actor.metadata.deletionTimestamp') })
    edits.await_state(own, 'team', 'live: bundle')
    cluster.kubectl('annotate asyncactor %s -n %s slow=%s', name, ns, moment(6))
    cluster.kubectl('delete asyncactor %s -n %s --timeout=60s', name, ns)
    await_line(op, 'will be tried again')
    assert.is_nil(brokers.queue(name))
    assert.is_nil(op.log():find('is left there', 1, true), op.log())
    nobody_is_blamed(op)
  end)

  it('is a preflight that goes on later', function()
    local op = operator()
    cluster.apply(slow_actor('one', ns, 25))
    edits.await_running(ns, 'one')
    edits.put(own, 'team', { ['slow.lua'] = slow 'render' })
    await_line(op, "one: preflight: policy 'slow', render: stopped by the clock after 500 ms (slow.lua:5): tried again in 1 s")
    eventually('it is live', 60, function() return edits.stamp_of('one', ns) == 'in time' end)
    edits.await_state(own, 'team', 'live: bundle')
    nobody_is_blamed(op)
  end)

  it('or would not stop yet holds up nobody: cases are run between other work', function()
    local op = operator()
    cluster.apply(cluster.actor('one', ns))
    edits.await_running(ns, 'one')
    local cases = {}
    for i = 1, 60 do cases[i] = ('title: case %d\nexpect: {Deployment: {metadata: {annotations: {stamp: in time}}}}\n'):format(i) end
    local busy = "local a, b = ('x'):rep(200000), ('x'):rep(199999) .. 'y'\n" .. edits.stamp 'in time'
    busy = busy:gsub("  local object", '  for _ = 1, 15000 do if a > b then return end end\n%0', 1)
    edits.put(own, 'team', { ['stamp.lua'] = busy, ['stamp.case.yaml'] = table.concat(cases, '---\n') })
    cluster.sleep(1)
    cluster.apply(cluster.actor('two', ns))
    eventually('the second is worked on', 30, function() return cluster.get('deployment', 'two', ns) end)
    assert.is_nil(op.log():find('policies: bundle', 1, true), 'the cases were over too soon for this test')
    eventually('the policies are live', 120, function() return edits.stamp_of('one', ns) == 'in time' end)
  end)

  it('is a file that is not rejected, and in the way of nothing', function()
    local op = operator()
    cluster.apply(cluster.actor('one', ns))
    edits.await_running(ns, 'one')
    edits.put(own, 'team', { ['slow.lua'] = 'local a\nlocal b = ' .. ('a or '):rep(50000) .. 'a' })
    await_line(op, 'slow.lua: stopped by the clock after 2000 ms: tried again in ')
    cluster.apply(cluster.actor('two', ns))
    edits.await_running(ns, 'two')
    nobody_is_blamed(op)
    edits.put(own, 'team', { ['slow.lua'] = edits.stamp 'right' })
    eventually('the right file is live', 60, function() return edits.stamp_of('one', ns) == 'right' end)
  end)
end)
