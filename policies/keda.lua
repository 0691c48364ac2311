--- keda: what spec.scaling may ask of KEDA beyond the length of the queue, what of it cannot work, and what an older KEDA lacks.
local policy = require 'policy'
local k8s = require 'k8s'
local json = require 'json'
local schema = require 'schema'
local actors = require 'actor'

local M = {}

M.QUEUE = 'queue' -- the name that the queue's own trigger has in formulas
M.HPA = 'advanced.horizontalPodAutoscalerConfig'

local OF_SCALED_OBJECT = { 'fallback', 'idleReplicas', 'initialCooldownPeriod', M.HPA }
local OF_SCALED_JOB = { 'scalingStrategy', 'successfulJobsHistoryLimit', 'failedJobsHistoryLimit' }
local OF_TRANSPORT = { scaleOnInFlight = 'sqs', scaleOnDelayed = 'sqs', excludeUnacknowledged = 'rabbitmq' }
local LABELS_OF_KEDA = { ['scaledobject.keda.sh/'] = true, ['scaledjob.keda.sh/'] = true }

--- A field of spec.scaling, or `default`.
function M.scaling(actor, field, default)
  local value = k8s.get(actor, 'spec.scaling.' .. field)
  if value == nil then return default end
  return value
end

local scaling = M.scaling

--- The same for a list or a mapping: what is neither is refused below, and empty until then.
local function tree(actor, field)
  local value = scaling(actor, field)
  return type(value) == 'table' and value or {}
end

--- The same as KEDA's triggers want it: a text, or nil.
function M.text(actor, field)
  local value = scaling(actor, field)
  return value ~= nil and tostring(value) or nil
end

--- The members of a map whose keys are wanted; nil: there are none.
function M.chosen(map, is_wanted)
  local found
  for key, value in pairs(map or {}) do
    if is_wanted(key) then
      found = found or {}
      found[key] = value
    end
  end
  return found
end

--- The labels of the actor, so that a KEDA that sees some labels only sees its objects; those that KEDA sets itself are left to it. nil: none.
function M.labels(actor)
  return M.chosen(k8s.get(actor, 'metadata.labels'), function(key) return not LABELS_OF_KEDA[key:match '^[^/]*/' or ''] end)
end

--- The queue's trigger, and those that the actor adds.
function M.triggers(actor, trigger)
  local list = json.array { trigger }
  for _, each in ipairs(tree(actor, 'additionalTriggers')) do list[#list + 1] = k8s.copy(each) end
  return list
end

--- Lays what the actor says of the autoscaler's behaviour over what the operator says: field by field, in each direction.
local function behave(actor, behavior)
  for direction, rules in pairs(behavior) do
    for field, value in pairs(tree(actor, M.HPA .. '.behavior.' .. direction)) do rules[field] = k8s.copy(value) end
  end
  return behavior
end

--- What only a ScaledObject has.
function M.complete_scaled_object(actor, object, behavior)
  local spec = object.spec
  spec.idleReplicaCount, spec.initialCooldownPeriod = scaling(actor, 'idleReplicas'), scaling(actor, 'initialCooldownPeriod')
  spec.fallback = k8s.copy(scaling(actor, 'fallback'))
  spec.advanced.horizontalPodAutoscalerConfig = { name = scaling(actor, M.HPA .. '.name'), behavior = behave(actor, behavior) }
end

--- What only a ScaledJob has. The strategy that is KEDA's default has no name before KEDA 2.21, so it is not written.
function M.complete_scaled_job(actor, object)
  local strategy = k8s.copy(tree(actor, 'scalingStrategy'))
  if strategy.strategy == 'default' then strategy.strategy = nil end
  object.spec.scalingStrategy = next(strategy) and strategy
  object.spec.successfulJobsHistoryLimit = scaling(actor, 'successfulJobsHistoryLimit')
  object.spec.failedJobsHistoryLimit = scaling(actor, 'failedJobsHistoryLimit')
end

-- ---- versions ----

--- The KEDA from which its CRDs have a field, and a value of it. The operator works with KEDA 2.14 and later; what these all have is not here.
local SINCE = {
  { role = 'scaler', field = 'spec.fallback.behavior', path = 'spec.scaling.fallback.behavior', version = '2.17',
    values = { scalingModifiers = '2.20' } },
  { role = 'scaler', field = 'spec.' .. M.HPA .. '.behavior.scaleUp.tolerance', path = 'spec.scaling.' .. M.HPA .. '.behavior.scaleUp.tolerance',
    version = '2.18' },
  { role = 'scaler', field = 'spec.' .. M.HPA .. '.behavior.scaleDown.tolerance', path = 'spec.scaling.' .. M.HPA .. '.behavior.scaleDown.tolerance',
    version = '2.18' },
  { role = 'trigger-auth', field = 'spec.podIdentity.externalID', path = 'spec.transport', setting = 'scalerExternalId', version = '2.20' },
}

--- Lets what an older KEDA lacks be left out, and says what it needs.
function M.mark_versions(plan)
  for _, since in ipairs(SINCE) do
    local object = plan:get(since.role)
    local value = k8s.get(object, since.field)
    if value ~= nil then
      local of_value = since.values and since.values[value]
      plan:optional(since.role, since.field, {
        path = since.path, condition = 'ScalingReady', reason = 'KedaTooOld',
        message = ("%s: %s needs KEDA %s; the %s of this cluster does not have it, so it is left out; upgrade KEDA with its CRDs")
          :format(since.path, of_value and ("'%s'"):format(value) or since.setting or 'it', of_value or since.version, object.kind),
      })
    end
  end
end

-- ---- what cannot work ----

local whole, flag = schema.integer { min = 0 }, schema.boolean()
local SHAPE = {
  activation = whole, idleReplicas = whole, initialCooldownPeriod = whole, successfulJobsHistoryLimit = whole, failedJobsHistoryLimit = whole,
  scaleOnInFlight = flag, scaleOnDelayed = flag, excludeUnacknowledged = flag,
  fallback = schema.table {
    failureThreshold = whole, replicas = whole,
    behavior = schema.string { enum = { 'static', 'currentReplicas', 'currentReplicasIfHigher', 'currentReplicasIfLower', 'scalingModifiers' } },
  },
  additionalTriggers = schema.array(schema.table {
    type = schema.string { min_len = 1 }, name = schema.string { pattern = '^[%a_][%w_]*$' }, metadata = schema.map(schema.string()),
    metricType = schema.string { enum = { 'AverageValue', 'Value', 'Utilization' } }, useCachedMetrics = flag,
    authenticationRef = schema.table {
      name = schema.string { min_len = 1 }, kind = schema.string { enum = { 'TriggerAuthentication', 'ClusterTriggerAuthentication' } },
    },
  }),
  scalingStrategy = schema.table {
    strategy = schema.string { enum = { 'default', 'custom', 'accurate', 'eager' } }, customScalingQueueLengthDeduction = whole,
    customScalingRunningJobPercentage = schema.string(), pendingPodConditions = schema.array(schema.string()),
    multipleScalersCalculation = schema.string { enum = { 'max', 'min', 'avg', 'sum' } },
  },
}

local function wrong(field, fmt, ...)
  local path = 'spec.scaling.' .. field
  return { path = path, condition = 'ScalingReady', reason = 'ValidationError', message = path .. ': ' .. fmt:format(...) }
end

--- The schema of the CRD says the same where there is one: not offline.
local function misshapen(actor)
  local given = {}
  for field in pairs(SHAPE) do given[field] = scaling(actor, field) end
  if next(given) == nil then return nil end
  local ok, why = pcall(schema.apply, SHAPE, given, 'spec.scaling')
  if ok then return nil end
  return { path = 'spec.scaling', condition = 'ScalingReady', reason = 'ValidationError', message = tostring(why) }
end

--- The first of these fields that the actor has, or nil.
local function first(actor, fields)
  for _, field in ipairs(fields) do
    if scaling(actor, field) ~= nil then return field end
  end
end

local function misplaced(actor, transport)
  local is_job = actors.kind(actor) == 'Job'
  local field = first(actor, is_job and OF_SCALED_OBJECT or OF_SCALED_JOB)
  if field then return wrong(field, is_job and 'has no meaning for a Job; remove it' or 'is for Jobs only; remove it') end
  for name, kind in pairs(OF_TRANSPORT) do
    if scaling(actor, name) ~= nil and transport.type ~= kind then
      return wrong(name, 'is for transports of type %s, and "%s" is of type %s; remove it', kind, transport.name, transport.type)
    end
  end
end

local function bad_trigger(actor, params)
  local names = { [M.QUEUE] = true }
  for i, each in ipairs(tree(actor, 'additionalTriggers')) do
    local at = ('additionalTriggers[%d]'):format(i - 1)
    if not each.type then return wrong(at .. '.type', 'is missing; say what KEDA is to look at, as cron or prometheus') end
    if not each.name then return wrong(at .. '.name', 'is missing; formulas know the trigger by it') end
    if names[each.name] then
      return wrong(at .. '.name', "'%s' is the name of another trigger%s; choose another one", each.name, each.name == M.QUEUE and ': that of the queue' or '')
    end
    names[each.name] = true
    if each.metricType and actors.kind(actor) == 'Job' then return wrong(at .. '.metricType', 'has no meaning for a Job; remove it') end
    if k8s.get(each, 'authenticationRef.kind') == 'ClusterTriggerAuthentication' and not params.cluster_authentication then
      return wrong(at .. '.authenticationRef.kind', "ClusterTriggerAuthentication lends secrets of the cluster to an actor; use a TriggerAuthentication of "
        .. "its namespace, or allow it with the operator's params.scaling.cluster_authentication")
    end
  end
end

--- What of these fields KEDA would refuse, or take without an effect; nil: nothing.
function M.problem_of(actor, transport, params)
  local bad = misshapen(actor) or misplaced(actor, transport) or bad_trigger(actor, params)
  if bad then return bad end
  local idle, min, fallback = scaling(actor, 'idleReplicas'), scaling(actor, 'minReplicas', 0), scaling(actor, 'fallback')
  if idle and idle >= min then return wrong('idleReplicas', '%d must be below minReplicas, which is %d; raise minReplicas or remove it', idle, min) end
  if idle and idle > 0 then return wrong('idleReplicas', 'must be 0: the autoscaler raises any other number to minReplicas again') end
  if fallback and not (fallback.failureThreshold and fallback.replicas) then
    return wrong('fallback', 'needs failureThreshold and replicas: after how many failures, and how many replicas then')
  end
  if scaling(actor, 'activation') and scaling(actor, 'advanced.formula', '') ~= '' then
    return wrong('activation', 'has no effect beside a formula; use advanced.activationTarget')
  end
  if scaling(actor, 'excludeUnacknowledged') and k8s.get(transport.config, 'management.url', '') == '' then
    return wrong('excludeUnacknowledged', "needs the management API: AMQP counts no unacknowledged messages anyway; set management.url of the transport "
      .. '"%s", or remove it', transport.name)
  end
  if k8s.get(transport.config, 'scalerExternalId') and not k8s.get(transport.config, 'scalerRoleArn') then
    return { path = 'spec.transport', condition = 'ScalingReady', reason = 'ValidationError',
      message = ('spec.transport: scalerExternalId of the transport "%s" needs scalerRoleArn beside it'):format(transport.name) }
  end
end

return policy.library(M)
