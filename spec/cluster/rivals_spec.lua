--- rivals: two releases in two namespaces that want the same actors: one works, the other stands by, and both say so.
local cluster = require 'cluster'

local eventually = cluster.eventually

describe('two releases without classes', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  local ns
  before_each(function()
    cluster.clear()
    ns = cluster.namespace 'rivals'
  end)
  after_each(function()
    cluster.stop_all()
    cluster.clear()
  end)

  local PORTS = { 18494, 18495 }

  --- The operator of a release in namespace `own`; its probes answer at PORTS[i].
  local function release(i, own, env)
    return cluster.operator { env = env,
      args = ('--leader-elect --namespace %s --health-probe-bind-address 127.0.0.1:%d'):format(own, PORTS[i]) }
  end

  local function ready_says(i, text)
    eventually('/readyz says ' .. text, 45, function()
      local said = cluster.sh("curl -s -m 5 -w '%%{http_code}' 'http://127.0.0.1:%d/readyz?verbose'", PORTS[i])
      return said:find(text, 1, true) and said:find '200$', said
    end)
  end

  local function event(own, reason, text)
    eventually(reason .. ' in ' .. own, 15, function()
      for _, each in ipairs(cluster.list('events.events.k8s.io', own)) do
        if each.reason == reason and each.regarding.kind == 'Lease' and each.type == 'Warning' then return each.note:find(text, 1, true), each.note end
      end
    end)
  end

  local function lease(own) return own .. '/asya-operator.asya.sh' end

  --- Waits until the operator of `own` works on the actor.
  local function worked_on(name, own, seconds)
    return eventually(name .. ' is worked on', seconds or 30, function()
      local status = cluster.get('asyncactor', name, ns).status or {}
      return status.status == 'Running' and (status.operator or {}).lease == lease(own) and status.operator.since, status.operator and status.operator.lease
    end)
  end

  it('do not undo each other: the second stands by, and both say so', function()
    local one, two = cluster.namespace 'one', cluster.namespace 'two'
    release(1, one)
    cluster.apply(cluster.actor('wanted', ns))
    local since = worked_on('wanted', one)
    local second = release(2, two, 'ASYA_WATCH_NAMESPACES=' .. ns)
    ready_says(2, 'note: rivals: standing by: the operator of lease ' .. lease(one) .. ' works on the same objects')
    ready_says(1, 'note: rivals: the operator of lease ' .. lease(two) .. ' wants the same objects, and stands by')
    event(two, 'StandingBy', 'the operator of lease ' .. lease(one) .. ' works on the same asyncactors')
    event(one, 'SecondOperator', 'the operator of lease ' .. lease(two) .. ' wants the same asyncactors')
    cluster.kubectl('delete deployment wanted -n %s', ns)
    eventually('it is made again', 20, function() return cluster.get('deployment', 'wanted', ns) end)
    assert.is_nil(second.log():find('created Deployment', 1, true))
    assert.equal(since, worked_on('wanted', one))
  end)

  it('take over when the other has died and left everything as it was', function()
    local one, two = cluster.namespace 'one', cluster.namespace 'two'
    local first = release(1, one)
    cluster.apply(cluster.actor('left', ns))
    worked_on('left', one)
    first.kill()
    local second = release(2, two)
    worked_on('left', two, 45)
    assert.is_truthy(second.log():find('no operator of lease ' .. lease(one) .. ' answers', 1, true))
    -- What the first has left is no sign of life, whoever touches it.
    cluster.kubectl('label asyncactor left -n %s touched=yes', ns)
    cluster.kubectl('delete deployment left -n %s', ns)
    eventually('it is made again', 20, function() return cluster.get('deployment', 'left', ns) end)
    assert.is_true(second.alive())
    -- And the first, when it comes back, is the second.
    release(1, one)
    ready_says(1, 'note: rivals: standing by: the operator of lease ' .. lease(two))
    worked_on('left', two)
  end)

  it('that began at once settle on the older one as soon as there is an actor', function()
    local one, two = cluster.namespace 'one', cluster.namespace 'two'
    local first = release(1, one)
    eventually('the first has begun', 20, function() return first.log():find('caches are filled', 1, true) end)
    cluster.sleep(1.1)
    local second = release(2, two)
    eventually('the second has begun', 20, function() return second.log():find('caches are filled', 1, true) end)
    cluster.apply(cluster.actor('late', ns))
    eventually('the younger one ends', 20, function() return not second.alive(), second.log() end)
    assert.is_truthy(second.log():find('the operator of lease ' .. lease(one) .. ' has been working on the same objects for longer', 1, true))
    assert.is_true(first.alive())
    worked_on('late', one)
  end)
end)
