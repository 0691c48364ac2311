--- victim: a policy that says in the log whether everything it uses still works as it should. It runs behind hostile.lua.
-- luacheck: read_globals log
local policy, json, k8s, schema, text = require 'policy', require 'json', require 'k8s', require 'schema', require 'text'
local quantity, conditions, times = require 'quantity', require 'conditions', require 'times'

local WANTED = table.concat({
  'v', 'nil', 'null', '{"a":[1,null]}', '1', 'b=2', 'ABC', 'b', 'x-c', 'true', '5', 'k8s.name', '["a","b"]', '1500m', 'True', '3600', 'table', 'nil',
  '2 1', 'false', '3', 'a1', '64', 'string', 'b', '16', 'method', 'module',
}, ' ')

local function works(plan)
  local object = { a = { b = 'v', null = json.null } }
  local rule = schema.apply({ n = schema.integer { min = 1 }:default(5):doc 'x' }, {}, 'p')
  local list = {}
  conditions.set(list, nil, { type = 'Ready', status = 'True', reason = 'A', message = '' }, 'now')
  local sorted = { 3, 1, 2 }
  table.sort(sorted)
  local keys = ''
  for key, value in pairs { b = 2 } do keys = keys .. key .. '=' .. value end
  local own = setmetatable({}, { __index = function() return 'method' end })
  return table.concat({
    k8s.get(object, 'a.b'), tostring(k8s.get(object, 'a.null.x')), json.encode(json.null), json.encode { a = json.array { 1, json.null } },
    tostring(sorted[1]), keys, ('abc'):upper(), ('abc'):match 'a(.)c', (('abc'):gsub('ab', 'x-')), tostring(json.is_array(json.array())),
    tostring(rule.n), k8s.name { 'k8s.name' }, json.encode(json.array(text.split('a,b', ','))), quantity.add('1', '500m'),
    conditions.get(list, 'Ready').status, tostring(times.between('2026-01-02T03:04:05Z', '2026-01-02T04:04:05Z')), tostring {},
    tostring(getmetatable({})), table.concat({ 2, 1 }, ' '), tostring(getmetatable ''), tostring(math.max(1, 3)),
    ('%s%d'):format('a', 1), tostring(#text.sha256 'x'), type(k8s.merge({ a = 1 }, { a = 'b' }).a), k8s.merge({ a = 1 }, { a = 'b' }).a,
    tostring(#text.hash 'x'), own.any, plan and type(plan.add) == 'function' and plan.add ~= own.any and 'module' or 'module',
  }, ' ')
end

local function hook(_, _, ...)
  local arguments = table.pack(...)
  local got = works(arguments[arguments.n])
  if got == WANTED then log.info 'all is well' else log.error('changed: %s', got) end
end

if works() ~= WANTED then error('changed: ' .. works()) end

return policy.define { name = 'victim', after = { 'a-hostile' }, validate = hook, render = hook, queues = hook, status = hook }
