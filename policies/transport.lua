--- transport: what each type of broker means to a sidecar.
local policy = require 'policy'
local k8s = require 'k8s'

local M = {}

local function add(list, name, value)
  if value ~= nil and value ~= '' then list[#list + 1] = { name = name, value = tostring(value) } end
end

local function add_secret(list, name, ref)
  if ref == nil then return end
  list[#list + 1] = {
    name = name, valueFrom = { secretKeyRef = { name = ref.name, key = ref.key, optional = ref.optional } },
  }
end

local function positive(value)
  return math.type(value) == 'integer' and value > 0 and value or nil
end

--- Queues are created for actors unless the configuration says otherwise; a `queues` block without the key means no.
function M.auto_create(config)
  local queues = k8s.get(config, 'queues')
  return queues == nil or k8s.get(queues, 'autoCreate') == true
end

local ENV = {}

function ENV.rabbitmq(config)
  local list = {}
  list[1] = { name = 'ASYA_RABBITMQ_HOST', value = tostring(k8s.get(config, 'host') or '') }
  add(list, 'ASYA_RABBITMQ_PORT', positive(k8s.get(config, 'port')) or 5672)
  local user = k8s.get(config, 'username')
  add(list, 'ASYA_RABBITMQ_USERNAME', user ~= '' and user or 'guest')
  add_secret(list, 'ASYA_RABBITMQ_PASSWORD', k8s.get(config, 'passwordSecretRef'))
  add(list, 'ASYA_RABBITMQ_EXCHANGE', k8s.get(config, 'exchange'))
  add(list, 'ASYA_QUEUE_AUTO_CREATE', M.auto_create(config))
  return list
end

function ENV.sqs(config)
  local list = {}
  add(list, 'ASYA_AWS_REGION', k8s.get(config, 'region'))
  add(list, 'ASYA_SQS_ENDPOINT', k8s.get(config, 'endpoint'))
  add(list, 'ASYA_SQS_VISIBILITY_TIMEOUT', positive(k8s.get(config, 'visibilityTimeout')))
  add(list, 'ASYA_SQS_WAIT_TIME_SECONDS', positive(k8s.get(config, 'waitTimeSeconds')))
  add_secret(list, 'AWS_ACCESS_KEY_ID', k8s.get(config, 'credentials.accessKeyIdSecretRef'))
  add_secret(list, 'AWS_SECRET_ACCESS_KEY', k8s.get(config, 'credentials.secretAccessKeySecretRef'))
  return list
end

--- The types there are.
function M.is_type(name)
  return type(name) == 'string' and rawget(ENV, name) ~= nil
end

--- How a sidecar reaches the broker, as environment variables in the order that users know.
function M.env(transport)
  return ENV[transport.type](transport.config)
end

return policy.library(M)
