--- case: renders actors with the policies of this checkout, under plain Lua, as the operator would.
local json = require 'json'
local yaml = require 'yaml_tables'

local M = {}

local function read(path)
  local file = assert(io.open(path, 'r'))
  local text = file:read 'a'
  file:close()
  return text
end
M.read = read

local function files_of(folder)
  local files, pipe = json.array {}, assert(io.popen('ls ' .. folder))
  for name in pipe:lines() do
    if name:find '%.' and not name:find '%.md$' then
      files[#files + 1] = { name = name, source = read(folder .. '/' .. name), origin = folder }
    end
  end
  pipe:close()
  return files
end

M.TRANSPORTS = json.decode [[{"transports": {
  "rabbitmq": {"enabled": true, "type": "rabbitmq", "config": {"host": "rmq.svc", "port": 5672, "username": "guest",
    "passwordSecretRef": {"name": "rmq", "key": "password"}, "queues": {"autoCreate": true, "dlq": {"enabled": true}}}},
  "off": {"enabled": false, "type": "rabbitmq", "config": {}}}}]]

--- A bundle of policies/ plus `extra` files ({name = source}), with these settings.
function M.bundle(settings, extra)
  local files = files_of 'policies'
  for name, source in pairs(extra or {}) do files[#files + 1] = { name = name, source = source, origin = 'spec' } end
  return require('bundle').load(files, settings or { transports = M.TRANSPORTS }, require 'host')
end

--- What the bundle makes of an actor: its plan.
function M.plan(bundle, actor, children)
  actor.metadata.namespace = actor.metadata.namespace or 'default'
  return bundle:plan { now = '2026-01-02T03:04:05Z', parent = actor, children = children or json.array {}, related = json.array {} }
end

--- The object of a kind in a plan, or nil.
function M.find(plan, kind)
  for _, item in ipairs(plan.objects or {}) do
    if item.object.kind == kind then return item.object end
  end
end

function M.load(path) return yaml.load_all(read(path)) end

--- The first path where `wanted` is not found in `got`: maps may hold more, lists may not. nil when all is there.
function M.difference(wanted, got, path)
  path = path or ''
  if wanted == 'ABSENT' then return got ~= nil and path .. ' is there' or nil end
  if type(wanted) ~= 'table' or type(got) ~= 'table' or wanted == json.null then
    return wanted ~= got and ('%s: wanted %s, got %s'):format(path, tostring(wanted), tostring(got)) or nil
  end
  if json.is_array(wanted) and #wanted ~= #got then return ('%s: wanted %d items, got %d'):format(path, #wanted, #got) end
  for key, value in pairs(wanted) do
    local bad = M.difference(value, got[key], path .. '.' .. tostring(key))
    if bad then return bad end
  end
end

return M
