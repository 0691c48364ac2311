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
  local function release(i, own, env, more)
    return cluster.operator { env = env,
      args = ('--leader-elect --namespace %s --health-probe-bind-address 127.0.0.1:%d %s'):format(own, PORTS[i], more or '') }
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

  it('answer on an actor that is being deleted, too, which no pass writes any more', function()
    local one, two = cluster.namespace 'one', cluster.namespace 'two'
    release(1, one)
    cluster.apply(cluster.actor('leaving', ns))
    worked_on('leaving', one)
    cluster.kubectl([[patch asyncactor leaving -n %s --type=json -p '[{"op":"add","path":"/metadata/finalizers/-","value":"example.com/held"}]']], ns)
    cluster.kubectl('delete asyncactor leaving -n %s --wait=false', ns)
    eventually('only the other finalizer is left', 20, function()
      local left = cluster.get('asyncactor', 'leaving', ns).metadata.finalizers
      return #left == 1 and left[1] == 'example.com/held', left
    end)
    local second = release(2, two)
    ready_says(2, 'note: rivals: standing by: the operator of lease ' .. lease(one) .. ' works on the same objects')
    assert.is_nil(second.log():find('taken over', 1, true))
    cluster.kubectl([[patch asyncactor leaving -n %s --type=merge -p '{"metadata":{"finalizers":[]}}']], ns)
  end)

  it('do not take silence for an answer to a question that was lost', function()
    local one, two = cluster.namespace 'one', cluster.namespace 'two'
    local faults = cluster.faults()
    release(1, one)
    cluster.apply(cluster.actor('asked', ns))
    worked_on('asked', one)
    faults.add { method = 'PATCH', path = '/asked/status', times = 1, act = 'reset' }
    local second = release(2, two, nil, '--kubeconfig ' .. faults.kubeconfig)
    ready_says(2, 'note: rivals: standing by: the operator of lease ' .. lease(one) .. ' works on the same objects')
    assert.is_truthy(second.log():find('cannot ask whether the operator of lease ' .. lease(one), 1, true))
    assert.is_nil(second.log():find('taken over', 1, true))
  end)

  it('that asked and began anew wait for the answer as if they had just asked', function()
    local one, two = cluster.namespace 'one', cluster.namespace 'two'
    local first = release(1, one)
    cluster.apply(cluster.actor('asked', ns))
    worked_on('asked', one)
    first.kill()
    local second = release(2, two)
    eventually('it has asked', 20, function() return cluster.get('asyncactor', 'asked', ns).status.operator.lease == lease(two) end)
    second.kill()
    -- The lease of a process that was killed is waited for; the first one is back by then.
    second = release(2, two)
    eventually('it leads', 40, function() return second.log():find('caches are filled', 1, true) end)
    assert.is_nil((cluster.get('asyncactor', 'asked', ns).status.operator or {}).since)
    release(1, one)
    ready_says(2, 'note: rivals: standing by: the operator of lease ' .. lease(one) .. ' works on the same objects')
    assert.is_nil(second.log():find('taken over', 1, true))
  end)

  it('that are alone work on when an old status is restored', function()
    local one = cluster.namespace 'one'
    local alone = release(1, one)
    cluster.apply(cluster.actor('restored', ns))
    local since = worked_on('restored', one)
    local old = '{"status":{"operator":{"lease":"gone/asya-operator.asya.sh","since":"2020-01-01T00:00:00Z"}}}'
    cluster.kubectl("patch asyncactor restored -n %s --subresource=status --type=merge -p '%s'", ns, old)
    assert.equal(since, worked_on('restored', one))
    assert.is_true(alone.alive())
  end)
end)
