--- json: null, arrays and objects as Lua values, and their JSON text.
-- An object is a plain table. An array is a table that json.array() has marked, so that an empty one stays an array. null is json.null.
local seal = require 'seal'

local byte, format, find, sub, rep = string.byte, string.format, string.find, string.sub, string.rep
local concat, sort = table.concat, table.sort
local floor, mtype, tointeger = math.floor, math.type, math.tointeger
local error, getmetatable, setmetatable, next, tostring, tonumber, type = error, getmetatable, setmetatable, next, tostring, tonumber, type
local utf8_char = utf8.char

local json = {}

local MAX_INTEGER <const> = 2 ^ 53 // 1 | 0
local MAX_DEPTH <const> = 64

local ARRAY = { __name = 'json.array' } -- the metatable of arrays; C takes it from one

--- JSON's null: a value that is there, but holds nothing.
json.null = seal.new({}, 'null')

--- Marks a table as an array, and returns it. Without an argument: a new empty array.
---@param list table?
---@return table
function json.array(list) return setmetatable(list or {}, ARRAY) end

--- Is this a marked array?
---@param value any
---@return boolean
function json.is_array(value) return getmetatable(value) == ARRAY end

-- ---- writing ----

local ESCAPES = { ['"'] = '\\"', ['\\'] = '\\\\', ['\n'] = '\\n', ['\r'] = '\\r', ['\t'] = '\\t', ['\b'] = '\\b', ['\f'] = '\\f' }

local function write_string(text)
  if not find(text, '[%c"\\]') then return '"' .. text .. '"' end
  local out = {}
  for i = 1, #text do
    local c = sub(text, i, i)
    out[i] = ESCAPES[c] or (byte(c) < 32 and format('\\u%04x', byte(c))) or c
  end
  return '"' .. concat(out) .. '"'
end

local function write_number(n, path)
  if mtype(n) == 'integer' then return format('%d', n) end
  if n ~= n or n == 1 / 0 or n == -1 / 0 then error(path .. ': ' .. tostring(n) .. ' cannot be written as JSON', 0) end
  local whole = tointeger(n)
  if whole and whole >= -MAX_INTEGER and whole <= MAX_INTEGER then return format('%d', whole) end
  local text = format('%.15g', n)
  return tonumber(text) == n and text or format('%.17g', n)
end

local write

local function sorted_keys(object, path)
  local keys = {}
  for key in next, object do
    if type(key) ~= 'string' then error(format('%s: keys mix numbers and strings', path), 0) end
    keys[#keys + 1] = key
  end
  sort(keys)
  return keys
end

local function is_list(value)
  return json.is_array(value) or (getmetatable(value) == nil and #value > 0)
end

local function write_table(value, path, indent, depth)
  if depth > MAX_DEPTH then error(path .. ': nested too deeply', 0) end
  local list, parts = is_list(value), {}
  if list then
    local count = 0
    for _ in next, value do count = count + 1 end
    if count ~= #value then error(path .. ': a list with holes or other keys', 0) end
    for i = 1, #value do parts[i] = write(value[i], format('%s[%d]', path, i - 1), indent, depth + 1) end
  else
    for i, key in next, sorted_keys(value, path) do
      parts[i] = write_string(key) .. (indent and ': ' or ':') .. write(value[key], path .. '.' .. key, indent, depth + 1)
    end
  end
  local open, close = list and '[' or '{', list and ']' or '}'
  if not indent or #parts == 0 then return open .. concat(parts, ',') .. close end
  local pad = '\n' .. rep(indent, depth + 1)
  return open .. pad .. concat(parts, ',' .. pad) .. '\n' .. rep(indent, depth) .. close
end

function write(value, path, indent, depth)
  local kind = type(value)
  if value == json.null then return 'null' end
  if kind == 'table' then return write_table(value, path, indent, depth) end
  if kind == 'string' then return write_string(value) end
  if kind == 'number' then return write_number(value, path) end
  if kind == 'boolean' then return tostring(value) end
  error(format('%s: a %s cannot be written as JSON', path, kind), 0)
end

--- JSON text with sorted keys; `indent` (such as two spaces) makes it readable.
---@param value any
---@param indent string?
---@return string
function json.encode(value, indent) return write(value, '$', indent, 0) end

-- ---- reading ----

local read_value

local function fail(state, what) error(format('JSON: %s at byte %d', what, state.at), 0) end

local function skip_space(state) state.at = find(state.text, '[^ \t\r\n]', state.at) or #state.text + 1 end

local UNESCAPES = { b = '\b', f = '\f', n = '\n', r = '\r', t = '\t', ['"'] = '"', ['\\'] = '\\', ['/'] = '/' }

local function read_code_unit(state)
  local digits = sub(state.text, state.at + 2, state.at + 5)
  if not find(digits, '^%x%x%x%x$') then fail(state, 'malformed \\u escape') end
  state.at = state.at + 6
  return tonumber(digits, 16)
end

local function read_escape(state)
  local letter = sub(state.text, state.at + 1, state.at + 1)
  if letter ~= 'u' then
    if not UNESCAPES[letter] then fail(state, 'unknown escape') end
    state.at = state.at + 2
    return UNESCAPES[letter]
  end
  local unit = read_code_unit(state)
  if unit >= 0xd800 and unit < 0xdc00 and sub(state.text, state.at, state.at + 1) == '\\u' then
    local low = read_code_unit(state)
    if low < 0xdc00 or low > 0xdfff then fail(state, 'lone surrogate') end
    unit = 0x10000 + (unit - 0xd800) * 0x400 + (low - 0xdc00)
  elseif unit >= 0xd800 and unit <= 0xdfff then
    fail(state, 'lone surrogate')
  end
  return utf8_char(unit)
end

local function read_string(state)
  local out = {}
  state.at = state.at + 1
  while true do
    local stop = find(state.text, '["\\%c]', state.at)
    if not stop then fail(state, 'string not ended') end
    out[#out + 1] = sub(state.text, state.at, stop - 1)
    state.at = stop
    local c = byte(state.text, stop)
    if c == 34 then
      state.at = stop + 1
      return concat(out)
    end
    if c ~= 92 then fail(state, 'control character in a string') end
    out[#out + 1] = read_escape(state)
  end
end

local function read_number(state)
  local first, last = find(state.text, '^%-?%d+%.?%d*[eE]?[+-]?%d*', state.at)
  local text = first and sub(state.text, first, last)
  if not text or find(text, '^%-?0%d') or find(text, '%.$') or find(text, '%.[eE]') or find(text, '[eE+-]$') then fail(state, 'malformed value') end
  state.at = last + 1
  local n = tonumber(text)
  if find(text, '[.eE]') then
    n = n + 0.0
    if n == 1 / 0 or n == -1 / 0 then fail(state, text .. ' cannot be kept exactly') end
    return floor(n) == n and n >= -MAX_INTEGER and n <= MAX_INTEGER and tointeger(n) or n
  end
  if mtype(n) ~= 'integer' or n > MAX_INTEGER or n < -MAX_INTEGER then fail(state, text .. ' cannot be kept exactly') end
  return n
end

local WORDS = { t = { 'true', true }, f = { 'false', false }, n = { 'null', json.null } }

local function expect(state, text)
  if sub(state.text, state.at, state.at + #text - 1) ~= text then fail(state, "'" .. text .. "' missing") end
  state.at = state.at + #text
end

local function read_list(state, close, item)
  state.depth = state.depth + 1
  if state.depth > MAX_DEPTH then fail(state, 'nested too deeply') end
  state.at = state.at + 1
  skip_space(state)
  if sub(state.text, state.at, state.at) ~= close then
    repeat
      item()
      skip_space(state)
      local c = sub(state.text, state.at, state.at)
      if c ~= ',' and c ~= close then fail(state, "',' or '" .. close .. "' missing") end
      state.at = state.at + 1
    until c == close
  else
    state.at = state.at + 1
  end
  state.depth = state.depth - 1
end

local function read_array(state)
  local list = json.array {}
  read_list(state, ']', function() list[#list + 1] = read_value(state) end)
  return list
end

local function read_object(state)
  local object = {}
  read_list(state, '}', function()
    skip_space(state)
    if byte(state.text, state.at) ~= 34 then fail(state, 'key missing') end
    local key = read_string(state)
    skip_space(state)
    expect(state, ':')
    object[key] = read_value(state)
  end)
  return object
end

function read_value(state)
  skip_space(state)
  local c = sub(state.text, state.at, state.at)
  if c == '{' then return read_object(state) end
  if c == '[' then return read_array(state) end
  if c == '"' then return read_string(state) end
  local word = WORDS[c]
  if not word then return read_number(state) end
  expect(state, word[1])
  return word[2]
end

--- The value of a JSON text. Raises an error that says where the text is malformed.
---@param text string
---@return any
function json.decode(text)
  local state = { text = text, at = 1, depth = 0 }
  local value = read_value(state)
  skip_space(state)
  if state.at <= #text then fail(state, 'more text after the value') end
  return value
end


return json
