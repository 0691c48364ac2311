--- types: what editors are told of the arguments of hooks is what hooks get.
local bundle = require 'bundle'
local host = require 'host'
local types = dofile 'spec/sdk/types.lua'

local read = dofile 'spec/sdk/read.lua'

--- The names of the fields of a class in some source.
local function fields_of(text, class)
  local fields = {}
  for name in text:match('@class ' .. class .. '[^\n]*\n(.-)\n\n'):gmatch '@field ([%w_]+)' do fields[#fields + 1] = name end
  table.sort(fields)
  return fields
end

describe('the types', function()
  local page = read 'lua/asya/types.lua'

  it('are up to date with CRD and manifest', function()
    assert.equal(types.page(), page, 'run: lua5.4 spec/sdk/types.lua > lua/asya/types.lua')
  end)

  it('know each field of the context, and no other', function()
    local seen = {}
    local probe = [[return require 'policy'.define { name = 'probe', render = function(_, ctx, plan)
      for key in pairs(ctx) do plan:event { reason = key, note = '' } end
    end }]]
    local manifest = { name = 'manifest.lua', source = read 'policies/manifest.lua', origin = '' }
    local b = bundle.load({ manifest, { name = 'probe.lua', source = probe, origin = '' } }, nil, host)
    local outcome = { errors = {}, changed = {} }
    for _, event in ipairs(b:plan({ now = 't', parent = { metadata = { name = 'a', namespace = 'n' } }, outcome = outcome }).events) do
      seen[#seen + 1] = event.reason
    end
    table.sort(seen)
    assert.same(seen, fields_of(page, 'Context'))
  end)

  it('know each argument of a method of the plan, and what it returns', function()
    local source, methods = read 'lua/plan.lua', 0
    local comments = {}
    for line in source:gmatch '[^\n]+' do
      local name, arguments = line:match '^function Plan:([%w_]+)(%b())'
      if name then
        methods = methods + 1
        local text = table.concat(comments, '\n')
        for argument in arguments:gmatch '[%w_.]+' do
          assert.is_truthy(text:find('@param ' .. argument:gsub('%.', '%%.') .. '%??[ ]'), ('Plan:%s has no type for %s'):format(name, argument))
        end
        local body = source:match('\nfunction Plan:' .. name .. '%b().-\nend\n')
        if body:find '\n  return [^n\n]' then assert.is_truthy(text:find('@return', 1, true), ('Plan:%s returns something'):format(name)) end
      end
      comments = line:find '^%-%-' and comments or {}
      if line:find '^%-%-' then comments[#comments + 1] = line end
    end
    assert.is_true(methods > 10)
  end)

  it('know the arguments of hooks', function()
    local source = read 'lua/policy.lua'
    for _, hook in ipairs { 'settings', 'validate', 'render', 'queues', 'status', 'shared' } do
      local signature = source:match('@field ' .. hook .. ' ([^\n]+)')
      assert.is_truthy(signature:find('ctx: Context', 1, true), hook)
      if signature:find 'actor' then assert.is_truthy(signature:find('actor: AsyncActor', 1, true), hook) end
      if signature:find 'plan' then assert.is_truthy(signature:find('plan: Plan', 1, true), hook) end
    end
  end)

  it('name classes that there are', function()
    local known = { string = true, integer = true, number = true, boolean = true, table = true, fun = true, ['false'] = true, any = true, ['nil'] = true }
    local all = page
    for path in io.popen('ls lua/*.lua lua/asya/*.lua'):lines() do all = all .. '\n' .. read(path) end
    for class in all:gmatch '@class ([%w_]+)' do known[class] = true end
    for kind in page:gmatch '@field [%w_]+ ([%a_][%w_]*)' do assert.is_true(known[kind], kind) end
    assert.is_truthy(page:find('---@type Log\nlog = {}', 1, true))
  end)
end)
