--- status: what an actor's status says in each situation, from facts alone.
local case = require 'case'
local json = require 'json'

local bundle = case.bundle()

local function actor(before, scaling, annotations)
  return {
    apiVersion = 'asya.sh/v1alpha1', kind = 'AsyncActor',
    metadata = { name = 'a', namespace = 'ns', generation = 3, annotations = annotations },
    spec = { transport = 'rabbitmq', scaling = scaling, workload = { template = {} } }, status = before,
  }
end

local function deployment(replicas, status)
  return {
    apiVersion = 'apps/v1', kind = 'Deployment', metadata = { name = 'a', namespace = 'ns', creationTimestamp = '2026-01-01T00:00:00Z' },
    spec = { replicas = replicas }, status = status,
  }
end

local function pod(name, status)
  return { apiVersion = 'v1', kind = 'Pod', metadata = { name = name, namespace = 'ns' }, status = status }
end

local function waiting(container, reason, more)
  local status = { name = container, restartCount = 7, state = { waiting = { reason = reason, message = 'because' } } }
  for key, value in pairs(more or {}) do status[key] = value end
  return { phase = 'Pending', containerStatuses = json.array { status } }
end

--- The status of a situation: { children, pods, outcome, actor }.
local function judge(s)
  local outcome = s.outcome or {}
  outcome.errors, outcome.changed = outcome.errors or json.array {}, outcome.changed or json.array {}
  local result = bundle:status {
    now = '2026-01-02T03:04:05Z', parent = s.actor or actor(s.before, s.scaling), children = json.array(s.children or {}),
    related = json.array(s.pods or {}), queues = s.queues and json.array(s.queues), outcome = outcome,
  }
  return result.status, result.events
end

local function condition(status, kind)
  for _, c in ipairs(status.conditions) do
    if c.type == kind then return c end
  end
end

local full = { replicas = 2, readyReplicas = 2, updatedReplicas = 2 }
local none_ready = { replicas = 2, readyReplicas = 0, updatedReplicas = 2 }
local bad_pod = { PodScheduled = 'Unschedulable' }

local function queue_fact(reason)
  return { name = 'asya-a', transport = 'rabbitmq', ready = false, reason = reason, message = 'm' }
end

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
  { 'ScalingUp', 'not all are ready and never were', { children = { deployment(2, none_ready) }, before = { status = 'ScalingUp' } } },
  { 'Degraded', 'not all are ready any more', { children = { deployment(2, none_ready) }, before = { status = 'Running' } } },
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
  { 'VolumeError', 'a volume cannot be mounted', { children = { deployment(2, none_ready) }, pods = {
    pod('p', { phase = 'Pending', conditions = json.array { { type = 'ContainersReady', status = 'False', reason = 'FailedMount', message = 'x' } } }) } } },
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
      local well = situation[1] == 'Running' or situation[1] == 'Napping'
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
end)
