--- hung: a runtime that gives no answer, which no probe sees. Its sidecar ends for that, and only the sidecar is started again.
local policy = require 'policy'
local k8s = require 'k8s'
local json = require 'json'
local schema = require 'schema'
local times = require 'times'
local conditions = require 'conditions'
local actors = require 'actor'
local pods = require 'pods'

local NO_ANSWER <const> = 1 -- the exit code of a sidecar that has waited for its timeout
local PATIENCE <const> = 3 -- timeouts that a sidecar must run through until what it said is forgotten

--- What the kubelet says of a container, among the init containers, too.
local function status_of(pod, name)
  return k8s.find(k8s.get(pod, 'status.containerStatuses'), name) or k8s.find(k8s.get(pod, 'status.initContainerStatuses'), name)
end

--- How the sidecar ended last, if that can have been for want of an answer: it ran for the timeout or longer, and so did the runtime, which
-- runs on. Returns that end, and since when the runtime has been running; nil otherwise.
local function end_without_answer(pod, sidecar, timeout)
  local ended = k8s.get(sidecar, 'state.terminated') or k8s.get(sidecar, 'lastState.terminated')
  local since = k8s.get(status_of(pod, actors.RUNTIME), 'state.running.startedAt')
  if not ended or ended.exitCode ~= NO_ANSWER or not since then return nil end
  local lived, beside = times.between(ended.startedAt, ended.finishedAt), times.between(since, ended.finishedAt)
  if lived and beside and lived >= timeout and beside >= timeout then return ended, since end
end

--- A sidecar that has lost its broker ends in the same way: was the broker away while this one ran, as far as anybody has seen?
local function without_broker(transport, ended)
  if not transport or transport.status == 'Unknown' then return false end
  return transport.status == 'False' or (times.between(ended.startedAt, transport.lastTransitionTime) or 0) > 0
end

--- Says why the runtime of a pod seems to hang, or nothing; and in how many seconds that will be forgotten if nothing happens.
-- `transport` is the condition TransportReady, or nil.
local function judge(pod, timeout, transport, now)
  local sidecar = status_of(pod, actors.SIDECAR)
  local ended, since = end_without_answer(pod, sidecar, timeout)
  if not ended or without_broker(transport, ended) then return nil end
  local running = k8s.get(sidecar, 'state.running.startedAt')
  local left = running and PATIENCE * timeout - (times.between(running, now) or 0)
  if left and left <= 0 then return nil end
  local name = pod.metadata.name
  return ('the runtime of pod %s seems to hang: its sidecar ended with exit code %d at %s (restarts: %d), as it does without an answer within %d s, '
    .. 'and the runtime has been running since %s. kubectl delete pod %s -n %s replaces both')
    :format(name, NO_ANSWER, ended.finishedAt, sidecar.restartCount or 0, timeout, since, name, pod.metadata.namespace), left
end

return policy.define {
  name = 'hung',
  after = { 'sidecar', 'status' },
  doc = 'Tells of runtimes that give no answer; restarts the pod for that where it is told to.',
  params = {
    restart_pod = schema.boolean():default(false)
      :doc 'Restart all containers of a Deployment\'s or StatefulSet\'s pod when its sidecar ends with exit code 1. Needs Kubernetes 1.36; replaces pods once.',
  },

  render = function(actor, ctx, plan)
    -- Another template would be another Job, and one that is done must not run again for that.
    if not ctx.params.restart_pod or actors.kind(actor) == 'Job' then return end
    local sidecar = k8s.container(actors.pod(plan:get 'workload'), actors.SIDECAR)
    sidecar.restartPolicy = 'Always' -- rules want it to be said
    sidecar.restartPolicyRules = json.array {
      { action = 'RestartAllContainers', exitCodes = { operator = 'In', values = json.array { NO_ANSWER } } },
    }
  end,

  status = function(actor, ctx, status, plan)
    local before, timeout = k8s.get(actor, 'status.conditions'), actors.processing_timeout(actor)
    local transport, said = conditions.get(status.conditions, 'TransportReady'), nil
    for _, pod in ipairs(pods.of(actor, ctx)) do
      local why, left = judge(pod, timeout, transport, ctx.now)
      said = said or why
      if left then plan:requeue_after(left) end
    end
    if not said then return end
    conditions.set(status.conditions, before, { type = 'RuntimeHung', status = 'True', reason = 'NoAnswer', message = said }, ctx.now,
      status.observedGeneration)
    if not conditions.get(before, 'RuntimeHung') then plan:event { type = 'Warning', reason = 'RuntimeHung', note = said } end
  end,
}
