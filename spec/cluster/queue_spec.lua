--- queue: what waits is counted, shown, and sent back from dead letter queues, by hand and without an operator.
local brokers = require 'brokers'
local cluster = require 'cluster'
local json = require 'json'

local fresh, sh = brokers.fresh, cluster.sh

--- The verb's output (both streams), and its exit code.
local function queue(arguments, ...)
  local output = sh('{ ASYA_TRANSPORT_CONFIG=%s %s/asya-operator queue %s; echo " exit $?"; }', cluster.quote(brokers.transports()), cluster.build,
    arguments:format(...))
  local text, code = output:match '^(.*) exit (%d+)\n$'
  return text, tonumber(code)
end

local function expect(words, arguments, ...)
  local text, code = queue(arguments, ...)
  for _, word in ipairs(words) do assert.is_truthy(text:find(word, 1, true), ('"%s" is not in:\n%s'):format(word, text)) end
  return code, text
end

--- An actor with its two queues at RabbitMQ, and `letters` messages that have died in the first one.
local function actor(ns, letters)
  local name = fresh 'letters'
  cluster.apply(cluster.actor(name, ns))
  brokers.declare(name, brokers.arguments(name))
  brokers.declare(name .. '-dlq')
  brokers.publish(name, letters)
  brokers.manage('POST', '/api/queues/%2F/asya-' .. name .. '/get', { count = letters, ackmode = 'reject_requeue_false', encoding = 'auto' })
  cluster.eventually('the messages have died', 20, function() return brokers.queue(name .. '-dlq').messages == letters end)
  return name
end

describe('queue', function()
  if not cluster.available or not os.getenv 'BED_RABBITMQCTL' then
    pending 'needs a control plane with brokers: run it through spec/run cluster'
    return
  end

  local ns
  setup(function() ns = brokers.namespace() end)
  teardown(brokers.clear)

  it('counts, shows and sends dead letters back, as many as asked for', function()
    local name = actor(ns, 5)
    local code, text = expect({ 'NAME', 'WAITING', 'DEAD' }, 'ls -n %s', ns)
    assert.equal(0, code)
    assert.is_truthy(text:gsub(' +', ' '):find(('%s asya-%s 0 - 5'):format(name, name), 1, true), text)
    assert.equal(0, (expect({ 'holds 5 messages', '"m"', 'x-death', 'note: RabbitMQ marks' }, 'peek %s -n %s --dead --max 2 -o wide', name, ns)))
    assert.equal(0, (expect({ '5 messages in asya-' .. name .. '-dlq', 'at most 100 would go', '(dry run)' }, 'redrive %s -n %s --dry-run', name, ns)))
    assert.equal(5, brokers.queue(name .. '-dlq').messages)
    assert.equal(0, (expect({ '2 messages moved', '3 left' }, 'redrive %s -n %s --max 2', name, ns)))
    assert.equal(2, brokers.queue(name).messages)
    local found = json.decode((queue('redrive %s -n %s -o json', name, ns)))
    assert.same({ 3, 0, 0 }, { found[1].moved, found[1].deadLetters, found[1].left })
    assert.equal(5, brokers.queue(name).messages)
  end)

  it('leaves what did not die in the actor\'s queue, unless it is to go as well', function()
    local name = actor(ns, 1)
    brokers.publish(name .. '-dlq', 2)
    assert.equal(0, (expect({ '1 message moved', 'not moved: 2 that did not die in that queue' }, 'redrive %s -n %s', name, ns)))
    assert.equal(2, brokers.queue(name .. '-dlq').messages)
    assert.equal(0, (expect({ '2 messages moved' }, 'redrive %s -n %s --any-origin', name, ns)))
  end)

  it('reaches SQS with the keys of the actor\'s namespace, and tells what a look costs', function()
    local name = fresh 'letters'
    cluster.apply((cluster.actor(name, ns):gsub('transport: rabbitmq', 'transport: sqs')))
    brokers.sqs('CreateQueue', { QueueName = 'asya-dlq' })
    local policy = json.encode { deadLetterTargetArn = 'arn:aws:sqs:us-east-1:' .. os.getenv 'BED_SQS_ACCOUNT' .. ':asya-dlq', maxReceiveCount = 4 }
    brokers.sqs('CreateQueue', { QueueName = 'asya-' .. name, Attributes = { RedrivePolicy = policy } })
    brokers.sqs('SendMessage', { QueueUrl = brokers.sqs_url(name), MessageBody = 'one' })
    brokers.sqs('SendMessage', { QueueUrl = brokers.sqs_url 'dlq', MessageBody = 'two' })
    assert.equal(0, (expect({ '"one"', 'received 1 time', 'received 4 times' }, 'peek %s -n %s', name, ns)))
    assert.equal(0, (expect({ '0 messages moved', 'not moved: 1 that' }, 'redrive %s -n %s', name, ns)))
    assert.equal(0, (expect({ '1 message moved' }, 'redrive %s -n %s --any-origin', name, ns)))
    assert.equal('2', brokers.sqs_attributes(name).ApproximateNumberOfMessages)
  end)

  it('is not needed to see that letters died: the actor says so, until they are gone', function()
    local name = actor(ns, 2)
    brokers.operator { interval = '1s' }
    local function said() return cluster.condition(cluster.get('asyncactor', name, ns), 'DeadLetters') end
    cluster.eventually('the actor tells of its dead letters', 60, function()
      local c = said()
      return c and c.status == 'True' and c.message:find('holds 2 messages', 1, true), json.encode(cluster.get('asyncactor', name, ns).status or {})
    end)
    assert.is_truthy(cluster.event(ns, name, 'DeadLetters', 30):find('2 messages', 1, true))
    assert.equal(0, (expect({ '2 messages moved' }, 'redrive %s -n %s', name, ns)))
    cluster.eventually('the condition goes with the letters', 60, function() return not said() end)
    cluster.stop_all()
  end)

  it('says what is wrong', function()
    local name = fresh 'none'
    cluster.apply(cluster.actor(name, ns))
    assert.equal(1, (expect({ name .. ': queue asya-' .. name .. '-dlq is not there' }, 'redrive %s -n %s', name, ns)))
    assert.equal(1, (expect({ 'not found' }, 'peek no-such-actor -n %s', ns)))
    assert.equal(2, (expect({ '--max: expected a number' }, 'peek %s --max many', name)))
    assert.equal(2, (expect({ 'say whose' }, 'redrive -n %s', ns)))
    assert.equal(2, (expect({ 'expected ls, peek or redrive' }, 'list')))
  end)
end)
