--- transport: queues at real brokers, made before the actor works and gone after it.
local cluster = require 'cluster'
local json = require 'json'

local eventually, sh = cluster.eventually, cluster.sh
local env = os.getenv

local function rabbitmqctl(arguments, ...)
  local output, ok = sh(env 'BED_RABBITMQCTL' .. ' ' .. arguments, ...)
  if not ok then error('rabbitmqctl ' .. arguments:format(...) .. '\n' .. output, 2) end
  return output
end

--- The queues of the broker by name: {messages, arguments}.
local function queues()
  local found = {}
  for _, queue in ipairs(json.decode(rabbitmqctl '-q --formatter json list_queues name messages arguments')) do
    local arguments = {}
    for _, each in ipairs(queue.arguments) do arguments[each[1]] = each[3] end
    found[queue.name] = { messages = queue.messages, arguments = arguments }
  end
  return found
end

local function queue(name) return queues()['asya-' .. name] end

--- What is bound to the exchange, as "queue key" in order.
local function bindings(name)
  local found = {}
  for _, each in ipairs(json.decode(rabbitmqctl '-q --formatter json list_bindings source_name destination_name routing_key')) do
    if each.source_name == 'asya' and each.destination_name == 'asya-' .. name then found[#found + 1] = each.routing_key end
  end
  table.sort(found)
  return found
end

--- One request to the management API.
local function manage(method, path, body)
  return sh('curl -s -u guest:guest -X %s -H content-type:application/json %s%s %s', method, env 'BED_RABBITMQ_MANAGEMENT_URL', path,
    body and '-d ' .. cluster.quote(json.encode(body)) or '')
end

local function publish(name, count)
  for _ = 1, count do
    manage('POST', '/api/exchanges/%2F/asya/publish'):len()
    local out = manage('POST', '/api/exchanges/%2F/amq.default/publish',
      { properties = { delivery_mode = 2 }, routing_key = 'asya-' .. name, payload = 'm', payload_encoding = 'string' })
    assert.is_truthy(out:find('"routed":true', 1, true), out)
  end
end

local SECRET = { name = 'rabbitmq-secret', key = 'password' }

--- The registry with this bed's brokers; `change` edits the configuration of rabbitmq.
local function transports(change)
  local rabbitmq = {
    host = '127.0.0.1', port = tonumber(env 'BED_RABBITMQ_PORT'), username = 'guest', passwordSecretRef = SECRET,
    queues = { autoCreate = true, dlq = { enabled = true, maxRetryCount = 3 } },
  }
  if change then change(rabbitmq) end
  local sqs = {
    region = env 'BED_SQS_REGION', endpoint = env 'BED_SQS_URL', accountId = env 'BED_SQS_ACCOUNT', visibilityTimeout = 77,
    credentials = { accessKeyIdSecretRef = { name = 'aws', key = 'id' }, secretAccessKeySecretRef = { name = 'aws', key = 'secret' } },
    queues = { autoCreate = true, dlq = { enabled = true, maxRetryCount = 4, retentionDays = 2 } }, tags = { team = 'images' },
  }
  return json.encode { transports = {
    rabbitmq = { enabled = true, type = 'rabbitmq', config = rabbitmq }, sqs = { enabled = true, type = 'sqs', config = sqs },
  } }
end

local function operator(options)
  options = options or {}
  options.queues = true
  options.transports = transports(options.change)
  options.env = 'ASYA_QUEUE_HEALTH_CHECK_INTERVAL=' .. (options.interval or '0')
  return cluster.operator(options)
end

local function put_secret(ns, password)
  cluster.kubectl('create secret generic rabbitmq-secret -n %s --from-literal=password=%s --dry-run=client -o yaml | kubectl apply -f -', ns,
    password or 'guest')
end

local function namespace(password)
  local ns = cluster.namespace 'mq'
  put_secret(ns, password)
  return ns
end

local function await(ns, name, what, seconds, fn)
  local actor
  eventually(name .. ': ' .. what, seconds, function()
    actor = cluster.get('asyncactor', name, ns)
    local ok = actor and actor.status and fn(actor)
    return ok, actor and actor.status and json.encode(actor.status.conditions)
  end)
  return actor
end

local function await_status(ns, name, wanted, seconds)
  return await(ns, name, wanted, seconds or 30, function(actor) return actor.status.status == wanted end)
end

--- Waits for TransportReady with this status and reason; returns the condition.
local function await_transport(ns, name, truth, reason, seconds)
  local actor = await(ns, name, truth .. ' ' .. reason, seconds or 30, function(actor)
    local c = cluster.condition(actor, 'TransportReady')
    return c and c.status == truth and c.reason == reason
  end)
  return cluster.condition(actor, 'TransportReady'), actor
end

local counter = 0
--- A name of this run: the broker is shared by all tests.
local function fresh(prefix)
  counter = counter + 1
  return ('%s-%d-%d'):format(prefix, os.time() % 100000, counter)
end

describe('queues of actors', function()
  if not cluster.available or not env 'BED_RABBITMQCTL' then
    pending 'needs a control plane with brokers: run it through spec/run cluster'
    return
  end

  after_each(cluster.stop_all)

  it('are there with dead letter queue and bindings before the workload', function()
    local ns, name = namespace(), fresh 'first'
    local op = operator()
    cluster.apply(cluster.actor(name, ns))
    local actor = await_status(ns, name, 'Running')
    local made = queue(name)
    assert.same({ ['x-dead-letter-exchange'] = '', ['x-dead-letter-routing-key'] = 'asya-' .. name .. '-dlq' }, made.arguments)
    assert.is_truthy(queue(name .. '-dlq'))
    assert.same({ 'asya-' .. name, name }, bindings(name))
    local log = op.log()
    assert.is_true(log:find('created queue asya-' .. name, 1, true) < log:find('created Deployment ' .. name, 1, true))
    assert.equal('TransportValidated', cluster.condition(actor, 'TransportReady').reason)
    assert.equal(0, actor.status.queuedMessages)
    cluster.kubectl('delete asyncactor %s -n %s --timeout=20s', name, ns)
    assert.is_nil(queue(name))
    assert.is_nil(queue(name .. '-dlq'))
    assert.is_nil(cluster.get('deployment', name, ns))
  end)
end)
