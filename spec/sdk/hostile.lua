--- hostile: a policy that walks all it can reach and tries to change it, at random from the seed in the file `seed`.
-- Its random programs call, read, write and put metatables on whatever they got hold of, with objects that keep every value they are shown.
-- Nothing here knows what is right: victim.lua, behind it in the bundle, says whether anything has changed for others, and
-- reach_spec.lua whether anything has changed at all.
-- luacheck: read_globals log
local policy = require 'policy'

local NAMES = {
  'assert', 'error', 'getmetatable', 'ipairs', 'next', 'pairs', 'pcall', 'rawequal', 'rawget', 'rawlen', 'rawset', 'select', 'setmetatable',
  'tonumber', 'tostring', 'type', 'require', 'log', 'math', 'string', 'table', 'utf8', '_ENV',
}
local MODULES = { 'policy', 'json', 'k8s', 'schema', 'text', 'quantity', 'conditions', 'ready', 'times', 'semver', 'cidr' }
local FIELDS = {
  '__index', '__newindex', '__call', '__gc', '__mode', '__close', '__metatable', '__name', '__tostring', '__pairs', '__len', '__eq', '__lt',
  '__le', '__concat', '__add', 'array_mt', 'array', 'null', 'get', 'add', 'render', 'kind', 'fallback', 'metadata', 'name', 'upper', 'x', 1,
}
local TEXTS = { '', 'a', 'a.b', '%s', '%d', '%5.1f', '%q', '(a*)b', '[a-c]+', '{"a":[1]}', '2026-01-02T03:04:05Z', '100m', 'json', 'a/b', '=',
  '>=1.2 || ^2', '10.0.0.0/8' }
local PLAIN = { true, false, 0, 1, -1, 2, 3, 7, 1.5, 1 << 62, -(1 << 62), 0 / 0 }

local state = tonumber(policy.file 'seed')

--- A whole number from 1 to n.
local function random(n)
  state = state * 6364136223846793005 + 1442695040888963407
  return (state >> 33) % n + 1
end

local function one_of(list) return list[random(#list)] end

local pool, texts = {}, {} -- tables and functions that were reached; every text that came back

local function keep(value)
  local kind = type(value)
  if kind == 'string' then
    texts[#texts % 200 + 1] = value
  elseif (kind == 'table' or kind == 'function') and #pool < 400 then
    pool[#pool + 1] = value
  elseif kind == 'table' or kind == 'function' then
    pool[random(400)] = value
  end
  return value
end

local some

--- A metatable whose functions keep what they are given and answer with anything.
local function spy()
  local function answer(...)
    for i = 1, select('#', ...) do keep((select(i, ...))) end
    if random(2) == 1 then return some() end
  end
  local mt = { __index = answer, __newindex = answer, __call = answer, __eq = answer, __lt = answer, __le = answer, __concat = answer, __add = answer }
  if random(2) == 1 then mt.__len = function() return random(3) end end
  if random(3) == 1 then mt.__tostring = function() return one_of(TEXTS) end end
  if random(3) == 1 then mt.__pairs = function(t) return function(_, k) if not k then return answer(t) or 1, some() end end end end
  if random(4) == 1 then mt.__index = some() end
  if random(6) == 1 then mt[one_of(FIELDS)] = some() end
  return mt
end

--- Any value: a plain one, something reached, or a new table.
function some()
  local kind = random(10)
  if kind <= 2 then return one_of(PLAIN) end
  if kind <= 4 then return one_of(TEXTS) end
  if kind <= 7 then return one_of(pool) end
  if kind == 8 then return { one_of(TEXTS), one_of(PLAIN) } end
  if kind == 9 then return { [one_of(FIELDS)] = one_of(pool), name = one_of(TEXTS), a = { b = one_of(PLAIN) } } end
  local _, spied = pcall(setmetatable, { name = one_of(TEXTS) }, spy())
  return spied
end

local function keep_all(...)
  for i = 1, select('#', ...) do keep((select(i, ...))) end
end

local function a_table()
  for _ = 1, 20 do
    local value = one_of(pool)
    if type(value) == 'table' then return value end
  end
  return {}
end

local STEPS = {
  function() keep_all(pcall(one_of(pool), some(), some(), some(), some())) end,
  function() keep_all(pcall(one_of(pool), some(), some())) end,
  function() keep_all(pcall(one_of(pool), one_of(pool), some(), some())) end,
  function() keep_all(pcall(one_of(pool))) end,
  function() keep_all(pcall(function() return a_table()[one_of(FIELDS)] end)) end,
  function() keep_all(pcall(function() a_table()[one_of(FIELDS)] = some() end)) end,
  function() keep_all(pcall(rawset, a_table(), one_of(FIELDS), some())) end,
  function() keep_all(pcall(setmetatable, a_table(), spy())) end,
  function() keep_all(pcall(getmetatable, some())) end,
  function() keep_all(pcall(next, a_table())) end,
}

local function fill_pool()
  pool = {}
  local env = _ENV
  for _, name in ipairs(NAMES) do keep(name == '_ENV' and env or env[name]) end
  for _, name in ipairs(MODULES) do keep(require(name)) end
  for i = 1, #pool do
    if type(pool[i]) == 'table' then
      for _, value in pairs(pool[i]) do keep(value) end
    end
  end
end

local function attack(...)
  fill_pool()
  keep_all(...)
  for _ = 1, 150 do one_of(STEPS)() end
  for _, text in ipairs(texts) do
    if text:find '0x%x%x%x%x%x%x' then log.error('an address: %s', text) end
  end
end

local function hook(...)
  local arguments = table.pack(...)
  for i = 1, arguments.n do
    if type(arguments[i]) == 'table' and arguments[i].metadata then state = state + (arguments[i].spec.seed or 0) end
  end
  attack(...)
end

attack()

return policy.define { name = 'a-hostile', validate = hook, render = hook, queues = hook, status = hook }
