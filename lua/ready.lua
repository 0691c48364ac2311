--- ready: can others use an object by now? Kubernetes' own kinds are known one by one; any other kind says it in a condition.
local conditions = require 'conditions'
local k8s = require 'k8s'
local plain = require 'plain'

local ipairs, type = ipairs, type
local find, match = string.find, string.match
local format = plain.format

local ready = {}

--- The kinds that work as soon as they are there, by API group ("" is Kubernetes' first one).
local AT_ONCE = {
  [''] = { ConfigMap = true, Endpoints = true, LimitRange = true, PodTemplate = true, ResourceQuota = true, Secret = true, ServiceAccount = true },
  ['apps'] = { ControllerRevision = true },
  ['autoscaling'] = { HorizontalPodAutoscaler = true },
  ['batch'] = { CronJob = true },
  ['discovery.k8s.io'] = { EndpointSlice = true },
  ['networking.k8s.io'] = { Ingress = true, IngressClass = true, NetworkPolicy = true },
  ['policy'] = { PodDisruptionBudget = true },
  ['rbac.authorization.k8s.io'] = { ClusterRole = true, ClusterRoleBinding = true, Role = true, RoleBinding = true },
  ['scheduling.k8s.io'] = { PriorityClass = true },
  ['storage.k8s.io'] = { StorageClass = true },
}

--- The conditions by which other kinds say that they are ready; the first one that an object has counts.
local CONDITIONS = { 'Ready', 'Available', 'Established', 'Complete' }

local function number(object, path, default)
  local value = k8s.get(object, path)
  return type(value) == 'number' and value or default
end

--- Why fewer are there than are wanted, or nil.
local function short(object, path, want, what)
  local have = number(object, path, 0)
  return have < want and format('%d of %d %s', have, want, what) or nil
end

local function said(condition)
  local text = condition.message or condition.reason
  return type(text) == 'string' and text ~= '' and ': ' .. text or ''
end

--- Why a condition does not hold, or nil.
local function unless(object, kind)
  local condition = conditions.of(object, kind)
  if not condition then return format('it has no condition %s yet', kind) end
  if condition.status ~= 'True' then return format('%s is %s%s', kind, plain.text(condition.status), said(condition)) end
end

local function deployment(object)
  local want = number(object, 'spec.replicas', 1)
  local old = number(object, 'status.replicas', 0) - number(object, 'status.updatedReplicas', 0)
  return short(object, 'status.updatedReplicas', want, 'replicas are updated') or old > 0 and format('%d old replicas have yet to go', old)
    or short(object, 'status.availableReplicas', want, 'replicas are available')
end

local function stateful_set(object)
  local want = number(object, 'spec.replicas', 1)
  local rolls = k8s.get(object, 'spec.updateStrategy.type') ~= 'OnDelete'
  local first = rolls and number(object, 'spec.updateStrategy.rollingUpdate.partition', 0) or want
  local settled = k8s.get(object, 'status.currentRevision') == k8s.get(object, 'status.updateRevision')
  return short(object, 'status.readyReplicas', want, 'replicas are ready')
    or not settled and short(object, 'status.updatedReplicas', want - first, 'replicas are updated') or nil
end

local function daemon_set(object)
  local want = number(object, 'status.desiredNumberScheduled', 0)
  local rolls = k8s.get(object, 'spec.updateStrategy.type') ~= 'OnDelete'
  return rolls and short(object, 'status.updatedNumberScheduled', want, 'nodes are updated')
    or short(object, 'status.numberAvailable', want, 'nodes have an available pod')
end

local function job(object)
  local failed = conditions.of(object, 'Failed')
  if failed and failed.status == 'True' then return 'it has failed' .. said(failed) end
  return unless(object, 'Complete')
end

local function phase(...)
  local wanted = { ... }
  return function(object)
    local is = k8s.get(object, 'status.phase')
    for _, word in ipairs(wanted) do
      if is == word then return nil end
    end
    return format('its phase is %s, not %s', plain.text(is), plain.concat(wanted, ' or '))
  end
end

local function service(object)
  local kind = k8s.get(object, 'spec.type', 'ClusterIP')
  if kind == 'LoadBalancer' then return #k8s.get(object, 'status.loadBalancer.ingress', {}) == 0 and 'its load balancer has no address yet' or nil end
  return kind ~= 'ExternalName' and k8s.get(object, 'spec.clusterIP', '') == '' and 'it has no clusterIP yet' or nil
end

local function pod(object)
  local is = k8s.get(object, 'status.phase')
  if is == 'Succeeded' then return nil end
  return is == 'Failed' and 'it has failed' or unless(object, 'Ready')
end

--- Why an object of a kind is not ready, or nil; by API group.
local KINDS = {
  [''] = {
    Namespace = phase 'Active', PersistentVolume = phase('Available', 'Bound'), PersistentVolumeClaim = phase 'Bound', Pod = pod, Service = service,
    ReplicationController = function(object) return short(object, 'status.availableReplicas', number(object, 'spec.replicas', 1), 'replicas are available') end,
  },
  ['apps'] = {
    DaemonSet = daemon_set, Deployment = deployment, StatefulSet = stateful_set,
    ReplicaSet = function(object) return short(object, 'status.availableReplicas', number(object, 'spec.replicas', 1), 'replicas are available') end,
  },
  ['batch'] = { Job = job },
}

local function other(object)
  for _, kind in ipairs(CONDITIONS) do
    if conditions.of(object, kind) then return unless(object, kind) end
  end
  return format('it has none of the conditions %s yet', plain.concat(CONDITIONS, ', '))
end

--- Has the controller of an object seen what is wanted of it by now?
local function is_seen(object)
  local seen = number(object, 'status.observedGeneration')
  return not seen or seen >= number(object, 'metadata.generation', 0)
end

--- Is an observed object ready? If not, the second result says why. Known are Deployment, StatefulSet, DaemonSet, ReplicaSet, Job (it is
-- complete), PersistentVolumeClaim (it is bound), Service (it has its address), Pod, Namespace, and kinds that work at once, such as
-- ConfigMap. An object of any other kind is ready by its condition Ready, Available, Established or Complete.
---@param object table?
---@return boolean
---@return string?
function ready.of(object)
  if type(object) ~= 'table' then return false, 'it is not there yet' end
  if k8s.get(object, 'metadata.deletionTimestamp') then return false, 'it is being deleted' end
  local version, kind = object.apiVersion, object.kind
  local group = type(version) == 'string' and find(version, '/', 1, true) and match(version, '^(.*)/') or ''
  if AT_ONCE[group] and AT_ONCE[group][kind] then return true end
  if not is_seen(object) then return false, 'its controller has not seen its last change yet' end
  local why = (KINDS[group] and KINDS[group][kind] or other)(object)
  return not why, why or nil
end

return ready
