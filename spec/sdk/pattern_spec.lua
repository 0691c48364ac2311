--- pattern: our matcher and the stock one agree, feature by feature and on what chance makes.
local pattern = require 'pattern'
local stock = { find = string.find, match = string.match, gsub = string.gsub, gmatch = string.gmatch }

local function collect(gmatch, s, p)
  local all = {}
  for a, b, c in gmatch(s, p) do all[#all + 1] = table.concat({ tostring(a), tostring(b), tostring(c) }, '|') end
  return table.concat(all, ';')
end

--- What a call gives, as one text; an error is an error, whatever its words.
local function outcome(fn, ...)
  local result = table.pack(pcall(fn, ...))
  if not result[1] then return 'error' end
  for i = 1, result.n do result[i] = tostring(result[i]) end
  return table.concat(result, ',', 2, result.n)
end

local function agree(s, p, ...)
  for _, name in ipairs { 'find', 'match' } do
    local theirs, ours = outcome(stock[name], s, p, ...), outcome(pattern[name], s, p, ...)
    -- the stock matcher notices a malformed pattern only where it gets to it; ours always does
    if theirs ~= ours and not (ours == 'error' and theirs == 'nil') then
      error(('%s(%q, %q): stock %s, ours %s'):format(name, s, p, theirs, ours))
    end
  end
end

local CASES = {
  { 'hello world', 'o w' }, { 'hello', 'l+' }, { 'hello', 'l-o' }, { 'hello', '^h' }, { 'hello', 'o$' }, { 'hello', '^hello$' },
  { 'a.b', '%.' }, { 'key = value', '^(%w+)%s*=%s*(%w+)$' }, { 'f(a(b)c)d', '%b()' }, { 'THE (quick) fox', '%f[%a]%a+' },
  { 'abcabc', '(abc)%1' }, { 'x', '()' }, { 'hello', '()ll()' }, { 'a]b', '[]]' }, { 'a-b', '[a%-]+' }, { 'a^b', '[b^]' }, { 'abc', '[^a]+' },
  { 'abc', '[a-b]+' }, { '', '' }, { 'abc', '' }, { 'a$b', '$b' }, { 'a\0b', '%z' }, { 'a\0b', '[\0]' }, { 'é', '[\xc3][\xa9]' },
  { 'x', '(' }, { 'x', ')' }, { 'x', '%' }, { 'x', '[' }, { 'x', '[a' }, { 'x', '%1' }, { 'x', '%b' }, { 'x', '%f' }, { 'aaa', 'a?a?a' }, { 'abc', 'a.-c' },
  { 'one;two;;four', '([^;]*);?' }, { '  trim  ', '^%s*(.-)%s*$' }, { 'x=1', '%x+' }, { 'a', '[a-]' }, { 'a', '[%a-z]' }, { '-', '[%a-z]' },
}

describe('pattern', function()
  for _, case in ipairs(CASES) do
    it(('matches %q with %q as the stock one does'):format(case[1], case[2]), function()
      agree(case[1], case[2])
      agree(case[1], case[2], 2)
      agree(case[1], case[2], -1)
    end)
  end

  it('agrees on 20,000 random patterns', function()
    math.randomseed(42)
    local parts = { 'a', 'b', '.', '%a', '%d', '[ab]', '[^a]', '(a)', '(b*)', '()', '%1', '^', '$', 'a-', '%b()', '%f[a]',
      '(', ')', 'a*', 'b+', '.?', '%s', '1' }
    for _ = 1, 20000 do
      local p, s = {}, {}
      for i = 1, math.random(6) do p[i] = parts[math.random(#parts)] end
      for i = 1, math.random(0, 8) do s[i] = ('ab(1) '):sub(math.random(6)):sub(1, 1) end
      agree(table.concat(s), table.concat(p))
    end
  end)

  it('substitutes as the stock one does', function()
    local cases = {
      { 'hello world', 'o', '0' }, { 'hello', '', '-' }, { 'abc', '%w', '%0%0' }, { 'abc', '(a)(b)', '%2%1' }, { 'abc', '^a', 'x' }, { 'aaa', 'a', 'b', 2 },
      { '$name is $age', '%$(%w+)', { name = 'x' } }, { 'abc', '.', function(c) return c == 'b' and 'B' or nil end }, { 'abc', 'b*', '-' },
      { 'abc', '%w', '%' }, { 'abc', '%w', '%9' }, { 'abc', '%w', {} }, { 'abc', 'x*$', '!' },
      { 'abc', '()', '%1' }, { 'abc', 'a', 5 }, { 'abc', '.', function() return true end },
    }
    for _, case in ipairs(cases) do
      local theirs = outcome(stock.gsub, table.unpack(case, 1, 4))
      assert.equal(theirs, outcome(pattern.gsub, table.unpack(case, 1, 4)), case[1] .. ' ' .. case[2])
    end
  end)

  it('iterates as the stock one does', function()
    for _, case in ipairs { { 'one two three', '%a+' }, { 'k=v, x=y', '(%w)=(%w)' }, { 'abc', '' }, { 'abc', 'b*' }, { '^a^a', '^a' }, { 'abc', '()' } } do
      assert.equal(collect(stock.gmatch, case[1], case[2]), collect(pattern.gmatch, case[1], case[2]))
    end
  end)
end)
