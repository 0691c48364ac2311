--- status: what is true about an actor right now, from facts of the cluster and the outcome of the last pass.
local policy = require 'policy'
local k8s = require 'k8s'
local json = require 'json'
local conditions = require 'conditions'
local actors = require 'actor'
local pods = require 'pods'

local function related(ctx, kind)
  local list = {}
  for _, object in ipairs(ctx.related) do
    if object.kind == kind then list[#list + 1] = object end
  end
  return list
end

--- The object that runs the actor: of the wanted kind, and among Jobs the youngest.
local function find_workload(actor, ctx)
  local kind, found = actors.kind(actor), nil
  for _, child in ipairs(ctx.children) do
    local newer = child.kind == kind and (not found or child.metadata.creationTimestamp > found.metadata.creationTimestamp)
    if newer or (kind == 'Job' and child.kind == 'ScaledJob') then found = child end
  end
  return found
end

-- How many pods a workload of each kind wants, has, has ready, and has of the newest version.
local COUNT = {}

function COUNT.Deployment(workload)
  local function of(field) return k8s.get(workload, 'status.' .. field, 0) end
  -- Before the controller has looked at a new template, what it says of updated pods is about the old one.
  local seen = of 'observedGeneration' >= k8s.get(workload, 'metadata.generation', 0)
  return k8s.get(workload, 'spec.replicas', 1), of 'replicas', of 'readyReplicas', seen and of 'updatedReplicas' or 0
end

COUNT.StatefulSet = COUNT.Deployment

function COUNT.Job(workload)
  local active, complete = k8s.get(workload, 'status.active', 0), k8s.get(workload, 'status.completionTime') ~= nil
  return complete and 0 or k8s.get(workload, 'spec.parallelism', 1), active, k8s.get(workload, 'status.ready', 0), active
end

--- A ScaledJob says nothing of its Jobs: the pods do.
function COUNT.ScaledJob(_, seen)
  local total = seen.ready + seen.pending + seen.failing
  return total, total, seen.ready, total
end

--- Everything the decisions below look at.
local function gather(actor, ctx)
  local workload, seen = find_workload(actor, ctx), pods.examine(related(ctx, 'Pod'))
  local desired, total, ready, updated = 0, 0, 0, 0
  if workload then desired, total, ready, updated = COUNT[workload.kind](workload, seen) end
  return {
    workload = workload, desired = desired, total = total, ready = ready, updated = updated, pods = seen,
    scaled = actors.scaling_enabled(actor), before = k8s.get(actor, 'status') or {},
    complete = workload ~= nil and workload.kind == 'Job' and k8s.get(workload, 'status.completionTime') ~= nil,
  }
end

--- Which condition an error of the server belongs to.
local function condition_of(err)
  if err.role == 'scaler' or err.role == 'trigger-auth' then return 'ScalingReady', 'ScalingError' end
  return 'WorkloadReady', 'WorkloadError'
end

--- What keeps the actor from being reconciled, if anything: { condition, reason, message, status }.
local function blocker(ctx, f)
  local outcome = ctx.outcome
  if outcome.policy_error then
    return { condition = 'WorkloadReady', reason = 'PolicyError', status = 'WorkloadError', message = outcome.policy_error.message }
  end
  local invalid = outcome.invalid
  if invalid then
    local condition = invalid.condition or 'WorkloadReady'
    if invalid.reason == 'Paused' then return { condition = 'Ready', reason = 'Paused', message = invalid.message, status = 'Paused' } end
    return { condition = condition, reason = invalid.reason or 'ValidationError', message = invalid.message,
      status = condition == 'TransportReady' and 'TransportError' or 'WorkloadError' }
  end
  local err = outcome.errors[1]
  if err and err.role == 'queue' then
    local hint = err.verb == 'delete' and '; to let the actor go without its queue, annotate it with asya.sh/skip-queue-cleanup=true' or ''
    return { condition = 'TransportReady', reason = err.reason, message = err.message .. hint, status = 'TransportError' }
  end
  if err then
    local condition, status = condition_of(err)
    local what = ('cannot %s %s %s: %s'):format(err.verb, err.kind, err.name, err.message)
    return { condition = condition, reason = 'ReconcileError', message = what, status = status }
  end
  for _, queue in ipairs(ctx.queues) do
    local pending = queue.reason == 'QueuePending'
    if not queue.ready and not (pending and f.workload) then
      local status = pending and 'Creating' or 'TransportError'
      return { condition = 'TransportReady', reason = queue.reason, message = queue.message, status = status }
    end
  end
end

local function napping(f)
  return f.scaled and f.desired == 0 and f.total == 0
end

--- The word of the Status column when nothing blocks: the first that fits.
local function progress(f)
  local before = f.before.status
  if not f.workload then return 'Creating' end
  if f.complete then return 'Completed' end
  if napping(f) then return 'Napping' end
  if f.pods.fault and f.ready < f.desired then return f.pods.fault.status end
  if f.total > f.updated and f.updated < f.desired then return 'Updating' end
  if f.total < f.desired then return (before == nil or before == 'Creating') and 'Creating' or 'ScalingUp' end
  if f.total > f.desired then return 'ScalingDown' end
  if f.ready < f.desired then return (before == 'Running' or before == 'Degraded') and 'Degraded' or 'ScalingUp' end
  return 'Running'
end

--- States in which an actor does what it is there for.
local WELL = { Running = true, Napping = true, Completed = true }

local function set_conditions(actor, ctx, status, f, blocked)
  local list = {}
  local function set(kind, truth, reason, message)
    conditions.set(list, f.before.conditions, { type = kind, status = truth, reason = reason, message = message },
      ctx.now, actor.metadata.generation)
  end
  local function unless_blocked(kind, truth, reason, message)
    if blocked and blocked.condition == kind then truth, reason, message = 'False', blocked.reason, blocked.message end
    set(kind, truth, reason, message)
  end
  local there = #ctx.queues > 0 and ('queue %s is there'):format(ctx.queues[1].name)
  unless_blocked('TransportReady', 'True', 'TransportValidated', there or 'transport is configured')
  local fault = f.pods.fault
  if not f.workload then
    unless_blocked('WorkloadReady', 'False', 'WorkloadMissing', actors.kind(actor) .. ' does not exist yet')
  elseif fault and f.ready < f.desired then
    unless_blocked('WorkloadReady', 'False', 'PodsNotHealthy', fault.message)
  else
    unless_blocked('WorkloadReady', 'True', 'WorkloadCreated', actors.kind(actor) .. ' exists')
  end
  if blocked and blocked.condition == 'ScalingReady' then set('ScalingReady', 'False', blocked.reason, blocked.message) end
  local well = not blocked and WELL[status.status]
  set('Ready', well and 'True' or 'False', status.status, blocked and blocked.message or fault and fault.message or status.status)
  status.conditions = json.array(list)
end

local function summary(list)
  local well, count = 0, 0
  for _, c in ipairs(list) do
    if c.type ~= 'Ready' then
      count = count + 1
      if c.status == 'True' then well = well + 1 end
    end
  end
  return ('%d/%d'):format(well, count)
end

--- A change of the wanted count is a scaling; readiness that comes and goes is not.
local function set_last_scale(status, ctx, f)
  local old = f.before.desiredReplicas
  status.lastScaleTime, status.lastScaleDirection = f.before.lastScaleTime, f.before.lastScaleDirection
  if f.workload and f.workload.kind ~= 'Job' and old and old ~= f.desired then
    status.lastScaleTime = ctx.now
    status.lastScaleDirection = f.desired > old and 'up' or 'down'
  end
  local direction = status.lastScaleDirection
  status.lastScaleFormatted = status.lastScaleTime and ('%s (%s)'):format(status.lastScaleTime, direction) or '-'
end

local function set_numbers(status, f)
  status.replicas, status.readyReplicas = f.ready, f.ready
  status.totalReplicas, status.desiredReplicas = f.total, f.desired
  status.pendingReplicas, status.failingPods = f.pods.pending, f.pods.failing
  status.readyReplicasSummary = ('%d/%d'):format(f.ready, f.total)
  status.replicasSummary = ('%d/%d'):format(f.ready, f.desired)
  status.scalingMode = f.scaled and 'KEDA' or 'Manual'
end

--- Counts that nobody knows now stay what they were.
local function set_queue_numbers(status, ctx, before)
  local queue = ctx.queues[1] or {}
  status.queuedMessages = queue.messages or before.queuedMessages
  status.processingMessages = queue.in_flight or before.processingMessages
end

local VERBS = { created = 'Created', updated = 'Updated', restored = 'Restored', deleted = 'Deleted' }

--- One event for everything that one pass did in one way: "created Deployment a, ScaledObject a".
local function tell_changes(changes, plan)
  for verb, reason in pairs(VERBS) do
    local done = {}
    for _, change in ipairs(changes) do
      local where = change.path and (' (' .. change.path .. ')') or ''
      if change.verb == verb then done[#done + 1] = ('%s %s%s'):format(change.kind, change.name, where) end
    end
    if #done > 0 then
      plan:event { type = verb == 'restored' and 'Warning' or 'Normal', reason = reason, note = verb .. ' ' .. table.concat(done, ', ') }
    end
  end
end

--- The story `kubectl describe` tells: what was done, and each trouble once when it begins.
local function tell(ctx, f, blocked, plan)
  tell_changes(ctx.outcome.changed, plan)
  local trouble = blocked or f.pods.fault and f.ready < f.desired and { reason = f.pods.fault.status, message = f.pods.fault.message }
  local ready = conditions.get(f.before.conditions or {}, 'Ready')
  if trouble and not (ready and ready.message == trouble.message) then
    plan:event { type = 'Warning', reason = trouble.reason, note = trouble.message }
  end
end

return policy.define {
  name = 'status',
  after = { 'workload' },
  doc = 'Status, conditions and events of an actor.',

  status = function(actor, ctx, status, plan)
    local f = gather(actor, ctx)
    local blocked = blocker(ctx, f)
    status.status = k8s.get(actor, 'metadata.deletionTimestamp') and 'Terminating' or blocked and blocked.status or progress(f)
    set_numbers(status, f)
    set_queue_numbers(status, ctx, f.before)
    set_last_scale(status, ctx, f)
    set_conditions(actor, ctx, status, f, blocked)
    status.transportStatus = conditions.get(status.conditions, 'TransportReady').status == 'True' and 'Ready' or 'NotReady'
    status.readySummary = summary(status.conditions)
    status.renderedDigest = ctx.outcome.rendered_digest
    -- The bundle that made what there is: one that would make the same again has not made it.
    local same = status.renderedDigest ~= nil and status.renderedDigest == f.before.renderedDigest
    status.bundleDigest = same and f.before.bundleDigest or ctx.outcome.bundle_digest
    -- A generation counts as observed when it was judged; one that the server refused was not carried out.
    local judged = #ctx.outcome.errors == 0 and not ctx.outcome.policy_error
    status.observedGeneration = judged and actor.metadata.generation or f.before.observedGeneration
    if f.workload then
      status.workloadRef = {
        apiVersion = f.workload.apiVersion, kind = f.workload.kind, name = f.workload.metadata.name, namespace = actor.metadata.namespace,
      }
    end
    tell(ctx, f, blocked, plan)
  end,
}
