--- scaling: a real KEDA takes what the operator makes of actors, and scales them by their queues; what they show is true meanwhile.
package.path = 'spec/cluster/?.lua;' .. package.path
local actors = require 'actors'
local cluster = require 'cluster'
local json = require 'json'
local messages = require 'messages'

local eventually, env = cluster.eventually, os.getenv
local ABROAD = '210987654321' -- an account that is not the one of the actors
local SCALING = '  scaling: {enabled: true, minReplicas: 0, maxReplicas: 4, pollingInterval: 1, cooldownPeriod: 5, queueLength: 2%s}'

--- The brokers of the bed; with `management` KEDA is to ask RabbitMQ's HTTP API instead of AMQP.
local function transports(management)
  return json.encode { transports = {
    rabbitmq = { enabled = true, config = {
      host = env 'BED_RABBITMQ_HOST', port = tonumber(env 'BED_RABBITMQ_PORT'), username = 'guest', exchange = 'asya',
      passwordSecretRef = { name = 'broker', key = 'password' }, queues = { autoCreate = true, dlq = { enabled = true } },
      management = management and { url = env 'BED_RABBITMQ_MANAGEMENT_URL' },
    } },
    sqs = { enabled = true, config = {
      region = env 'BED_SQS_REGION', endpoint = env 'BED_SQS_URL', accountId = env 'BED_SQS_ACCOUNT',
      credentials = { accessKeyIdSecretRef = { name = 'aws', key = 'id' }, secretAccessKeySecretRef = { name = 'aws', key = 'secret' } },
      queues = { autoCreate = true },
    } },
    abroad = { enabled = true, type = 'sqs', config = {
      region = env 'BED_SQS_REGION', endpoint = env 'BED_SQS_URL', accountId = ABROAD, scalerExternalId = 'asya',
      scalerRoleArn = ('arn:aws:iam::%s:role/count'):format(ABROAD), queues = { autoCreate = true },
      credentials = { accessKeyIdSecretRef = { name = 'abroad', key = 'id' }, secretAccessKeySecretRef = { name = 'abroad', key = 'secret' } },
    } },
  } }
end

--- What spec/keda/sqs.py prints.
local function by_sqs(...)
  local output, ok = cluster.sh('python3 spec/keda/sqs.py %s %s', env 'BED_SQS_URL', table.concat({ ... }, ' '))
  assert(ok, output)
  return (output:gsub('%s+$', ''))
end

describe('with a real KEDA', function()
  if not cluster.available then
    pending 'needs a control plane with KEDA: run it through spec/run keda'
    return
  end
  before_each(cluster.clear)
  after_each(function()
    cluster.sh 'kubectl delete asyncactors --all -A --timeout=60s' -- while somebody is there to release them
    cluster.stop_all()
  end)

  local function namespace()
    local ns = cluster.namespace 'keda'
    cluster.kubectl('create secret generic broker -n %s --from-literal=password=%s', ns, env 'BED_RABBITMQ_PASSWORD')
    cluster.kubectl('create secret generic aws -n %s --from-literal=id=id --from-literal=secret=secret', ns)
    return ns
  end

  local function operator(management)
    return cluster.operator { transports = transports(management), queues = true }
  end

  local function actor(name, ns, transport, more)
    return (cluster.actor(name, ns, SCALING:format(more or '')):gsub('transport: rabbitmq', 'transport: ' .. transport))
  end

  local function await(name, ns, what, fn)
    return eventually(name .. ' ' .. what, 90, function()
      local it = cluster.get('asyncactor', name, ns)
      return it.status and fn(it.status, it) and it, json.encode(it.status or {})
    end)
  end

  --- From nothing to do, to much, and back.
  local function goes_up_and_down(name, ns, queue)
    local napping = await(name, ns, 'naps', function(status) return status.status == 'Napping' end)
    local scaling = cluster.condition(napping, 'ScalingReady')
    assert.equal('True', scaling.status, json.encode(scaling))
    assert.equal('True', cluster.condition(napping, 'Ready').status)
    for _ = 1, 20 do queue.send(name, '{"id":"m"}') end
    local busy = await(name, ns, 'runs with all its replicas', function(status)
      return status.status == 'Running' and status.replicas == 4 and status.desiredReplicas == 4
    end)
    assert.equal('up', busy.status.lastScaleDirection)
    eventually('its queue is empty', 60, function() return not queue.receive(name) end)
    local idle = await(name, ns, 'naps again', function(status) return status.status == 'Napping' end)
    assert.equal('down', idle.status.lastScaleDirection)
    for _, event in ipairs(cluster.list('events.events.k8s.io', ns)) do
      assert.is_truthy(event.type == 'Normal' or event.regarding.kind ~= 'AsyncActor', event.reason .. ': ' .. tostring(event.note))
    end
  end

  it('an actor follows its RabbitMQ queue, asked over AMQP', function()
    local ns = namespace()
    local op = operator()
    cluster.apply(actor('by-amqp', ns, 'rabbitmq'))
    goes_up_and_down('by-amqp', ns, messages.rabbitmq)
    assert.is_nil(op.log():find('restored', 1, true), 'the operator fights with nobody')
  end)

  it('an actor follows its RabbitMQ queue, asked over the management API', function()
    local ns = namespace()
    operator(true)
    cluster.apply(actor('by-http', ns, 'rabbitmq'))
    goes_up_and_down('by-http', ns, messages.rabbitmq)
  end)

  it('an actor follows its SQS queue', function()
    local ns = namespace()
    operator()
    cluster.apply(actor('by-sqs', ns, 'sqs'))
    goes_up_and_down('by-sqs', ns, messages.sqs)
  end)

  it('a formula counts', function()
    local ns = namespace()
    operator()
    cluster.apply(actor('by-formula', ns, 'rabbitmq', ', advanced: {formula: "queue * 3", target: "2"}'))
    await('by-formula', ns, 'naps', function(status) return status.status == 'Napping' end)
    for _ = 1, 2 do messages.rabbitmq.send('by-formula', '{"id":"m"}') end
    await('by-formula', ns, 'runs with three replicas for two messages', function(status) return status.replicas == 3 end)
  end)

  it('a Job is run for messages, also under the longest name', function()
    local ns, names = namespace(), { 'by-job', ('by-job'):rep(10) .. '-63' }
    operator()
    for _, name in ipairs(names) do
      cluster.apply((actor(name, ns, 'rabbitmq'):gsub('  workload:\n', '  workload:\n    kind: Job\n')))
      await(name, ns, 'is ready to scale', function(_, it) return (cluster.condition(it, 'ScalingReady') or {}).status == 'True' end)
    end
    assert.same({}, cluster.list('jobs', ns))
    for _, name in ipairs(names) do
      messages.rabbitmq.send(name, '{"id":"m"}')
      eventually('a pod of a Job of ' .. name, 60, function() return #cluster.list('pods', ns, '-l asya.sh/asya=' .. name) > 0 end)
    end
  end)

  it('stops to scale when the broker is gone, says so, and goes on', function()
    local ns = namespace()
    operator()
    cluster.apply(actor('by-broken', ns, 'rabbitmq'))
    await('by-broken', ns, 'naps', function(status) return status.status == 'Napping' end)
    cluster.sh('spec/bed/bed kill %s rabbitmq', cluster.bed_dir)
    await('by-broken', ns, 'says that it cannot be scaled', function(_, it)
      return cluster.condition(it, 'ScalingReady').status == 'False' or cluster.condition(it, 'TransportReady').status == 'False'
    end)
    assert(select(2, cluster.sh('spec/bed/bed start %s rabbitmq', cluster.bed_dir)))
    await('by-broken', ns, 'naps again', function(status, it)
      return status.status == 'Napping' and cluster.condition(it, 'ScalingReady').status == 'True'
    end)
  end)

  it('does all else that actors may ask of it', function()
    local ns = namespace()
    local key = by_sqs('key', ABROAD)
    cluster.kubectl('create secret generic abroad -n %s --from-literal=id=%s --from-literal=secret=secret', ns, key)
    operator(true)
    local all_day = '{name: office, type: cron, metadata: {timezone: UTC, start: "0 0 * * *", end: "59 23 * * *", desiredReplicas: "2"}}'
    local nobody = '{name: load, type: prometheus, metadata: {serverAddress: "http://127.0.0.1:1", query: q, threshold: "1"}}'
    local function scaled(name, transport, more, base)
      local text = cluster.actor(name, ns, ('  scaling: {enabled: true, maxReplicas: 4, pollingInterval: 1, cooldownPeriod: 2, %s, %s}')
        :format(base or 'queueLength: 2', more))
      return (text:gsub('transport: rabbitmq', 'transport: ' .. transport))
    end
    cluster.apply(table.concat({
      scaled('by-cron', 'rabbitmq', 'additionalTriggers: [' .. all_day .. ']'),
      scaled('by-names', 'rabbitmq', 'additionalTriggers: [' .. all_day .. '], advanced: {formula: "office + queue + 1", target: "1"}'),
      scaled('by-failure', 'rabbitmq', 'minReplicas: 1, additionalTriggers: [' .. nobody
        .. '], fallback: {failureThreshold: 1, replicas: 3, behavior: static}'),
      scaled('by-idling', 'rabbitmq', 'minReplicas: 3, idleReplicas: 0, initialCooldownPeriod: 0'),
      scaled('by-waking', 'rabbitmq', 'activation: 2, excludeUnacknowledged: true, advanced: {horizontalPodAutoscalerConfig: '
        .. '{name: waking, behavior: {scaleUp: {tolerance: 200m}, scaleDown: {stabilizationWindowSeconds: 7}}}}')
        :gsub('namespace: ', 'labels: {team: ml}, namespace: ', 1),
      scaled('by-delay', 'sqs', 'scaleOnDelayed: true, scaleOnInFlight: false, activation: 0', 'queueLength: 1'),
      scaled('by-role', 'abroad', 'scaleOnInFlight: true'),
      (scaled('by-jobs', 'rabbitmq', 'successfulJobsHistoryLimit: 1, failedJobsHistoryLimit: 0, scalingStrategy: {strategy: custom, '
        .. 'customScalingQueueLengthDeduction: 0, customScalingRunningJobPercentage: "0.5", pendingPodConditions: [Ready], '
        .. 'multipleScalersCalculation: sum}, additionalTriggers: [' .. all_day .. ']'):gsub('  workload:\n', '  workload:\n    kind: Job\n')),
    }, '\n---\n'))
    for name, own in pairs { ['by-delay'] = 'id', ['by-role'] = key } do
      await(name, ns, 'has its queue', function(_, it) return cluster.condition(it, 'TransportReady').status == 'True' end)
      by_sqs('send', own, 'asya-' .. name, own == key and 0 or 900)
    end
    for _ = 1, 2 do messages.rabbitmq.send('by-waking', '{"id":"m"}') end

    local function runs(name, count)
      return await(name, ns, ('runs with %d replicas'):format(count), function(status) return status.replicas == count and status.desiredReplicas == count end)
    end
    local function ready(name)
      return await(name, ns, 'is scaled', function(_, it) return (cluster.condition(it, 'ScalingReady') or {}).status == 'True' end)
    end
    runs('by-cron', 2)
    runs('by-names', 3)
    runs('by-delay', 1)
    runs('by-role', 1)
    await('by-idling', ns, 'naps', function(status) return status.status == 'Napping' end)
    runs('by-failure', 3)
    eventually('Jobs without a message', 60, function() return #cluster.list('jobs', ns) > 0 end)
    for _, name in ipairs { 'by-cron', 'by-names', 'by-delay', 'by-role', 'by-idling', 'by-waking', 'by-jobs' } do ready(name) end
    assert.equal(0, cluster.get('asyncactor', 'by-waking', ns).status.replicas, 'two messages do not wake it')
    messages.rabbitmq.send('by-waking', '{"id":"m"}')
    eventually('three messages wake it', 60, function() return cluster.get('asyncactor', 'by-waking', ns).status.replicas == 2 end)
    local hpa = cluster.get('hpa', 'waking', ns)
    assert.equal('ml', hpa.metadata.labels.team)
    assert.same({ '200m', 7 }, { hpa.spec.behavior.scaleUp.tolerance, hpa.spec.behavior.scaleDown.stabilizationWindowSeconds })
  end)

  it('takes whatever is made of 60 random actors', function()
    math.randomseed(4)
    local ns, list, scaled = namespace(), {}, 0
    cluster.kubectl('create configmap c -n %s --from-literal=k=v', ns) -- what they refer to: KEDA reads it
    cluster.kubectl('create secret generic s -n %s --from-literal=k=v', ns)
    operator()
    for i = 1, 60 do
      local it = actors.valid(i)
      it.metadata.namespace = ns
      if it.spec.scaling and it.spec.scaling.enabled then
        list[#list + 1] = json.encode(it)
        scaled = scaled + 1
      end
    end
    cluster.apply(table.concat(list, '\n---\n'))
    eventually('each has its scaler', 120, function()
      local made = #cluster.list('scaledobjects', ns) + #cluster.list('scaledjobs', ns)
      return made == scaled, made .. ' of ' .. scaled
    end)
    for _, kind in ipairs { 'scaledobjects', 'scaledjobs' } do
      eventually('KEDA has looked at all ' .. kind, 60, function()
        for _, it in ipairs(cluster.list(kind, ns)) do
          local ready = cluster.condition(it, 'Ready')
          if not ready or ready.status ~= 'True' then return false, it.metadata.name .. ': ' .. json.encode(ready or {}) end
        end
        return true
      end)
    end
    eventually('no actor complains', 60, function()
      for _, it in ipairs(cluster.list('asyncactors', ns)) do
        if it.status.status == 'ScalingError' then return false, it.metadata.name .. ': ' .. json.encode(it.status.conditions) end
      end
      return true
    end)
  end)
end)
