--- scaler: what KEDA and the autoscaler it makes say about the scaling of an actor.
local policy = require 'policy'
local k8s = require 'k8s'
local times = require 'times'
local conditions = require 'conditions'

local M = {}

--- The scaler of an actor and its autoscaler, or nil: ScaledObject or ScaledJob, HorizontalPodAutoscaler.
function M.find(ctx)
  local scaler, hpa
  for _, child in ipairs(ctx.children) do
    if child.kind == 'ScaledObject' or child.kind == 'ScaledJob' then scaler = child end
  end
  for _, object in ipairs(ctx.related) do
    if object.kind == 'HorizontalPodAutoscaler' then hpa = object end
  end
  return scaler, hpa
end

--- How many replicas the autoscaler wants, or nil when it does not say.
function M.wanted(hpa)
  return k8s.get(hpa, 'status.desiredReplicas')
end

--- The autoscaler gets no numbers. While it is new that is so by nature; then the seconds come along until it counts.
local function blind(hpa, ctx)
  local active = conditions.of(hpa, 'ScalingActive')
  if not active or active.status ~= 'False' or active.reason == 'ScalingDisabled' then return nil end
  local age = times.between(active.lastTransitionTime, ctx.now)
  if age and age < ctx.params.metrics_seconds then
    return { 'Unknown', 'MetricsPending', ('the autoscaler cannot read the queue length yet (%s): %s')
      :format(tostring(active.reason), tostring(active.message)) }, ctx.params.metrics_seconds - age
  end
  return { 'False', 'MetricsUnavailable', ('the autoscaler cannot read the queue length (%s): %s; check the broker and its credentials as KEDA sees them')
    :format(tostring(active.reason), tostring(active.message)) }
end

--- KEDA cannot use a scaler. Of a new one it says so, too, when it was only not the first to write the workload: it tries again.
local function unusable(scaler, what, ready, ctx)
  local age = times.between(scaler.metadata.creationTimestamp, ctx.now)
  local text = ('KEDA cannot use %s (%s): %s'):format(what, tostring(ready.reason), tostring(ready.message))
  if age and age < ctx.params.scaler_seconds then
    return { 'Unknown', 'ScalerPending', text .. '; it is new, and KEDA tries again' }, ctx.params.scaler_seconds - age
  end
  return { 'False', 'ScalerNotReady', text }
end

--- What the condition ScalingReady is: { status, reason, message }; and the seconds until it may be another one without any news, or nil.
function M.judge(scaler, hpa, ctx)
  if not scaler then return { 'Unknown', 'ScalerMissing', 'the scaler does not exist yet' } end
  local what = ('%s %s'):format(scaler.kind, scaler.metadata.name)
  local ready, paused = conditions.of(scaler, 'Ready'), conditions.of(scaler, 'Paused')
  if not ready or ready.status == 'Unknown' then
    return { 'Unknown', 'ScalerPending', what .. ' exists; KEDA has not looked at it yet' }
  elseif ready.status == 'False' then
    return unusable(scaler, what, ready, ctx)
  elseif paused and paused.status == 'True' then
    return { 'True', 'ScalingPaused', what .. ' is paused by an annotation autoscaling.keda.sh/paused...' }
  end
  local trouble, again = blind(hpa, ctx)
  local fallen = conditions.of(scaler, 'Fallback')
  if not trouble and fallen and fallen.status == 'True' then
    return { 'True', 'ScalingFallback', what .. ' keeps to its fallback: KEDA cannot read the queue, or another trigger' }
  end
  return trouble or { 'True', 'ScaledObjectCreated', what .. ' scales the actor' }, again
end

return policy.library(M)
