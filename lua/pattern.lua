--- pattern: Lua patterns matched by Lua code.
-- The stock matcher is C. No step budget reaches into it, and a pattern of forty bytes can keep it busy for hours. Here every step is a
-- step of the virtual machine. A pattern is split into items once per call. Then the items are matched with backtracking.
local byte, find, sub, char = string.byte, string.find, string.sub, string.char
local concat = table.concat
local error, tostring, type = error, tostring, type
local mtype = math.type

local host = rawget(_G, 'host') or require 'host' -- C's in the binary

local pattern = {}

local MAX_CAPTURES <const> = 32
local MAX_NESTING <const> = 200

-- ---- classes of bytes ----

--- CLASS[letter][byte]: the C locale's answer, asked once when this file is loaded.
local CLASS = {}
for letter in ('acdglpsuwxz'):gmatch '.' do
  local yes, no = {}, {}
  for b = 0, 255 do
    yes[b] = find(char(b), '%' .. letter) ~= nil
    no[b] = not yes[b]
  end
  CLASS[letter], CLASS[letter:upper()] = yes, no
end

local ANY = {}
for b = 0, 255 do ANY[b] = true end

--- The bytes that `%x` stands for.
local function class_of(letter)
  return CLASS[letter] or { [byte(letter)] = true }
end

--- One [set]; `at` is behind the bracket. Returns its bytes and where the pattern goes on.
local function parse_set(p, at)
  local bytes, negated = {}, sub(p, at, at) == '^'
  if negated then at = at + 1 end
  local first = at
  while true do
    local c = sub(p, at, at)
    if c == '' then error('malformed pattern (missing \']\')', 0) end
    if c == ']' and at > first then break end
    if c == '%' then
      local letter = sub(p, at + 1, at + 1)
      if letter == '' then error('malformed pattern (missing \']\')', 0) end
      local class = class_of(letter)
      for b = 0, 255 do
        if class[b] then bytes[b] = true end
      end
      at = at + 2
    elseif sub(p, at + 1, at + 1) == '-' and sub(p, at + 2, at + 2) ~= ']' and at + 2 <= #p then
      for b = byte(c), byte(p, at + 2) do bytes[b] = true end
      at = at + 3
    else
      bytes[byte(c)] = true
      at = at + 1
    end
  end
  if negated then
    for b = 0, 255 do bytes[b] = not bytes[b] end
  end
  return bytes, at + 1
end

-- ---- taking a pattern apart ----

local function parse_escape(p, at, items)
  local letter = sub(p, at + 1, at + 1)
  if letter == '' then error('malformed pattern (ends with \'%\')', 0) end
  if letter == 'b' then
    if at + 3 > #p then error('malformed pattern (missing arguments to \'%b\')', 0) end
    items[#items + 1] = { kind = 'balance', open = byte(p, at + 2), close = byte(p, at + 3) }
    return at + 4
  elseif letter == 'f' then
    if sub(p, at + 2, at + 2) ~= '[' then error('missing \'[\' after \'%f\' in pattern', 0) end
    local bytes, after = parse_set(p, at + 3)
    items[#items + 1] = { kind = 'frontier', bytes = bytes }
    return after
  elseif find(letter, '%d') then
    items[#items + 1] = { kind = 'back', index = byte(letter) - 48 }
    return at + 2
  end
  return at + 2, class_of(letter)
end

local QUANTIFIER = { ['*'] = 'most', ['+'] = 'most', ['-'] = 'least', ['?'] = 'maybe' }

--- A test of one byte, and the repetition that follows it.
local function add_test(p, at, bytes, items)
  local mark = sub(p, at, at)
  local kind = QUANTIFIER[mark]
  if mark == '+' then items[#items + 1] = { kind = 'one', bytes = bytes } end
  items[#items + 1] = { kind = kind or 'one', bytes = bytes }
  return kind and at + 1 or at
end

--- The items of a pattern from position `at`.
local function parse(p, at)
  local items = {}
  while at <= #p do
    local c, bytes = sub(p, at, at), nil
    if c == '(' then
      local position = sub(p, at + 1, at + 1) == ')'
      items[#items + 1] = { kind = position and 'position' or 'open' }
      at = at + (position and 2 or 1)
    elseif c == ')' then
      items[#items + 1] = { kind = 'close' }
      at = at + 1
    elseif c == '$' and at == #p then
      items[#items + 1] = { kind = 'end' }
      at = at + 1
    elseif c == '%' then
      at, bytes = parse_escape(p, at, items)
    elseif c == '[' then
      bytes, at = parse_set(p, at + 1)
    elseif c == '.' then
      bytes, at = ANY, at + 1
    else
      bytes, at = { [byte(c)] = true }, at + 1
    end
    if bytes then at = add_test(p, at, bytes, items) end
  end
  return items
end

-- ---- matching ----

local OPEN <const>, POSITION <const> = -1, -2

--- Where a run of bytes that pass a test ends.
local function run_length(s, at, bytes)
  local n = 0
  while true do
    local b = byte(s, at + n)
    if not b or not bytes[b] then return n end
    n = n + 1
  end
end

local function balance(s, at, item)
  if byte(s, at) ~= item.open then return nil end
  local depth = 1
  for i = at + 1, #s do
    local b = byte(s, i)
    if b == item.close then
      depth = depth - 1
      if depth == 0 then return i + 1 end
    elseif b == item.open then
      depth = depth + 1
    end
  end
end

--- Matches the text of an earlier capture.
local function back_reference(m, at, index)
  local length = index >= 1 and m.lengths[index]
  if not length or index > m.count or length == OPEN then error('invalid capture index %' .. index, 0) end
  if length == POSITION then return nil end -- a place is no text
  local first = m.starts[index]
  if sub(m.s, first, first + length - 1) ~= sub(m.s, at, at + length - 1) or at + length - 1 > #m.s then return nil end
  return at + length
end

local match

--- Matches the rest after a new capture. A failure takes the capture back.
local function open_capture(m, i, at, length)
  if m.count >= MAX_CAPTURES then error('too many captures', 0) end
  m.count = m.count + 1
  m.starts[m.count], m.lengths[m.count] = at, length
  local stop = match(m, i + 1, at)
  if not stop then m.count = m.count - 1 end
  return stop
end

local function close_capture(m, i, at)
  local index
  for c = m.count, 1, -1 do
    if m.lengths[c] == OPEN then
      index = c
      break
    end
  end
  if not index then error('invalid pattern capture', 0) end
  m.lengths[index] = at - m.starts[index]
  local stop = match(m, i + 1, at)
  if not stop then m.lengths[index] = OPEN end
  return stop
end

local function match_most(m, i, at, bytes)
  for n = run_length(m.s, at, bytes), 0, -1 do
    local stop = match(m, i + 1, at + n)
    if stop then return stop end
  end
end

local function match_least(m, i, at, bytes)
  while true do
    local stop = match(m, i + 1, at)
    if stop then return stop end
    local b = byte(m.s, at)
    if not b or not bytes[b] then return nil end
    at = at + 1
  end
end

--- Matches an item that neither branches nor nests. Returns where the subject goes on, or nil.
local function step(m, item, at)
  local kind = item.kind
  if kind == 'balance' then return balance(m.s, at, item) end
  if kind == 'back' then return back_reference(m, at, item.index) end
  if kind == 'end' then return at == #m.s + 1 and at or nil end
  local before, here = byte(m.s, at - 1) or 0, byte(m.s, at) or 0
  if at == 1 then before = 0 end
  return not item.bytes[before] and item.bytes[here] and at or nil
end

--- Items that may have to be tried in several ways. Each of them matches the rest of the pattern by itself.
local BRANCH = {
  most = function(m, i, at, item) return match_most(m, i, at, item.bytes) end,
  least = function(m, i, at, item) return match_least(m, i, at, item.bytes) end,
  maybe = function(m, i, at, item)
    local b = byte(m.s, at)
    local stop = b and item.bytes[b] and match(m, i + 1, at + 1)
    return stop or match(m, i + 1, at)
  end,
  open = function(m, i, at) return open_capture(m, i, at, OPEN) end,
  position = function(m, i, at) return open_capture(m, i, at, POSITION) end,
  close = close_capture,
}

--- Matches items from the i-th on at a place of the subject. Returns where the match ends, or nil.
function match(m, i, at)
  m.nesting = m.nesting + 1
  if m.nesting > MAX_NESTING then error('pattern too complex', 0) end
  local stop
  while true do
    local item = m.items[i]
    if not item then
      stop = at
      break
    end
    local branch = BRANCH[item.kind]
    if branch then
      stop = branch(m, i, at, item)
      break
    end
    if item.kind == 'one' then
      local b = byte(m.s, at)
      at = b and item.bytes[b] and at + 1 or nil
    else
      at = step(m, item, at)
    end
    if not at then break end
    i = i + 1
  end
  m.nesting = m.nesting - 1
  return stop or nil
end

local function new_match(s, items)
  return { s = s, items = items, starts = {}, lengths = {}, count = 0, nesting = 0 }
end

--- One try at a place; captures start anew.
local function try(m, at)
  m.count, m.nesting = 0, 0
  return match(m, 1, at)
end

local function capture(m, index, first, stop)
  if index > m.count then
    if index ~= 1 then error('invalid capture index %' .. index, 0) end
    return sub(m.s, first, stop - 1)
  end
  local length = m.lengths[index]
  if length == OPEN then error('unfinished capture', 0) end
  if length == POSITION then return m.starts[index] end
  return sub(m.s, m.starts[index], m.starts[index] + length - 1)
end

--- All captures, or the whole match when there is none.
local function captures(m, first, stop, whole_if_none)
  local list, count = {}, m.count
  if count == 0 and whole_if_none then count = 1 end
  for i = 1, count do list[i] = capture(m, i, first, stop) end
  return list, count
end

-- ---- the functions of the string library ----

local unpack = table.unpack

local function text_of(value, what)
  if type(value) == 'string' then return value end
  if type(value) == 'number' then return tostring(value) end
  error(('bad argument to \'%s\' (string expected, got %s)'):format(what, type(value)), 3)
end

local function start_of(init, length)
  init = init or 1
  if init < 0 then init = length + init + 1 end
  return init < 1 and 1 or init
end

local function search(s, p, init)
  local anchored = byte(p) == 94
  local m = new_match(s, parse(p, anchored and 2 or 1))
  for at = init, anchored and init or #s + 1 do
    local stop = try(m, at)
    if stop then return m, at, stop end
  end
end

--- string.find
---@return integer?, integer?, ...
function pattern.find(s, p, init, plain)
  s, p = text_of(s, 'find'), text_of(p, 'find')
  init = start_of(init, #s)
  if init > #s + 1 then return nil end
  if plain or not find(p, '[%^%$%*%+%?%.%(%[%%%-]') then return host.find(s, p, init) end
  local m, first, stop = search(s, p, init)
  if not m then return nil end
  local list, count = captures(m, first, stop, false)
  return first, stop - 1, unpack(list, 1, count)
end

--- string.match
function pattern.match(s, p, init)
  s, p = text_of(s, 'match'), text_of(p, 'match')
  init = start_of(init, #s)
  if init > #s + 1 then return nil end
  local m, first, stop = search(s, p, init)
  if not m then return nil end
  local list, count = captures(m, first, stop, true)
  return unpack(list, 1, count)
end

--- string.gmatch
function pattern.gmatch(s, p, init)
  s, p = text_of(s, 'gmatch'), text_of(p, 'gmatch')
  local m, at, last = new_match(s, parse(p, 1)), start_of(init, #s), nil
  return function()
    while at <= #s + 1 do
      local first, stop = at, try(m, at)
      if stop and stop ~= last then
        at, last = stop, stop
        local list, count = captures(m, first, stop, true)
        return unpack(list, 1, count)
      end
      at = at + 1
    end
  end
end

--- A replacement text with its %0 to %9.
local function expand(m, text, first, stop)
  local out, at = {}, 1
  while true do
    local mark = find(text, '%', at, true)
    if not mark then break end
    out[#out + 1] = sub(text, at, mark - 1)
    local letter = sub(text, mark + 1, mark + 1)
    if letter == '%' then
      out[#out + 1] = '%'
    elseif letter == '0' then
      out[#out + 1] = sub(m.s, first, stop - 1)
    elseif find(letter, '^%d$') then
      out[#out + 1] = tostring(capture(m, byte(letter) - 48, first, stop))
    else
      error('invalid use of \'%\' in replacement string', 0)
    end
    at = mark + 2
  end
  out[#out + 1] = sub(text, at)
  return concat(out)
end

local function replacement(m, repl, first, stop)
  local value
  if type(repl) == 'string' then return expand(m, repl, first, stop) end
  if type(repl) == 'table' then
    value = repl[capture(m, 1, first, stop)]
  else
    local list, count = captures(m, first, stop, true)
    value = repl(unpack(list, 1, count))
  end
  if not value then return sub(m.s, first, stop - 1) end
  if type(value) ~= 'string' and type(value) ~= 'number' then error('invalid replacement value (a ' .. type(value) .. ')', 0) end
  return tostring(value)
end

--- string.gsub
---@return string, integer
function pattern.gsub(s, p, repl, n)
  s, p = text_of(s, 'gsub'), text_of(p, 'gsub')
  if mtype(repl) then repl = tostring(repl) end
  if type(repl) ~= 'string' and type(repl) ~= 'table' and type(repl) ~= 'function' then
    error('bad argument #3 to \'gsub\' (string/function/table expected, got ' .. type(repl) .. ')', 2)
  end
  local anchored = byte(p) == 94
  local m, out, at, last, count = new_match(s, parse(p, anchored and 2 or 1)), {}, 1, nil, 0
  while not n or count < n do
    local stop = try(m, at)
    if stop and stop ~= last then
      count = count + 1
      out[#out + 1] = replacement(m, repl, at, stop)
      at, last = stop, stop
    elseif at <= #s then
      out[#out + 1] = sub(s, at, at)
      at = at + 1
    else
      break
    end
    if anchored then break end
  end
  out[#out + 1] = sub(s, at)
  return concat(out), count
end

return pattern
