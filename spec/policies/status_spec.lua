--- status: what an actor's status says in each situation, from facts alone.
local case = require 'case'
local json = require 'json'
local facts = require 'situation'

local actor, deployment, pod, full = facts.actor, facts.deployment, facts.pod, facts.full
local judge, condition = facts.judge, facts.condition

local unmanaged = case.bundle { disableQueueManagement = 'true', transports = { rabbitmq = { enabled = true, config = { host = 'h' } } } }

local function waiting(container, reason, more)
  local status = { name = container, restartCount = 7, state = { waiting = { reason = reason, message = 'because' } } }
  for key, value in pairs(more or {}) do status[key] = value end
  return { phase = 'Pending', containerStatuses = json.array { status } }
end

local none_ready = { replicas = 2, readyReplicas = 0, updatedReplicas = 2 }
local bad_pod = { PodScheduled = 'Unschedulable' }

local none_of_one = { replicas = 1, updatedReplicas = 1 }
local one_ready = { replicas = 1, readyReplicas = 1, updatedReplicas = 1 }

--- A time of the minute before now.
local function at(time)
  return '2026-01-02T' .. time .. 'Z'
end

local function without_sandbox(since)
  return pod('p', { phase = 'Pending', conditions = json.array {
    { type = 'PodScheduled', status = 'True' }, { type = 'PodReadyToStartContainers', status = 'False', lastTransitionTime = at(since) },
  } })
end

--- A ready pod whose runtime has crashed and has been running again since then.
local function restarted(times, since)
  return pod('p', { phase = 'Running', conditions = json.array { { type = 'Ready', status = 'True' } }, containerStatuses = json.array { {
    name = 'asya-runtime', restartCount = times, state = { running = { startedAt = at(since) } }, lastState = { terminated = { exitCode = 1 } } } } })
end

--- A pod whose runtime has been running since 03:00:00 for the second time or more, and is not ready. Its life before began at 02:50:00 and ended
-- after so many seconds; the pod has not been ready since then.
local function unready(restarts, lived, since, code)
  local died = ('02:%02d:%02d'):format(50 + lived // 60, lived % 60)
  return pod('p', { phase = 'Running', conditions = json.array { { type = 'ContainersReady', status = 'False', lastTransitionTime = at(since) } },
    containerStatuses = json.array { { name = 'asya-runtime', ready = false, restartCount = restarts, state = { running = { startedAt = at '03:00:00' } },
      lastState = { terminated = { exitCode = code or 137, reason = 'Error', startedAt = at '02:50:00', finishedAt = at(died) } } } } })
end

local function with_condition(kind, truth, reason)
  return { replicas = 1, readyReplicas = 0, updatedReplicas = 1, conditions = json.array { { type = kind, status = truth, reason = reason, message = 'm' } } }
end

--- All that are wanted are ready, and none of them is new.
local function behind_old(given)
  local status = with_condition(table.unpack(given))
  status.replicas, status.readyReplicas, status.updatedReplicas = 2, 2, 0
  return status
end

local function scaled_object(given, created)
  local status = given and { conditions = json.array { { type = given[1], status = given[2], reason = 'R', message = 'm' } } }
  return { apiVersion = 'keda.sh/v1alpha1', kind = 'ScaledObject', metadata = { name = 'a', namespace = 'ns', creationTimestamp = created }, status = status }
end

local function autoscaler(since)
  return { apiVersion = 'autoscaling/v2', kind = 'HorizontalPodAutoscaler', metadata = { name = 'keda-hpa-a', namespace = 'ns' }, status = {
    desiredReplicas = 2, conditions = json.array {
      { type = 'ScalingActive', status = 'False', reason = 'FailedGetExternalMetric', message = 'm', lastTransitionTime = at(since) } } } }
end

local function job_actor()
  local it = actor()
  it.spec.workload.kind = 'Job'
  return it
end

--- An actor that was made weeks ago.
local function old_job_actor(before, scaled)
  local it = actor(before, { enabled = scaled or false })
  it.spec.workload.kind, it.metadata.creationTimestamp = 'Job', '2025-12-01T00:00:00Z'
  return it
end

local scaled_job = { apiVersion = 'keda.sh/v1alpha1', kind = 'ScaledJob', metadata = { name = 'a', namespace = 'ns' }, spec = {} }

local function job(completed, given, made)
  return { apiVersion = 'batch/v1', kind = 'Job', metadata = { name = 'a', namespace = 'ns', creationTimestamp = made or '2026-01-01T00:00:00Z' }, spec = {},
    status = { completionTime = completed, active = made and 1,
      conditions = given and json.array { { type = given, status = 'True', reason = 'BackoffLimitExceeded', message = 'm' } } } }
end

local function queue_fact(reason)
  return { name = 'asya-a', transport = 'rabbitmq', ready = false, reason = reason, message = 'm' }
end

local RIGHT = { name = 'asya-a', transport = 'rabbitmq', ready = true, messages = 0, in_flight = 0, reason = '', message = '' }

local function named(transport, deleted)
  local it = actor()
  it.spec.transport, it.metadata.deletionTimestamp = transport, deleted
  return it
end

--- An actor whose transport was said to be ready when it had this generation.
local function was_ready(generation)
  return actor { status = 'Running', conditions = json.array { {
    type = 'TransportReady', status = 'True', reason = 'TransportValidated', message = 'queue asya-a is there', observedGeneration = generation } } }
end

local INVALID = { invalid = { reason = 'ValidationError', message = 'm', condition = 'WorkloadReady' } }
local NO_WORKLOAD = { errors = json.array { { role = 'workload', kind = 'Deployment', name = 'a', verb = 'create', message = 'm' } } }
local NOT_THERE = 'transport "pigeons" not found in the operator\'s configuration (it has: '

-- What TransportReady says: { status, reason, how its message begins, situation, what is in the column Transport }.
local TRANSPORTS = {
  { 'Unknown', 'QueueNotReached', 'the broker of transport "rabbitmq" has not been asked yet', {}, 'Unknown' },
  { 'Unknown', 'QueueNotReached', 'the broker of transport', { outcome = INVALID }, 'Unknown' },
  { 'Unknown', 'QueueNotReached', 'the broker of transport', { outcome = NO_WORKLOAD }, 'Unknown' },
  { 'Unknown', 'QueueNotReached', 'the broker of transport', { outcome = { policy_error = { message = 'm' } } }, 'Unknown' },
  { 'Unknown', 'QueuesNotManaged', 'queues are not managed', { bundle = unmanaged, children = { deployment(2, full) } }, 'Unknown' },
  { 'Unknown', 'QueuePending', 'm', { queues = { queue_fact 'QueuePending' } }, 'Unknown' },
  { 'Unknown', 'QueuePending', 'm', { actor = was_ready(2), children = { deployment(2, full) }, queues = { queue_fact 'QueuePending' } }, 'Unknown' },
  { 'Unknown', 'Terminating', 'the actor is being deleted', { actor = named('rabbitmq', 'now'), queues = { RIGHT } }, 'Unknown' },
  { 'False', 'InvalidTransport', NOT_THERE, { actor = named 'pigeons', outcome = INVALID }, 'NotReady' },
  { 'False', 'InvalidTransport', NOT_THERE, { actor = named 'pigeons', outcome = { invalid = { reason = 'Paused', message = 'm' } } }, 'NotReady' },
  { 'False', 'InvalidTransport', 'transport "off" is disabled', { actor = named 'off', outcome = { policy_error = { message = 'm' } } }, 'NotReady' },
  { 'False', 'BrokerUnreachable', 'm', { outcome = NO_WORKLOAD, queues = { queue_fact 'BrokerUnreachable' } }, 'NotReady' },
  { 'False', 'BrokerUnreachable', 'm', { outcome = INVALID, queues = { queue_fact 'BrokerUnreachable' } }, 'NotReady' },
  { 'True', 'TransportValidated', 'queue asya-a is there', { outcome = INVALID, queues = { RIGHT } }, 'Ready' },
  { 'True', 'TransportValidated', 'queue asya-a is there', { queues = { RIGHT } }, 'Ready' },
  { 'True', 'TransportValidated', 'queue asya-a is there',
    { actor = was_ready(3), children = { deployment(2, full) }, queues = { queue_fact 'QueuePending' } }, 'Ready' },
}

local SITUATIONS = {
  { 'Creating', 'the workload does not exist yet', {} },
  { 'Creating', 'it is new and its pods are not there yet', { children = { deployment(2, {}) } } },
  { 'Running', 'all are ready', { children = { deployment(2, full) } } },
  { 'Napping', 'scaled to zero', { children = { deployment(0, {}) }, scaling = { enabled = true } } },
  { 'Running', 'no replicas are wanted without scaling', { children = { deployment(0, {}) } } },
  { 'ScalingUp', 'more are wanted than there are', { children = { deployment(3, full) }, before = { status = 'Running' } } },
  { 'ScalingDown', 'fewer are wanted than there are', { children = { deployment(1, full) }, before = { status = 'Running' } } },
  { 'Updating', 'pods of the old version are left', {
    children = { deployment(2, { replicas = 3, readyReplicas = 2, updatedReplicas = 1 }) }, before = { status = 'Running' } } },
  { 'Creating', 'its first pods are there and not ready yet', { children = { deployment(2, none_ready) }, before = { status = 'Creating' } } },
  { 'Degraded', 'its first pods are there for long and never were ready', { children = { deployment(2, none_ready) },
    before = { status = 'Creating', lastScaleTime = '2026-01-02T02:00:00Z' } } },
  { 'ScalingUp', 'not all are ready and never were', { children = { deployment(2, none_ready) }, before = { status = 'ScalingUp' } } },
  { 'Degraded', 'not all are ready any more', { children = { deployment(2, none_ready) }, before = { status = 'Running', desiredReplicas = 2 } } },
  { 'ImagePullError', 'an image cannot be pulled', {
    children = { deployment(2, none_ready) }, pods = { pod('p', waiting('asya-runtime', 'ImagePullBackOff')) } } },
  { 'RuntimeError', 'the runtime crashes', {
    children = { deployment(2, none_ready) }, pods = { pod('p', waiting('asya-runtime', 'CrashLoopBackOff')) } } },
  { 'SidecarError', 'the sidecar crashes', {
    children = { deployment(2, none_ready) }, pods = { pod('p', waiting('asya-sidecar', 'CrashLoopBackOff')) } } },
  { 'WorkloadError', 'another container crashes, whatever the pod is called', {
    children = { deployment(2, none_ready) }, pods = { pod('asya-runtime-x', waiting('extra', 'CrashLoopBackOff')) } } },
  { 'ConfigError', 'a Secret is missing', {
    children = { deployment(2, none_ready) }, pods = { pod('p', waiting('asya-runtime', 'CreateContainerConfigError')) } } },
  { 'PendingResources', 'a pod fits no node', { children = { deployment(2, none_ready) }, pods = {
    pod('p', { phase = 'Pending', conditions = json.array { { type = 'PodScheduled', status = 'False', reason = bad_pod.PodScheduled } } }) } } },
  { 'VolumeError', 'a pod waits long for its volumes', { children = { deployment(2, none_ready) }, pods = { without_sandbox '03:03:00' } } },
  { 'Creating', 'a pod waits for its volumes, but not long', { children = { deployment(2, none_ready) }, pods = { without_sandbox '03:03:50' } } },
  { 'RuntimeError', 'the runtime has crashed often and has just come up again', {
    children = { deployment(1, one_ready) }, pods = { restarted(5, '03:03:30') } } },
  { 'Running', 'the runtime has crashed often and is stable since', { children = { deployment(1, one_ready) }, pods = { restarted(5, '03:03:05') } } },
  { 'Running', 'the runtime has crashed once', { children = { deployment(1, one_ready) }, pods = { restarted(1, '03:04:04') } } },
  { 'RuntimeError', 'the startup probe of the runtime has never passed, however long it has been running again', {
    children = { deployment(1, none_of_one) }, pods = { unready(5, 303, '02:49:58') }, before = { status = 'RuntimeError', desiredReplicas = 1 } } },
  { 'RuntimeError', 'its startup probe had it restarted once, and it ended in order', {
    children = { deployment(1, none_of_one) }, pods = { unready(1, 303, '02:49:58', 0) }, before = { status = 'RuntimeError', desiredReplicas = 1 } } },
  { 'Degraded', 'the runtime was ready before it ended, and is not yet ready again', {
    children = { deployment(1, none_of_one) }, pods = { unready(5, 303, '02:55:03') }, before = { status = 'Running', desiredReplicas = 1 } } },
  { 'Degraded', 'the runtime had ended at once, and takes its time now', {
    children = { deployment(1, none_of_one) }, pods = { unready(5, 2, '02:49:58') }, before = { status = 'Running', desiredReplicas = 1 } } },
  { 'SidecarError', 'the sidecar has ended in error and is not restarted yet', { children = { deployment(2, none_ready) }, pods = {
    pod('p', { containerStatuses = json.array { { name = 'asya-sidecar', state = { terminated = { exitCode = 2 } } } } }) } } },
  { 'WorkloadError', 'pods are refused', { children = { deployment(2, with_condition('ReplicaFailure', 'True', 'FailedCreate')) } } },
  { 'WorkloadError', 'an update makes no progress', {
    children = { deployment(2, with_condition('Progressing', 'False', 'ProgressDeadlineExceeded')) }, before = { status = 'Updating' } } },
  { 'WorkloadError', 'a quota refuses the pods of an update, and those of before run on', {
    children = { deployment(2, behind_old { 'ReplicaFailure', 'True', 'FailedCreate' }) }, before = { status = 'Updating' } } },
  { 'WorkloadError', 'an update makes no progress behind the backs of old pods', {
    children = { deployment(2, behind_old { 'Progressing', 'False', 'ProgressDeadlineExceeded' }) }, before = { status = 'Updating' } } },
  { 'Updating', 'what its controller said before it has looked at the newest template is about another one', {
    children = { deployment(2, behind_old { 'Progressing', 'False', 'ProgressDeadlineExceeded' }, 2) }, before = { status = 'Updating' } } },
  { 'Updating', 'all pods are new and one is not ready yet', { children = { deployment(2, { replicas = 2, readyReplicas = 1, updatedReplicas = 2 }) },
    before = { status = 'Updating' } } },
  { 'Updating', 'a pod of the old version is still there', { children = { deployment(2, { replicas = 3, readyReplicas = 2, updatedReplicas = 2 }) },
    before = { status = 'Updating' } } },
  { 'Running', 'its controller has not looked at the newest template yet', { children = { deployment(2, full, 2) }, before = { status = 'Running' } } },
  { 'Degraded', 'replicas are on their way for long', { children = { deployment(2, none_ready) },
    before = { status = 'ScalingUp', lastScaleTime = '2026-01-02T02:00:00Z' } } },
  { 'ScalingUp', 'KEDA has woken it, and its pod was there when that was seen', {
    children = { deployment(1, { replicas = 1, updatedReplicas = 1 }), scaled_object() }, scaling = { enabled = true },
    before = { status = 'Napping', desiredReplicas = 0, lastScaleTime = '2026-01-01T00:00:00Z' } } },
  { 'ScalingUp', 'more are wanted, and their pods were there when that was seen', {
    children = { deployment(4, { replicas = 4, readyReplicas = 2, updatedReplicas = 4 }) },
    before = { status = 'Running', desiredReplicas = 2, lastScaleTime = '2026-01-01T00:00:00Z' } } },
  { 'ScalingUp', 'its Job is another one', { actor = old_job_actor { status = 'Completed', desiredReplicas = 0 },
    children = { job(nil, nil, at '03:04:00') } } },
  { 'ScalingUp', 'its Job is another one, said before', { actor = old_job_actor { status = 'ScalingUp', desiredReplicas = 1 },
    children = { job(nil, nil, at '03:04:00') } } },
  { 'ScalingUp', 'the pod of its next Job is on its way, as after each message', { actor = old_job_actor({ status = 'Running', desiredReplicas = 1 }, true),
    children = { scaled_job }, pods = { pod('p', { phase = 'Pending' }) } } },
  { 'Running', 'KEDA has not looked at the scaler yet', { children = { deployment(2, full), scaled_object() }, scaling = { enabled = true } } },
  { 'Running', 'KEDA is content', { children = { deployment(2, full), scaled_object { 'Ready', 'True' } }, scaling = { enabled = true } } },
  { 'ScalingError', 'KEDA is not', { children = { deployment(2, full), scaled_object { 'Ready', 'False' } }, scaling = { enabled = true } } },
  { 'ScalingError', 'KEDA is not, for long', { children = { deployment(2, full), scaled_object({ 'Ready', 'False' }, at '03:03:50') },
    scaling = { enabled = true } } },
  { 'Running', 'KEDA is not yet', { children = { deployment(2, full), scaled_object({ 'Ready', 'False' }, at '03:03:51') }, scaling = { enabled = true } } },
  { 'ScalingError', 'KEDA is not, while nothing runs', { children = { deployment(0, {}), scaled_object { 'Ready', 'False' } }, scaling = { enabled = true } } },
  { 'ScalingError', 'the autoscaler is without numbers for long', { children = { deployment(2, full), scaled_object { 'Ready', 'True' } },
    pods = { autoscaler('03:02:00') }, scaling = { enabled = true } } },
  { 'Running', 'the autoscaler is without numbers yet', { children = { deployment(2, full), scaled_object { 'Ready', 'True' } },
    pods = { autoscaler('03:04:00') }, scaling = { enabled = true } } },
  { 'ScalingError', 'KEDA is not installed', { children = { deployment(2, full) }, scaling = { enabled = true }, outcome = { errors = json.array {
    { role = 'scaler', kind = 'ScaledObject', name = 'a', verb = 'create', reason = 'KindAbsent', message = 'm' } } } } },
  { 'WorkloadError', 'its Job has failed', { actor = job_actor(), children = { job(nil, 'Failed') } } },
  { 'Completed', 'its Job has completed', { actor = job_actor(), children = { job('2026-01-02T03:00:00Z') } } },
  { 'Running', 'an evicted pod lies beside healthy ones', {
    children = { deployment(2, full) }, pods = { pod('old', { phase = 'Failed', reason = 'Evicted' }) } } },
  { 'Running', 'a surplus pod has trouble while all that are wanted are ready', {
    children = { deployment(2, full) }, pods = { pod('p', waiting('asya-runtime', 'CrashLoopBackOff')) } } },
  { 'WorkloadError', 'the actor is invalid', { outcome = { invalid = { reason = 'ValidationError', message = 'm', condition = 'WorkloadReady' } } } },
  { 'TransportError', 'its transport is unknown', { outcome = { invalid = { reason = 'InvalidTransport', message = 'm', condition = 'TransportReady' } } } },
  { 'TransportError', 'its queue differs', { outcome = { errors = json.array {
    { role = 'queue', verb = 'ensure', kind = 'Queue', name = 'asya-a', reason = 'QueueMismatch', message = 'm' } } } } },
  { 'TransportError', 'its broker is away', { children = { deployment(2, full) }, queues = { queue_fact 'BrokerUnreachable' } } },
  { 'Creating', 'its broker has not answered yet', { queues = { queue_fact 'QueuePending' } } },
  { 'Running', 'its broker has not answered yet after a restart', { children = { deployment(2, full) }, queues = { queue_fact 'QueuePending' } } },
  { 'ScalingError', 'the scaler was refused', { children = { deployment(2, full) }, outcome = { errors = json.array {
    { role = 'scaler', kind = 'ScaledObject', name = 'a', verb = 'create', message = 'm' } } } } },
  { 'Paused', 'it is paused', { children = { deployment(2, full) }, outcome = { invalid = { reason = 'Paused', message = 'm' } } } },
  { 'Terminating', 'it is being deleted', { actor = (function()
    local a = actor()
    a.metadata.deletionTimestamp = 'now'
    return a
  end)() } },
}

describe('status', function()
  for _, situation in ipairs(SITUATIONS) do
    it(('is %s when %s'):format(situation[1], situation[2]), function()
      local status = judge(situation[3])
      assert.equal(situation[1], status.status)
      local well = situation[1] == 'Running' or situation[1] == 'Napping' or situation[1] == 'Completed'
      assert.equal(well and 'True' or 'False', condition(status, 'Ready').status)
    end)
  end

  it('fills in the numbers and their summaries', function()
    local status = judge { children = { deployment(3, { replicas = 3, readyReplicas = 2, updatedReplicas = 3 }) } }
    assert.equal('2/3', status.readyReplicasSummary)
    assert.same({ 2, 3, 3 }, { status.replicas, status.totalReplicas, status.desiredReplicas })
    assert.equal('Manual', status.scalingMode)
    assert.equal('-', status.lastScaleFormatted)
  end)

  it('takes a change of the wanted count for a scaling, and nothing else', function()
    local status = judge { children = { deployment(3, full) }, before = { desiredReplicas = 2, status = 'Running' } }
    assert.equal('up', status.lastScaleDirection)
    assert.equal('2026-01-02T03:04:05Z', status.lastScaleTime)
    status = judge { children = { deployment(2, none_ready) }, before = { desiredReplicas = 2, replicas = 2 } }
    assert.is_nil(status.lastScaleTime)
  end)

  it('names pod, container, exit code and last words of a crash', function()
    local crash = waiting('asya-runtime', 'CrashLoopBackOff', { lastState = { terminated = { exitCode = 3, reason = 'Error', message = 'no module x' } } })
    local status = judge { children = { deployment(2, none_ready) }, pods = { pod('p-1', crash) } }
    local message = condition(status, 'WorkloadReady').message
    for _, text in ipairs { 'asya-runtime', 'p-1', 'exit code 3', 'no module x', '7 restarts' } do
      assert.is_truthy(message:find(text, 1, true), message)
    end
  end)

  it('says in plain words what is wrong with a pod', function()
    local scheduled = { type = 'PodScheduled', status = 'False', reason = 'Unschedulable', message = '0/3 nodes are available' }
    for _, row in ipairs {
      { pod('p', waiting('asya-runtime', 'CreateContainerConfigError')),
        'container asya-runtime of pod p needs a ConfigMap or Secret that does not exist: because; create it, or correct its name' },
      { pod('p', waiting('asya-runtime', 'ErrImagePull')),
        'container asya-runtime of pod p cannot get its image (ErrImagePull): because; check the image name and imagePullSecrets' },
      { restarted(5, '03:03:30'), 'container asya-runtime of pod p has crashed 5 times and has been running again since 2026-01-02T03:03:30Z, last with '
        .. 'exit code 1; kubectl logs p -c asya-runtime --previous shows its last words' },
      { unready(2, 303, '02:49:58'), 'container asya-runtime of pod p ended after 303 s and runs again (restarts: 2), and the pod has not been ready since '
        .. '2026-01-02T02:49:58Z (kubectl describe pod p shows what its probes say), last with exit code 137 (Error); '
        .. 'kubectl logs p -c asya-runtime --previous shows its last words' },
      { without_sandbox '03:03:00',
        'pod p has been waiting for its volumes since 2026-01-02T03:03:00Z; kubectl describe pod p shows which one is missing' },
      { pod('p', { phase = 'Pending', conditions = json.array { scheduled } }),
        'pod p cannot be scheduled: 0/3 nodes are available; free or add nodes, or lower what the pod asks for' },
    } do
      assert.equal(row[2], condition(judge { children = { deployment(2, none_ready) }, pods = { row[1] } }, 'WorkloadReady').message)
    end
  end)

  it('says how to make the Secret that a container needs', function()
    local workload = deployment(2, none_ready)
    workload.spec.template = { spec = { containers = json.array { { name = 'asya-runtime', env = json.array {
      { name = 'A', valueFrom = { secretKeyRef = { name = 'api', key = 'token' } } },
      { name = 'B', valueFrom = { secretKeyRef = { name = 'other', key = 'k' } } },
      { name = 'C', valueFrom = { secretKeyRef = { name = 'api', key = 'user' } } } } } } } }
    for _, row in ipairs {
      { 'secret "api" not found', 'kubectl create secret generic api -n ns --from-literal=token=VALUE --from-literal=user=VALUE' },
      { 'secret "all" not found', 'kubectl create secret generic all -n ns --from-literal=KEY=VALUE' },
      { 'configmap "c" not found', 'kubectl create configmap c -n ns --from-literal=KEY=VALUE' },
      { "couldn't find key user in Secret ns/api", 'create it, or correct its name' },
    } do
      local waits = waiting('asya-runtime', 'CreateContainerConfigError')
      waits.containerStatuses[1].state.waiting.message = row[1]
      local message = condition(judge { children = { workload }, pods = { pod('p', waits) } }, 'WorkloadReady').message
      assert.equal('container asya-runtime of pod p needs a ConfigMap or Secret that does not exist: ' .. row[1] .. '; '
        .. (row[2]:find '^kubectl' and 'correct its name, or create it: ' .. row[2] or row[2]), message)
    end
  end)

  it('says in plain words what became of a Job, and what scales an actor', function()
    local status = judge { actor = job_actor(), children = { job(nil, 'Failed') } }
    assert.equal('Job a has failed (BackoffLimitExceeded): m; to run it again, delete it or change the actor', condition(status, 'WorkloadReady').message)
    status = judge { children = { deployment(2, full), scaled_object { 'Ready', 'True' } }, scaling = { enabled = true } }
    assert.equal('ScaledObject a scales the actor', condition(status, 'ScalingReady').message)
  end)

  it('says what holds a workload where it is, and what ends that, while it holds anything', function()
    local old, new = { replicas = 2, readyReplicas = 2, updatedReplicas = 0 }, full
    local ready = json.array { { type = 'Ready', status = 'True', reason = 'Running', message = 'm' } }
    for _, row in ipairs {
      { 'Deployment', { paused = true }, 'DeploymentPaused', 'is paused, so its old pods stay', '"paused":false' },
      { 'StatefulSet', { updateStrategy = { type = 'OnDelete' } }, 'UpdateOnDelete', 'leaves it to you to delete its old pods (spec.updateStrategy)',
        '"updateStrategy":{"type":"RollingUpdate"}' },
      { 'StatefulSet', { updateStrategy = { type = 'RollingUpdate', rollingUpdate = { partition = 1 } } }, 'UpdatePartitioned',
        'replaces only its pods from number 1 up (spec.updateStrategy)', '"updateStrategy":{"rollingUpdate":{"partition":0}}' },
    } do
      local kind, spec = row[1], row[2]
      local message = ("%s a %s; kubectl patch %s a -n ns -p '{\"spec\":{%s}}' ends that"):format(kind, row[4], kind:lower(), row[5])
      local function seen(status)
        local it, workload = actor { status = 'Running', conditions = ready }, deployment(2, status)
        it.spec.workload.kind, workload.kind = kind, kind
        for field, value in pairs(spec) do workload.spec[field] = value end
        status = judge { actor = it, children = { workload } }
        return status, condition(status, 'WorkloadReady'), condition(status, 'Ready')
      end
      local status, work, whole = seen(old)
      assert.same({ 'Updating', 'True', row[3], message }, { status.status, work.status, work.reason, work.message })
      assert.same({ 'True', '2 of 2 replicas are ready; ' .. message }, { whole.status, whole.message })
      status, work = seen(new)
      assert.same({ 'Running', 'WorkloadCreated' }, { status.status, work.reason })
    end
  end)

  it('says that a Job is suspended, until it has completed', function()
    local message = "Job a is suspended, so it has no pods; kubectl patch job a -n ns -p '{\"spec\":{\"suspend\":false}}' ends that"
    local waits, done = job(), job('2026-01-02T03:00:00Z')
    waits.spec.suspend, done.spec.suspend = true, true
    for before, word in pairs { Creating = 'Creating', Running = 'Degraded' } do
      local it = job_actor()
      it.status = { status = before, desiredReplicas = 1 }
      local status = judge { actor = it, children = { waits } }
      local work, whole = condition(status, 'WorkloadReady'), condition(status, 'Ready')
      assert.same({ word, 'True', 'JobSuspended', message }, { status.status, work.status, work.reason, work.message })
      assert.same({ 'False', '0 of 1 replicas are ready; ' .. message }, { whole.status, whole.message })
    end
    assert.equal('WorkloadCreated', condition(judge { actor = job_actor(), children = { done } }, 'WorkloadReady').reason)
  end)

  it('keeps lastTransitionTime until a condition flips, and the message current', function()
    local old = { { type = 'WorkloadReady', status = 'False', reason = 'ValidationError', message = 'old', lastTransitionTime = 'then' } }
    local status = judge { before = { conditions = old }, outcome = { invalid = { reason = 'ValidationError', message = 'new', condition = 'WorkloadReady' } } }
    assert.equal('then', condition(status, 'WorkloadReady').lastTransitionTime)
    assert.equal('new', condition(status, 'WorkloadReady').message)
  end)

  it('counts a generation as observed only when it was judged', function()
    assert.equal(3, judge({ children = { deployment(2, full) } }).observedGeneration)
    local err = { role = 'workload', kind = 'Deployment', name = 'a', verb = 'create', message = 'm' }
    assert.equal(2, judge({ before = { observedGeneration = 2 }, outcome = { errors = json.array { err } } }).observedGeneration)
    -- the actor, which is at 3, was edited while the plan of 2 was carried out
    local status = judge { children = { deployment(2, full) }, before = { observedGeneration = 1 }, outcome = { generation = 2 } }
    assert.equal(2, status.observedGeneration)
    for _, each in ipairs(status.conditions) do assert.equal(2, each.observedGeneration) end
  end)

  it('tells each trouble once', function()
    local trouble = { invalid = { reason = 'ValidationError', message = 'm', condition = 'WorkloadReady' } }
    local status, events = judge { outcome = trouble }
    assert.equal('ValidationError', events[1].reason)
    local _, again = judge { before = status, outcome = trouble }
    assert.equal(0, #again)
  end)

  it('shows what is known of the queue, and keeps counts that nobody knows now', function()
    local err = { role = 'queue', verb = 'ensure', kind = 'Queue', name = 'asya-a', reason = 'QueueMismatch', message = 'differs' }
    local fact = queue_fact 'QueueMismatch'
    fact.messages = 7
    local status = judge { outcome = { errors = json.array { err } }, queues = { fact }, before = { processingMessages = 3 } }
    local c = condition(status, 'TransportReady')
    assert.same({ 'False', 'QueueMismatch', 'differs' }, { c.status, c.reason, c.message })
    assert.same({ 7, 3, 'NotReady' }, { status.queuedMessages, status.processingMessages, status.transportStatus })
    status = judge { queues = { { name = 'asya-a', ready = true, messages = 0, in_flight = 2, reason = '', message = '' } } }
    assert.same({ 0, 2, 'Ready' }, { status.queuedMessages, status.processingMessages, status.transportStatus })
  end)

  it('tells of dead letters once, counts them in a condition of their own, and forgets them when they are gone', function()
    local function seen(count, before)
      return judge { queues = { { name = 'asya-a', ready = true, messages = 0, dead_letters = count, reason = '', message = '' } }, before = before,
        children = { deployment(2, full) } }
    end
    local function told(events)
      local count = 0
      for _, event in ipairs(events) do count = count + (event.reason == 'DeadLetters' and 1 or 0) end
      return count
    end
    local status, events = seen(0)
    local summary, ready = status.readySummary, condition(status, 'Ready').status
    assert.is_nil(condition(status, 'DeadLetters'))
    assert.equal(0, told(events))
    status, events = seen(5, status)
    local c = condition(status, 'DeadLetters')
    assert.same({ 'True', 'MessagesDied' }, { c.status, c.reason })
    assert.is_truthy(c.message:find('asya-a holds 5 messages', 1, true), c.message)
    assert.same({ 1, summary, ready }, { told(events), status.readySummary, condition(status, 'Ready').status })
    status, events = seen(6, status)
    assert.is_truthy(condition(status, 'DeadLetters').message:find('6 messages', 1, true))
    assert.equal(0, told(events))
    status, events = seen(nil, status)
    assert.is_truthy(condition(status, 'DeadLetters').message:find('6 messages', 1, true))
    assert.equal(0, told(events))
    assert.is_nil(condition(seen(0, status), 'DeadLetters'))
  end)

  it('says nothing of the dead letters of a queue that the actor does not read any more', function()
    local function seen(name, dead, before)
      return judge { children = { deployment(2, full) }, before = before, queues = { { name = name, ready = true, dead_letters = dead } } }
    end
    local status = seen('asya-a', 3)
    assert.is_truthy(condition(status, 'DeadLetters'))
    assert.is_nil(condition(seen('asya-ns-a', nil, status), 'DeadLetters'))
  end)

  it('says nothing of dead letters that nobody counts any more: moved to SQS, without such a queue, queues not managed', function()
    local queue = { name = 'asya-a', ready = true, messages = 0, reason = '', message = '' }
    local function seen(settings, queues, dead, before)
      queue.dead_letters = dead
      return judge { bundle = case.bundle(settings), children = { deployment(2, full) }, before = before, queues = queues }
    end
    local function of(kind, enabled)
      local config = { host = kind == 'rabbitmq' and 'h' or nil, queues = { dlq = { enabled = enabled } } }
      return { transports = { rabbitmq = { type = kind, enabled = true, config = config } } }
    end
    local status = seen(of('rabbitmq', true), { queue }, 3)
    assert.is_truthy(condition(status, 'DeadLetters'))
    assert.is_truthy(condition(seen(of('rabbitmq', true), {}, nil, status), 'DeadLetters')) -- not known yet
    assert.is_nil(condition(seen(of('sqs', true), { queue }, nil, status), 'DeadLetters'))
    assert.is_nil(condition(seen(of('rabbitmq', false), { queue }, nil, status), 'DeadLetters'))
    local unkept = of('rabbitmq', true)
    unkept.disableQueueManagement = 'true'
    assert.is_nil(condition(seen(unkept, {}, nil, status), 'DeadLetters'))
  end)

  for i, row in ipairs(TRANSPORTS) do
    it(('says of the transport only what was seen, %d: %s'):format(i, row[2]), function()
      local status = judge(row[4])
      local c = condition(status, 'TransportReady')
      assert.same({ row[1], row[2] }, { c.status, c.reason })
      assert.equal(row[3], c.message:sub(1, #row[3]))
      assert.equal(row[5], status.transportStatus)
    end)
  end

  it('shows each error of a pass in the condition it belongs to', function()
    local errors = json.array { NO_WORKLOAD.errors[1], { role = 'scaler', kind = 'ScaledObject', name = 'a', verb = 'create', message = 'other' } }
    local status = judge { children = { deployment(2, full) }, scaling = { enabled = true }, outcome = { errors = errors } }
    assert.same({ 'False', 'cannot create Deployment a: m' }, { condition(status, 'WorkloadReady').status, condition(status, 'WorkloadReady').message })
    assert.same({ 'False', 'cannot create ScaledObject a: other' }, { condition(status, 'ScalingReady').status, condition(status, 'ScalingReady').message })
  end)

  it('does not say that an autoscaler without numbers scales', function()
    local status = judge { children = { deployment(2, full), scaled_object { 'Ready', 'True' } }, pods = { autoscaler '03:04:00' },
      scaling = { enabled = true } }
    local c = condition(status, 'ScalingReady')
    assert.same({ 'Unknown', 'MetricsPending', 'the autoscaler cannot read the queue length yet (FailedGetExternalMetric): m' },
      { c.status, c.reason, c.message })
  end)

  it('looks again when time alone may change the answer', function()
    for _, row in ipairs {
      { 15, { children = { deployment(2, none_ready) }, pods = { without_sandbox '03:03:50' } } },
      { 25, { children = { deployment(1, one_ready) }, pods = { restarted(5, '03:03:30') } } },
      { 5, { children = { deployment(2, full), scaled_object({ 'Ready', 'False' }, at '03:03:55') }, scaling = { enabled = true } } },
      { 115, { children = { deployment(2, full), scaled_object { 'Ready', 'True' } }, pods = { autoscaler '03:04:00' }, scaling = { enabled = true } } },
    } do
      local _, _, again = judge(row[2])
      assert.equal(row[1], again)
    end
    local _, _, never = judge { children = { deployment(2, full) } }
    assert.is_nil(never)
  end)

  it('takes the wanted count from the autoscaler while anything runs', function()
    local hpa = autoscaler '03:04:00'
    hpa.status.desiredReplicas = 7
    assert.equal(7, judge({ children = { deployment(2, full), scaled_object() }, pods = { hpa }, scaling = { enabled = true } }).desiredReplicas)
    assert.equal(0, judge({ children = { deployment(0, {}), scaled_object() }, pods = { hpa }, scaling = { enabled = true } }).desiredReplicas)
  end)

  it('knows the pods of a Job whose name holds the beginning of its own only', function()
    local name = ('n'):rep(60)
    for _, of in ipairs { name:sub(1, 58) .. 'abcde', name:sub(1, 54) .. '-0123abcd' } do -- as the server names those of KEDA, and as we name one
      local it = actor(nil, { enabled = true }, { ['asya.sh/profile'] = '0.4' })
      it.metadata.name, it.spec.workload.kind = name, 'Job'
      local mine = pod('p', { phase = 'Running', conditions = json.array { { type = 'Ready', status = 'True' } } })
      mine.metadata.ownerReferences = json.array { { kind = 'Job', name = of } }
      assert.equal(1, judge({ actor = it, children = { scaled_job }, pods = { mine } }).readyReplicas, of)
    end
  end)

  it('has ScalingReady and a scaledObjectRef only while it scales', function()
    local status = judge { children = { deployment(2, full), scaled_object() }, scaling = { enabled = true } }
    assert.same({ 'Unknown', 'ScalerPending' }, { condition(status, 'ScalingReady').status, condition(status, 'ScalingReady').reason })
    assert.same({ name = 'a', namespace = 'ns' }, status.scaledObjectRef)
    status = judge { children = { deployment(2, full) }, before = status }
    assert.is_nil(condition(status, 'ScalingReady'))
    assert.is_nil(status.scaledObjectRef)
  end)

  it('says that KEDA has fallen back, which is no trouble', function()
    local fallen = scaled_object { 'Ready', 'True' }
    table.insert(fallen.status.conditions, { type = 'Fallback', status = 'True', reason = 'FallbackExists', message = 'm' })
    local status = judge { children = { deployment(2, full), fallen }, scaling = { enabled = true } }
    local scaling = condition(status, 'ScalingReady')
    assert.same({ 'True', 'ScalingFallback', 'Running' }, { scaling.status, scaling.reason, status.status })
    fallen.status.conditions[2].status = 'False'
    status = judge { children = { deployment(2, full), fallen }, scaling = { enabled = true } }
    assert.equal('ScaledObjectCreated', condition(status, 'ScalingReady').reason)
  end)

  it('says why a part of the plan was refused, behind graver news', function()
    local refused = json.array { { role = 'scaler', kind = 'ScaledObject', name = 'a', condition = 'ScalingReady', message = 'no account' } }
    local function verdict(children, pods, errors)
      local status, told = judge {
        children = children, pods = pods, scaling = { enabled = true },
        outcome = { refused = refused, errors = errors and json.array(errors) },
      }
      local scaling = condition(status, 'ScalingReady')
      assert.same({ 'False', 'ValidationError', 'no account' }, { scaling.status, scaling.reason, scaling.message })
      assert.equal('False', condition(status, 'Ready').status)
      return status.status, condition(status, 'WorkloadReady').status, condition(status, 'Ready').message, told[1].note, status.observedGeneration
    end
    assert.same({ 'ScalingError', 'True', 'no account', 'no account', 3 }, { verdict { deployment(2, full) } })
    local spoiled = scaled_object({ 'Ready', 'False' }, '2026-01-02T03:00:00Z')
    assert.same({ 'ScalingError', 'True', 'no account', 'no account', 3 }, { verdict { deployment(2, full), spoiled } })
    assert.equal('RuntimeError', (verdict({ deployment(2, none_ready) }, { pod('p', waiting('asya-runtime', 'CrashLoopBackOff')) })))
    assert.equal('WorkloadError', (verdict({}, nil, { { role = 'workload', kind = 'Deployment', name = 'a', verb = 'create', message = 'm' } })))
  end)

  it('says which field the cluster lacks, though all else was carried out, and looks again', function()
    local refused = json.array { { role = 'scaler', kind = 'ScaledObject', name = 'a', field = 'spec.fallback.behavior', condition = 'ScalingReady',
      reason = 'KedaTooOld', message = 'spec.scaling.fallback.behavior: it needs KEDA 2.17' } }
    local status, told, again = judge {
      children = { deployment(2, full), scaled_object({ 'Ready', 'True' }, '2026-01-02T03:00:00Z') }, scaling = { enabled = true },
      outcome = { refused = refused },
    }
    local scaling = condition(status, 'ScalingReady')
    assert.same({ 'False', 'KedaTooOld', refused[1].message }, { scaling.status, scaling.reason, scaling.message })
    assert.same({ 'ScalingError', refused[1].message, 300, 3 }, { status.status, told[1].note, again, status.observedGeneration })
  end)

  it('stays ready through scaling and updating while a replica is', function()
    local before = judge { children = { deployment(2, full) } }
    local status = judge { children = { deployment(4, { replicas = 4, readyReplicas = 2, updatedReplicas = 4 }) }, before = before }
    assert.same({ 'ScalingUp', 'True' }, { status.status, condition(status, 'Ready').status })
    status = judge { children = { deployment(4, none_ready) }, before = before }
    assert.equal('False', condition(status, 'Ready').status)
  end)

  it('stamps conditions with the generation that was reconciled', function()
    local err = { role = 'workload', kind = 'Deployment', name = 'a', verb = 'create', message = 'm' }
    local status = judge { before = { observedGeneration = 2 }, outcome = { errors = json.array { err } } }
    assert.equal(2, condition(status, 'WorkloadReady').observedGeneration)
  end)

  it('tells a story: scaled, in trouble once, recovered', function()
    local crashing = { children = { deployment(2, none_ready) }, pods = { pod('p', waiting('asya-runtime', 'CrashLoopBackOff')) } }
    local told, status = {}, nil
    for _, situation in ipairs {
      { children = { deployment(2, full) } }, { children = { deployment(2, full) } },
      { children = { deployment(3, { replicas = 3, readyReplicas = 3, updatedReplicas = 3 }) } }, crashing, crashing, { children = { deployment(2, full) } },
    } do
      local events
      situation.before = status
      status, events = judge(situation)
      for _, event in ipairs(events) do told[#told + 1] = event.reason end
    end
    assert.same({ 'Scaled', 'Scaled', 'RuntimeError', 'Recovered' }, told)
  end)

  it('tells of the beginning with one event, and of later readiness with another', function()
    local created = { errors = json.array {}, changed = json.array { { verb = 'created', kind = 'Deployment', name = 'a' } } }
    local paused = { errors = json.array {}, changed = json.array {}, invalid = { reason = 'Paused', condition = 'Ready', message = 'm' } }
    local told, status = {}, nil
    for _, situation in ipairs {
      { children = { deployment(2, {}) }, outcome = created }, { children = { deployment(2, none_ready) } }, { children = { deployment(2, full) } },
      { children = { deployment(2, full) }, outcome = paused }, { children = { deployment(2, full) } },
    } do
      local events
      situation.before = status
      status, events = judge(situation)
      for _, event in ipairs(events) do told[#told + 1] = event.reason end
    end
    assert.same({ 'Created', 'Paused', 'Ready' }, told)
  end)

  it('has no word that crds/README.md does not explain, and the other way round', function()
    local said, explained = {}, {}
    for _, situation in ipairs(SITUATIONS) do said[situation[1]] = true end
    local file = assert(io.open('crds/README.md'))
    local rows = file:read 'a':match '| status | Ready | meaning |\n(.-)\n\n'
    file:close()
    for row in rows:gmatch '[^\n]+' do
      for word in row:match '^|([^|]*)|':gmatch '`(%u%a+)`' do explained[word] = true end
    end
    assert.same(said, explained)
  end)

  it('says for how long pods are being replaced, whatever the old ones do', function()
    local ready = { status = 'Running', conditions = json.array { { type = 'Ready', status = 'True', reason = 'Running' } } }
    for _, each in ipairs {
      { true, {} },
      { true, { deployment(2, full, 2) } }, -- its controller has not looked
      { true, { deployment(2, { replicas = 3, readyReplicas = 2, updatedReplicas = 1 }) } },
      { true, { deployment(2, { replicas = 3, readyReplicas = 3, updatedReplicas = 2 }) } }, -- an old one is left
      { true, { deployment(2, { replicas = 2, readyReplicas = 1, updatedReplicas = 2 }) } },
      { nil, { deployment(2, full) } },
      { nil, { deployment(0, {}) } },
      { nil, { job() }, job_actor() },
    } do
      local who = each[3] or actor(ready)
      assert.equal(each[1], (select(4, judge { actor = who, children = each[2] })), json.encode(each[2]))
    end
  end)

  it('does not say that pods are being replaced which somebody told their workload to keep', function()
    local function counts(total, ready, updated) return { replicas = total, readyReplicas = ready, updatedReplicas = updated } end
    local paused, on_delete = { paused = true }, { updateStrategy = { type = 'OnDelete' } }
    local partitioned = { updateStrategy = { type = 'RollingUpdate', rollingUpdate = { partition = 2 } } }
    for _, each in ipairs {
      { nil, 'Deployment', paused, counts(3, 3, 0) },
      { nil, 'Deployment', paused, counts(4, 4, 2) }, -- in the midst of a rollout
      { true, 'Deployment', paused, counts(3, 2, 0) },
      { true, 'Deployment', paused, counts(3, 3, 0), 2 }, -- its controller has not looked
      { nil, 'StatefulSet', on_delete, counts(3, 3, 0) },
      { true, 'StatefulSet', on_delete, counts(3, 2, 1) }, -- somebody has deleted one
      { true, 'StatefulSet', partitioned, counts(3, 3, 0) }, -- the third one is replaced
      { true, 'StatefulSet', partitioned, counts(3, 2, 1) },
      { nil, 'StatefulSet', partitioned, counts(3, 3, 1) },
      { true, 'StatefulSet', { updateStrategy = { type = 'RollingUpdate' } }, counts(3, 3, 1) },
    } do
      local it, workload = actor(), deployment(3, each[4], each[5])
      it.spec.workload.kind, workload.kind = each[2], each[2]
      for field, value in pairs(each[3]) do workload.spec[field] = value end
      assert.equal(each[1], (select(4, judge { actor = it, children = { workload } })), json.encode(workload))
    end
  end)
end)
