local bundle = require 'bundle'
local host = require 'host'

local MANIFEST = [[
return require 'policy'.manifest {
  parent = { apiVersion = 'x/v1', kind = 'Thing', plural = 'things' },
  children = { { apiVersion = 'v1', kind = 'ConfigMap', plural = 'configmaps' }, { apiVersion = 'v1', kind = 'Secret', plural = 'secrets', shared = true } },
  field_manager = 'm', lease = 'l', component = 'c', settings = { image = { default = 'i:1' }, list = { type = 'json', default = { 1 } }, url = {} },
}]]

local function files(texts)
  local list = { { name = 'manifest.lua', source = texts['manifest.lua'] or MANIFEST, origin = 'spec' } }
  for name, text in pairs(texts) do
    if name ~= 'manifest.lua' then
      list[#list + 1] = { name = name, source = text, origin = 'spec' }
    end
  end
  return list
end

local function load_with(texts, settings)
  return bundle.load(files(texts), settings, host)
end

local function policy(name, rest)
  return ("return require 'policy'.define { name = '%s', %s }"):format(name, rest or '')
end

local function snapshot()
  return { now = 't', parent = { metadata = { name = 'a', namespace = 'n', uid = 'u' }, spec = {} }, children = {}, related = {} }
end

local function names(b)
  local list = {}
  for i, it in ipairs(b:policies()) do list[i] = it.name end
  return table.concat(list, ' ')
end

local function raises(pattern, fn)
  local ok, message = pcall(fn)
  assert.is_false(ok)
  assert.matches(pattern, message)
end

describe('bundle', function()
  it('orders policies by after, ties by name, whatever the file names are', function()
    local b = load_with { ['1.lua'] = policy('d'), ['2.lua'] = policy('a', "after = { 'd', 'c' }"), ['3.lua'] = policy('c'),
      ['4.lua'] = policy('b', "after = { 'a' }") }
    assert.equal('c d a b', names(b))
  end)

  it('names the files of a circle, of an unknown name, of a second definition', function()
    assert.has_error(function() load_with { ['x.lua'] = policy('a', "after = { 'b' }"), ['y.lua'] = policy('b', "after = { 'a' }") } end,
      'policies wait for each other in a circle: a (x.lua, after b); b (y.lua, after a)')
    assert.has_error(function() load_with { ['x.lua'] = policy('a', "after = { 'b' }") } end,
      "x.lua: policy 'a' is to run after 'b', which is not in the bundle (policies: a)")
    assert.has_error(function() load_with { ['x.lua'] = policy('a'), ['y.lua'] = policy('a') } end,
      "y.lua: there is a policy 'a' already, in x.lua")
    assert.has_error(function() load_with { ['x.lua'] = MANIFEST } end, 'x.lua: there is a manifest already, in manifest.lua')
  end)

  it('reports a syntax error with file and line', function()
    raises('^x.lua:2: ', function() load_with { ['x.lua'] = 'local a\nlocal = 1' } end)
  end)

  it('may make the kinds that policies declare beside those of the manifest, each once', function()
    local budget = "{ apiVersion = 'policy/v1', kind = 'PodDisruptionBudget', plural = 'poddisruptionbudgets' }"
    local known = "{ apiVersion = 'v1', kind = 'ConfigMap', plural = 'configmaps' }"
    local b = load_with {
      ['a.lua'] = policy('a', 'kinds = { ' .. budget .. ' }'), ['b.lua'] = policy('b', 'kinds = { ' .. budget .. ', ' .. known .. ' }'),
      ['c.lua'] = policy('c', [[render = function(_, _, plan)
        plan:add('r', { apiVersion = 'policy/v1', kind = 'PodDisruptionBudget', metadata = { name = 'x' } })
      end]]),
    }
    assert.same({ { apiVersion = 'policy/v1', kind = 'PodDisruptionBudget', plural = 'poddisruptionbudgets' } }, b:manifest().kinds)
    assert.equal('PodDisruptionBudget', b:plan(snapshot()).objects[1].object.kind)
    assert.same({}, load_with({}):manifest().kinds)
  end)

  it('names the files of policies that do not agree on a kind, and of one that makes what nobody lists', function()
    local function kind(text) return "kinds = { { apiVersion = 'x/v1', kind = 'Proxy', " .. text .. ' } }' end
    for _, case in ipairs {
      { kind "plural = 'proxies'", kind "plural = 'proxys'", "b.lua: x/v1 Proxy is declared with plural = 'proxys', and in a.lua with 'proxies'" },
      { kind "plural = 'proxies'", kind "plural = 'proxies', shared = true", 'b.lua: x/v1 Proxy is declared with shared = true, and in a.lua with nothing' },
      { '', "kinds = { { apiVersion = 'v1', kind = 'Secret', plural = 'secrets' } }",
        'b.lua: v1 Secret is declared with shared = nothing, and in the manifest with true' },
      { '', "kinds = { { apiVersion = 'x/v1', kind = 'Thing', plural = 'things' } }", 'b.lua: x/v1 Thing is the parent, which no policy makes' },
    } do
      assert.has_error(function() load_with { ['a.lua'] = policy('a', case[1]), ['b.lua'] = policy('b', case[2]) } end, case[3])
    end
    local rows = {}
    for i = 1, 33 do rows[i] = ("{ apiVersion = 'x/v1', kind = 'K%d', plural = 'k%d' }"):format(i, i) end
    assert.has_error(function() load_with { ['a.lua'] = policy('a', 'kinds = { ' .. table.concat(rows, ', ') .. ' }') } end,
      'policies declare 33 kinds: at most 32 can be watched beside those of the manifest')
    for kind_name, plural in pairs { NetworkPolicy = 'networkpolicies', Ingress = 'ingresses', Gateway = 'gateways', Switch = 'switches' } do
      local hook = "render = function(_, _, plan) plan:shared('r', { apiVersion = 'n/v1', kind = '%s', metadata = { name = 'x' } }) end"
      local b = load_with { ['a.lua'] = policy('a', hook:format(kind_name)) }
      raises(("a.lua: role 'r': .*plural = '%s', shared = true.*extraRules: .*resources: .%s"):format(plural, plural), function() b:plan(snapshot()) end)
    end
  end)

  it('runs text only', function()
    raises('^x.lua: .*binary chunk', function() load_with { ['x.lua'] = string.dump(load('return 1')) } end)
  end)

  it('gives files libraries and data', function()
    local b = load_with {
      ['lib.lua'] = "return require 'policy'.library { name = function(a) return 'q-' .. a.metadata.name end }",
      ['code.py'] = 'pass',
      ['p.lua'] = "local lib, code = require 'lib', require 'policy'.file('code.py')\n"
        .. policy('p', 'queues = function(actor, ctx, plan) plan:queue { name = lib.name(actor), code = code } end'),
    }
    assert.same({ { name = 'q-a', code = 'pass' } }, b:plan(snapshot()).queues)
  end)

  it('refuses circular libraries and modules that are not for policies', function()
    assert.has_error(function() load_with { ['a.lua'] = "local b = require 'b'", ['b.lua'] = "local a = require 'a'" } end,
      'a.lua requires itself: a.lua -> b.lua -> a.lua')
    for _, name in ipairs { 'bundle', 'plan', 'sandbox', 'host', 'io' } do
      raises("^a.lua:1: there is no module '" .. name, function() load_with { ['a.lua'] = ("local b = require '%s'"):format(name) } end)
    end
  end)

  it('applies parameters, and keeps those of nobody for a policy that may come', function()
    local text = policy('p', "params = { x = require 'schema'.string() }, queues = function(_, ctx, plan) plan:queue { name = ctx.params.x } end")
    assert.equal('v', load_with({ ['p.lua'] = text }, { params = { p = { x = 'v' } } }):plan(snapshot()).queues[1].name)
    raises("p.lua: params of policy 'p'", function() load_with({ ['p.lua'] = text }, { params = { p = { x = 1 } } }) end)
    assert.equal('v', load_with({ ['p.lua'] = text }, { params = { p = { x = 'v' }, q = { x = 1 } } }):plan(snapshot()).queues[1].name)
    assert.has_error(function() load_with({ ['p.lua'] = text }, { params = { 'p' } }) end, 'params must be a table: policy name to parameters')
  end)

  it('asks what is wrong with the settings, once, and goes on without it', function()
    local b = load_with({ ['p.lua'] = policy('p', "settings = function(ctx) return { 'url: ' .. ctx.settings.url, ctx.settings.image } end"),
      ['q.lua'] = policy('q', 'settings = function() end') }, { url = 'u' })
    assert.same({ 'url: u', 'i:1' }, b:problems())
    assert.same({}, load_with({ ['p.lua'] = policy('p', '') }):problems())
    for text, wrong in pairs { ["'x'"] = 'returned a string', ['{ 1 }'] = '[1] is a number' } do
      raises('p.lua: the hook settings must return .*' .. wrong:gsub('%p', '%%%0'), function()
        load_with { ['p.lua'] = policy('p', 'settings = function() return ' .. text .. ' end') }
      end)
    end
  end)

  it('shows settings with the defaults of the manifest, fresh in each call', function()
    local b = load_with({ ['p.lua'] = policy('p', [[queues = function(_, ctx, plan)
      local s = ctx.settings
      plan:queue { name = s.image, url = s.url, n = #s.list, params = s.params }
      s.image, s.list[2] = 'changed', 2
    end]]) }, { url = 'u', params = {} })
    for _ = 1, 2 do
      assert.same({ { name = 'i:1', url = 'u', n = 1 } }, b:plan(snapshot()).queues)
    end
  end)

  it('asks for the queues of an invalid parent only when that is to go', function()
    local b = load_with { ['p.lua'] = policy('p', [[validate = function() return require('policy').invalid { message = 'm' } end,
      render = function() error 'unreached' end, queues = function(_, _, plan) plan:queue { name = 'q' } end]]) }
    local s = snapshot()
    assert.same({}, b:plan(s).queues)
    s.parent.metadata.deletionTimestamp = 't'
    local plan = b:plan(s)
    assert.same({ { name = 'q' } }, plan.queues)
    assert.equal('m', plan.invalid.message)
    assert.same({}, plan.objects)
  end)

  it('calls hooks in order and gives each its context', function()
    local hooks = [[
      validate = function(actor, ctx) assert(actor.metadata.name == 'a' and ctx.now == 't') end,
      render = function(actor, ctx, plan)
        local seen = ctx.child('ConfigMap', 'old')
        plan:add('NAME', { apiVersion = 'v1', kind = 'ConfigMap', metadata = { name = 'NAME' },
          data = { seen = seen and seen.data.x, related = ctx.related[1].x } })
        assert(ctx.child('ConfigMap', 'none') == nil and ctx.child('Pod', 'old') == nil)
      end,
      queues = function(_, _, plan) plan:queue { name = 'NAME', roles = #plan:roles() } end]]
    local b = load_with { ['b.lua'] = policy('one', (hooks:gsub('NAME', 'one'))), ['a.lua'] = policy('two', (hooks:gsub('NAME', 'two'))) }
    local s = snapshot()
    s.children = { { kind = 'ConfigMap', metadata = { name = 'old' }, data = { x = 'y' } } }
    s.related = { { x = 'z' } }
    local result = b:plan(s)
    assert.is_nil(result.invalid)
    assert.same({ { name = 'one', roles = 2 }, { name = 'two', roles = 2 } }, result.queues)
    assert.same({ seen = 'y', related = 'z' }, result.objects[2].object.data)
    assert.same({ '', '' }, { host.where() })
  end)

  it('asks policies whether a parent that is being deleted may go, and goes on rendering until then', function()
    local manifest = MANIFEST:gsub('field_manager', "finalizer = 'x.io/f', field_manager")
    local function deleted(answer, rest)
      local s = snapshot()
      s.parent.metadata.deletionTimestamp = 't'
      return load_with { ['manifest.lua'] = manifest, ['a.lua'] = policy('a', ([[
        render = function(_, _, plan) plan:add('r', { apiVersion = 'v1', kind = 'ConfigMap', metadata = { name = 'c' } }) end,
        finalize = function(_, _, plan) %s end,]]):format(answer) .. (rest or '')), ['b.lua'] = policy('b', 'finalize = function() return true end') }:plan(s)
    end
    assert.same({ done = true }, deleted('return true').finalize)
    assert.same({ done = false, message = "policy 'a': the backup" }, deleted("return 'the backup'").finalize)
    assert.same({ done = false, message = "policy 'a': it is not done yet" }, deleted('return false').finalize)
    assert.equal(1, #deleted('').objects)
    assert.equal(0, #deleted("plan:remove 'r'").objects)
    local refused = deleted('', "validate = function() return require 'policy'.invalid('x', 'bad') end")
    assert.equal(0, #refused.objects)
    assert.is_false(refused.finalize.done)
    raises('the hook finalize must return true when it is done, or what it waits for, returned a table', function() deleted 'return {}' end)
    assert.is_nil(load_with { ['manifest.lua'] = manifest, ['a.lua'] = policy('a', "finalize = function() error 'never' end") }:plan(snapshot()).finalize)
    raises('a.lua: the hook finalize needs a finalizer in the manifest', function()
      load_with { ['manifest.lua'] = MANIFEST:gsub('field_manager', 'finalizer = false, field_manager'), ['a.lua'] = policy('a', 'finalize = function() end') }
    end)
    assert.equal(600, load_with { ['manifest.lua'] = manifest, ['a.lua'] = policy('a', 'finalize = function() end') }:policies()[1].finalize)
  end)

  it('asks no policy whether a parent may go that has another profile, or was let go before', function()
    local manifest = MANIFEST:gsub('field_manager', [[finalizer = 'x.io/f', profile = { setting = 'p', annotation = 'x/p', base = '1' }, field_manager]])
      :gsub('settings = {', 'settings = { p = {},')
    local function deleted(annotations)
      local s = snapshot()
      s.parent.metadata.deletionTimestamp, s.parent.metadata.annotations = 't', annotations
      return load_with { ['manifest.lua'] = manifest, ['a.lua'] = policy('a', "queues = function(_, _, plan) plan:queue { name = 'q' } end"),
        ['profiles/2/b.lua'] = policy('b', "finalize = function() error 'what it looks for is gone' end") }:plan(s)
    end
    assert.same({ done = true }, deleted().finalize)
    raises('what it looks for is gone', function() deleted { ['x/p'] = '2' } end)
    raises('what it looks for is gone', function() deleted { ['x/p'] = '2', ['c/finalized'] = 'of-a-namesake' } end)
    local gone = deleted { ['x/p'] = '2', ['c/finalized'] = 'u' }
    assert.same({ done = true }, gone.finalize)
    assert.same({ { name = 'q' } }, gone.queues)
  end)

  describe('with the queue that a parent had under another profile', function()
    local MANY = MANIFEST:gsub('field_manager', "queue_records = 'status.queues', profile = { setting = 'p', annotation = 'x/p', base = '1' }, field_manager")
      :gsub('settings = {', 'settings = { p = {},')
    local function planned(others)
      local s = snapshot()
      s.queues, s.parent.status = {}, { queues = { { name = 'old', owner = 'Actor' } } }
      return load_with { ['manifest.lua'] = MANY, ['profiles/2/q.lua'] = policy('q', others), ['q.lua'] = policy('q', [[
        render = function(_, ctx) assert(ctx.now) end, queues = function(_, _, plan) plan:queue { name = 'new' } end]]) }:plan(s)
    end

    it('says what the policies of both have read', function()
      local done = planned "queues = function(_, ctx, plan) assert(ctx.queues) plan:queue { name = 'old' } end"
      assert.same({ 'now', 'queues' }, done.reads)
      assert.same({ 'new', 'old' }, { done.queues[1].name, done.queues[2].name })
    end)

    it('goes on when the policies of that one fail, says so, and leaves the queue as it is', function()
      local done = planned "queues = function() error 'broken' end"
      assert.equal(1, #done.queues)
      assert.same({ 'Warning', 'PolicyError', "profile 2: profiles/2/q.lua:1: broken; the queues that it has under this profile stay as they are" },
        { done.events[1].type, done.events[1].reason, done.events[1].note })
      assert.same({ '', '' }, { host.where() })
    end)
  end)

  it('asks policies which objects a parent wants to see', function()
    local manifest = MANIFEST:gsub("field_manager", [[related = {
      { apiVersion = 'v1', kind = 'Node', plural = 'nodes', rules = true }, { apiVersion = 'v1', kind = 'Pod', plural = 'pods', label = 'l' },
    }, field_manager]])
    local function rules(text)
      return load_with { ['manifest.lua'] = manifest, ['a.lua'] = policy('a', 'relate = function(actor, ctx) ' .. text .. ' end'),
        ['b.lua'] = policy('b', "relate = function() return { { kind = 'Node', namespace = '*' } } end") }:relate(snapshot()).rules
    end
    local all = { apiVersion = 'v1', kind = 'Node' }
    assert.same({ all }, rules '')
    assert.same({ { apiVersion = 'v1', kind = 'Node', namespace = 'n', name = 'a' }, { apiVersion = 'v1', kind = 'Node', namespace = 'm',
      labels = { image = 'i:1' } }, all }, rules [[
        return { { kind = 'Node', name = actor.metadata.name }, { kind = 'Node', namespace = 'm', labels = { image = ctx.settings.image } } }]])
    for text, wrong in pairs {
      ['return 1'] = 'a.lua: what the hook relate returned must be a list',
      ['return { 1 }'] = 'a.lua: what the hook relate returned[1] must be a table',
      ["return { { kind = 'Node', selector = 'x' } }"] = "a.lua: relate: rule 1: unknown field 'selector'",
      ["return { { kind = 'Pod' } }"] = 'rule 1: the manifest does not list Pod in `related` with rules = true (known: Node)',
      ["return { { kind = 'Node', labels = { 'x' } } }"] = 'relate: rule 1.labels must be a mapping of strings',
      ["local r = {} for i = 1, 101 do r[i] = { kind = 'Node' } end return r"] = 'relate: at most 100 rules',
    } do
      local ok, message = pcall(rules, text)
      assert.is_false(ok)
      assert.is_truthy(message:find(wrong, 1, true), message)
    end
  end)

  it('says what of the world a plan was made from, and only that', function()
    local function reads(rest, invalid)
      local s = snapshot()
      s.queues = { { name = 'q' } }
      local done = load_with { ['a.lua'] = policy('a', rest) }:plan(s)
      assert.equal(invalid or false, done.invalid ~= nil)
      return done.reads
    end
    assert.is_nil(reads 'render = function(actor, ctx) assert(ctx.settings and ctx.params and ctx.children and actor.spec) end')
    assert.is_nil(reads 'status = function(actor, ctx, status) status.now = ctx.now end')
    assert.same({ 'children' }, reads [[render = function(_, _, plan)
      plan:add('r', { apiVersion = 'v1', kind = 'ConfigMap', metadata = { generateName = 'c-' } })
      assert(not plan:observed 'r')
    end]])
    assert.same({ 'now' }, reads 'render = function(_, ctx) assert(ctx.now == "t" and ctx.now == "t") end')
    assert.same({ 'queues', 'related' }, reads 'render = function(_, ctx) assert(ctx.related) end, queues = function(_, ctx) assert(ctx.queues[1]) end')
    assert.same({ 'now' }, reads("validate = function(_, ctx) if ctx.now then return require 'policy'.invalid('x', 'late') end end", true))
    assert.same({ 'absent', 'now', 'queues', 'related' }, reads [[render = function(_, ctx)
      local seen = {}
      for key in pairs(ctx) do seen[#seen + 1] = key end
      assert(table.concat(seen, ' ') == 'absent child children now params queues related settings', table.concat(seen, ' '))
    end]])
  end)

  it('finds the policy that set a field', function()
    local b = load_with {
      ['a.lua'] = policy('a', [[render = function(_, _, plan) plan:add('r', { apiVersion = 'v1', kind = 'ConfigMap', metadata = { name = 'x' },
        data = { ['a.b'] = 'x', list = { { x = 1 } } } }) end]]),
      ['b.lua'] = policy('b', "after = { 'a' }, render = function(_, _, plan) plan:get('r').data['a.b'] = 1 end"),
      ['c.lua'] = policy('c', "after = { 'b' }, render = function(_, _, plan) plan:get('r').data.list[1].y = 2 end"),
    }
    local function who(path)
      local s = snapshot()
      s.blame = { role = 'r', path = path }
      return b:plan(s).blame
    end
    assert.same({ 'b', 'a', 'c', 'c' }, { who 'data.a.b', who 'data.list[0].x', who 'data.list[0].y', who 'data.list' })
    assert.is_nil(b:plan(snapshot()).blame)
  end)

  it('stops at the first invalid and plans nothing', function()
    local b = load_with {
      ['a.lua'] = policy('a', "validate = function(actor) return require 'policy'.invalid('spec.x', 'no %s', 'x') end"),
      ['b.lua'] = policy('b', "validate = function() error('not reached') end, render = function() error('nor this') end"),
    }
    local result = b:plan(snapshot())
    assert.same({ policy = 'a', path = 'spec.x', message = 'no x' }, result.invalid)
    assert.same({}, result.objects)
  end)

  it('says where a hook failed', function()
    local b = load_with { ['a.lua'] = policy('a', "\nrender = function()\n error('boom') end") }
    raises('^a.lua:3: boom', function() b:plan(snapshot()) end)
    assert.same({ 'a', 'render' }, { host.where() })
    local c = load_with { ['a.lua'] = policy('a', 'validate = function() return false end') }
    assert.has_error(function() c:plan(snapshot()) end,
      'a.lua: the hook validate must return nothing or policy.invalid(...), returned a boolean')
    local d = load_with { ['a.lua'] = policy('a', 'status = function() return {} end') }
    assert.has_error(function() d:status(snapshot()) end, 'a.lua: the hook status must return nothing, returned a table')
  end)

  it('collects a status from all policies', function()
    local b = load_with {
      ['a.lua'] = policy('a', 'status = function(_, ctx, status) status.phase, status.n = ctx.outcome.phase, 1 end'),
      ['b.lua'] = policy('b', "status = function(_, _, status, plan) status.n = status.n + 1 "
        .. "plan:event { reason = 'R', note = 'n' } plan:requeue_after(9) plan:rolling_out() end"),
    }
    local s = snapshot()
    s.outcome = { phase = 'Ready' }
    local result = b:status(s)
    assert.same({ phase = 'Ready', n = 2 }, result.status)
    assert.equal('R', result.events[1].reason)
    assert.equal(9, result.requeue_after)
    assert.is_true(result.rolling_out)
  end)

  it('plans shared objects without a parent', function()
    local b = load_with { ['a.lua'] = policy('a', [[shared = function(ctx, plan)
      plan:shared('s', { apiVersion = 'v1', kind = 'Secret', metadata = { name = 's', namespace = 'n' } })
    end]]) }
    local objects = b:shared().objects
    assert.equal(1, #objects)
    assert.same({ name = 's', namespace = 'n' }, objects[1].object.metadata)
  end)

  it('needs a parent in a snapshot', function()
    local b = load_with {}
    assert.has_error(function() b:plan {} end, 'the snapshot has no parent')
    assert.has_error(function() b:status {} end, 'the snapshot has no parent')
  end)

  it('finds the manifest even where policies are broken', function()
    local manifest = bundle.peek(files { ['a.lua'] = 'syntax error' }, host)
    assert.equal('Thing', manifest.parent.kind)
    raises('^m.lua:2:', function() bundle.peek({ { name = 'm.lua', source = '-- manifest\nreturn 1 +', origin = 'x' } }, host) end)
    raises('the bundle has no manifest', function() bundle.peek({}, host) end)
  end)
end)
