--- actor: what all policies agree on about an AsyncActor: its defaults, names and transport.
local policy = require 'policy'
local k8s = require 'k8s'
local json = require 'json'
local quantity = require 'quantity'
local names = require 'names'

local M = {}

M.RUNTIME = 'asya-runtime' -- the user's container, the ConfigMap of the script, and the volume that mounts it
M.SIDECAR = 'asya-sidecar'
M.SOCKET_DIR = '/var/run/asya'
M.SCRIPT = 'asya_runtime.py'

local END_ACTORS = { ['happy-end'] = true, ['error-end'] = true }

--- Deployment, StatefulSet or Job; `type` is another spelling of `kind`. A Deployment may only be the server's default for a kind that is absent.
function M.kind(actor)
  local kind = k8s.get(actor, 'spec.workload.kind')
  if kind ~= nil and kind ~= 'Deployment' then return kind end
  return k8s.get(actor, 'spec.workload.type') or 'Deployment'
end

--- End actors take results out of the mesh; their sidecar and runtime behave a little differently.
function M.is_end(actor)
  return END_ACTORS[names.actor(actor)] == true
end

function M.scaling_enabled(actor)
  return k8s.get(actor, 'spec.scaling.enabled') == true
end

--- Seconds one message may take.
function M.processing_timeout(actor)
  return k8s.positive(k8s.get(actor, 'spec.timeout.processing'), 300)
end

--- Seconds a pod gets to end.
function M.grace_period(actor)
  return k8s.positive(k8s.get(actor, 'spec.timeout.gracefulShutdown'), 30)
end

--- The labels that select an actor's pods. A selector can never be changed: a workload that was made under other names keeps the one it has.
function M.selector(actor, ctx)
  local kind = M.kind(actor)
  local there = kind ~= 'Job' and ctx.child(kind, actor.metadata.name)
  return k8s.copy(k8s.get(there or {}, 'spec.selector.matchLabels')) or names.labels(actor, kind)
end

--- The labels that we put on an actor's pods.
function M.pod_labels(actor, ctx)
  return k8s.merge(names.labels(actor, M.kind(actor)), M.selector(actor, ctx))
end

--- The pod spec inside a workload object of any kind.
function M.pod(workload)
  return k8s.get(workload, 'spec.template.spec') or workload.spec.jobTargetRef.template.spec
end

--- Has the server all of `wanted`? It stores no empty values, and quantities in its own words. The second result is the first path that differs.
function M.is_stored(wanted, there, path)
  path = path or ''
  if type(wanted) ~= 'table' or wanted == json.null then
    local empty = wanted == '' or wanted == 0 or wanted == false or wanted == json.null
    return wanted == there or (there == nil and empty) or quantity.compare(wanted, there) == 0, path
  end
  if type(there) ~= 'table' then return there == nil and next(wanted) == nil, path end
  if #wanted > 0 and #wanted ~= #there then return false, path end
  for key, value in pairs(wanted) do
    local same, where = M.is_stored(value, there[key], path .. (type(key) == 'string' and '.' .. key or ('[%d]'):format(key - 1)))
    if not same then return false, where end
  end
  return true
end

--- The registry of transports: NAME -> entry. A configuration file may hold it with or without the inner `transports` of the
-- environment variable; the older spelling `operator.transports` lies under it.
function M.transports(ctx)
  local registry, older = k8s.get(ctx.settings, 'transports'), k8s.get(ctx.settings, 'operator.transports')
  if type(registry) == 'table' and registry.transports ~= nil then registry = k8s.get(registry, 'transports') end
  if type(registry) ~= 'table' or json.is_array(registry) then registry = {} end
  return type(older) == 'table' and k8s.merge(older, registry) or registry
end

local function holds_null(value)
  if value == json.null then return true end
  for _, each in pairs(type(value) == 'table' and value or {}) do
    if holds_null(each) then return true end
  end
  return false
end

--- Whether an entry of the registry holds a null, by its name. Each is looked at once: settings never change.
local nulls = {}

--- The entry without the keys that are null: such a key counts as absent, however deep it is.
local function without_nulls(name, entry)
  if nulls[name] == nil then nulls[name] = holds_null(entry) end
  return nulls[name] and k8s.merge({}, entry) or entry
end

--- A transport by its name: { name, type, enabled, config, written }, or nil when the registry does not have it. `written` is its entry as it
-- stands there, nulls included. An entry without a type has the one its name says.
function M.transport_named(name, ctx)
  local written = type(name) == 'string' and k8s.get(M.transports(ctx), { name })
  if type(written) ~= 'table' then return nil end
  local entry = without_nulls(name, written)
  return {
    name = name,
    type = entry.type or name,
    enabled = entry.enabled == true,
    config = entry.config or {},
    written = written,
  }
end

--- The transport that an actor names, or nil.
function M.transport(actor, ctx) return M.transport_named(k8s.get(actor, 'spec.transport'), ctx) end

return policy.library(M)
