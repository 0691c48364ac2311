--- lines: which lines of a file can run, for those who count the lines that did.
-- Lua tells those of a function, but a function that stands in one that was never called does not exist. So they are read from the compiled
-- form, which is the same in all of Lua 5.4.
local load = load
local dump, sub, unpack = string.dump, string.sub, string.unpack

local lines = {}

-- The form of Lua 5.4: its version, its marks, and that instructions take 4 bytes, integers and numbers 8.
local HEADER <const> = '\27Lua\x54\0\x19\x93\r\n\26\n\4\8\8'
local FIRST <const> = #HEADER + 8 + 8 + 1 + 1 -- where the main function begins: behind an integer, a number, and how many upvalues it has

local INSTRUCTION <const> = 4
local JUMP <const> = 56
local LEAVES = { [69] = true, [70] = true, [71] = true, [72] = true } -- the tail call and the three forms of return
local LINE_ELSEWHERE <const> = -128 -- the line of this instruction stands in the list of whole lines

local CONSTANTS = { [0x03] = 8, [0x13] = 8, [0x04] = 'text', [0x14] = 'text' } -- what follows the type; of the others, nothing

---@class Reader
---@field form string
---@field at integer

local function byte(from)
  from.at = from.at + 1
  return from.form:byte(from.at - 1)
end

--- A number in groups of seven bits, the last of which is marked.
local function number(from)
  local value = 0
  repeat
    local group = byte(from)
    value = value << 7 | group & 0x7f
  until group >= 0x80
  return value
end

local function skip(from, bytes) from.at = from.at + bytes end

local function skip_text(from)
  local size = number(from)
  skip(from, size > 0 and size - 1 or 0)
end

local function skip_constants(from)
  for _ = 1, number(from) do
    local size = CONSTANTS[byte(from)]
    if size == 'text' then skip_text(from) else skip(from, size or 0) end
  end
end

--- The instructions that nothing leads to: they stand behind a return, and no jump ends there.
local function read_dead(from)
  local dead, reached, after_return = {}, {}, false
  for i = 0, number(from) - 1 do
    local instruction = unpack('I4', from.form, from.at)
    local operation = instruction & 0x7f
    skip(from, INSTRUCTION)
    if operation == JUMP then reached[i + 1 + (instruction >> 7) - 0xffffff] = true end
    dead[i], after_return = after_return, LEAVES[operation] or false
  end
  for i in pairs(reached) do dead[i] = false end
  return dead
end

--- Notes the lines of a function's instructions but the last, which returns at `end` what was not returned before: no line of anybody's.
local function read_lines(from, line, is_vararg, dead, found)
  local count = number(from)
  local deltas = from.at
  skip(from, count)
  local whole = {}
  for i = 1, number(from) do
    number(from)
    whole[i] = number(from)
  end
  local next_whole = 1
  for i = 0, count - 2 do
    local delta = unpack('b', from.form, deltas + i)
    if delta == LINE_ELSEWHERE then
      line, next_whole = whole[next_whole], next_whole + 1
    else
      line = line + delta
    end
    local prepares = i == 0 and is_vararg -- `...`, for which Lua calls no hook
    if not prepares and not dead[i] then found[line] = true end
  end
end

local function read_function(from, found)
  skip_text(from)
  local defined = number(from)
  number(from)
  local is_vararg = from.form:byte(from.at + 1) ~= 0
  skip(from, 3)
  local dead = read_dead(from)
  skip_constants(from)
  skip(from, 3 * number(from))
  for _ = 1, number(from) do read_function(from, found) end
  read_lines(from, defined, is_vararg, dead, found)
  for _ = 1, number(from) do
    skip_text(from)
    number(from)
    number(from)
  end
  for _ = 1, number(from) do skip_text(from) end
end

--- The numbers of the lines that can run, ascending. Raises when the text does not compile.
---@param text string
---@param name string
---@return integer[]
function lines.of(text, name)
  local form, found, result = dump(assert(load(text, '@' .. name, 't'))), {}, {}
  assert(sub(form, 1, #HEADER) == HEADER, 'a compiled form that is not that of Lua 5.4')
  read_function({ form = form, at = FIRST }, found)
  for line in pairs(found) do result[#result + 1] = line end
  table.sort(result)
  return result
end

return lines
