--- pods: what the pods of an actor say about its health, from their states and conditions, never from their names.
local policy = require 'policy'
local k8s = require 'k8s'
local times = require 'times'
local conditions = require 'conditions'
local actors = require 'actor'
local names = require 'names'

local M = {}

-- Why a container waits, and what that makes of the actor.
local PULL = { ImagePullBackOff = true, ErrImagePull = true, InvalidImageName = true, ErrImageNeverPull = true }
local CRASH = { CrashLoopBackOff = true, RunContainerError = true, CreateContainerError = true }

local STATUS_OF_CONTAINER = { [actors.RUNTIME] = 'RuntimeError', [actors.SIDECAR] = 'SidecarError' }

local function says(message)
  return message and message ~= '' and (': ' .. message) or ''
end

--- How a container ended, for people: "exit code 1 (Error): last words".
local function ending(ended)
  return ('exit code %s%s%s'):format(tostring(ended.exitCode), ended.reason and (' (' .. ended.reason .. ')') or '', says(ended.message))
end

--- A container that ends again and again, or has just ended in error; `how` says which.
local function crash(pod, status, how, ended)
  return {
    status = STATUS_OF_CONTAINER[status.name] or 'WorkloadError',
    message = ('container %s of pod %s %s%s; kubectl logs %s -c %s --previous shows its last words')
      :format(status.name, pod.metadata.name, how, ended and (', last with ' .. ending(ended)) or '', pod.metadata.name, status.name),
  }
end

--- The keys that the containers of a pod template read out of this Secret, or of the ConfigMap, each once and in their order.
local function keys_of(template, kind, name)
  local found, seen = {}, {}
  for _, field in ipairs { 'spec.initContainers', 'spec.containers' } do
    for _, container in ipairs(k8s.get(template, field) or {}) do
      for _, variable in ipairs(container.env or {}) do
        local ref = k8s.get(variable, { 'valueFrom', kind .. 'KeyRef' })
        if ref and ref.name == name and ref.key and not seen[ref.key] then
          found[#found + 1], seen[ref.key] = ref.key, true
        end
      end
    end
  end
  return #found > 0 and found or { 'KEY' }
end

--- What to do about the Secret or ConfigMap that the kubelet does not find: with its name, the command.
local function remedy(pod, message, template)
  for kind, create in pairs { secret = 'secret generic', configMap = 'configmap' } do
    local name = message and message:match(kind:lower() .. ' "([^"]+)" not found')
    if name then
      local keys = keys_of(template, kind, name)
      for i, key in ipairs(keys) do keys[i] = ' --from-literal=' .. key .. '=VALUE' end
      return ('correct its name, or create it: kubectl create %s %s -n %s%s'):format(create, name, pod.metadata.namespace, table.concat(keys))
    end
  end
  return 'create it, or correct its name'
end

local function waiting_fault(pod, status, waiting, around)
  local reason, name = waiting.reason, pod.metadata.name
  if PULL[reason] then
    return { status = 'ImagePullError', message = ('container %s of pod %s cannot get its image (%s)%s; check the image name and imagePullSecrets')
      :format(status.name, name, reason, says(waiting.message)) }
  elseif reason == 'CreateContainerConfigError' then
    return { status = 'ConfigError', message = ('container %s of pod %s needs a ConfigMap or Secret that does not exist%s; %s')
      :format(status.name, name, says(waiting.message), remedy(pod, waiting.message, around.template)) }
  elseif CRASH[reason] then
    local how = ('is in %s after %d restarts%s'):format(reason, status.restartCount or 0, reason ~= 'CrashLoopBackOff' and says(waiting.message) or '')
    return crash(pod, status, how, k8s.get(status, 'lastState.terminated'))
  end
end

--- Restarts long ago are forgiven: a container that has crashed often counts as crashing until it has run for a while.
-- Returns the fault and the seconds until it is forgiven.
local function unstable_fault(pod, status, running, around)
  local ended, age = k8s.get(status, 'lastState.terminated'), times.between(running.startedAt, around.now)
  local often = (status.restartCount or 0) >= around.params.crash_restarts
  if not ended or ended.exitCode == 0 or not often or not age or age >= around.params.stable_seconds then return nil end
  local how = ('has crashed %d times and has been running again since %s'):format(status.restartCount, running.startedAt)
  return crash(pod, status, how, ended), around.params.stable_seconds - age
end

--- A container that ran for a while, ended while its pod had not been ready all that time, and is not ready now that it runs again: one whose
-- startup probe never passes is killed for that, again and again. No time makes this better, so it is not forgiven.
local function vain_fault(pod, status, around)
  local ended, ready = k8s.get(status, 'lastState.terminated'), conditions.of(pod, 'ContainersReady')
  if not ended or status.ready ~= false or not ready or ready.status ~= 'False' then return nil end
  local lived, before = times.between(ended.startedAt, ended.finishedAt), times.between(ready.lastTransitionTime, ended.startedAt)
  if not lived or lived < around.params.stable_seconds or not before or before < 0 then return nil end
  local how = ('ended after %d s and runs again (restarts: %d), and the pod has not been ready since %s (kubectl describe pod %s shows what its probes say)')
    :format(lived, status.restartCount or 0, ready.lastTransitionTime, pod.metadata.name)
  return crash(pod, status, how, ended)
end

local function container_fault(pod, status, around)
  local waiting, ended, running =
    k8s.get(status, 'state.waiting'), k8s.get(status, 'state.terminated'), k8s.get(status, 'state.running')
  if waiting and waiting.reason then
    return waiting_fault(pod, status, waiting, around)
  elseif ended and ended.exitCode ~= 0 then
    return crash(pod, status, 'has ended', ended)
  elseif running then
    local vain = vain_fault(pod, status, around)
    if vain then return vain end
    return unstable_fault(pod, status, running, around)
  end
end

--- A pod has its sandbox as soon as its volumes are mounted; one that waits for it for long waits for them.
local function volume_fault(pod, around)
  local scheduled, sandbox, ready = conditions.of(pod, 'PodScheduled'), conditions.of(pod, 'PodReadyToStartContainers'), conditions.of(pod, 'ContainersReady')
  if not (scheduled and scheduled.status == 'True' and sandbox and sandbox.status == 'False') then return nil end
  local since = sandbox.lastTransitionTime or pod.metadata.creationTimestamp
  local age = times.between(since, around.now)
  if not age then return nil end
  if age < around.params.mount_seconds then return nil, around.params.mount_seconds - age end
  return { status = 'VolumeError', message = ('pod %s has been waiting for its volumes since %s%s%s; kubectl describe pod %s shows which one is missing')
    :format(pod.metadata.name, since, around.volumes ~= '' and (' (' .. around.volumes .. ')') or '', says(ready and ready.message), pod.metadata.name) }
end

--- What is wrong with one pod, or nil; and in how many seconds that may be another answer without any news, or nil.
local function fault_of(pod, around)
  local scheduled = conditions.of(pod, 'PodScheduled')
  if scheduled and scheduled.status == 'False' and scheduled.reason == 'Unschedulable' then
    return { status = 'PendingResources', message = ('pod %s cannot be scheduled%s; free or add nodes, or lower what the pod asks for')
      :format(pod.metadata.name, says(scheduled.message)) }
  end
  for _, field in ipairs { 'status.initContainerStatuses', 'status.containerStatuses' } do
    for _, status in ipairs(k8s.get(pod, field) or {}) do
      local fault, again = container_fault(pod, status, around)
      if fault then return fault, again end
    end
  end
  return volume_fault(pod, around)
end

local function is_ready(pod)
  local ready = conditions.of(pod, 'Ready')
  return ready ~= nil and ready.status == 'True'
end

--- The pods of the actor itself.
function M.of(actor, ctx)
  local list = {}
  for _, object in ipairs(ctx.related) do
    if object.kind == 'Pod' and names.owns(actor, object) then list[#list + 1] = object end
  end
  return list
end

--- The volumes that a pod template brings, for people: "data (persistentVolumeClaim claim)".
function M.volumes(template)
  local list = {}
  for _, volume in ipairs(k8s.get(template, 'spec.volumes') or {}) do
    for _, kind in ipairs { 'persistentVolumeClaim', 'configMap', 'secret', 'hostPath', 'nfs', 'csi' } do
      local source = volume[kind]
      if type(source) == 'table' then
        list[#list + 1] = ('%s: %s %s'):format(volume.name, kind,
          tostring(source.claimName or source.name or source.secretName or source.path or source.driver or source.server or ''))
      end
    end
  end
  return table.concat(list, ', ')
end

--- Counts an actor's pods: { ready, pending, failing, unstable, fault, look_again }; fault is the first there is, unstable are ready pods
-- that have one all the same, look_again are the seconds after which the answer may be another one without any news.
-- Pods that are being deleted, and those that have ended, say nothing about the actor.
-- `around` is { now, params: { crash_restarts, stable_seconds, mount_seconds }, volumes, template }.
function M.examine(list, around)
  local result = { ready = 0, pending = 0, failing = 0, unstable = 0 }
  for _, pod in ipairs(list) do
    local phase = k8s.get(pod, 'status.phase')
    local gone = k8s.get(pod, 'metadata.deletionTimestamp') ~= nil or phase == 'Succeeded' or phase == 'Failed'
    local fault, again
    if not gone then fault, again = fault_of(pod, around) end
    if again and (not result.look_again or again < result.look_again) then result.look_again = again end
    if fault then
      result.failing = result.failing + 1
      result.unstable = result.unstable + (is_ready(pod) and 1 or 0)
      result.fault = result.fault or fault
    elseif not gone then
      local key = is_ready(pod) and 'ready' or 'pending'
      result[key] = result[key] + 1
    end
  end
  return result
end

return policy.library(M)
