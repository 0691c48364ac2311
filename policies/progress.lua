--- progress: how far a workload is on its way to what is wanted, in one word.
local policy = require 'policy'
local k8s = require 'k8s'
local times = require 'times'
local conditions = require 'conditions'
local actors = require 'actor'

local M = {}

--- The object that runs the actor: of the wanted kind, and among Jobs the youngest.
function M.workload(actor, ctx)
  local kind, found = actors.kind(actor), nil
  for _, child in ipairs(ctx.children) do
    local newer = child.kind == kind and (not found or child.metadata.creationTimestamp > found.metadata.creationTimestamp)
    if newer or (kind == 'Job' and child.kind == 'ScaledJob') then found = child end
  end
  return found
end

function M.template(workload)
  return k8s.get(workload, 'spec.template') or k8s.get(workload, 'spec.jobTargetRef.template')
end

-- How many pods a workload of each kind wants, has, has ready, and has of the newest version (nil while its controller has not looked at the
-- newest template: what it says of updated pods is then about the one before).
local COUNT = {}

function COUNT.Deployment(workload)
  local function of(field) return k8s.get(workload, 'status.' .. field, 0) end
  local seen = of 'observedGeneration' >= k8s.get(workload, 'metadata.generation', 0)
  return k8s.get(workload, 'spec.replicas', 1), of 'replicas', of 'readyReplicas', seen and of 'updatedReplicas' or nil
end

COUNT.StatefulSet = COUNT.Deployment

function COUNT.Job(workload)
  local active, complete = k8s.get(workload, 'status.active', 0), k8s.get(workload, 'status.completionTime') ~= nil
  return complete and 0 or k8s.get(workload, 'spec.parallelism', 1), active, k8s.get(workload, 'status.ready', 0), active
end

--- A ScaledJob says nothing of its Jobs: the pods do.
function COUNT.ScaledJob(_, pods)
  local total = pods.ready + pods.pending + pods.failing
  return total, total, pods.ready + pods.unstable, total
end

--- What the controller of the workload itself says is wrong: { reason, message }, or nil.
local function stuck(workload)
  local failure, progressing, failed = conditions.of(workload, 'ReplicaFailure'), conditions.of(workload, 'Progressing'), conditions.of(workload, 'Failed')
  if workload.kind == 'Job' and failed and failed.status == 'True' then
    return { reason = 'JobFailed', message = ('Job %s has failed (%s): %s; to run it again, delete it or change the actor')
      :format(workload.metadata.name, tostring(failed.reason), tostring(failed.message)) }
  elseif failure and failure.status == 'True' then
    return { reason = 'ReplicaFailure', message = ('pods of %s %s are refused (%s): %s')
      :format(workload.kind, workload.metadata.name, tostring(failure.reason), tostring(failure.message)) }
  elseif progressing and progressing.status == 'False' and progressing.reason == 'ProgressDeadlineExceeded' then
    return { reason = progressing.reason, message = ('%s %s makes no progress: %s')
      :format(workload.kind, workload.metadata.name, tostring(progressing.message)) }
  end
end

--- What somebody has told the workload itself, which no actor can, and what keeps it as it is until that ends: { reason, message, keeps }, or nil.
-- `keeps` is how many old pods stay.
local function held(workload)
  local kind, strategy = workload.kind, k8s.get(workload, 'spec.updateStrategy') or {}
  local from = k8s.get(strategy, 'rollingUpdate.partition', 0)
  local function because(reason, what, spec, keeps)
    return { reason = reason, keeps = keeps or math.huge, message = ("%s %s %s; kubectl patch %s %s -n %s -p '{\"spec\":{%s}}' ends that")
      :format(kind, workload.metadata.name, what, kind:lower(), workload.metadata.name, workload.metadata.namespace, spec) }
  end
  if kind == 'Deployment' and k8s.get(workload, 'spec.paused') == true then
    return because('DeploymentPaused', 'is paused, so its old pods stay', '"paused":false')
  elseif kind == 'StatefulSet' and strategy.type == 'OnDelete' then
    return because('UpdateOnDelete', 'leaves it to you to delete its old pods (spec.updateStrategy)', '"updateStrategy":{"type":"RollingUpdate"}')
  elseif kind == 'StatefulSet' and from > 0 then
    return because('UpdatePartitioned', ('replaces only its pods from number %d up (spec.updateStrategy)'):format(from),
      '"updateStrategy":{"rollingUpdate":{"partition":0}}', from)
  elseif kind == 'Job' and k8s.get(workload, 'spec.suspend') == true then
    return because('JobSuspended', 'is suspended, so it has no pods', '"suspend":false')
  end
end

--- Does every pod run from the newest template, and is it ready? What `kubectl rollout status` waits for. Old pods that the workload was told to
-- keep are not being replaced: who waited for them would find an edit of policies guilty of what somebody has told it.
local function is_rolled_out(workload, desired, total, ready, updated, keeps)
  if workload.kind:sub(-3) == 'Job' then return true end
  return updated ~= nil and updated + keeps >= desired and total <= updated + keeps and ready >= desired
end

--- The counts of a workload (which may be nil): { desired, total, ready, updated, rolled_out, complete, stuck, held }.
-- `wanted` is how many the autoscaler wants, or nil; while nothing runs it is out of date.
function M.count(workload, pods, wanted)
  if not workload then return { desired = 0, total = 0, ready = 0, updated = 0 } end
  local desired, total, ready, updated = COUNT[workload.kind](workload, pods)
  local complete = workload.kind == 'Job' and k8s.get(workload, 'status.completionTime') ~= nil
  local waits = updated and total > updated or workload.kind == 'Job' and not complete -- else what it was told keeps nothing
  local holds = waits and held(workload) or nil
  local rolled_out = is_rolled_out(workload, desired, total, ready, updated, holds and holds.keeps or 0)
  if wanted and wanted > 0 and desired > 0 then desired = wanted end
  return {
    desired = desired, total = total, ready = ready, updated = updated, rolled_out = rolled_out, complete = complete,
    stuck = stuck(workload), held = holds,
  }
end

--- Seconds that the replicas have been on their way. When more are wanted than were noted, that is since now.
local function seconds_on_the_way(f, ctx, before)
  if before.desiredReplicas and f.desired > before.desiredReplicas then return 0 end
  local job = f.workload.kind == 'Job' and f.workload.metadata.creationTimestamp -- another Job is another beginning
  return times.between(job or before.lastScaleTime or f.since, ctx.now)
end

--- Too few are ready, and nothing says why.
local function too_few(f, ctx, before)
  local was = before.status
  local more = f.desired > (before.desiredReplicas or 0)
  if f.workload.kind == 'ScaledJob' then return 'ScalingUp' end -- each of its pods ends after a message, and another one comes
  if (was == 'Degraded' or was == 'Running') and not more then return 'Degraded' end
  if was == nil or was == 'Creating' and f.total < f.desired then return 'Creating' end
  if was == 'Updating' then return 'Updating' end
  -- Those that have been coming for long are not coming.
  local age = seconds_on_the_way(f, ctx, before)
  if f.total >= f.desired and age and age >= ctx.params.degraded_seconds then return 'Degraded' end
  if f.total >= f.desired and age then f.look_again = ctx.params.degraded_seconds - age end
  return was == 'Creating' and was or 'ScalingUp' -- until its first pods are ready it is still being made
end

--- The word of the Status column when nothing is in the way: the first that fits.
function M.word(f, ctx, before)
  if not f.workload then return 'Creating' end
  if f.complete then return 'Completed' end
  if f.trouble then return f.trouble.status end
  if f.scaled and f.desired == 0 and f.total == 0 then return 'Napping' end
  local unseen = f.updated == nil -- its controller has not looked: nothing new is known
  if unseen and f.total == f.desired and before.status then return before.status end
  if not unseen and f.total > f.updated then return 'Updating' end
  if f.total > f.desired then return 'ScalingDown' end
  return f.ready < f.desired and too_few(f, ctx, before) or 'Running'
end

return policy.library(M)
