--- foreign_queues: what becomes of queues that were not made for an actor, or are not as it wants them, when it goes: they stay, with their
-- messages.
local brokers = require 'brokers'
local cluster = require 'cluster'

local eventually = cluster.eventually
local fresh, namespace, operator, queue = brokers.fresh, brokers.namespace, brokers.operator, brokers.queue

local OTHER = { ['x-message-ttl'] = 600000 }

local function event(ns, name, reason) return cluster.event(ns, name, reason, 15) end

local function has(text, ...)
  for _, part in ipairs { ... } do assert.is_truthy(text:find(part, 1, true), ('"%s" is missing in: %s'):format(part, text)) end
end

local function delete(ns, name) cluster.kubectl('delete asyncactor %s -n %s --timeout=30s', name, ns) end

--- The last lines of the log say what became of the actor's queue: that it stays, and nothing that sounds as if all were in order.
local function said_that_it_stays(op, name)
  local log = op.log()
  local lines = {}
  for line in log:gmatch '[^\n]+' do
    if line:find(name, 1, true) then lines[#lines + 1] = line end
  end
  local text = table.concat(lines, '\n')
  has(text, 'stays at its broker')
  assert.is_nil(text:find('is all right again', 1, true), text)
  assert.is_nil(text:find('nothing of ours is left', 1, true), text)
  assert.is_nil(text:find('deleted queue asya-' .. name .. '\n', 1, true), text)
end

--- One that leaves queues alone from its first moment: in a namespace where nothing was live before.
local function idle_operator() return cluster.operator { args = '--namespace ' .. cluster.namespace 'operator' } end

describe('a queue with other settings', function()
  if not cluster.available or not os.getenv 'BED_RABBITMQCTL' then
    pending 'needs a control plane with brokers: run it through spec/run cluster'
    return
  end

  after_each(cluster.stop_all)
  setup(brokers.clear)

  it('stays with its messages when its actor goes', function()
    local ns, name = namespace(), fresh 'foreign'
    brokers.declare(name, OTHER)
    brokers.publish(name, 10)
    local op = operator()
    cluster.apply(cluster.actor(name, ns))
    brokers.await_transport(ns, name, 'False', 'QueueMismatch')
    delete(ns, name)
    assert.equal(10, (queue(name) or {}).messages)
    has(event(ns, name, 'QueueKept'), 'asya-' .. name, '10 messages', 'was not made for')
    said_that_it_stays(op, name)
  end)

  it('stays when the operator that saw it is another than the one that lets its actor go', function()
    local ns, name = namespace(), fresh 'later'
    brokers.declare(name, OTHER)
    brokers.publish(name, 10)
    local op = operator()
    cluster.apply(cluster.actor(name, ns))
    brokers.await_transport(ns, name, 'False', 'QueueMismatch')
    op.kill()
    cluster.kubectl('delete asyncactor %s -n %s --wait=false', name, ns)
    op = operator()
    eventually('the actor is gone', 30, function() return not cluster.get('asyncactor', name, ns) end)
    assert.equal(10, (queue(name) or {}).messages)
    has(event(ns, name, 'QueueKept'), 'asya-' .. name, '10 messages')
    said_that_it_stays(op, name)
  end)

  it('stays when it took the place of a fitting one behind the operator\'s back', function()
    local ns, name = namespace(), fresh 'swapped'
    local op = operator()
    cluster.apply(cluster.actor(name, ns))
    brokers.await_status(ns, name, 'Running')
    brokers.manage('DELETE', '/api/queues/%2F/asya-' .. name)
    brokers.declare(name, OTHER)
    brokers.publish(name, 10)
    delete(ns, name)
    assert.equal(10, (queue(name) or {}).messages)
    has(event(ns, name, 'QueueKept'), 'asya-' .. name, '10 messages', 'x-message-ttl', '600000')
    said_that_it_stays(op, name)
  end)

  it('stays also when only empty ones are to go, and when it holds nothing', function()
    local ns, name = namespace(), fresh 'if-empty'
    brokers.declare(name, OTHER)
    operator { change = function(rabbitmq) rabbitmq.queues.deletionPolicy = 'DeleteIfEmpty' end }
    cluster.apply(cluster.actor(name, ns))
    brokers.await_transport(ns, name, 'False', 'QueueMismatch')
    delete(ns, name)
    assert.is_truthy(queue(name))
  end)

  it('stays when it is the dead letter queue, while the one that fits goes', function()
    local ns, name = namespace(), fresh 'dead'
    local op = operator()
    cluster.apply(cluster.actor(name, ns))
    brokers.await_status(ns, name, 'Running')
    op.stop()
    brokers.manage('DELETE', '/api/queues/%2F/asya-' .. name .. '-dlq')
    brokers.declare(name .. '-dlq', OTHER)
    op = operator()
    has(brokers.await_transport(ns, name, 'False', 'QueueMismatch').message, 'asya-' .. name .. '-dlq')
    delete(ns, name)
    assert.is_truthy(queue(name .. '-dlq'))
    assert.is_nil(queue(name))
    has(event(ns, name, 'QueueKept'), 'asya-' .. name .. '-dlq', 'x-message-ttl')
    said_that_it_stays(op, name)
  end)

  it('is not said to be all right when it is another\'s and goes meanwhile', function()
    local ns, name = namespace(), fresh 'gone'
    brokers.declare(name, OTHER)
    local op = operator()
    cluster.apply(cluster.actor(name, ns))
    brokers.await_transport(ns, name, 'False', 'QueueMismatch')
    op.stop()
    brokers.manage('DELETE', '/api/queues/%2F/asya-' .. name)
    cluster.kubectl('delete asyncactor %s -n %s --wait=false', name, ns)
    op = operator()
    eventually('the actor is gone', 30, function() return not cluster.get('asyncactor', name, ns) end)
    assert.is_nil(op.log():find('deleted queue asya-' .. name, 1, true), op.log())
    has(op.log(), 'nothing of ours is left')
  end)

  it('stays at SQS, where it is seen by its attributes', function()
    local ns, name = namespace(), fresh 'sqs-foreign'
    local url = brokers.sqs('CreateQueue', { QueueName = 'asya-' .. name, Attributes = { VisibilityTimeout = '31' } }).QueueUrl
    for _ = 1, 10 do brokers.sqs('SendMessage', { QueueUrl = url, MessageBody = 'work' }) end
    local change = function(_, sqs)
      sqs.queues = { autoCreate = false, deletionPolicy = 'Delete' }
    end
    local op = operator { change = change }
    cluster.apply((cluster.actor(name, ns):gsub('transport: rabbitmq', 'transport: sqs')))
    has(brokers.await_transport(ns, name, 'False', 'QueueMismatch').message, 'VisibilityTimeout is 31, wanted 77')
    op.kill()
    cluster.kubectl('delete asyncactor %s -n %s --wait=false', name, ns)
    op = operator { change = change }
    eventually('the actor is gone', 30, function() return not cluster.get('asyncactor', name, ns) end)
    assert.equal('10', brokers.sqs_attributes(name).ApproximateNumberOfMessages)
    has(event(ns, name, 'QueueKept'), 'asya-' .. name, '10 messages')
    said_that_it_stays(op, name)
  end)

  it('at SQS stays when it is the dead letter queue', function()
    local ns, name = namespace(), fresh 'sqs-dead'
    local op = operator()
    cluster.apply((cluster.actor(name, ns):gsub('transport: rabbitmq', 'transport: sqs')))
    brokers.await_status(ns, name, 'Running')
    op.stop()
    brokers.sqs('SetQueueAttributes', { QueueUrl = brokers.sqs_url 'dlq', Attributes = { MessageRetentionPeriod = '60' } })
    operator { change = function(_, sqs) sqs.queues.autoCreate, sqs.queues.deletionPolicy = false, 'Delete' end }
    has(brokers.await_transport(ns, name, 'False', 'QueueMismatch').message, 'asya-dlq')
    delete(ns, name)
    assert.is_nil(brokers.sqs_url(name))
    assert.is_truthy(brokers.sqs_url 'dlq')
    brokers.sqs('DeleteQueue', { QueueUrl = brokers.sqs_url 'dlq' })
  end)

  it('at SQS stays when somebody changed it while no operator looked', function()
    local ns, name = namespace(), fresh 'sqs-drift'
    local op = operator()
    cluster.apply((cluster.actor(name, ns):gsub('transport: rabbitmq', 'transport: sqs')))
    brokers.await_status(ns, name, 'Running')
    op.stop()
    brokers.sqs('SetQueueAttributes', { QueueUrl = brokers.sqs_url(name), Attributes = { VisibilityTimeout = '31' } })
    for _ = 1, 10 do brokers.sqs('SendMessage', { QueueUrl = brokers.sqs_url(name), MessageBody = 'work' }) end
    cluster.kubectl('delete asyncactor %s -n %s --wait=false', name, ns)
    op = operator()
    eventually('the actor is gone', 30, function() return not cluster.get('asyncactor', name, ns) end)
    assert.equal('10', brokers.sqs_attributes(name).ApproximateNumberOfMessages)
    has(event(ns, name, 'QueueKept'), 'asya-' .. name, '10 messages', 'VisibilityTimeout is 31, wanted 77')
    said_that_it_stays(op, name)
  end)
end)

describe('a queue with the settings wanted', function()
  if not cluster.available or not os.getenv 'BED_RABBITMQCTL' then return end

  after_each(cluster.stop_all)
  setup(brokers.clear)

  local function owner(actor)
    for _, record in ipairs(actor.status.queues or {}) do
      if record.name == 'asya-' .. actor.metadata.name then return record.owner end
    end
  end

  local function await_owner(ns, name, wanted)
    return brokers.await(ns, name, 'owner ' .. wanted, 30, function(actor) return owner(actor) == wanted end)
  end

  it('goes with the actor it was made for, which says so, and how many messages went', function()
    local ns, name = namespace(), fresh 'ours'
    local op = operator()
    cluster.apply(cluster.actor(name, ns))
    brokers.await_status(ns, name, 'Running')
    local records = cluster.get('asyncactor', name, ns).status.queues
    assert.same({ { name = 'asya-' .. name, transport = 'rabbitmq', owner = 'Actor', place = records[1].place } }, records)
    brokers.publish(name, 3)
    op.kill()
    cluster.kubectl('delete asyncactor %s -n %s --wait=false', name, ns)
    op = operator()
    eventually('the actor is gone', 30, function() return not cluster.get('asyncactor', name, ns) end)
    assert.is_nil(queue(name))
    has(event(ns, name, 'Deleted'), 'deleted queue asya-' .. name .. ' with 3 messages')
    has(op.log(), 'nothing of ours is left')
  end)

  it('stays with its messages when it was there before the actor, whoever lets that go', function()
    local ns, name = namespace(), fresh 'before'
    brokers.declare(name, brokers.arguments(name))
    brokers.publish(name, 10)
    local op = operator()
    cluster.apply(cluster.actor(name, ns))
    brokers.await_status(ns, name, 'Running')
    await_owner(ns, name, 'Other')
    op.kill()
    op = operator()
    delete(ns, name)
    assert.equal(10, (queue(name) or {}).messages)
    has(event(ns, name, 'QueueKept'), 'asya-' .. name, '10 messages', 'was not made for')
    said_that_it_stays(op, name)
  end)

  it('stays at SQS, too, when it was there before', function()
    local ns, name = namespace(), fresh 'sqs-before'
    local url = brokers.sqs('CreateQueue', { QueueName = 'asya-' .. name, Attributes = { VisibilityTimeout = '77' } }).QueueUrl
    for _ = 1, 10 do brokers.sqs('SendMessage', { QueueUrl = url, MessageBody = 'work' }) end
    operator()
    cluster.apply((cluster.actor(name, ns):gsub('transport: rabbitmq', 'transport: sqs')))
    await_owner(ns, name, 'Other')
    delete(ns, name)
    assert.equal('10', brokers.sqs_attributes(name).ApproximateNumberOfMessages)
  end)

  it('becomes the actor\'s when it is gone one day and has to be made', function()
    local ns, name = namespace(), fresh 'remade'
    brokers.declare(name, brokers.arguments(name))
    operator { interval = '1s' }
    cluster.apply(cluster.actor(name, ns))
    await_owner(ns, name, 'Other')
    brokers.manage('DELETE', '/api/queues/%2F/asya-' .. name)
    await_owner(ns, name, 'Actor')
    delete(ns, name)
    assert.is_nil(queue(name))
  end)

  it('is inherited from an operator that kept no records, but not when its settings differ', function()
    local ns, name, other = namespace(), fresh 'heir', fresh 'heir'
    local op = idle_operator()
    for _, each in ipairs { name, other } do
      cluster.apply(cluster.actor(each, ns))
      brokers.await_status(ns, each, 'Running')
    end
    op.stop()
    for _, each in ipairs { name, other } do
      cluster.kubectl([[patch asyncactor %s -n %s --subresource=status --type=merge -p '{"status":{"queues":null}}']], each, ns)
    end
    brokers.declare(name, brokers.arguments(name))
    brokers.declare(other, OTHER)
    brokers.publish(other, 10)
    operator()
    await_owner(ns, name, 'Actor')
    brokers.await_transport(ns, other, 'False', 'QueueMismatch')
    assert.is_nil(cluster.get('asyncactor', other, ns).status.queues)
    delete(ns, name)
    delete(ns, other)
    assert.is_nil(queue(name))
    assert.equal(10, (queue(other) or {}).messages)
  end)

  it('is another\'s when queues are managed only from now on', function()
    local ns, name = namespace(), fresh 'switched'
    local op = idle_operator()
    cluster.apply(cluster.actor(name, ns))
    brokers.await_status(ns, name, 'Running')
    assert.same({}, cluster.get('asyncactor', name, ns).status.queues)
    op.stop()
    brokers.declare(name, brokers.arguments(name))
    operator()
    await_owner(ns, name, 'Other')
    delete(ns, name)
    assert.is_truthy(queue(name))
  end)
end)
