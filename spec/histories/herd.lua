--- herd: actors whose every edit leaves a mark that only grows, so that any version of a child tells which edits it has seen.
local api = require 'api'
local children = require 'children'
local json = require 'json'
local k8s = require 'k8s'

local M = {}

local SKIP = 'asya.sh/skip-queue-cleanup'

local function containers(mark)
  return json.array { {
    name = 'asya-runtime', image = 'example/app:1',
    env = json.array { { name = 'ASYA_HANDLER', value = 'handlers.process' }, { name = 'MARK', value = tostring(mark) } },
  } }
end

--- An actor of {name, transport, max, mark, retain, labels}: `max` goes to its ScaledObject, `mark` into its pods.
function M.object(ns, one)
  return {
    apiVersion = 'asya.sh/v1alpha1', kind = 'AsyncActor',
    metadata = { name = one.name, namespace = ns, labels = one.labels, annotations = one.retain and { [SKIP] = 'true' } or nil },
    spec = {
      transport = one.transport, scaling = { enabled = true, minReplicas = 1, maxReplicas = one.max },
      workload = { template = { spec = { containers = containers(one.mark) } } },
    },
  }
end

--- Requests for api.send.
function M.create(ns, one) return { 'POST', api.path('asyncactors', ns), M.object(ns, one) } end
function M.delete(ns, name) return { 'DELETE', api.path('asyncactors', ns, name) } end
function M.scale(ns, name, max) return { 'PATCH', api.path('asyncactors', ns, name), { spec = { scaling = { maxReplicas = max } } } } end
function M.stamp(ns, name, mark)
  return { 'PATCH', api.path('asyncactors', ns, name), { spec = { workload = { template = { spec = { containers = containers(mark) } } } } } }
end

--- Somebody else puts another image into a Deployment.
function M.meddle(ns, name)
  local patch = json.array { { op = 'replace', path = '/spec/template/spec/containers/0/image', value = 'example/meddled:1' } }
  return { 'PATCH', api.path('deployments', ns, name), patch, 'application/json-patch+json' }
end

--- The mark inside the pods of an actor or of a Deployment.
function M.mark(pod_spec)
  for _, container in ipairs(pod_spec.containers) do
    for _, each in ipairs(container.name == 'asya-runtime' and container.env or {}) do
      if each.name == 'MARK' then return tonumber(each.value), each end
    end
  end
end

--- What is wrong with the actors of a namespace, of which those in `wanted` (by name) should be there and be well; nil for nothing.
function M.unsettled(ns, wanted)
  local left = {}
  for name in pairs(wanted) do left[name] = true end
  for _, actor in ipairs(api.list('asyncactors', ns)) do
    local name, status = actor.metadata.name, actor.status or {}
    if not left[name] then return name .. ' should be gone; finalizers: ' .. json.encode(actor.metadata.finalizers or {}) end
    left[name] = nil
    if status.observedGeneration ~= actor.metadata.generation or status.status ~= 'Running' then
      return ('%s is %s at generation %s of %d: %s'):format(name, tostring(status.status), tostring(status.observedGeneration),
        actor.metadata.generation, json.encode(status.conditions or {}))
    end
  end
  local name = next(left)
  return name and name .. ' is not there'
end

--- The first child of `ns` that differs from what `reference` (of children.of) has for its actor, or that one of them lacks.
function M.difference(ns, reference)
  local found = children.of(ns)
  for _, of in ipairs { found, reference } do
    for name in pairs(of) do
      local what = children.difference(found[name] or {}, reference[name] or {}, '')
      if what then return name .. what end
    end
  end
end

--- A reference for actors that differ from its own in their edits only: `wanted` by name.
function M.marked(reference, wanted)
  local out = {}
  for name, one in pairs(wanted) do
    local copy = k8s.copy(assert(reference[name], name .. ' has no reference'))
    for what, child in pairs(copy) do
      if what:find '^Deployment ' then select(2, M.mark(child.spec.template.spec)).value = tostring(one.mark) end
      if what:find '^ScaledObject ' then child.spec.maxReplicaCount = one.max end
    end
    out[name] = copy
  end
  return out
end

return M
