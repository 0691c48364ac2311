--- transport: what each type of broker means to a sidecar.
local policy = require 'policy'
local k8s = require 'k8s'
local schema = require 'schema'
local actors = require 'actor'
local names = require 'names'

local M = {}

local function add(list, name, value)
  if value ~= nil and value ~= '' then list[#list + 1] = { name = name, value = tostring(value) } end
end

local function add_secret(list, name, ref, actor)
  if ref == nil then return end
  ref = names.secret(actor, ref)
  list[#list + 1] = {
    name = name, valueFrom = { secretKeyRef = { name = ref.name, key = ref.key, optional = ref.optional } },
  }
end

--- The port that a broker listens on.
function M.rabbitmq_port(config)
  return k8s.positive(k8s.get(config, 'port')) or k8s.get(config, 'tls.enabled') == true and 5671 or 5672
end

--- Queues are created for actors unless the configuration says otherwise; a `queues` block without the key means no.
function M.auto_create(config)
  local queues = k8s.get(config, 'queues')
  return queues == nil or k8s.get(queues, 'autoCreate') == true
end

-- ---- what a configuration may hold ----

local text, whole, flag = schema.scalar, schema.integer, schema.boolean

local function secret_ref(doc)
  return schema.any():doc(doc) -- its shape is checked below: absent must stay absent
end

local QUEUES = {
  autoCreate = flag():doc 'Create, repair and delete queues; true when there is no `queues` at all.',
  forceRecreate = flag():doc 'Replace an empty queue whose arguments cannot be changed in place.',
  type = schema.string { enum = { 'classic', 'quorum' } }:doc 'RabbitMQ: the type of new queues.',
  deletionPolicy = schema.string { enum = { '', 'Delete', 'DeleteIfEmpty', 'Retain' } }
    :doc 'What becomes of a queue that was made for an actor when that goes.',
  dlq = schema.table {
    enabled = flag():doc 'Keep messages that could not be processed in a dead letter queue.',
    maxRetryCount = whole { min = 0 }:doc 'Deliveries before a message is given up; 0 means 3.',
    retentionDays = whole { min = 0 }:doc 'SQS: days the dead letter queue keeps messages; 0 means 14.',
  },
}

local ENTRY = { type = text(), enabled = flag(), config = schema.any() }

local CONFIG = {
  rabbitmq = {
    host = text():doc 'Name or address of the broker.',
    hosts = schema.array(text()):doc 'Further ones of a cluster, which the operator tries in turn; sidecars and KEDA are told `host`.',
    port = text():doc 'AMQP port; 5672, or 5671 with TLS.',
    vhost = text():doc 'Virtual host; "/".',
    username = text():doc 'User; guest.',
    passwordSecretRef = secret_ref 'Secret of the actor\'s namespace with the password: {name, key}.',
    exchange = text():doc 'Topic exchange to declare and bind.',
    heartbeat = whole { min = 0 }:doc 'Seconds; 20.',
    tls = schema.table {
      enabled = flag(), caSecretRef = secret_ref(), certSecretRef = secret_ref(), keySecretRef = secret_ref(), serverName = text(),
      insecureSkipVerify = flag(),
    },
    management = schema.table { url = text():doc 'Management API, for counts that include messages in flight.', insecureSkipVerify = flag() },
    queues = schema.table(QUEUES),
  },
  sqs = {
    region = text():doc 'AWS region.',
    accountId = text():doc 'Account of the queues; needed for scaling.',
    endpoint = text():doc 'Another service address than AWS\'s own.',
    actorRoleArn = text():doc 'Role that actors take through their ServiceAccount.',
    scalerRoleArn = text():doc 'Role that KEDA takes to count messages, also in another account, instead of what actors or KEDA may do.',
    scalerExternalId = text():doc 'External ID that scalerRoleArn asks for.',
    visibilityTimeout = text():doc 'Seconds.',
    waitTimeSeconds = text():doc 'Seconds of long polling.',
    credentials = schema.table { accessKeyIdSecretRef = secret_ref(), secretAccessKeySecretRef = secret_ref(), sessionTokenSecretRef = secret_ref() },
    instanceMetadata = flag():doc 'Take the operator\'s credentials from the instance it runs on.',
    tags = schema.map(text()):doc 'Tags of the queues.',
    queues = schema.table(QUEUES),
  },
}

local function check_secret_refs(config, path)
  for key, value in pairs(config) do
    if type(value) == 'table' and key:sub(-9) == 'SecretRef' then
      schema.apply({ name = schema.string { min_len = 1 }, key = schema.string { min_len = 1 }, optional = flag() }, value, path .. '.' .. key)
      if not value.name or not value.key then error(('%s.%s: needs name and key'):format(path, key), 0) end
    elseif type(value) == 'table' and (key == 'tls' or key == 'credentials') then
      check_secret_refs(value, path .. '.' .. key)
    end
  end
end

local function find_problem(transport)
  local path = ('transports.%s.config'):format(transport.name)
  local fits, unfit = pcall(schema.apply, ENTRY, transport.written, 'transports.' .. transport.name)
  if not fits then return tostring(unfit) end
  if not transport.enabled then return nil end
  if not CONFIG[transport.type] then
    return ('transports.%s.type: "%s" is not a type of transport; use rabbitmq or sqs'):format(transport.name, tostring(transport.type))
  end
  local written = k8s.get(transport.written, 'config') or {} -- a key that nobody knows is wrong even when it is null
  if type(written) == 'table' and written.password ~= nil then
    return path .. '.password: a password does not belong here; put it into a Secret and name it in passwordSecretRef'
  end
  local ok, why = pcall(function()
    schema.apply(CONFIG[transport.type], written, path)
    check_secret_refs(transport.config, path)
  end)
  if not ok then return tostring(why) end
end

--- What was found, by name; false: nothing. Each is looked at while the bundle loads, and settings never change after that.
local problems = {}

--- What is wrong with a transport, with its path; or nil. The configuration of one that is not enabled is nobody's business.
function M.problem(transport)
  local name = transport.name
  if problems[name] == nil then problems[name] = find_problem(transport) or false end
  return problems[name] or nil
end

--- Why an actor cannot have the transport that it names, or nil.
function M.problem_of(actor, ctx)
  local name, transport = k8s.get(actor, 'spec.transport'), actors.transport(actor, ctx)
  if not transport then
    local known = {}
    for key in pairs(actors.transports(ctx)) do known[#known + 1] = key end
    return ('transport "%s" not found in the operator\'s configuration (it has: %s)')
      :format(tostring(name), #known > 0 and table.concat(known, ', ') or 'none')
  end
  local problem = M.problem(transport)
  if problem or transport.enabled then return problem end
  return ('transport "%s" is disabled in the operator\'s configuration; enable it there'):format(name)
end

-- ---- Secrets ----

-- Which Secrets are needed to reach the broker: name in the engine -> where the reference stands.
local SECRETS = {
  rabbitmq = { password = 'passwordSecretRef', ca = 'tls.caSecretRef', cert = 'tls.certSecretRef', key = 'tls.keySecretRef' },
  sqs = {
    accessKeyId = 'credentials.accessKeyIdSecretRef', secretAccessKey = 'credentials.secretAccessKeySecretRef',
    sessionToken = 'credentials.sessionTokenSecretRef',
  },
}

--- The references to Secrets in a transport's configuration, by the engine's names.
function M.secrets(transport)
  local found = {}
  for name, path in pairs(SECRETS[transport.type]) do found[name] = k8s.get(transport.config, path) end
  return found
end

-- ---- what sidecars are told ----

local ENV = {}

function ENV.rabbitmq(config, actor)
  local list = {}
  list[1] = { name = 'ASYA_RABBITMQ_HOST', value = tostring(k8s.get(config, 'host') or '') }
  add(list, 'ASYA_RABBITMQ_PORT', M.rabbitmq_port(config))
  local user = k8s.get(config, 'username')
  add(list, 'ASYA_RABBITMQ_USERNAME', user ~= '' and user or 'guest')
  add_secret(list, 'ASYA_RABBITMQ_PASSWORD', k8s.get(config, 'passwordSecretRef'), actor)
  add(list, 'ASYA_RABBITMQ_EXCHANGE', k8s.get(config, 'exchange'))
  local vhost = k8s.get(config, 'vhost')
  if vhost ~= '/' then add(list, 'ASYA_RABBITMQ_VHOST', vhost) end
  if k8s.get(config, 'tls.enabled') == true then add(list, 'ASYA_RABBITMQ_TLS', 'enable') end
  add(list, 'ASYA_QUEUE_AUTO_CREATE', M.auto_create(config))
  return list
end

function ENV.sqs(config, actor)
  local list = {}
  add(list, 'ASYA_AWS_REGION', k8s.get(config, 'region'))
  add(list, 'ASYA_SQS_ENDPOINT', k8s.get(config, 'endpoint'))
  add(list, 'ASYA_SQS_VISIBILITY_TIMEOUT', k8s.positive(k8s.get(config, 'visibilityTimeout')))
  add(list, 'ASYA_SQS_WAIT_TIME_SECONDS', k8s.positive(k8s.get(config, 'waitTimeSeconds')))
  add_secret(list, 'AWS_ACCESS_KEY_ID', k8s.get(config, 'credentials.accessKeyIdSecretRef'), actor)
  add_secret(list, 'AWS_SECRET_ACCESS_KEY', k8s.get(config, 'credentials.secretAccessKeySecretRef'), actor)
  return list
end

--- The types there are.
function M.is_type(name)
  return type(name) == 'string' and rawget(ENV, name) ~= nil
end

--- How a sidecar reaches the broker, as environment variables in the order that users know.
function M.env(transport, actor)
  return ENV[transport.type](transport.config, actor)
end

return policy.library(M)
