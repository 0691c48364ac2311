--- leader: of several replicas one writes; another takes over when it dies or leaves, not when the server is slow.
local cluster = require 'cluster'

local eventually = cluster.eventually

describe('leader election', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end
  after_each(cluster.stop_all)

  local function holder(ns)
    local lease = cluster.get('lease', 'asya-operator.asya.sh', ns)
    return lease and lease.spec.holderIdentity
  end

  local function pair(ns)
    local args = '--leader-elect --log-level debug --namespace ' .. ns
    local a = cluster.operator { args = args }
    eventually('the first leads', 20, function() return (holder(ns) or '') ~= '' end)
    local b = cluster.operator { args = args }
    cluster.sleep(1)
    return a, b
  end

  it('lets only one write', function()
    local own, ns = cluster.namespace 'lease', cluster.namespace 'led'
    local a, b = pair(own)
    cluster.apply(cluster.actor('led', ns))
    eventually('the workload', 20, function() return cluster.get('deployment', 'led', ns) end)
    eventually('the first says that it made it', 5, function() return a.log():find('created Deployment', 1, true) end)
    assert.is_nil(b.log():find('created Deployment', 1, true))
  end)

  it('goes on within the lease time when the leader is killed', function()
    local own, ns = cluster.namespace 'lease', cluster.namespace 'led'
    local a, b = pair(own)
    local first = holder(own)
    a.kill()
    eventually('another holder', 25, function()
      local now = holder(own) or ''
      return now ~= '' and now ~= first
    end)
    cluster.apply(cluster.actor('heir', ns))
    eventually('the workload', 20, function() return cluster.get('deployment', 'heir', ns) end)
    eventually('the second says that it made it', 5, function() return b.log():find('created Deployment', 1, true) end)
  end)

  it('goes on within two seconds when the leader is asked to end', function()
    local own = cluster.namespace 'lease'
    local a = pair(own)
    local first = holder(own)
    local released = os.time()
    a.stop()
    eventually('another holder', 6, function()
      local now = holder(own) or ''
      return now ~= '' and now ~= first
    end)
    local lease = cluster.get('lease', 'asya-operator.asya.sh', own)
    local hour, minute, second = lease.spec.acquireTime:match 'T(%d+):(%d+):(%d+)'
    local taken = (tonumber(hour) * 60 + tonumber(minute)) * 60 + tonumber(second)
    assert.is_true((taken - released % 86400) % 86400 <= 3, 'taken over late: ' .. lease.spec.acquireTime)
  end)

  it('stays with its leader while each renewal takes 4.5 s', function()
    local own = cluster.namespace 'lease'
    local faults = cluster.faults()
    local args = ('--leader-elect --namespace %s --kubeconfig %s'):format(own, faults.kubeconfig)
    local replicas = {}
    for i = 1, 3 do replicas[i] = cluster.operator { args = args } end
    eventually('one leads', 20, function() return (holder(own) or '') ~= '' end)
    local first = holder(own)
    local slow = faults.add { act = 'delay', ms = 4500, method = 'PUT', path = '/leases/', agent = 'asya-operator' }
    cluster.sleep(30)
    for _, replica in ipairs(replicas) do assert.is_true(replica.alive(), replica.log()) end
    assert.are.equal(first, holder(own))
    local rule = faults.list()[1]
    assert.are.equal(slow, rule.id)
    assert.is_true(rule.hits >= 6, 'renewals begun in 30 s: ' .. rule.hits)
  end)

  it('and an operator that has ended by itself without a word has not ended well', function()
    local op = cluster.operator { binary = '/bin/true' }
    eventually('it has ended', 10, function() return not op.alive() end)
    assert.has_error(op.stop)
  end)

  -- Where a kernel lets nobody say which pid comes next, this cannot be played.
  if cluster.sh '[ "$(id -u)" = 0 ] && [ -w /proc/sys/kernel/ns_last_pid ] && echo yes' == 'yes\n' then
    it('a signal for an operator that has ended meets nobody who has its pid by now', function()
      local op = cluster.operator { binary = '/bin/true' }
      eventually('it has ended', 10, function() return not op.alive() end)
      local other
      eventually('another process has its pid', 30, function()
        if other then other.stop() end
        other = cluster.background('echo %d >/proc/sys/kernel/ns_last_pid; sleep 60 >/dev/null 2>&1', op.pid - 1)
        return other.pid == op.pid, other.pid
      end)
      op.signal 'TERM'
      op.ended = true
      cluster.sleep(0.2)
      assert.is_true(other.alive())
      other.stop()
    end)
  end
end)
