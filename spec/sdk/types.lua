--- types: prints lua/asya/types.lua, what an editor knows of the arguments of hooks: the actor from the CRD, settings from the manifest.
--
--    lua5.4 spec/sdk/types.lua > lua/asya/types.lua
package.path = 'lua/?.lua;' .. package.path

local json = require 'json'
local yaml = require 'asya.yaml'

local M = {}

-- What hooks are given beside the actor. A spec compares the fields with what they get.
M.CONTEXT = {
  { 'params', 'table', 'the parameters of the policy, with their defaults' },
  { 'settings', 'Settings', 'the settings of the operator' },
  { 'profile', 'string?', 'the release of the platform that the actor is for' },
  { 'children', 'table[]', 'the observed objects that the actor owns' },
  { 'child', 'fun(kind: string, name: string, namespace: string?): table?', 'finds one of them' },
  { 'related', 'table[]', 'the observed pods and autoscalers of the actor; the plan is made again when they change' },
  { 'queues', 'table<string, table>', 'what brokers say about its queues; the plan is made again when that changes' },
  { 'absent', 'string[]', 'kinds that the cluster does not know' },
  { 'outcome', 'Outcome', 'in the hook status: what the last pass did' },
  { 'now', 'string', 'the time, RFC 3339; the plan is made again with each pass' },
}

local HEAD = [[
---@meta
--- types: what an editor knows of the arguments of hooks. Nothing loads this file; `lua5.4 spec/sdk/types.lua > lua/asya/types.lua` writes it.
-- luacheck: ignore

---@type Log
log = {}

---@class ObjectMeta
---@field name string
---@field namespace string
---@field uid string?
---@field generation integer?
---@field labels table<string, string>?
---@field annotations table<string, string>?
---@field creationTimestamp string?
---@field deletionTimestamp string?

---@class Outcome
---@field errors table[] { verb, kind, name, message }
---@field changed table[]
---@field invalid Invalid?
---@field refused table[]? { role, kind, name, policy, path, message, reason, condition }
---@field waits table[]? { role, kind, name, policy, message }: what must be ready before more is made
---@field outdated table[]? { role, kind, name, message }: children that are not as the plan wants them yet
---@field finalize { message: string, deadline: string }? what policies wait for before an actor that is being deleted goes
---@field generation integer?
---@field bundle_digest string?
---@field settled_digest string?
]]

local read = dofile 'spec/sdk/read.lua'

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

local SCALARS = { string = 'string', integer = 'integer', number = 'number', boolean = 'boolean' }
local type_of

--- Prints the class of an object, after those of its fields. Returns its name.
local function class(out, name, schema)
  local lines, needed = { '---@class ' .. name }, {}
  for _, field in ipairs(schema.required or {}) do needed[field] = true end
  for _, field in ipairs(sorted_keys(schema.properties)) do
    local it = schema.properties[field]
    local text = it.description and ' ' .. it.description:gsub('%s+', ' ') or ''
    lines[#lines + 1] = ('---@field %s %s%s%s'):format(field, type_of(out, name .. field:gsub('^%l', string.upper), it), needed[field] and '' or '?', text)
  end
  out[#out + 1] = table.concat(lines, '\n') .. '\n'
  return name
end

function type_of(out, name, schema)
  if schema.enum then
    local values = {}
    for i, value in ipairs(schema.enum) do values[i] = "'" .. value .. "'" end
    return table.concat(values, '|')
  end
  if schema['x-kubernetes-int-or-string'] then return 'integer|string' end
  if schema.type == 'array' then return type_of(out, name, schema.items) .. '[]' end
  if schema.properties then return class(out, name, schema) end
  if type(schema.additionalProperties) == 'table' then return ('table<string, %s>'):format(type_of(out, name, schema.additionalProperties)) end
  return SCALARS[schema.type] or 'table'
end

--- The settings of the manifest, as policies see them.
local function settings(out)
  local host = require 'host'
  local manifest = require('bundle').peek({ { name = 'manifest.lua', source = read 'policies/manifest.lua', origin = 'policies' } }, host)
  local lines = { '---@class Settings' }
  for _, name in ipairs(sorted_keys(manifest.settings)) do
    local it = manifest.settings[name]
    local kind = it.type == 'json' and 'table' or it.type == 'file' and 'string|false' or it.type or 'string'
    if not it.engine then lines[#lines + 1] = ('---@field %s %s? %s'):format(name, kind, it.doc) end
  end
  out[#out + 1] = table.concat(lines, '\n') .. '\n'
end

function M.page()
  local out = { HEAD }
  local lines = { '---@class Context what a hook may know' }
  for _, field in ipairs(M.CONTEXT) do lines[#lines + 1] = ('---@field %s %s %s'):format(field[1], field[2], field[3]) end
  out[#out + 1] = table.concat(lines, '\n') .. '\n'
  settings(out)
  local schema = yaml.load_all(read 'crds/asyncactors.asya.sh.yaml')[1].spec.versions[1].schema.openAPIV3Schema
  schema.properties.metadata = { type = 'object' }
  schema.required = json.array { 'apiVersion', 'kind', 'metadata', 'spec' }
  class(out, 'AsyncActor', schema)
  return (table.concat(out, '\n'):gsub('%-%-%-@field metadata table\n', '---@field metadata ObjectMeta\n', 1))
end

if arg and arg[0] and arg[0]:find 'types%.lua$' then io.write(M.page()) end

return M
