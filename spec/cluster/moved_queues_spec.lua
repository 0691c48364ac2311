--- moved_queues: what becomes of an actor's queue when the actor moves to another transport, and of one broker that has two names.
local brokers = require 'brokers'
local cluster = require 'cluster'
local json = require 'json'

local fresh, namespace, queue = brokers.fresh, brokers.namespace, brokers.queue

--- An operator whose registry has the RabbitMQ of the bed under a second name, `other`; `change` edits the registry.
local function operator(change)
  local registry = json.decode(brokers.transports())
  registry.transports.other = json.decode(json.encode(registry.transports.rabbitmq))
  registry.transports.other.config.port = tostring(registry.transports.other.config.port)
  registry.transports.other.config.heartbeat = 7
  if change then change(registry.transports) end
  return cluster.operator { queues = true, transports = json.encode(registry), env = 'ASYA_QUEUE_HEALTH_CHECK_INTERVAL=0' }
end

local function move(ns, name, transport)
  cluster.kubectl([[patch asyncactor %s -n %s --type=merge -p '{"spec":{"transport":"%s"}}']], name, ns, transport)
end

--- What status.queues says, as "transport owner" in order.
local function await_records(ns, name, wanted)
  brokers.await_records(ns, name, wanted, function(record) return record.transport .. ' ' .. record.owner end)
end

local function event(ns, name, reason) return cluster.event(ns, name, reason, 60) end

describe('an actor that moves to another transport', function()
  if not cluster.available or not os.getenv 'BED_RABBITMQCTL' then
    pending 'needs a control plane with brokers: run it through spec/run cluster'
    return
  end

  after_each(cluster.stop_all)
  setup(brokers.clear)

  it('takes its empty queue with it', function()
    local ns, name = namespace(), fresh 'moves'
    operator()
    cluster.apply(cluster.actor(name, ns))
    await_records(ns, name, 'rabbitmq Actor')
    move(ns, name, 'sqs')
    await_records(ns, name, 'sqs Actor')
    assert.is_nil(queue(name))
    assert.is_truthy(brokers.sqs_url(name))
    move(ns, name, 'rabbitmq')
    await_records(ns, name, 'rabbitmq Actor')
    assert.is_nil(brokers.sqs_url(name))
    assert.is_truthy(queue(name))
    cluster.kubectl('delete asyncactor %s -n %s --timeout=30s', name, ns)
    assert.is_nil(queue(name))
  end)

  it('leaves a queue with messages until it is drained, and says so; also by another operator', function()
    local ns, name = namespace(), fresh 'full'
    local op = operator()
    cluster.apply(cluster.actor(name, ns))
    await_records(ns, name, 'rabbitmq Actor')
    brokers.publish(name, 3)
    move(ns, name, 'sqs')
    await_records(ns, name, 'rabbitmq Actor, sqs Actor')
    local note = event(ns, name, 'QueueKept')
    assert.is_truthy(note:find('3 messages', 1, true) and note:find('asya-' .. name, 1, true), note)
    assert.equal('Running', cluster.get('asyncactor', name, ns).status.status)
    op.kill()
    operator()
    cluster.sleep(3)
    assert.equal(3, queue(name).messages)
    brokers.manage('DELETE', '/api/queues/%2F/asya-' .. name .. '/contents')
    await_records(ns, name, 'sqs Actor')
    assert.is_nil(queue(name))
    cluster.kubectl('delete asyncactor %s -n %s --timeout=30s', name, ns)
  end)

  it('takes what it left when it goes itself', function()
    local ns, name = namespace(), fresh 'goes'
    operator()
    cluster.apply(cluster.actor(name, ns))
    await_records(ns, name, 'rabbitmq Actor')
    brokers.publish(name, 3)
    move(ns, name, 'sqs')
    await_records(ns, name, 'rabbitmq Actor, sqs Actor')
    cluster.kubectl('delete asyncactor %s -n %s --timeout=30s', name, ns)
    assert.is_nil(queue(name))
    assert.is_nil(brokers.sqs_url(name))
  end)

  it('leaves a queue alone that was there before', function()
    local ns, name = namespace(), fresh 'before'
    brokers.declare(name, brokers.arguments(name))
    operator()
    cluster.apply(cluster.actor(name, ns))
    await_records(ns, name, 'rabbitmq Other')
    move(ns, name, 'sqs')
    await_records(ns, name, 'rabbitmq Other, sqs Actor')
    cluster.kubectl('delete asyncactor %s -n %s --timeout=30s', name, ns)
    assert.is_truthy(queue(name))
  end)

  it('keeps its queue when the other transport leads to the same broker', function()
    local ns, name = namespace(), fresh 'same'
    operator()
    cluster.apply(cluster.actor(name, ns))
    await_records(ns, name, 'rabbitmq Actor')
    brokers.publish(name, 3)
    move(ns, name, 'other')
    await_records(ns, name, 'other Actor')
    cluster.sleep(2)
    assert.equal(3, queue(name).messages)
    cluster.kubectl('delete asyncactor %s -n %s --timeout=30s', name, ns)
    assert.is_nil(queue(name))
  end)

  it('is told when it goes that its old queue cannot be reached', function()
    local ns, name = namespace(), fresh 'lost'
    local op = operator()
    cluster.apply(cluster.actor(name, ns))
    await_records(ns, name, 'rabbitmq Actor')
    brokers.publish(name, 3)
    move(ns, name, 'sqs')
    await_records(ns, name, 'rabbitmq Actor, sqs Actor')
    op.stop()
    local after = operator(function(transports) transports.rabbitmq = nil end)
    cluster.eventually('the registry without the broker has reached it', 30, function() return after.log():find('policies live: bundle', 1, true) end)
    cluster.kubectl('delete asyncactor %s -n %s --timeout=30s', name, ns)
    local note = event(ns, name, 'QueueLeft')
    assert.is_truthy(note:find('asya-' .. name .. ' is left at rabbitmq', 1, true), note)
    assert.equal(3, queue(name).messages)
  end)
end)

describe('actors of one name at one broker with two names', function()
  if not cluster.available or not os.getenv 'BED_RABBITMQCTL' then return end
  after_each(cluster.stop_all)

  it('do not delete each other\'s queue', function()
    local one, two, name = namespace(), namespace(), fresh 'twin'
    operator()
    cluster.apply(cluster.actor(name, one))
    await_records(one, name, 'rabbitmq Actor')
    cluster.apply((cluster.actor(name, two):gsub('transport: rabbitmq', 'transport: other')))
    await_records(two, name, 'other Other')
    brokers.publish(name, 3)
    cluster.kubectl('delete asyncactor %s -n %s --timeout=30s', name, one)
    assert.equal(3, (queue(name) or {}).messages)
    await_records(two, name, 'other Actor')
    cluster.kubectl('delete asyncactor %s -n %s --timeout=30s', name, two)
    assert.is_nil(queue(name))
  end)
end)
