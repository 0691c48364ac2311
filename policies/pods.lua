--- pods: what the pods of an actor say about its health, from their states and conditions, never from their names.
local policy = require 'policy'
local k8s = require 'k8s'
local actors = require 'actor'

local M = {}

-- Why a container waits, and what that makes of the actor.
local PULL = { ImagePullBackOff = true, ErrImagePull = true, InvalidImageName = true, ErrImageNeverPull = true }
local CONFIG = { CreateContainerConfigError = true }
local CRASH = { CrashLoopBackOff = true, RunContainerError = true, CreateContainerError = true }

local STATUS_OF_CONTAINER = { [actors.RUNTIME] = 'RuntimeError', [actors.SIDECAR] = 'SidecarError' }

local function condition(pod, kind)
  for _, c in ipairs(k8s.get(pod, 'status.conditions') or {}) do
    if c.type == kind then return c end
  end
end

local function says(message)
  return message and message ~= '' and (': ' .. message) or ''
end

--- How the container ended last, for people: "exit code 1 (Error): last words".
local function last_end(status)
  local ended = k8s.get(status, 'lastState.terminated') or k8s.get(status, 'state.terminated')
  if not ended then return '' end
  return (', exit code %s%s%s'):format(tostring(ended.exitCode), ended.reason and (' (' .. ended.reason .. ')') or '', says(ended.message))
end

local function container_fault(pod, status)
  local waiting = k8s.get(status, 'state.waiting')
  local reason = waiting and waiting.reason
  if not reason then return nil end
  local name = pod.metadata.name
  if PULL[reason] then
    return { status = 'ImagePullError', message = ('container %s of pod %s cannot get its image (%s)%s; check the image name and imagePullSecrets')
      :format(status.name, name, reason, says(waiting.message)) }
  elseif CONFIG[reason] then
    return { status = 'ConfigError', message = ('container %s of pod %s misses a ConfigMap or Secret%s'):format(status.name, name, says(waiting.message)) }
  elseif CRASH[reason] then
    return { status = STATUS_OF_CONTAINER[status.name] or 'WorkloadError',
      message = ('container %s of pod %s in %s after %d restarts%s'):format(status.name, name, reason, status.restartCount or 0, last_end(status)) }
  end
end

local function volume_fault(pod)
  local ready = condition(pod, 'ContainersReady')
  if ready and ready.status == 'False' and ready.reason == 'FailedMount' then
    return { status = 'VolumeError', message = ('a volume of pod %s cannot be mounted%s'):format(pod.metadata.name, says(ready.message)) }
  end
end

--- What is wrong with one pod, or nil.
function M.fault(pod)
  local scheduled = condition(pod, 'PodScheduled')
  if scheduled and scheduled.status == 'False' and scheduled.reason == 'Unschedulable' then
    return { status = 'PendingResources', message = ('pod %s cannot be scheduled%s'):format(pod.metadata.name, says(scheduled.message)) }
  end
  for _, field in ipairs { 'status.initContainerStatuses', 'status.containerStatuses' } do
    for _, status in ipairs(k8s.get(pod, field) or {}) do
      local fault = container_fault(pod, status)
      if fault then return fault end
    end
  end
  return volume_fault(pod)
end

local function is_ready(pod)
  local ready = condition(pod, 'Ready')
  return ready ~= nil and ready.status == 'True'
end

--- Counts an actor's pods: { ready, pending, failing, fault }; fault is the first there is.
-- Pods that are being deleted, and those that have ended, say nothing about the actor.
function M.examine(list)
  local result = { ready = 0, pending = 0, failing = 0 }
  for _, pod in ipairs(list) do
    local phase = k8s.get(pod, 'status.phase')
    local gone = k8s.get(pod, 'metadata.deletionTimestamp') ~= nil or phase == 'Succeeded' or phase == 'Failed'
    local fault = not gone and M.fault(pod)
    if fault then
      result.failing = result.failing + 1
      result.fault = result.fault or fault
    elseif not gone then
      local key = is_ready(pod) and 'ready' or 'pending'
      result[key] = result[key] + 1
    end
  end
  return result
end

return policy.library(M)
