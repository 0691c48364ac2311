--- scaling: the KEDA objects that scale an actor by the length of its queue.
local policy = require 'policy'
local k8s = require 'k8s'
local json = require 'json'
local schema = require 'schema'
local actors = require 'actor'
local names = require 'names'
local transports = require 'transport'
local keda = require 'keda'

local scaling = keda.scaling

local function positive(actor, field, default) return k8s.positive(scaling(actor, field), default) end

--- What KEDA needs to reach the broker: { type, metadata, auth } where auth is the spec of a TriggerAuthentication or nil.
local TRIGGER = {}

--- Where KEDA counts messages.  AMQP tells only those that wait: an actor busy with long ones would be scaled to zero. So the management
-- API, which counts those in flight as well, is asked where there is one.
local function rabbitmq_address(config, user)
  local management = k8s.get(config, 'management.url')
  if management and management ~= '' then return 'http', management end
  local scheme = k8s.get(config, 'tls.enabled') == true and 'amqps' or 'amqp'
  return 'amqp', ('%s://%s%s:%d'):format(scheme, user and user .. '@' or '', k8s.get(config, 'host') or '', transports.rabbitmq_port(config))
end

--- The user name is configuration and the sidecar has it, if no Secret of ours: one that holds only the password is enough.
local function rabbitmq_auth(actor, config, secret, protocol)
  local function from_sidecar(parameter, name) return { parameter = parameter, name = name, containerName = actors.SIDECAR } end
  local env, keys = json.array {}, json.array {}
  local function from_secret(parameter, ref)
    if ref then keys[#keys + 1] = { parameter = parameter, name = ref.name, key = ref.key } end
  end
  if secret then
    local user = names.user(actor)
    from_secret('username', user)
    env[1] = not user and from_sidecar('username', 'ASYA_RABBITMQ_USERNAME') or nil
    from_secret('password', names.secret(actor, secret))
  end
  local tls = k8s.get(config, 'tls')
  if protocol == 'amqp' and tls and tls.enabled == true then
    env[#env + 1] = from_sidecar('tls', 'ASYA_RABBITMQ_TLS')
    for parameter, field in pairs { ca = 'caSecretRef', cert = 'certSecretRef', key = 'keySecretRef' } do
      from_secret(parameter, tls[field] and names.secret(actor, tls[field]))
    end
  end
  if #env == 0 and #keys == 0 then return nil end
  return { env = #env > 0 and env or nil, secretTargetRef = #keys > 0 and keys or nil }
end

function TRIGGER.rabbitmq(actor, config)
  local secret, user, vhost = k8s.get(config, 'passwordSecretRef'), k8s.get(config, 'username'), k8s.get(config, 'vhost')
  if user == nil or user == '' then user = 'guest' end
  local protocol, host = rabbitmq_address(config, not secret and user)
  return 'rabbitmq', {
    queueName = names.queue(actor), mode = 'QueueLength', value = tostring(positive(actor, 'queueLength', 5)),
    protocol = protocol, host = host, vhostName = vhost ~= '' and vhost ~= '/' and vhost or nil,
    activationValue = keda.text(actor, 'activation'), excludeUnacknowledged = keda.text(actor, 'excludeUnacknowledged'),
  }, rabbitmq_auth(actor, config, secret, protocol)
end

local function given(config, field)
  local value = k8s.get(config, field)
  return value ~= '' and value or nil
end

--- KEDA with a role that it takes, which may be of the queue's account; with the rights of the pods it scales; or with its own.
local function pod_identity(config)
  local role = given(config, 'scalerRoleArn')
  return { podIdentity = {
    provider = 'aws', identityOwner = not role and given(config, 'actorRoleArn') and 'workload' or 'keda', roleArn = role,
    externalID = role and given(config, 'scalerExternalId'),
  } }
end

local function key_reference(list, parameter, actor, ref)
  ref = ref and names.secret(actor, ref)
  if ref ~= nil then list[#list + 1] = { parameter = parameter, name = ref.name, key = ref.key } end
end

--- The account of the queue: configured, or that of the role that reads it.
local function account(config)
  local id = given(config, 'accountId')
  if id then return tostring(id) end
  return (given(config, 'actorRoleArn') or given(config, 'scalerRoleArn') or ''):match '^arn:[^:]*:iam::(%d+):'
end

function TRIGGER.sqs(actor, config)
  local region, endpoint = k8s.get(config, 'region'), k8s.get(config, 'endpoint')
  local suffix = region and region:find '^cn%-' and '.cn' or ''
  local base = endpoint and endpoint ~= '' and endpoint or ('https://sqs.%s.amazonaws.com%s'):format(region, suffix)
  local metadata = {
    queueURL = ('%s/%s/%s'):format(base, account(config) or '', names.queue(actor)),
    queueLength = tostring(positive(actor, 'queueLength', 5)), awsRegion = region,
    awsEndpoint = endpoint ~= '' and endpoint or nil,
    activationQueueLength = keda.text(actor, 'activation'),
    scaleOnInFlight = keda.text(actor, 'scaleOnInFlight'), scaleOnDelayed = keda.text(actor, 'scaleOnDelayed'),
  }
  local keys = json.array {}
  if given(config, 'scalerRoleArn') then return 'aws-sqs-queue', metadata, pod_identity(config) end
  key_reference(keys, 'awsAccessKeyID', actor, k8s.get(config, 'credentials.accessKeyIdSecretRef'))
  key_reference(keys, 'awsSecretAccessKey', actor, k8s.get(config, 'credentials.secretAccessKeySecretRef'))
  return 'aws-sqs-queue', metadata, #keys > 0 and { secretTargetRef = keys } or pod_identity(config)
end

local function behavior(params)
  return {
    scaleDown = {
      stabilizationWindowSeconds = params.scale_down_window, selectPolicy = 'Max',
      policies = json.array { { type = 'Pods', value = params.scale_down_pods, periodSeconds = params.period } },
    },
    scaleUp = {
      stabilizationWindowSeconds = params.scale_up_window, selectPolicy = 'Max',
      policies = json.array {
        { type = 'Pods', value = params.scale_up_pods, periodSeconds = params.period },
        { type = 'Percent', value = params.scale_up_percent, periodSeconds = params.period },
      },
    },
  }
end

local function modifiers(actor)
  local result = {}
  for _, field in ipairs { 'formula', 'target', 'activationTarget', 'metricType' } do
    local value = scaling(actor, 'advanced.' .. field)
    if value ~= nil and value ~= '' then result[field] = value end
  end
  return result
end

--- KEDA's own annotations on the actor (pausing above all) reach the object they are meant for.
local function keda_annotations(actor)
  return keda.chosen(k8s.get(actor, 'metadata.annotations'), function(key) return key:find('autoscaling.keda.sh/', 1, true) == 1 end)
end

--- Without modifiers there is no scalingModifiers: an empty one keeps the old ones alive.
local function scaled_object(actor, trigger, params)
  local formula = modifiers(actor)
  local object = {
    apiVersion = 'keda.sh/v1alpha1',
    kind = 'ScaledObject',
    metadata = { name = actor.metadata.name, labels = keda.labels(actor), annotations = keda_annotations(actor) },
    spec = {
      scaleTargetRef = {
        apiVersion = 'apps/v1', kind = actors.kind(actor), name = actor.metadata.name, envSourceContainerName = actors.SIDECAR,
      },
      minReplicaCount = scaling(actor, 'minReplicas', 0),
      maxReplicaCount = positive(actor, 'maxReplicas', 50),
      pollingInterval = positive(actor, 'pollingInterval', 10),
      cooldownPeriod = positive(actor, 'cooldownPeriod', 60),
      triggers = keda.triggers(actor, trigger),
      advanced = {
        restoreToOriginalReplicaCount = scaling(actor, 'advanced.restoreToOriginalReplicaCount'),
        scalingModifiers = next(formula) and formula,
      },
    },
  }
  keda.complete_scaled_object(actor, object, behavior(params))
  return object
end

--- KEDA looks for variables in containers only, and the sidecar of a Job is an init container: the runtime gets those that it wants to read.
local function lend_to_runtime(pod, auth)
  local sidecar, runtime = k8s.find(pod.initContainers, actors.SIDECAR), k8s.container(pod, actors.RUNTIME)
  for _, each in ipairs(auth and auth.env or {}) do
    k8s.add_env(runtime, { { name = each.name, value = k8s.env_value(sidecar, each.name) } })
    each.containerName = actors.RUNTIME
  end
end

--- Gradual: KEDA's default deletes every running Job whenever the ScaledJob changes.
local function complete_scaled_job(object, actor, trigger)
  local spec = object.spec
  object.metadata.labels, object.metadata.annotations = keda.labels(actor), keda_annotations(actor)
  spec.minReplicaCount, spec.maxReplicaCount = scaling(actor, 'minReplicas', 0), positive(actor, 'maxReplicas', 50)
  spec.pollingInterval = positive(actor, 'pollingInterval', 10)
  spec.envSourceContainerName = actors.RUNTIME
  spec.rollout = { strategy = 'gradual' }
  spec.triggers = keda.triggers(actor, trigger)
  keda.complete_scaled_job(actor, object)
end

local function number(default, doc)
  return schema.integer { min = 0 }:default(default):doc(doc)
end

local function wrong(path, fmt, ...)
  return { path = path, condition = 'ScalingReady', reason = 'ValidationError', message = path .. ': ' .. fmt:format(...) }
end

--- KEDA's limits: its own webhook lets wrong objects through when it is down. What is wrong, or nil.
local function problem_of(actor, ctx)
  local name, min, max = actor.metadata.name, scaling(actor, 'minReplicas', 0), positive(actor, 'maxReplicas', 50)
  -- A ScaledJob has no autoscaler. What KEDA calls after it are labels, and Jobs for whose names the server takes the first 58 characters.
  if #name > 54 and actors.kind(actor) ~= 'Job' and not scaling(actor, keda.HPA .. '.name') then
    return wrong('metadata.name', "'%s' has %d characters; with scaling at most 54 fit KEDA's keda-hpa-<name>", name, #name)
  end
  if math.type(min) ~= 'integer' then return wrong('spec.scaling.minReplicas', 'must be a whole number') end
  if min > max then return wrong('spec.scaling.minReplicas', '%d is above maxReplicas %d; lower it', min, max) end
  local advanced = modifiers(actor)
  if advanced.formula and not advanced.target then
    return wrong('spec.scaling.advanced.target', 'is needed with a formula: the value one replica is to have')
  end
  if not advanced.formula and next(advanced) ~= nil then
    return wrong('spec.scaling.advanced.formula', 'is needed by target, activationTarget and metricType; set it or remove them')
  end
  if advanced.metricType == 'Utilization' then
    return wrong('spec.scaling.advanced.metricType', "'Utilization' is not for external metrics; use AverageValue or Value")
  end
  local transport = actors.transport(actor, ctx)
  local of_sqs = transport and transport.type == 'sqs' and transport.config
  if of_sqs and not account(of_sqs) then
    return wrong('spec.transport', 'scaling by SQS needs accountId (or actorRoleArn) in the transport "%s" of the operator', transport.name)
  end
  -- The operator itself may have it from AWS_REGION; neither KEDA nor the pods do.
  if of_sqs and not given(of_sqs, 'region') then
    return wrong('spec.transport', 'scaling by SQS needs region in the transport "%s" of the operator', transport.name)
  end
  return keda.problem_of(actor, transport, ctx.params)
end

--- Refuses what scales the actor; what scales it now stays as it is. When that is the workload as well, what runs it now stays, too.
local function refuse(ctx, plan, problem)
  local as_job = plan:get('workload').kind == 'ScaledJob'
  plan:remove 'trigger-auth'
  plan:refuse(as_job and 'workload' or 'scaler', problem)
  for _, child in ipairs(ctx.children) do
    if as_job or child.kind == 'TriggerAuthentication' then plan:keep(child) end
  end
end

return policy.define {
  name = 'scaling',
  after = { 'workload', 'sidecar', 'identity' },
  doc = 'ScaledObject and TriggerAuthentication, when spec.scaling.enabled.',
  params = {
    scale_down_window = number(300, 'Seconds of low demand before replicas go.'),
    scale_down_pods = number(1, 'Pods that may go per period.'),
    scale_up_window = number(0, 'Seconds of high demand before replicas come.'),
    scale_up_pods = number(10, 'Pods that may come per period.'),
    scale_up_percent = number(100, 'Percent of pods that may come per period.'),
    period = schema.integer { min = 1, max = 1800 }:default(60):doc 'Seconds of a period.',
    cluster_authentication = schema.boolean():default(false)
      :doc 'Let additionalTriggers of actors use a ClusterTriggerAuthentication, and with it secrets of the cluster.',
  },

  render = function(actor, ctx, plan)
    if not actors.scaling_enabled(actor) then return end
    local transport = actors.transport(actor, ctx)
    local kind, metadata, auth = TRIGGER[transport.type](actor, transport.config)
    local trigger = { type = kind, name = keda.QUEUE, metadata = metadata }
    local workload = plan:get 'workload'
    if workload.kind == 'ScaledJob' then lend_to_runtime(k8s.get(workload, 'spec.jobTargetRef.template.spec'), auth) end
    if auth then
      local name = actor.metadata.name .. '-trigger-auth'
      trigger.authenticationRef = { name = name }
      plan:add('trigger-auth', {
        apiVersion = 'keda.sh/v1alpha1', kind = 'TriggerAuthentication', metadata = { name = name, labels = keda.labels(actor) }, spec = auth,
      })
    end
    if workload.kind == 'ScaledJob' then
      complete_scaled_job(workload, actor, trigger)
    else
      plan:add('scaler', scaled_object(actor, trigger, ctx.params))
    end
    keda.mark_versions(plan)
    local problem = problem_of(actor, ctx)
    if problem then refuse(ctx, plan, problem) end
  end,
}
