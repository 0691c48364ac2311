local host = require 'host'
local plan = require 'plan'

local KINDS = { ['v1 ConfigMap'] = { owned = true }, ['v1 Secret'] = { shared = true }, ['apps/v1 Deployment'] = { owned = true, shared = true } }
local PARENT_KIND = { apiVersion = 'x/v1', kind = 'Thing' }

local function map(name, fields)
  local object = { apiVersion = 'v1', kind = 'ConfigMap', metadata = { name = name } }
  for k, v in pairs(fields or {}) do object[k] = v end
  return object
end

describe('plan', function()
  local p, parent

  before_each(function()
    p = plan.new()
    plan.enter(p, { name = 'one', file = 'one.lua' }, 'render')
    parent = { metadata = { name = 'a', namespace = 'n', uid = 'u' } }
  end)

  local function finish()
    return plan.finish(p, { host = host, kinds = KINDS, parent = parent, parent_kind = PARENT_KIND })
  end

  local function raises(message, fn)
    local ok, got = pcall(fn or finish)
    assert.is_false(ok)
    assert.is_truthy(got:find(message, 1, true), got)
  end

  it('fills in namespace and owner', function()
    p:add('config', map('c'))
    local object = finish().objects[1].object
    assert.equal('n', object.metadata.namespace)
    assert.same({ { apiVersion = 'x/v1', kind = 'Thing', name = 'a', uid = 'u', controller = true, blockOwnerDeletion = true } },
      object.metadata.ownerReferences)
  end)

  it('copies Secrets by reference: no value passes through it', function()
    local source = { namespace = 'ops', name = 'broker', key = 'password' }
    p:copy_secret('credentials', { metadata = { name = 'a-creds' }, stringData = { user = 'guest' } }, { password = source })
    p:merge('credentials', { metadata = { labels = { team = 'ml' } } })
    local done = finish()
    assert.equal(0, #done.objects)
    local copy = done.copies[1]
    assert.same({ password = source }, copy.sources)
    assert.same({ 'Secret', 'Opaque', 'n', 'ml', 'u' },
      { copy.object.kind, copy.object.type, copy.object.metadata.namespace, copy.object.metadata.labels.team, copy.object.metadata.ownerReferences[1].uid })
  end)

  it('refuses a copy that says not whence, or says a value twice', function()
    local function copy(sources, texts)
      return function() p:copy_secret('credentials', { metadata = { name = 'c' }, stringData = texts }, sources) end
    end
    raises('sources by key', copy {})
    raises("source 'password': namespace must be a non-empty string", copy { password = { name = 'broker', key = 'password' } })
    raises("stringData has the key 'password'", copy({ password = { namespace = 'o', name = 'b', key = 'k' } }, { password = 'x' }))
    copy { password = { namespace = 'o', name = 'b', key = 'k' } } ()
    p:merge('credentials', { data = { password = 'x' } })
    raises 'stringData and sources only'
  end)

  it('asks for labels on the parent', function()
    assert.is_nil(finish().labels)
    p:label('example.com/who', 'a')
    assert.same({ ['example.com/who'] = 'a' }, finish().labels)
    raises('a name and a value', function() p:label('example.com/who', 7) end)
  end)

  it('sets no owner without uid, and none on shared objects', function()
    parent.metadata.uid = nil
    p:add('config', map('c'))
    p:shared('secret', { apiVersion = 'v1', kind = 'Secret', metadata = { name = 's' } })
    local done = finish()
    assert.is_nil(done.objects[1].object.metadata.ownerReferences)
    assert.is_nil(done.objects[2].object.metadata.ownerReferences)
    assert.equal('n', done.objects[2].object.metadata.namespace)
    assert.is_true(done.objects[2].shared)
  end)

  it('keeps other owners and its own only once', function()
    p:add('config', map('c', { metadata = { name = 'c', ownerReferences = { { uid = 'v' }, { uid = 'u' } } } }))
    local owners = finish().objects[1].object.metadata.ownerReferences
    assert.equal(2, #owners)
    assert.equal('v', owners[1].uid)
    assert.is_true(owners[2].controller)
  end)

  it('lets later policies find, change, merge and remove by role', function()
    p:add('config', map('c', { data = { a = '1' } }))
    p:add('other', map('d'))
    plan.enter(p, { name = 'two', file = 'two.lua' }, 'render')
    p:get('config').data.b = '2'
    p:merge('config', { data = { c = '3' } })
    assert.same({ 'config', 'other' }, p:roles())
    assert.equal('d', p:remove('other').metadata.name)
    assert.is_nil(p:remove('other'))
    assert.is_nil(p:get('other'))
    local done = finish()
    assert.same({ a = '1', b = '2', c = '3' }, done.objects[1].object.data)
    assert.equal('one', done.objects[1].policy)
    assert.equal(1, #done.objects)
  end)

  it('leaves a refused role, and what waits for it, out of the plan and in the cluster', function()
    p:add('config', map('c'))
    p:add('second', map('d'), { after = 'config' })
    p:add('third', map('e'))
    p:refuse('config', { message = 'no', condition = 'X' })
    p:refuse('config', { message = 'no again' })
    raises("role 'other' is not in the plan", function() p:refuse('other', { message = 'no' }) end)
    raises('the refusal.message is missing', function() p:refuse('third', {}) end)
    raises("the refusal: unknown field 'text'", function() p:refuse('third', { message = 'a', text = 'b' }) end)
    local done = finish()
    assert.equal(1, #done.objects)
    assert.equal('third', done.objects[1].role)
    assert.same({
      { role = 'config', kind = 'ConfigMap', name = 'c', policy = 'one', message = 'no', condition = 'X' },
      { role = 'second', kind = 'ConfigMap', name = 'd', policy = 'one', message = 'no', condition = 'X' },
    }, done.refused)
    assert.same({ { kind = 'ConfigMap', namespace = 'n', name = 'c' }, { kind = 'ConfigMap', namespace = 'n', name = 'd' } }, done.kept)
  end)

  it('says nothing of refusals when there are none, and forgets that of a role that is taken out', function()
    p:add('config', map('c'))
    p:refuse('config', { message = 'no' })
    p:remove 'config'
    assert.is_nil(finish().refused)
  end)

  it('says which fields may be left out where the server does not have them', function()
    p:add('config', map('c'))
    p:add('other', map('d'))
    p:optional('config', 'data.a', { path = 'spec.a', message = 'a needs 2', condition = 'X' })
    raises("role 'third' is not in the plan", function() p:optional('third', 'data.a', { message = 'no' }) end)
    raises('optional takes a role, the path of a field', function() p:optional('config', nil, { message = 'no' }) end)
    raises('the refusal.message is missing', function() p:optional('config', 'data.b', {}) end)
    local done = finish()
    assert.same({ ['data.a'] = { role = 'config', field = 'data.a', policy = 'one', path = 'spec.a', message = 'a needs 2', condition = 'X' } },
      done.objects[1].optional)
    assert.is_nil(done.objects[2].optional)
    assert.is_nil(done.refused)
  end)

  it('finds the template of the pods of any kind of workload', function()
    local places = {
      Deployment = function(template) return { template = template } end,
      ScaledJob = function(template) return { jobTargetRef = { template = template } } end,
      CronJob = function(template) return { jobTemplate = { spec = { template = template } } } end,
    }
    for kind, around in pairs(places) do
      p:add(kind, { kind = kind, spec = around { spec = { containers = {} } } })
      p:pod(kind).metadata.labels = { a = 'b' }
      assert.same(around { metadata = { labels = { a = 'b' } }, spec = { containers = {} } }, p:get(kind).spec)
    end
    p:add('workload', { kind = 'Pod', metadata = {}, spec = {} })
    assert.equal(p:get 'workload', p:pod())
    p:add('config', map('c'))
    assert.is_nil(p:pod 'config')
    assert.is_nil(p:pod 'nobody')
  end)

  it('appends to lists, and warns of a merge that replaces one', function()
    local key = { key = 'gpu', operator = 'Exists' }
    p:add('config', map('c', { spec = { tolerations = { { key = 'a' } }, args = { 'x' }, containers = { { name = 'one' } } } }))
    p:append('config', 'spec.tolerations', key, { key = 'b' })
    p:append('config', { 'spec', 'new.list' }, 'x')
    local spec = p:get('config').spec
    assert.same({ { key = 'a' }, key, { key = 'b' } }, spec.tolerations)
    assert.same({ 'x' }, spec['new.list'])
    raises("what is at 'metadata' is no list", function() p:append('config', 'metadata', 'x') end)
    raises("role 'nobody' is not in the plan", function() p:append('nobody', 'spec', 'x') end)
    assert.is_nil(finish().warnings)
    p:merge('config', { spec = { args = { 'x', 'y' }, containers = { { name = 'two' } } } }) -- nothing is lost
    p:merge('config', { spec = { tolerations = { key } } })
    local done = plan.finish(p, { host = host, kinds = KINDS, parent = parent, parent_kind = PARENT_KIND, warn = true })
    assert.same({ { policy = 'one', role = 'config', path = 'spec.tolerations' } }, done.warnings)
  end)

  it('keeps observed children out of the way of pruning', function()
    p:keep(map('old', { metadata = { name = 'old', namespace = 'n' } }))
    assert.same({ kind = 'ConfigMap', namespace = 'n', name = 'old' }, finish().kept[1])
    raises('keep takes an observed child', function() p:keep 'old' end)
  end)

  it('orders by after', function()
    p:add('a', map('a'), { after = 'c' })
    p:add('b', map('b'))
    p:add('c', map('c'), { after = 'b' })
    local roles = {}
    for i, it in ipairs(finish().objects) do roles[i] = it.role end
    assert.same({ 'b', 'c', 'a' }, roles)
  end)

  it('names the role of a wait that cannot end', function()
    p:add('a', map('a'), { after = 'nobody' })
    raises("one.lua: role 'a': waits for role 'nobody', which is not in the plan")
    p:remove('a')
    p:add('a', map('a'), { after = 'b' })
    p:add('b', map('b'), { after = 'a' })
    raises("waits for role 'a', which waits for it")
  end)

  it('names policy and role of a wrong object', function()
    local cases = {
      { {}, 'apiVersion must be a non-empty string' },
      { { apiVersion = 'v1' }, 'kind must be a non-empty string' },
      { { apiVersion = 'v1', kind = 'ConfigMap' }, 'metadata.name must be a non-empty string' },
      { { apiVersion = 'v1', kind = 'ConfigMap', metadata = { name = 1 } }, 'metadata.name must be a non-empty string' },
      { { apiVersion = 'v1', kind = 'Pod', metadata = { name = 'x' } }, 'neither the manifest nor a policy lists v1 Pod. Write into policy.define: kinds = ' },
      { { apiVersion = 'v1', kind = 'Secret', metadata = { name = 'x' } }, 'Secret is declared with shared = true: plan it with plan:shared' },
      { map('x', { metadata = { name = 'x', namespace = 'elsewhere' } }), "namespace 'elsewhere' is not the parent's" },
    }
    for _, case in ipairs(cases) do
      p:add('r', case[1])
      raises("one.lua: role 'r': " .. case[2])
      assert.same({ 'one', 'plan' }, { host.where() })
      p:remove('r')
    end
    p:shared('r', map('x'))
    raises("role 'r': ConfigMap is planned as shared: the manifest, or `kinds` of the policy, must say shared = true")
  end)

  it('refuses one object under two roles, and a role twice', function()
    p:add('a', map('x'))
    p:add('b', map('x'))
    raises("role 'b': ConfigMap n/x is in the plan already, as role 'a' of policy 'one'")
    raises("plan_spec.lua:", function() p:add('a', map('y')) error('unreached') end)
    raises("role 'a' is already in the plan, put there by policy 'one'", function() p:add('a', map('y')) error('unreached') end)
  end)

  it('says at the caller what is wrong with an argument', function()
    local cases = {
      { function() p:add('', {}) end, 'a role must be a non-empty string' },
      { function() p:add('r') end, "role 'r': the object must be a table, not a nil" },
      { function() p:add('r', {}, { before = 'x' }) end, "unknown option 'before' (known: after, ready)" },
      { function() p:add('r', {}, { after = 1 }) end, 'after must name a role' },
      { function() p.add('r', {}) end, 'call it as plan:add(...), with a colon' },
      { function() p:get() end, 'a role must be a non-empty string' },
      { function() p:merge('nobody', {}) end, "role 'nobody' is not in the plan" },
      { function() p:queue('q') end, 'a queue must be a table with a name' },
      { function() p:queue {} end, 'a queue must be a table with a name' },
      { function() p:event { note = 'n' } end, 'event.reason and event.note are missing' },
      { function() p:event { type = 'Bad', reason = 'R', note = 'n' } end, "event.type must be 'Normal' or 'Warning'" },
      { function() p:event { message = 'm' } end, "event: unknown field 'message'" },
      { function() p:requeue_after(0) end, 'requeue_after takes a positive number' },
      { function() p:requeue_after(0 / 0) end, 'requeue_after takes a positive number' },
    }
    for _, case in ipairs(cases) do
      raises('plan_spec.lua:', case[1])
      raises(case[2], case[1])
    end
  end)

  it('allows each hook its own', function()
    plan.enter(p, { name = 'one', file = 'one.lua' }, 'queues')
    raises('plan:add is not for the hook queues', function() p:add('r', {}) error('unreached') end)
    raises('plan:rolling_out is not for the hook queues', function() p:rolling_out() error('unreached') end)
    plan.enter(p, { name = 'one', file = 'one.lua' }, 'shared')
    raises('plan:queue is not for the hook shared', function() p:queue { name = 'q' } error('unreached') end)
    plan.enter(p, { name = 'one', file = 'one.lua' }, 'status')
    raises('plan:shared is not for the hook status', function() p:shared('r', {}) error('unreached') end)
    p:event { reason = 'R', note = 'n' }
  end)

  describe('in stages', function()
    local seen, reads

    --- A plan of the parent a for which these children are observed.
    local function stage(children)
      seen, reads = children or {}, {}
      p = plan.new { parent = parent.metadata, child = function(kind, name) return seen[kind .. ' ' .. name] end, reads = reads }
      plan.enter(p, { name = 'one', file = 'one.lua' }, 'render')
      p:add('config', map('c'))
    end

    it('waits until what came before is ready, and then shows it as it is observed', function()
      stage()
      assert.is_nil(p:observed 'config')
      assert.same({ false, 'it is not there yet' }, { p:ready 'config' })
      assert.is_nil(p:after 'config')
      local done = finish()
      assert.same({ { role = 'config', kind = 'ConfigMap', name = 'c', policy = 'one', message = 'it is not there yet' } }, done.waits)
      assert.is_true(done.objects[1].awaited)
      assert.same({ children = true }, reads)

      stage { ['ConfigMap c'] = map('c', { data = { ip = '10.0.0.1' } }) }
      assert.equal('10.0.0.1', p:after('config').data.ip)
      assert.is_true(p:ready 'config')
      done = finish()
      assert.is_nil(done.waits)
      assert.is_true(done.objects[1].awaited)
    end)

    it('asks a function whether it is ready, and says what that says', function()
      stage { ['ConfigMap c'] = map('c', { data = { n = '1' } }) }
      local function full(child) return child.data.n == '2', 'it has ' .. child.data.n .. ' of 2' end
      assert.is_nil(p:after('config', full))
      assert.is_nil(p:after('config', function() return false end))
      assert.equal('it has 1 of 2', finish().waits[1].message, 'the first one')
      assert.same({ false, 'it is not ready yet' }, { p:ready('config', function() return nil end) })
      assert.same({ true }, { p:ready('config', function() return 1 end) })
      raises("why it is not ready must be a string, not a table", function() p:ready('config', function() return false, {} end) end)
      raises('plan:after takes a role, and a function', function() p:after('config', 'ready') end)
      raises("role 'nobody' is not in the plan", function() p:after 'nobody' end)
    end)

    it('does not wait for what is never observed', function()
      p:shared('script', map 's')
      p:copy_secret('credentials', { metadata = { name = 'c' } }, { key = { namespace = 'ops', name = 's', key = 'k' } })
      raises("role 'script': shared objects are not observed", function() p:after 'script' end)
      raises("role 'credentials': copied Secrets are not observed", function() p:after 'credentials' end)
      raises("role 'credentials': copied Secrets are not observed", function() p:ready 'credentials' end)
      raises("role 'script': shared objects are not observed", function() p:observed 'script' end)
    end)

    it('waits for what is refused, too', function()
      stage { ['ConfigMap c'] = map 'c' }
      p:refuse('config', { message = 'no' })
      assert.is_nil(p:after 'config')
      assert.equal('it is refused: no', finish().waits[1].message)
    end)

    it('says of kinds that are updated one by one which children are not ready, by the function of the role', function()
      local kinds = { ['v1 ConfigMap'] = { owned = true, update = 'RollingRecreate' } }
      local function rolling() return plan.finish(p, { host = host, kinds = kinds, parent = parent, parent_kind = PARENT_KIND }).objects end
      stage { ['ConfigMap c'] = map 'c', ['ConfigMap d'] = map 'd' }
      p:add('other', map 'd', { ready = function(child) return false, child.metadata.name .. ' is slow' end })
      p:add('third', map 'e')
      local objects = rolling()
      assert.equal('RollingRecreate', objects[1].update)
      assert.same({ nil, 'd is slow', 'it is not there yet' }, { objects[1].unready, objects[2].unready, objects[3].unready })
      assert.same({ children = true }, reads)
      kinds['v1 ConfigMap'].update = 'OnDelete'
      stage()
      assert.is_nil(rolling()[1].unready)
      assert.same({}, reads)
      raises("role 'x': ready must be a function", function() p:add('x', map 'x', { ready = true }) end)
    end)

    it('generates a name that is the same in every pass, and another one for each role and parent', function()
      local function name(role)
        local object = { apiVersion = 'v1', kind = 'ConfigMap', metadata = { generateName = 'c-' } }
        p:add(role, object)
        assert.is_nil(object.metadata.generateName)
        assert.matches('^c%-%x%x%x%x%x%x%x%x$', object.metadata.name)
        return object.metadata.name
      end
      stage()
      local first, second = name 'x', name 'y'
      stage()
      assert.equal(first, name 'x')
      assert.not_equal(first, second)
      parent.metadata.name = 'b'
      stage()
      assert.not_equal(first, name 'x')
    end)
  end)

  it('collects queues, events and the nearest time', function()
    p:queue { name = 'q', type = 'quorum' }
    p:event { reason = 'R', note = 'n' }
    p:event { type = 'Warning', reason = 'S', note = 'o', action = 'Do' }
    p:requeue_after(60)
    p:requeue_after(5.5)
    p:requeue_after(30)
    local done = finish()
    assert.same({ { name = 'q', type = 'quorum' } }, done.queues)
    assert.same({ { type = 'Normal', reason = 'R', note = 'n', policy = 'one' },
      { type = 'Warning', reason = 'S', note = 'o', action = 'Do', policy = 'one' } }, done.events)
    assert.equal(5.5, done.requeue_after)
  end)
end)
