--- testing: `asya.testing`, as it is exported, in a folder of its own: production's sandbox, cases, plans and statuses for specs.
local ROOT = os.tmpname()
os.remove(ROOT)

local function write(path, text)
  local file = assert(io.open(ROOT .. '/' .. path, 'w'))
  file:write(text)
  file:close()
end

local function sh(command, ...)
  local pipe = io.popen(('cd %s && (%s) 2>&1'):format(ROOT, command:format(...)))
  local output = pipe:read 'a'
  return output, (pipe:close())
end

--- A policy whose render is `body`.
local function policy(body)
  return "return require 'policy'.define { name = 'p', after = { 'sidecar' }, render = function(actor, ctx, plan)\n" .. body .. '\nend }'
end

describe('asya.testing', function()
  local testing, usual = nil, getmetatable('').__index

  lazy_setup(function()
    assert(os.execute(("lua5.4 spec/sdk/rock.lua '%s' 1.0.0 && mkdir -p '%s/mine'"):format(ROOT, ROOT)))
    testing = dofile(ROOT .. '/asya/testing.lua')
  end)
  lazy_teardown(function() os.execute("rm -rf '" .. ROOT .. "'") end)
  before_each(function() assert(os.execute("rm -f '" .. ROOT .. "'/mine/*")) end)

  local function load_with(body, options)
    write('mine/p.lua', policy(body))
    return testing.load(ROOT .. '/mine', options)
  end

  local function raises(text, fn)
    local ok, wrong = pcall(fn)
    assert.is_false(ok)
    assert.is_truthy(tostring(wrong):find(text, 1, true), wrong)
  end

  it('plans for an actor that is written in part, with plain lists', function()
    local policies = load_with [[local c = plan:pod().spec.containers
      log.info('%s', actor.spec.workload.template.spec.containers[1].args)
      c[1].image = 'x:' .. #c]]
    local containers = { { name = 'asya-runtime', image = 'a', args = { 'x', 'y' } } }
    local plan = policies:plan { spec = { workload = { template = { spec = { containers = containers } } } } }
    assert.equal('x:2', plan:find('Deployment').spec.template.spec.containers[1].image)
    assert.equal(plan:find 'Deployment', plan:role 'workload')
    assert.same({ 'info p: ["x","y"]' }, plan.log)
    assert.equal('StatefulSet', policies:plan({ spec = { workload = { kind = 'StatefulSet' } } }):role('workload').kind)
    assert.is_nil(plan:find 'Job')
    assert.is_table(policies:plan({ spec = { transport = 'nosuch' } }).invalid)
  end)

  it('gives the status that follows', function()
    local policies = load_with ''
    assert.is_string(policies:status({}).status)
    local texts = {}
    for i, condition in ipairs(policies:status({ spec = { transport = 'nosuch' } }).conditions) do texts[i] = condition.message end
    assert.is_truthy(table.concat(texts, '\n'):find('nosuch', 1, true))
  end)

  it('has the sandbox of the operator, and leaves strings alone outside of it', function()
    raises("p.lua:2: unknown global 'os'", function() load_with('os.exit()'):plan {} end)
    raises('p.lua:2: ', function() load_with("local _ = ('x'):dump()"):plan {} end)
    raises('p.lua:1: ', function()
      write('mine/p.lua', 'return (((')
      testing.load(ROOT .. '/mine')
    end)
    raises("'/nosuch", function() testing.load('/nosuch') end)
    assert.equal(usual, getmetatable('').__index)
    assert.equal('x', load_with("plan:get('workload').metadata.annotations = { a = ('X'):lower() }"):plan({}):find('Deployment').metadata.annotations.a)
  end)

  it('says where a list must be marked', function()
    local wrong = "role 'workload': Deployment.spec.template.spec.tolerations: here is an empty object {}, and Kubernetes wants a list. "
    raises(wrong .. 'An empty list is json.array {}', function() load_with('plan:pod().spec.tolerations = {}'):plan {} end)
    load_with("plan:pod().spec.tolerations = require('json').array {}"):plan {}
    load_with("plan:pod().spec.tolerations = { { operator = 'Exists' } }"):plan {}
    local function invalid(tolerations)
      local containers = { { name = 'asya-runtime', image = 'a' } }
      local plan = load_with(''):plan { spec = { workload = { template = { spec = { tolerations = tolerations, containers = containers } } } } }
      return plan.invalid and plan.invalid.message
    end
    assert.equal('spec.workload.template.spec.tolerations: must be a list, not a mapping (in a spec, an empty list is written testing.array {})', invalid {})
    assert.is_nil(invalid(testing.array {}))
    raises('actor.spec: a table is a list or an object', function() load_with(''):plan { spec = { 1, a = 2 } } end)
    raises('actor.spec.list: a list begins at 1', function() load_with(''):plan { spec = { list = { [2] = 'x' } } } end)
  end)

  it('has settings and parameters', function()
    write('mine/p.lua', [[return require 'policy'.define { name = 'p', after = { 'workload' }, params = { who = require 'schema'.string():default 'all' },
      render = function(_, ctx, plan) plan:get('workload').metadata.annotations = { who = ctx.params.who, image = ctx.settings.sidecarImage } end }]])
    local function annotations(options) return testing.load(ROOT .. '/mine', options):plan({}):find('Deployment').metadata.annotations end
    assert.equal('all', annotations().who)
    assert.equal('ml', annotations({ params = { p = { who = 'ml' } } }).who)
    raises("params of policy 'p'", function() annotations { params = { p = { who = 1 } } } end)
  end)

  it('runs cases, in each shape that they do not exclude', function()
    write('mine/p.lua', policy "plan:get('workload').spec.template.metadata.annotations = { a = 'b' }")
    local expect = 'expect: {Deployment: {spec: {template: {metadata: {annotations: {a: %s}}}}}}\n'
    write('mine/p.case.yaml', 'title: good\nshapes: [Deployment, StatefulSet]\n' .. expect:format 'b' .. '---\ntitle: bad\n' .. expect:format 'c'
      .. '---\ntitle: not for each\n' .. expect:format 'b')
    local list = testing.load(ROOT .. '/mine'):cases()
    assert.same({ 'good', 'bad', 'not for each' }, { list[1].title, list[2].title, list[3].title })
    list[1].run()
    raises('wanted c, got b', list[2].run)
    raises('as Job with scaling: p.lua:2: ', list[3].run)
  end)

  it('says at once that it runs under another Lua', function()
    write('wrong.lua', "_VERSION = 'Lua 5.1' dofile 'asya/testing.lua'")
    local output, ok = sh 'lua5.4 wrong.lua'
    assert.is_nil(ok)
    assert.is_truthy(output:find('asya.testing needs Lua 5.4, and this is Lua 5.1. For busted: `busted --lua=lua5.4`', 1, true), output)
  end)
end)
