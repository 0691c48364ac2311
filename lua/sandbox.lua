--- sandbox: the environment policies run in, built from an allow-list.
-- Functions that could run on inside C are Lua here, so that the machine's own count covers them. Nothing differs from run to run: pairs
-- has a fixed order, and tostring shows no addresses. What policies share is sealed, and no policy ever holds a metatable that is in use.
local log = require 'log'
local pattern = require 'pattern'
local plain = require 'plain'
local seal = require 'seal'

local assert, error, getmetatable, ipairs, next, pcall, rawequal, rawget, rawlen, rawset, select, setmetatable, tonumber, tostring, type =
  assert, error, getmetatable, ipairs, next, pcall, rawequal, rawget, rawlen, rawset, select, setmetatable, tonumber, tostring, type
local rep = string.rep
local sort, raw_unpack, raw_pack = table.sort, table.unpack, table.pack
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
  if type(t) ~= 'table' then error(("bad argument #1 to 'pairs' (table expected, got %s)"):format(type(t)), 2) end
  local mt = getmetatable(t)
  local own = mt and rawget(mt, '__pairs')
  if own then return own(t) end
  local keys, i = sorted_keys(mt == false and seal.content(t) or t), 0
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
  local keys = sorted_keys(seal.content(t) or t)
  if key == nil then return keys[1], keys[1] ~= nil and t[keys[1]] or nil end
  for i, each in ipairs(keys) do
    if each == key then return keys[i + 1], keys[i + 1] ~= nil and t[keys[i + 1]] or nil end
  end
  error('no such key for next', 2)
end

-- ---- base functions ----

-- The metafields that a policy can set. Those of the collector are not among them: finalizers run where no budget reaches.
local METAFIELDS = {
  '__index', '__newindex', '__call', '__tostring', '__pairs', '__len', '__eq', '__lt', '__le', '__concat', '__unm', '__add', '__sub', '__mul',
  '__div', '__idiv', '__mod', '__pow', '__band', '__bor', '__bxor', '__bnot', '__shl', '__shr',
}
local FORBIDDEN = { '__gc', '__mode', '__close', '__metatable' }

local MADE = {} -- marks the metatables that safe_setmetatable has made

--- Tables behind __index and __newindex become functions. A chain of them then takes many steps; C would follow it in one.
local BEHIND = {
  __index = function(behind) return function(_, key) return behind[key] end end,
  __newindex = function(behind) return function(_, key, value) behind[key] = value end end,
}

--- A metatable with what `mt` holds now. It may hold only functions: C would follow chains of callable tables in one step as well.
local function metatable_like(mt)
  local made = { [MADE] = true }
  for _, name in ipairs(FORBIDDEN) do
    if rawget(mt, name) ~= nil then error("metatable field '" .. name .. "' is not allowed", 3) end
  end
  for _, name in ipairs(METAFIELDS) do
    local field = rawget(mt, name)
    if type(field) == 'table' and BEHIND[name] then field = BEHIND[name](field) end
    if field ~= nil and type(field) ~= 'function' then
      error(("metatable field '%s' must be a function%s, not a %s"):format(name, BEHIND[name] and ' or a table' or '', type(field)), 3)
    end
    made[name] = field
  end
  return made
end

--- Copies the metafields: what is done to `mt` afterwards changes nothing.
local function safe_setmetatable(t, mt)
  if type(t) ~= 'table' then error(("bad argument #1 to 'setmetatable' (table expected, got %s)"):format(type(t)), 2) end
  if mt ~= nil and type(mt) ~= 'table' then error("bad argument #2 to 'setmetatable' (nil or table expected)", 2) end
  if seal.content(t) then error(('%s keeps its metatable'):format(plain.text(t)), 2) end
  return setmetatable(t, mt and metatable_like(mt))
end

--- A copy of what setmetatable was given, false for a metatable of ours.
local function safe_getmetatable(value)
  if type(value) == 'string' then return false end
  local mt = getmetatable(value)
  if not mt then return mt end
  if not mt[MADE] then return false end
  local copy = {}
  for _, name in ipairs(METAFIELDS) do copy[name] = mt[name] end
  return copy
end

local function safe_rawset(t, key, value)
  if seal.content(t) then error(seal.refusal(t, key), 2) end
  return rawset(t, key, value)
end

--- An error of the budget cannot be caught, because the budget stays spent.
local function make_pcall(host, mark, unwind)
  local function pass(at, ok, ...)
    if not ok and host.spent() then error((...), 0) end
    if not ok and unwind then unwind(at) end
    return ok, ...
  end
  return function(fn, ...) return pass(mark and mark(), pcall(fn, ...)) end
end

-- ---- string ----

--- An argument of rep as a text.
local function text_or_number(value, position)
  if type(value) == 'string' then return value end
  if type(value) == 'number' then return tostring(value) end
  error(("bad argument #%d to 'rep' (string expected, got %s)"):format(position, type(value)), 3)
end

local function make_string(host)
  local S = {}
  for _, name in ipairs { 'len', 'sub', 'upper', 'lower', 'reverse', 'byte', 'char' } do S[name] = lua_string[name] end
  S.find, S.match, S.gmatch, S.gsub = pattern.find, pattern.match, pattern.gmatch, pattern.gsub

  function S.rep(s, n, separator)
    s, separator = text_or_number(s, 1), separator == nil and '' or text_or_number(separator, 3)
    n = mtype(n) == 'integer' and n or error("bad argument #2 to 'rep' (integer expected)", 2)
    if n <= 0 or (#s == 0 and #separator == 0) then return '' end
    if n > host.max_string // (#s + #separator) then error('resulting string too large', 2) end
    return rep(s, n, separator)
  end

  S.format = plain.format
  return S
end

-- ---- table ----

local T = {}

local function check_table(t, name)
  if type(t) ~= 'table' then error(("bad argument #1 to '%s' (table expected, got %s)"):format(name, type(t)), 3) end
end

T.concat = plain.concat

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

local HOSTS = setmetatable({}, { __mode = 'k' }) -- what sandbox.new returned -> its host

local function copy_without(library, ...)
  local copy = {}
  for key, value in next, library do copy[key] = value end
  for _, name in ipairs { ... } do copy[name] = nil end
  return copy
end

--- Everything that policies may use, by name. Methods of strings become the safe ones in this whole machine.
---@param host table
---@param mark (fun(): any)? called before pcall; when pcall has caught an error, `unwind` gets the result
---@param unwind fun(at: any)?
---@return table
function sandbox.new(host, mark, unwind)
  local S = make_string(host)
  getmetatable('').__index = S
  local base = setmetatable({
    assert = assert, error = error, getmetatable = safe_getmetatable, ipairs = ipairs, next = safe_next, pairs = safe_pairs,
    pcall = make_pcall(host, mark, unwind), rawequal = rawequal, rawget = rawget, rawlen = rawlen, rawset = safe_rawset, select = select,
    setmetatable = safe_setmetatable, tonumber = tonumber, tostring = plain.text, type = type,
    math = seal.new(copy_without(lua_math, 'random', 'randomseed'), "library 'math'"), string = seal.new(S, "library 'string'"),
    table = seal.new(T, "library 'table'"), utf8 = seal.new(copy_without(lua_utf8), "library 'utf8'"),
    _VERSION = 'Lua 5.4',
  }, { __index = function(_, name) error(("unknown global '%s'"):format(plain.text(name)), 2) end })
  HOSTS[base] = host
  return base
end

--- The globals of one file. It can read what base has, and its own require and log. It can set nothing.
---@param base table
---@param file string
---@param require function
---@return table
function sandbox.env_for(base, file, require)
  local own = setmetatable({ require = require, log = log.new(HOSTS[base], file) }, { __index = base })
  return seal.new(own, 'the environment', "assignment to global '%s': use local")
end

return sandbox
