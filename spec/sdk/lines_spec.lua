--- lines: which lines of a file can run. Of what is not within a function, debug.getinfo is the judge.
local lines = require 'lines'
local read = dofile 'spec/sdk/read.lua'

local function joined(text) return table.concat(lines.of(text, 'x.lua'), ' ') end

-- a text, and its lines that can run
local TEXTS = {
  { '', '' },
  { '-- nothing\n\nlocal x\n', '3' },
  { 'local x = 1\n\nreturn x', '1 3' },
  { 'return function()\n  return 1\nend', '2 3' }, -- `end` makes the function, and does not return from it
  { 'return function(...)\n  return function()\n    return 1\n  end\nend', '3 4 5' }, -- however deep
  { 'local f = print\nreturn f {\n  x = 1,\n}', '1 2 3' }, -- behind a tail call nothing runs
  { 'if X then\n  return Y {\n    x = 1,\n  }\nelse\n  Z()\nend', '1 2 3 6' }, -- nor does the jump over `else`
  { 'if X then\n  return 1\nend\nY = nil', '1 2 4' }, -- but what a jump leads to
  { 'if X then\n  if Y then return end\nelse\n  Z()\nend', '1 2 4' },
  { 'while X do\n  return Y {\n    x = 1,\n  }\nend', '1 2 3' },
  { 'for i = 1, X do\n  if i > 1 then return i end\nend', '1 2' },
  { 'for k in X do\n  goto next\n  ::next::\nend\nY()', '1 2 4 5' }, -- an iterator is closed at its `end`
  { "local s = '" .. ('x'):rep(50) .. "'\nlocal f = 1.5\nX(s, f, 1 << 40, 'y', nil, true, false)", '1 2 3' }, -- constants of each type
}

describe('lines', function()
  it('are those that can run', function()
    for _, each in ipairs(TEXTS) do assert.equal(each[2], joined(each[1]), each[1]) end
  end)

  it('are found in long files, and far apart', function()
    local text, wanted, at = {}, {}, 0
    for i = 1, 1000 do
      text[i] = ('X(%d)%s'):format(i, ('\n'):rep(i % 300 + 1))
      wanted[i] = at + 1
      at = at + i % 300 + 1
    end
    assert.same(wanted, lines.of(table.concat(text), 'x.lua'))
  end)

  it('are all of those that Lua knows, but for the end of a file', function()
    for path in io.popen 'ls policies/*.lua lua/*.lua':lines() do
      local text = read(path)
      local found, active = {}, debug.getinfo(assert(load(text)), 'L').activelines
      for _, line in ipairs(lines.of(text, path)) do found[line] = true end
      local _, last = text:gsub('\n', '')
      for line in pairs(active) do assert.is_true(found[line] or line >= last, ('%s:%d'):format(path, line)) end
    end
  end)

  it('of a text that does not compile are an error', function()
    assert.has_error(function() lines.of('x = = 1', 'x.lua') end, "x.lua:1: unexpected symbol near '='")
    assert.has_error(function() lines.of('\27Lua', 'x.lua') end)
  end)
end)
