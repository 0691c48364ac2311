--- sandbox: what policies can reach, and that nothing in it runs away or leaks.
local sandbox = require 'sandbox'
local host = require 'host'

local env = sandbox.env_for(sandbox.new(host), 'test.lua', function(name) return name end)

--- Runs source in the sandbox; returns its result, or nil and the error.
local function run(source)
  local chunk = assert(load(source, '@test.lua', 't', env))
  local ok, result = pcall(chunk)
  if ok then return result end
  return nil, result
end

local function refused(source, why)
  local result, err = run(source)
  assert.is_nil(result)
  assert.is_truthy(tostring(err):find(why, 1, true), tostring(err))
end

describe('the sandbox', function()
  for _, name in ipairs {
    'load', 'loadstring', 'loadfile', 'dofile', 'collectgarbage', 'coroutine', 'debug', 'io', 'os', 'xpcall', 'print', 'warn', 'package', '_G', 'nothing',
  } do
    it(('has no %s'):format(name), function() refused('return ' .. name, ("unknown global '%s'"):format(name)) end)
  end

  for _, what in ipairs { 'string.dump', 'string.pack', 'math.random', 'math.randomseed', 'table.create' } do
    it('has no ' .. what, function() assert.is_nil(run('return ' .. what)) end)
  end

  local REFUSED = {
    { 'x = 1', "assignment to global 'x': use local" },
    { 'string.upper = 1', "library 'string' cannot be changed" },
    { 'rawset(string, "upper", 1)', 'cannot be changed' },
    { 'getmetatable("").__index = {}', 'index a boolean' },
    { 'setmetatable({}, { __gc = function() end })', '__gc' },
    { 'rawset(log, "info", 1)', "library 'log' cannot be changed (field 'info')" },
    { 'rawset(_ENV, "x", 1)', "the environment cannot be changed (field 'x')" },
    { 'table.insert(string, 1)', "library 'string' cannot be changed" },
    { 'setmetatable(string, {})', "library 'string' keeps its metatable" },
    { 'setmetatable({}, { __mode = "k" })', '__mode' },
    { 'setmetatable({}, { __close = function() end })', '__close' },
    { 'setmetatable({}, { __metatable = {} })', '__metatable' },
    { 'setmetatable({}, { __call = setmetatable({}, { __call = print }) })', "unknown global 'print'" },
    { 'setmetatable({}, { __call = {} })', "metatable field '__call' must be a function, not a table" },
    { 'setmetatable({}, { __index = 5 })', "metatable field '__index' must be a function or a table, not a number" },
    { 'return string.rep({}, 1)', "bad argument #1 to 'rep' (string expected, got table)" },
    { 'return ("x"):rep(2, {})', "bad argument #3 to 'rep' (string expected, got table)" },
    { 'return ("x"):rep(1 << 40)', 'too large' },
    { 'return ("xy"):rep(200000)', 'too large' },
    { 'return table.unpack({}, 1, 1e7 // 1 | 0)', 'too many results' },
    { 'return string.format("%99999d", 1)', 'conversion' },
    { 'return string.format("%p", {})', '%p' },
    { 'for _ in pairs { [1.5] = 1 } do end', 'no order' },
    { 'for _ in pairs { [true] = 1 } do end', 'no order' },
    { 'table.insert({}, 5, 1)', 'out of bounds' },
    { 'return table.concat({ 1, {} })', 'invalid value' },
  }
  for _, case in ipairs(REFUSED) do
    it('refuses ' .. case[1], function() refused(case[1], case[2]) end)
  end

  it('ends the empty repetition that stock Lua counts out', function() assert.equal('', run 'return (""):rep(1 << 60)') end)

  it('walks tables in a fixed order', function()
    assert.equal('1 2 7 a b c ', run [[
      local t, out = { 'x', 'y', c = 1, [7] = 1, b = 1, a = 1 }, ''
      for k in pairs(t) do out = out .. tostring(k) .. ' ' end
      return out]])
    assert.equal('1a', run 'local t = { a = 1, [1] = 2 }; local k = next(t); return k .. next(t, k)')
  end)

  it('copies what a metatable holds: what is done to it later changes nothing, and nobody gets it back', function()
    assert.equal('1 nil 1', run [[
      local mt = { __index = { a = 1 } }
      local t = setmetatable({}, mt)
      local before = tostring(t.a)
      mt.__index, mt.__gc = { b = 2 }, function() while true do end end
      getmetatable(t).__index = { b = 2 }
      return before .. ' ' .. tostring(t.b) .. ' ' .. t.a]])
    assert.equal('function', run 'return type(getmetatable(setmetatable({}, { __index = {} })).__index)')
    assert.is_nil(run 'return getmetatable {}')
    assert.is_false(run 'return getmetatable(string)')
  end)

  it('has classes that inherit, and metafields of all kinds', function()
    assert.equal('base own 3 true called 7 a=1', run [[
      local Base = { hello = function() return 'base' end }
      local Own = setmetatable({ bye = function() return 'own' end }, { __index = Base })
      local x = setmetatable({}, {
        __index = Own, __len = function() return 3 end, __eq = function() return true end, __call = function() return 'called' end,
        __add = function(_, n) return n end, __pairs = function() return function(_, k) if not k then return 'a', 1 end end end,
      })
      local pairs_ = ''
      for k, v in pairs(x) do pairs_ = pairs_ .. k .. '=' .. v end
      return table.concat({ x.hello(), x.bye(), #x, tostring(x == setmetatable({}, getmetatable(x))), x(), x + 7, pairs_ }, ' ')]])
    assert.equal('1', run "local store = {} setmetatable({}, { __newindex = store }).a = '1' return store.a")
    assert.equal('text', run "return tostring(setmetatable({}, { __tostring = function() return 'text' end }))")
  end)

  it('lets libraries be looked at', function()
    assert.equal('concat insert move pack remove sort unpack ', run 'local out = "" for k in pairs(table) do out = out .. k .. " " end return out')
    assert.equal('concat', run 'return (next(table))')
    assert.equal("library 'table'", run 'return tostring(table)')
  end)

  it('shows no addresses', function()
    assert.equal('table', run 'return tostring({})')
    assert.equal('function', run 'return string.format("%s", tostring)')
  end)

  it('sorts stably, and a comparison that lies does no harm', function()
    assert.equal('a1b1a2b2', run [[
      local t = { { 1, 'a1' }, { 2, 'a2' }, { 1, 'b1' }, { 2, 'b2' } }
      table.sort(t, function(x, y) return x[1] < y[1] end)
      return t[1][2] .. t[2][2] .. t[3][2] .. t[4][2] ]])
    assert.equal(100, run 'local t = {} for i = 1, 100 do t[i] = i end table.sort(t, function() return true end) return #t')
  end)

  it('passes error objects through pcall, and lets nobody catch a spent budget', function()
    assert.equal('mine', run 'local ok, e = pcall(error, { name = "mine" }) return e.name')
    local spent = { spent = function() return true end, log = host.log, max_string = host.max_string }
    local tired = sandbox.env_for(sandbox.new(spent), 'test.lua', require)
    local ok, err = pcall(load('pcall(error, "over") return 1', '@test.lua', 't', tired))
    sandbox.new(host)
    assert.is_false(ok)
    assert.is_truthy(tostring(err):find('over', 1, true))
  end)

  it('uses our matcher for methods of strings, too', function()
    assert.equal('b', run 'return ("abc"):match("a(.)c")')
    assert.equal('x-c', run 'return (("abc"):gsub("ab", "x-"))')
  end)
end)
