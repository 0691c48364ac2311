--- status: what is true about an actor right now, from facts of the cluster and the outcome of the last pass.
local policy = require 'policy'
local k8s = require 'k8s'
local json = require 'json'
local schema = require 'schema'
local conditions = require 'conditions'
local actors = require 'actor'
local pods = require 'pods'
local names = require 'names'
local progress = require 'progress'
local scaler = require 'scaler'
local transports = require 'transport'

local STATUS_OF = { TransportReady = 'TransportError', ScalingReady = 'ScalingError' }

--- What a policy says against the actor, or against a part of its plan: { condition, reason, message, status }.
local function verdict(why)
  local condition = why.condition or 'WorkloadReady'
  return { condition = condition, reason = why.reason or 'ValidationError', message = why.message, status = STATUS_OF[condition] or 'WorkloadError' }
end

--- The verdict on the first part of the plan that was refused and shows in this condition, or nil. Fields that were left out are told together.
local function refusal(ctx, condition)
  local first, fields = nil, {}
  for _, refused in ipairs(ctx.outcome.refused or {}) do
    local it = verdict(refused)
    if condition == nil or it.condition == condition then
      if not refused.field then return it end
      first = first or it
      if it.condition == first.condition then fields[#fields + 1] = it.message end
    end
  end
  if first then first.message = table.concat(fields, '\n') end
  return first
end

--- Seconds after which to look whether the cluster has by now what was left out because it did not have it; nil: nothing was.
local function until_upgraded(ctx)
  for _, refused in ipairs(ctx.outcome.refused or {}) do
    if refused.field then return ctx.params.upgrade_seconds end
  end
end

local function sooner(a, b)
  return a and b and math.min(a, b) or a or b
end

--- What is wrong although everything was carried out, the gravest first: { status, reason, message }, or nil.
local function trouble_of(f)
  local fault, updating = f.pods.fault, f.updated and f.total > f.updated
  -- Pods beyond those that are wanted may fail as they like, but new ones must not fail behind the backs of old ones.
  if fault and (updating or f.ready - f.pods.unstable < f.desired) then
    return { status = fault.status, reason = 'PodsNotHealthy', message = fault.message }
  elseif f.stuck and (updating or f.ready < math.max(f.desired, 1)) then
    return { status = 'WorkloadError', reason = f.stuck.reason, message = f.stuck.message }
  elseif f.scaling and f.scaling[1] == 'False' then
    return { status = 'ScalingError', reason = f.scaling[2], message = f.scaling[3], scaling = true }
  end
end

--- Everything the decisions below look at.
local function gather(actor, ctx)
  local workload = progress.workload(actor, ctx)
  local object, hpa = scaler.find(ctx)
  local template = progress.template(workload)
  local seen = pods.examine(pods.of(actor, ctx), { now = ctx.now, params = ctx.params, volumes = pods.volumes(template), template = template })
  local f = progress.count(workload, seen, scaler.wanted(hpa))
  f.workload, f.pods, f.scaler = workload, seen, object
  f.scaled = actors.scaling_enabled(actor)
  f.before, f.since = k8s.get(actor, 'status') or {}, actor.metadata.creationTimestamp
  f.look_again = sooner(seen.look_again, until_upgraded(ctx))
  if f.scaled then
    local again
    f.scaling, again = scaler.judge(object, hpa, ctx)
    f.look_again = sooner(f.look_again, again)
  end
  f.trouble = trouble_of(f)
  return f
end

--- What to do about a kind that the cluster does not know.
local function absent_hint(err)
  return err.reason == 'KindAbsent' and '; install KEDA, or set spec.scaling.enabled to false' or ''
end

--- An error of the last pass, and the condition it belongs to.
local function failure(err)
  if err.role == 'queue' then
    local hint = err.verb == 'delete' and '; to let the actor go without its queue, annotate it with asya.sh/skip-queue-cleanup=true' or ''
    return { condition = 'TransportReady', reason = err.reason, message = err.message .. hint, status = 'TransportError' }
  end
  if err.kind == 'Secret' then
    local message = ('cannot %s Secret %s: %s'):format(err.verb, err.name, err.message)
    return { condition = 'TransportReady', reason = err.reason, message = message, status = 'TransportError' }
  end
  local scaling = err.role == 'scaler' or err.role == 'trigger-auth' or err.kind == 'ScaledJob'
  return {
    condition = scaling and 'ScalingReady' or 'WorkloadReady', status = scaling and 'ScalingError' or 'WorkloadError', reason = 'ReconcileError',
    message = ('cannot %s %s %s: %s%s'):format(err.verb, err.kind, err.name, err.message, absent_hint(err)),
  }
end

--- The first error of the last pass that belongs to this condition, or nil.
local function failure_of(ctx, condition)
  for _, err in ipairs(ctx.outcome.errors) do
    local it = failure(err)
    if it.condition == condition then return it end
  end
end

--- The first queue that is not known to be right, as a verdict on the transport; or nil.
local function queue_trouble(ctx)
  for _, queue in ipairs(ctx.queues) do
    if not queue.ready then
      local pending = queue.reason == 'QueuePending'
      return { condition = 'TransportReady', reason = queue.reason, message = queue.message, pending = pending,
        status = pending and 'Creating' or 'TransportError' }
    end
  end
end

--- What keeps the actor, or a part of it, from being reconciled, if anything: { condition, reason, message, status }.
local function blocker(ctx, f)
  local outcome = ctx.outcome
  if outcome.policy_error then
    return { condition = 'WorkloadReady', reason = 'PolicyError', status = 'WorkloadError', message = outcome.policy_error.message }
  end
  local invalid = outcome.invalid
  if invalid then
    if invalid.reason == 'Paused' then return { condition = 'Ready', reason = 'Paused', message = invalid.message, status = 'Paused' } end
    return verdict(invalid)
  end
  if outcome.errors[1] then return failure(outcome.errors[1]) end
  local queue = queue_trouble(ctx)
  if queue and not (queue.pending and f.workload) then return queue end
  -- Pods that fail are the graver news; the condition shows the refusal all the same.
  if not f.trouble or f.trouble.scaling then return refusal(ctx) end
end

-- States in which an actor does what it is there for; and those in which one that was ready still is while any replica is.
local WELL = { Running = true, Napping = true, Completed = true }
local MOVING = { ScalingUp = true, ScalingDown = true, Updating = true }
-- States on the way somewhere: no trouble.
local CALM = { Creating = true, Paused = true, Terminating = true }

local function is_trouble(word)
  return word ~= nil and not (WELL[word] or MOVING[word] or CALM[word])
end

local function replicas_text(f)
  if f.complete then return 'the Job has completed' end
  local counts = ('%d of %d replicas are ready'):format(f.ready, f.desired)
  return f.held and ('%s; %s'):format(counts, f.held.message) or counts
end

--- What waits for the actor to be gone, for people.
local function terminating_text(ctx)
  local hold = ctx.outcome.finalize
  if hold then return ('until %s at the latest, waiting for %s'):format(hold.deadline, hold.message) end
  for _, child in ipairs(ctx.children) do
    if child.metadata.deletionTimestamp then
      return ('waiting for %s %s to go (finalizers: %s)'):format(child.kind, child.metadata.name,
        table.concat(child.metadata.finalizers or {}, ', '))
    end
  end
  return 'children and queues are being deleted'
end

--- The condition Ready: { truth, message }.
local function readiness(word, ctx, f, blocked)
  if word == 'Terminating' then return 'False', blocked and blocked.message or terminating_text(ctx) end
  local old = conditions.get(f.before.conditions, 'Ready')
  local still = MOVING[word] and f.ready > 0 and old ~= nil and old.status == 'True'
  local truth = not blocked and (WELL[word] or still) and 'True' or 'False'
  return truth, blocked and blocked.message or f.trouble and f.trouble.message or replicas_text(f)
end

--- A broker that is being asked has not denied what it said of the same actor before.
local function said_before(actor, f)
  local old = conditions.get(f.before.conditions, 'TransportReady')
  return f.workload and old and old.status == 'True' and old.observedGeneration == actor.metadata.generation and old.message or nil
end

--- What has been seen of the transport: its status, reason and message. What nobody has asked is not ready, nor is it not ready.
local function transport_seen(actor, ctx, f)
  local problem, trouble, queue = transports.problem_of(actor, ctx), queue_trouble(ctx), ctx.queues[1]
  if problem then return 'False', 'InvalidTransport', problem end
  if trouble and not trouble.pending then return 'False', trouble.reason, trouble.message end
  if k8s.get(actor, 'metadata.deletionTimestamp') then
    return 'Unknown', 'Terminating', 'the actor is being deleted, and nobody looks at its queue any more'
  end
  local said = trouble and said_before(actor, f)
  if trouble and not said then return 'Unknown', trouble.reason, trouble.message end
  if queue then return 'True', 'TransportValidated', said or ('queue %s is there'):format(queue.name) end
  if ctx.settings.disableQueueManagement == 'true' then
    return 'Unknown', 'QueuesNotManaged', ('queues are not managed, so nobody asks the broker of transport "%s"'):format(actor.spec.transport)
  end
  return 'Unknown', 'QueueNotReached', ('the broker of transport "%s" has not been asked yet'):format(actor.spec.transport)
end

--- Does anybody count what the actor's queue could not process? One that many share is counted for none of them.
local function counts_dead_letters(actor, ctx)
  local transport = actors.transport(actor, ctx)
  if not transport or ctx.settings.disableQueueManagement == 'true' then return false end
  return k8s.get(transport.config, 'queues.dlq.enabled') == true
    and names.dead_letters(actor, transport.type):find(names.queue(actor) .. '-', 1, true) == 1
end

--- What could not be processed waits for a person. Without any there is no condition; what is not known now stays said, of the same queue.
local function dead_letters(actor, ctx, f)
  local queue = ctx.queues[1]
  local count, before = queue and queue.dead_letters, conditions.get(f.before.conditions, 'DeadLetters')
  local subject = queue and ('the dead letter queue of %s holds '):format(queue.name)
  if not count then
    local same = before and (not queue or (before.message or ''):sub(1, #subject) == subject)
    return same and counts_dead_letters(actor, ctx) and before or nil
  end
  if count == 0 then return end
  return { status = 'True', reason = 'MessagesDied',
    message = ('%s%d message%s; `asya-operator queue` shows and sends them back'):format(subject, count, count == 1 and '' or 's') }
end

--- The old queue that is still to be emptied, as a condition's reason and message; or nil. One whose name stays in use is none.
local function draining(ctx)
  for _, queue in ipairs(ctx.queues) do
    for _, old in ipairs(queue.drains or {}) do
      local held = old.messages and (' (%d messages)'):format(old.messages) or ''
      if old.reason then return old.reason, ('queue %s%s stays beside %s: %s'):format(old.name, held, queue.name, old.message) end
      if not old.lasting then return 'Draining', ('queue %s%s is emptied into %s: %s'):format(old.name, held, queue.name, old.drain) end
    end
  end
end

local function set_conditions(actor, ctx, status, f, blocked)
  local list = {}
  local function set(kind, truth, reason, message)
    conditions.set(list, f.before.conditions, { type = kind, status = truth, reason = reason, message = message },
      ctx.now, status.observedGeneration)
  end
  local function against(kind)
    return blocked and not blocked.pending and blocked.condition == kind and blocked or failure_of(ctx, kind) or refusal(ctx, kind)
  end
  local function unless_blocked(kind, truth, reason, message)
    local no = against(kind)
    if no then truth, reason, message = 'False', no.reason, no.message end
    set(kind, truth, reason, message)
  end
  unless_blocked('TransportReady', transport_seen(actor, ctx, f))
  if not f.workload then
    unless_blocked('WorkloadReady', 'False', 'WorkloadMissing', 'the workload does not exist yet')
  elseif f.trouble and not f.trouble.scaling then
    unless_blocked('WorkloadReady', 'False', f.trouble.reason, f.trouble.message)
  else
    local held, exists = f.held or {}, ('%s %s exists'):format(f.workload.kind, f.workload.metadata.name)
    unless_blocked('WorkloadReady', 'True', held.reason or 'WorkloadCreated', held.message or exists)
  end
  if f.scaling or against 'ScalingReady' then
    unless_blocked('ScalingReady', table.unpack(f.scaling or {}))
  end
  local dead = dead_letters(actor, ctx, f)
  if dead then set('DeadLetters', dead.status, dead.reason, dead.message) end
  local why, what = draining(ctx)
  if why then set('QueueDrained', 'False', why, what) end
  local truth, message = readiness(status.status, ctx, f, blocked)
  set('Ready', truth, status.status, message)
  status.conditions = json.array(list)
end

--- The word of the column Transport.
local TRANSPORT_WORD = { True = 'Ready', False = 'NotReady', Unknown = 'Unknown' }

local function summary(list)
  local well, count = 0, 0
  for _, c in ipairs(list) do
    if c.type ~= 'Ready' and c.type ~= 'DeadLetters' and c.type ~= 'QueueDrained' then
      count = count + 1
      if c.status == 'True' then well = well + 1 end
    end
  end
  return ('%d/%d'):format(well, count)
end

--- A change of the wanted count is a scaling; readiness that comes and goes is not.
local function set_last_scale(status, ctx, f, plan)
  local old = f.before.desiredReplicas
  status.lastScaleTime, status.lastScaleDirection = f.before.lastScaleTime, f.before.lastScaleDirection
  if f.workload and f.workload.kind ~= 'Job' and old and old ~= f.desired then
    status.lastScaleTime = ctx.now
    status.lastScaleDirection = f.desired > old and 'up' or 'down'
    plan:event { type = 'Normal', reason = 'Scaled', note = ('wanted replicas: %d, before %d'):format(f.desired, old) }
  end
  status.lastScaleFormatted = status.lastScaleTime and ('%s (%s)'):format(status.lastScaleTime, status.lastScaleDirection) or '-'
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

local function set_references(status, actor, f)
  local namespace = actor.metadata.namespace
  if f.workload then
    status.workloadRef = { apiVersion = f.workload.apiVersion, kind = f.workload.kind, name = f.workload.metadata.name, namespace = namespace }
  end
  if f.scaler then status.scaledObjectRef = { name = f.scaler.metadata.name, namespace = namespace } end
end

--- Which policies made the children, and which generation of the actor was planned and carried out, or found invalid.
local function set_origin(status, ctx, before)
  local outcome = ctx.outcome
  status.renderedDigest = outcome.rendered_digest
  status.bundleDigest = outcome.bundle_digest
  status.observedGeneration = #outcome.errors == 0 and outcome.generation or before.observedGeneration
end

-- Stories --------------------------------------------------------------------------------------------------------

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

--- Dead letters are told of when the first ones lie there: each further one changes the condition alone.
local function tell_dead_letters(status, f, plan)
  local is = conditions.get(status.conditions, 'DeadLetters')
  if is and not conditions.get(f.before.conditions, 'DeadLetters') then
    plan:event { type = 'Warning', reason = 'DeadLetters', note = is.message }
  end
end

--- The story `kubectl describe` tells: what was done, each trouble when it begins, and when it is over.  That an actor was created says enough of
-- its beginning: a fleet that is made costs one event an actor.
local function tell(ctx, status, f, blocked, plan)
  tell_changes(ctx.outcome.changed, plan)
  local before, word = f.before.status, status.status
  local was, is = conditions.get(f.before.conditions, 'Ready') or {}, conditions.get(status.conditions, 'Ready')
  -- What a pod says changes with each restart and is one trouble; what a person has to mend is another with each message.
  if is_trouble(word) and (word ~= before or blocked and is.message ~= was.message) then
    plan:event { type = 'Warning', reason = blocked and blocked.reason or word, note = is.message }
  elseif is.status == 'True' and was.status ~= 'True' and before and before ~= 'Creating' then
    plan:event { type = 'Normal', reason = is_trouble(before) and 'Recovered' or 'Ready', note = is.message }
  elseif word == 'Paused' and before ~= 'Paused' then
    plan:event { type = 'Normal', reason = word, note = is.message }
  end
end

local function seconds(default, doc)
  return schema.integer { min = 1 }:default(default):doc(doc)
end

return policy.define {
  name = 'status',
  after = { 'workload' },
  doc = 'Status, conditions and events of an actor.',
  params = {
    crash_restarts = schema.integer { min = 1 }:default(3):doc 'Restarts from which a container counts as crashing until it is stable.',
    stable_seconds = seconds(60, 'How long a container must run until its restarts are forgiven.'),
    mount_seconds = seconds(30, 'How long a pod may wait for its volumes before that is an error.'),
    scaler_seconds = seconds(15, 'How long KEDA may find a new scaler unusable before that is an error.'),
    metrics_seconds = seconds(120, 'How long an autoscaler may be without numbers before that is an error.'),
    upgrade_seconds = seconds(300, 'How often to look whether KEDA was upgraded, while its CRDs lack a field that an actor has.'),
    degraded_seconds = seconds(300, 'How long replicas may be on their way before the actor counts as degraded.'),
  },

  status = function(actor, ctx, status, plan)
    local f = gather(actor, ctx)
    local blocked = blocker(ctx, f)
    status.status = k8s.get(actor, 'metadata.deletionTimestamp') and 'Terminating' or blocked and blocked.status or progress.word(f, ctx, f.before)
    set_origin(status, ctx, f.before)
    set_numbers(status, f)
    set_queue_numbers(status, ctx, f.before)
    set_last_scale(status, ctx, f, plan)
    set_conditions(actor, ctx, status, f, blocked)
    status.transportStatus = TRANSPORT_WORD[conditions.get(status.conditions, 'TransportReady').status]
    status.readySummary = summary(status.conditions)
    set_references(status, actor, f)
    tell(ctx, status, f, blocked, plan)
    tell_dead_letters(status, f, plan)
    if not f.rolled_out then plan:rolling_out() end
    if f.look_again then plan:requeue_after(f.look_again) end
  end,
}
