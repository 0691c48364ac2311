--- brokers: the RabbitMQ and the SQS server of the bed, as specs look at them past the operator, and operators that keep queues there.
local cluster = require 'cluster'
local json = require 'json'

local M = {}

local sh = cluster.sh
local env = os.getenv

-- ---- RabbitMQ ----

function M.rabbitmqctl(arguments, ...)
  local output, ok = sh(env 'BED_RABBITMQCTL' .. ' ' .. arguments, ...)
  if not ok then error('rabbitmqctl ' .. arguments:format(...) .. '\n' .. output, 2) end
  return output
end

--- The queues of the broker by name: {messages, arguments}.
function M.queues()
  local output, ok = sh('%s', env 'BED_RABBITMQ_QUEUES')
  if not ok then error('the queues of the broker: ' .. output, 2) end
  return json.decode(output)
end

function M.queue(name) return M.queues()['asya-' .. name] end

--- One request to the management API.
function M.manage(method, path, body)
  return sh('curl -s -u guest:guest -X %s -H content-type:application/json %s%s %s', method, env 'BED_RABBITMQ_MANAGEMENT_URL', path,
    body and '-d ' .. cluster.quote(json.encode(body)) or '')
end

--- Makes the queue of an actor past the operator. @param vhost  "/" when absent
function M.declare(name, arguments, vhost)
  M.manage('PUT', ('/api/queues/%s/asya-%s'):format(vhost or '%2F', name), { durable = true, arguments = arguments })
end

--- What the operator makes the queue of an actor with, as `transports` configures it.
function M.arguments(name)
  return { ['x-dead-letter-exchange'] = '', ['x-dead-letter-routing-key'] = 'asya-' .. name .. '-dlq' }
end

function M.publish(name, count)
  for _ = 1, count do
    local out = M.manage('POST', '/api/exchanges/%2F/amq.default/publish',
      { properties = { delivery_mode = 2 }, routing_key = 'asya-' .. name, payload = 'm', payload_encoding = 'string' })
    if not out:find('"routed":true', 1, true) then error('not published: ' .. out, 2) end
  end
end

-- ---- SQS ----

local function signed(service, region, key)
  return cluster.quote(('authorization: AWS4-HMAC-SHA256 Credential=%s/20260101/%s/%s/aws4_request, SignedHeaders=host, Signature=0')
    :format(key or 'AKID', region or 'us-east-1', service))
end

--- One request to SQS. @param region  the bed's when absent; @param key  whose id says the account; the bed's when absent
function M.sqs(action, body, region, key)
  local out = sh('curl -s -H %s -H content-type:application/x-amz-json-1.0 -H %s -d %s %s', cluster.quote('x-amz-target: AmazonSQS.' .. action),
    signed('sqs', region, key), cluster.quote(json.encode(body)), env 'BED_SQS_URL')
  return json.decode(out)
end

--- The id of keys of another account.
function M.key_of(account)
  local form = ('Action=AssumeRole&Version=2011-06-15&RoleSessionName=spec&RoleArn=arn:aws:iam::%s:role/spec'):format(account)
  local out = sh('curl -s -H %s -d %s %s', signed 'sts', cluster.quote(form), env 'BED_SQS_URL')
  return assert(out:match '<AccessKeyId>(.-)<', out)
end

--- The URL of an actor's queue, or nil.
function M.sqs_url(name) return M.sqs('GetQueueUrl', { QueueName = 'asya-' .. name }).QueueUrl end

function M.sqs_attributes(name)
  return M.sqs('GetQueueAttributes', { QueueUrl = M.sqs_url(name), AttributeNames = json.array { 'All' } }).Attributes
end

-- ---- operators and actors ----

local SECRET = { name = 'rabbitmq-secret', key = 'password' }

--- The registry with this bed's brokers; `change` edits the configurations of rabbitmq and sqs.
function M.transports(change)
  local rabbitmq = {
    host = '127.0.0.1', port = tonumber(env 'BED_RABBITMQ_PORT'), username = 'guest', passwordSecretRef = SECRET,
    queues = { autoCreate = true, dlq = { enabled = true, maxRetryCount = 3 } },
  }
  local sqs = {
    region = env 'BED_SQS_REGION', endpoint = env 'BED_SQS_URL', accountId = env 'BED_SQS_ACCOUNT', visibilityTimeout = 77,
    credentials = { accessKeyIdSecretRef = { name = 'aws', key = 'id' }, secretAccessKeySecretRef = { name = 'aws', key = 'secret' } },
    queues = { autoCreate = true, dlq = { enabled = true, maxRetryCount = 4, retentionDays = 2 } }, tags = { team = 'images' },
  }
  if change then change(rabbitmq, sqs) end
  return json.encode { transports = {
    rabbitmq = { enabled = true, type = 'rabbitmq', config = rabbitmq }, sqs = { enabled = true, type = 'sqs', config = sqs },
  } }
end

--- With `change` it works in a namespace of its own, in which nothing was live: else another registry would reach actors as a rollout.
function M.operator(options)
  options = options or {}
  if options.change then options.args = ('--namespace %s %s'):format(cluster.namespace 'operator', options.args or '') end
  options.queues = true
  options.transports = M.transports(options.change)
  options.env = ('ASYA_QUEUE_HEALTH_CHECK_INTERVAL=%s %s'):format(options.interval or '0', options.env or '')
  return cluster.operator(options)
end

local function put(ns, name, data)
  cluster.apply(json.encode { apiVersion = 'v1', kind = 'Secret', metadata = { name = name, namespace = ns }, stringData = data })
end

function M.put_secret(ns, password) put(ns, 'rabbitmq-secret', { password = password or 'guest' }) end

--- The Secrets of both brokers.
function M.put_secrets(ns, password)
  M.put_secret(ns, password)
  put(ns, 'aws', { id = 'AKID', secret = 'SECRET' })
end

--- A new namespace with these.
function M.namespace(password)
  local ns = cluster.namespace 'mq'
  M.put_secrets(ns, password)
  return ns
end

--- Deletes the actors of other specs with an operator that leaves queues alone: they have no Secrets, and would only be in the way.
function M.clear()
  local op = cluster.operator()
  cluster.kubectl 'delete asyncactors -A --all --timeout=120s'
  op.stop()
end

function M.await(ns, name, what, seconds, fn)
  local actor
  cluster.eventually(name .. ': ' .. what, seconds, function()
    actor = cluster.get('asyncactor', name, ns)
    local ok = actor and actor.status and fn(actor)
    return ok, actor and actor.status and json.encode(actor.status.conditions)
  end)
  return actor
end

function M.await_status(ns, name, wanted, seconds)
  return M.await(ns, name, wanted, seconds or 30, function(actor) return actor.status.status == wanted end)
end

--- Waits until status.queues says this, each record as `shown(record)`, in order.
function M.await_records(ns, name, wanted, shown)
  cluster.eventually(('%s has the queues "%s"'):format(name, wanted), 60, function()
    local list, status = {}, (cluster.get('asyncactor', name, ns) or {}).status or {}
    for _, record in ipairs(status.queues or {}) do list[#list + 1] = shown(record) end
    table.sort(list)
    local found = table.concat(list, ', ')
    return found == wanted, found
  end)
end

--- Waits for TransportReady with this status and reason; returns the condition.
function M.await_transport(ns, name, truth, reason, seconds)
  local actor = M.await(ns, name, truth .. ' ' .. reason, seconds or 30, function(actor)
    local c = cluster.condition(actor, 'TransportReady')
    return c and c.status == truth and c.reason == reason
  end)
  return cluster.condition(actor, 'TransportReady'), actor
end

local counter = 0
--- A name of this run: the broker is shared by all tests.
function M.fresh(prefix)
  counter = counter + 1
  return ('%s-%d-%d'):format(prefix, os.time() % 100000, counter)
end

return M
