--- sandbox: the environment policies run in, built from an allow-list.
-- What could run away inside C is Lua here, so that the machine's own count covers it; what would differ from run to run (the order of pairs,
-- addresses in tostring) does not exist.
local pattern = require 'pattern'

local assert, error, getmetatable, ipairs, next, pcall, rawequal, rawget, rawlen, rawset, select, setmetatable, tonumber, tostring, type =
  assert, error, getmetatable, ipairs, next, pcall, rawequal, rawget, rawlen, rawset, select, setmetatable, tonumber, tostring, type
local rep, format, gsub, sub, find = string.rep, string.format, string.gsub, string.sub, string.find
local concat, sort, raw_unpack, raw_pack = table.concat, table.sort, table.unpack, table.pack
local mtype = math.type
local lua_string, lua_math, lua_utf8 = string, math, utf8

local sandbox = {}

local MAX_ITEMS <const> = 10000 -- what unpack may put on the stack

-- ---- iteration in a fixed order ----

--- The keys of a table: integers first, ascending, then strings bytewise.
local function sorted_keys(t)
  local numbers, strings = {}, {}
  for key in next, t do
    if mtype(key) == 'integer' then
      numbers[#numbers + 1] = key
    elseif type(key) == 'string' then
      strings[#strings + 1] = key
    else
      error(('a table with a %s as key has no order'):format(type(key)), 3)
    end
  end
  sort(numbers)
  sort(strings)
  for i = 1, #strings do numbers[#numbers + 1] = strings[i] end
  return numbers
end

local function safe_pairs(t)
  local mt = getmetatable(t)
  local own = type(mt) == 'table' and rawget(mt, '__pairs')
  if own then return own(t) end
  if type(t) ~= 'table' then error(("bad argument #1 to 'pairs' (table expected, got %s)"):format(type(t)), 2) end
  local keys, i = sorted_keys(t), 0
  return function()
    i = i + 1
    local key = keys[i]
    while key ~= nil and t[key] == nil do -- removed meanwhile
      i = i + 1
      key = keys[i]
    end
    if key ~= nil then return key, t[key] end
  end
end

local function safe_next(t, key)
  if type(t) ~= 'table' then error(("bad argument #1 to 'next' (table expected, got %s)"):format(type(t)), 2) end
  local keys = sorted_keys(t)
  if key == nil then return keys[1], keys[1] ~= nil and t[keys[1]] or nil end
  for i, each in ipairs(keys) do
    if each == key then return keys[i + 1], keys[i + 1] ~= nil and t[keys[i + 1]] or nil end
  end
  error('no such key for next', 2)
end

-- ---- base functions ----

--- A function or a table is never told apart by its address.
local function safe_tostring(value)
  local mt = type(value) == 'table' and getmetatable(value)
  local own = type(mt) == 'table' and rawget(mt, '__tostring')
  if own then
    local text = own(value)
    if type(text) ~= 'string' then error("'__tostring' must return a string", 2) end
    return text
  end
  local kind = type(value)
  return (kind == 'table' or kind == 'function' or kind == 'userdata' or kind == 'thread') and kind or tostring(value)
end

local function safe_getmetatable(value)
  if type(value) == 'string' then return false end
  return getmetatable(value)
end

local FROZEN = {} -- the proxies of libraries

local FORBIDDEN = { __gc = true, __mode = true, __close = true }

local function safe_setmetatable(t, mt)
  if type(t) ~= 'table' then error(("bad argument #1 to 'setmetatable' (table expected, got %s)"):format(type(t)), 2) end
  if mt ~= nil and type(mt) ~= 'table' then error("bad argument #2 to 'setmetatable' (nil or table expected)", 2) end
  for name in next, FORBIDDEN do
    if mt and rawget(mt, name) ~= nil then error("metatable field '" .. name .. "' is not allowed", 2) end
  end
  return setmetatable(t, mt)
end

--- Setting one of these later would get around safe_setmetatable.
local function safe_rawset(t, key, value)
  if FORBIDDEN[key] then error("field '" .. key .. "' is not allowed", 2) end
  if FROZEN[t] then error('libraries cannot be changed', 2) end
  return rawset(t, key, value)
end

--- An error of the budget cannot be caught: what is spent is spent.
local function make_pcall(host)
  local function pass(ok, ...)
    if not ok and host.spent() then error((...), 0) end
    return ok, ...
  end
  return function(fn, ...) return pass(pcall(fn, ...)) end
end

-- ---- string ----

--- Texts of tables come from safe_tostring; %p would show an address; widths have two digits at most, as in stock Lua.
local function safe_format(text, ...)
  if type(text) ~= 'string' then error("bad argument #1 to 'format' (string expected)", 2) end
  if find(gsub(text, '%%%%', ''), '%%[-+ #0%d.]*p') then error("'%p' is not allowed in format", 2) end
  local arguments = raw_pack(...)
  for i = 1, arguments.n do
    if type(arguments[i]) == 'table' or type(arguments[i]) == 'function' then arguments[i] = safe_tostring(arguments[i]) end
  end
  return format(text, raw_unpack(arguments, 1, arguments.n))
end

local function make_string(host)
  local S = {}
  for _, name in ipairs { 'len', 'sub', 'upper', 'lower', 'reverse', 'byte', 'char' } do S[name] = lua_string[name] end
  S.find, S.match, S.gmatch, S.gsub = pattern.find, pattern.match, pattern.gmatch, pattern.gsub

  function S.rep(s, n, separator)
    s, separator = tostring(s), separator or ''
    n = mtype(n) == 'integer' and n or error("bad argument #2 to 'rep' (integer expected)", 2)
    if n <= 0 or (#s == 0 and #separator == 0) then return '' end
    if n > host.max_string // (#s + #separator) then error('resulting string too large', 2) end
    return rep(s, n, separator)
  end

  S.format = safe_format
  return S
end

-- ---- table ----

local T = {}

local function check_table(t, name)
  if type(t) ~= 'table' then error(("bad argument #1 to '%s' (table expected, got %s)"):format(name, type(t)), 3) end
end

function T.concat(list, separator, first, last)
  check_table(list, 'concat')
  first, last, separator = first or 1, last or #list, separator or ''
  for i = first, last do
    local kind = type(list[i])
    if kind ~= 'string' and kind ~= 'number' then error(("invalid value (at index %d) in table for 'concat'"):format(i), 2) end
  end
  return concat(list, separator, first, last)
end

function T.insert(list, ...)
  check_table(list, 'insert')
  local count, size = select('#', ...), #list
  if count == 1 then
    list[size + 1] = (...)
  elseif count == 2 then
    local at, value = ...
    if mtype(at) ~= 'integer' or at < 1 or at > size + 1 then error("bad argument #2 to 'insert' (position out of bounds)", 2) end
    for i = size, at, -1 do list[i + 1] = list[i] end
    list[at] = value
  else
    error("wrong number of arguments to 'insert'", 2)
  end
end

function T.remove(list, at)
  check_table(list, 'remove')
  local size = #list
  if at == nil then at = size end
  if mtype(at) ~= 'integer' or (size + 1 ~= at and (at < 1 or at > size + 1) and not (size == 0 and at == 0)) then
    error("bad argument #2 to 'remove' (position out of bounds)", 2)
  end
  local value = list[at]
  for i = at, size - 1 do list[i] = list[i + 1] end
  if at <= size then list[size] = nil end
  return value
end

function T.move(from, first, last, at, to)
  check_table(from, 'move')
  to = to or from
  if last < first then return to end
  if at > last or at <= first or to ~= from then
    for i = 0, last - first do to[at + i] = from[first + i] end
  else
    for i = last - first, 0, -1 do to[at + i] = from[first + i] end
  end
  return to
end

function T.unpack(list, first, last)
  first, last = first or 1, last or #list
  if last - first >= MAX_ITEMS or last - first < -(1 << 62) then error('too many results to unpack', 2) end
  return raw_unpack(list, first, last)
end

T.pack = raw_pack

--- Merges two sorted halves of `from` into `to`.
local function merge_runs(from, to, low, middle, high, before)
  local i, j = low, middle
  for k = low, high - 1 do
    if i < middle and (j >= high or not before(from[j], from[i])) then
      to[k], i = from[i], i + 1
    else
      to[k], j = from[j], j + 1
    end
  end
end

--- A stable merge sort: a comparison that lies gives a wrong order and nothing worse.
function T.sort(list, before)
  check_table(list, 'sort')
  before = before or function(a, b) return a < b end
  local size, from, to = #list, {}, {}
  for i = 1, size do from[i] = list[i] end
  local width = 1
  while width < size do
    for low = 1, size, 2 * width do
      local middle, high = low + width, low + 2 * width
      merge_runs(from, to, low, middle > size + 1 and size + 1 or middle, high > size + 1 and size + 1 or high, before)
    end
    from, to = to, from
    width = width * 2
  end
  for i = 1, size do list[i] = from[i] end
end

-- ---- the environment ----

--- A library that can be read and not changed.
local function frozen(library, name)
  local proxy = setmetatable({}, {
    __index = library,
    __newindex = function(_, key) error(("library '%s' cannot be changed (field '%s')"):format(name, tostring(key)), 2) end,
    __metatable = false,
  })
  FROZEN[proxy] = true
  return proxy
end

local function copy_without(library, ...)
  local copy = {}
  for key, value in next, library do copy[key] = value end
  for _, name in ipairs { ... } do copy[name] = nil end
  return copy
end

--- Everything policies may use, by name. Methods of strings become the safe ones for all of this machine.
---@param host table
---@return table
function sandbox.new(host)
  local S = make_string(host)
  getmetatable('').__index = S
  return setmetatable({
    assert = assert, error = error, getmetatable = safe_getmetatable, ipairs = ipairs, next = safe_next, pairs = safe_pairs,
    pcall = make_pcall(host), rawequal = rawequal, rawget = rawget, rawlen = rawlen, rawset = safe_rawset, select = select,
    setmetatable = safe_setmetatable, tonumber = tonumber, tostring = safe_tostring, type = type,
    math = frozen(copy_without(lua_math, 'random', 'randomseed'), 'math'),
    string = frozen(S, 'string'), table = frozen(T, 'table'), utf8 = frozen(copy_without(lua_utf8), 'utf8'),
    _VERSION = 'Lua 5.4', [sandbox] = host,
  }, { __index = function(_, name) error(("unknown global '%s'"):format(safe_tostring(name)), 2) end })
end

local LEVELS = { 'debug', 'info', 'warn', 'error' }

local function make_log(host, file)
  local policy, log = sub(file, -4) == '.lua' and sub(file, 1, -5) or file, {}
  for _, level in ipairs(LEVELS) do
    log[level] = function(text, ...) host.log(level, policy, select('#', ...) > 0 and safe_format(text, ...) or safe_tostring(text)) end
  end
  return frozen(log, 'log')
end

--- The globals of one file: it can read what base has and its own require and log, and set nothing.
---@param base table
---@param file string
---@param require function
---@return table
function sandbox.env_for(base, file, require)
  local own = setmetatable({ require = require, log = make_log(base[sandbox], file) }, { __index = base })
  return setmetatable({}, { __index = own,
    __newindex = function(_, name) error(("assignment to global '%s': use local"):format(safe_tostring(name)), 2) end,
    __metatable = false,
  })
end

return sandbox
