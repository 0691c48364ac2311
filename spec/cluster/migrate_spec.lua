--- migrate: an actor goes from profile 0.1 to 0.4 and back, with messages on their way; its queue has another name then.
local brokers = require 'brokers'
local cluster = require 'cluster'
local json = require 'json'
local pages = require 'pages'

local fresh, namespace = brokers.fresh, brokers.namespace

local SETTINGS = 'ASYA_CREDENTIALS_NAMESPACE=default'
local config

--- An operator that is quick to call an old queue empty.
local function operator()
  config = config or cluster.write(cluster.temp 'yaml', 'params: {queue: {quiet_seconds: 2, drain_seconds: 5}}\n')
  return brokers.operator { change = function() end, env = SETTINGS, args = '--config ' .. config }
end

--- The verb, with the settings of that operator. @return what it says, and whether it has come to its end
local function migrate(arguments, ...)
  return cluster.sh('%s ASYA_TRANSPORT_CONFIG=%s %s/san/asya-operator %s --config %s', SETTINGS, cluster.quote(brokers.transports()), cluster.build,
    arguments:format(...), config)
end

--- How many messages a queue of RabbitMQ holds, or nil.
local function count(name) return (brokers.queues()[name] or {}).messages end

local function annotate(ns, name, text) cluster.kubectl('annotate asyncactor %s -n %s --overwrite %s', name, ns, text) end

--- What status.queues says: "queue owner" in order, and how far what is emptied has come.
local function await_records(ns, name, wanted)
  brokers.await_records(ns, name, wanted, function(record) return ('%s %s%s'):format(record.name, record.owner, record.drain and ' ' .. record.drain or '') end)
end

describe('an actor that goes from profile 0.1 to 0.4', function()
  if not cluster.available or not os.getenv 'BED_RABBITMQCTL' then
    pending 'needs a control plane with brokers: run it through spec/run cluster'
    return
  end

  after_each(cluster.stop_all)
  setup(function()
    brokers.clear()
    brokers.put_secrets 'default'
  end)

  it('is taken along by the Job that the page shows', function()
    local ns, name = namespace(), fresh 'job'
    operator()
    cluster.apply(cluster.actor(name, ns))
    await_records(ns, name, ('asya-%s Actor'):format(name))
    local block = pages.blocks('To another release, with the image alone')[2]:match "<<'END'\n(.*)END"
    cluster.sh 'kubectl create namespace asya-system'
    local job = json.decode(cluster.kubectl('create -n asya-system --dry-run=server -o json -f %s', cluster.write(cluster.temp 'job.yaml', block)))
    local said = migrate(table.concat(job.spec.template.spec.containers[1].args, ' '))
    assert.is_truthy(said:find('1 migrated to profile 0.4', 1, true), said)
    await_records(ns, name, ('asya-%s-%s Actor'):format(ns, name))
    cluster.kubectl('delete asyncactor %s -n %s', name, ns)
  end)

  it('takes the messages of its queue along, and what comes later; back it does the same', function()
    local ns, name = namespace(), fresh 'goes'
    local old, new = 'asya-' .. name, ('asya-%s-%s'):format(ns, name)
    operator()
    cluster.apply(cluster.actor(name, ns))
    await_records(ns, name, old .. ' Actor')
    brokers.publish(name, 7)
    annotate(ns, name, 'asya.sh/profile=0.4')
    await_records(ns, name, new .. ' Actor')
    assert.is_nil(count(old))
    assert.equal(7, count(new))
    annotate(ns, name, 'asya.sh/profile-')
    await_records(ns, name, old .. ' Actor')
    assert.is_nil(count(new))
    assert.equal(7, count(old))
  end)

  it('stops and says so while somebody holds a message of the old queue; both stay till then, and others are not turned', function()
    local ns, name, later = namespace(), fresh 'held', fresh 'later'
    local old, new = 'asya-' .. name, ('asya-%s-%s'):format(ns, name)
    operator()
    for _, each in ipairs { name, later } do
      cluster.apply((cluster.actor(each, ns):gsub('transport: rabbitmq', 'transport: sqs')))
      await_records(ns, each, ('asya-%s Actor'):format(each))
    end
    brokers.sqs('SendMessage', { QueueUrl = brokers.sqs_url(name), MessageBody = 'm' })
    local url = brokers.sqs_url(name)
    local held = brokers.sqs('ReceiveMessage', { QueueUrl = url, VisibilityTimeout = 600 }).Messages[1]
    local said, ok = migrate('migrate --to 0.4 -n %s', ns)
    assert.is_false(ok)
    assert.is_truthy(said:find(('%s/%s: stopped: %s: MessagesInFlight; both queues stay'):format(ns, name, old), 1, true), said)
    assert.is_truthy(said:find('nobody else is turned', 1, true), said)
    assert.is_nil((cluster.get('asyncactor', later, ns).metadata.annotations or {})['asya.sh/profile'])
    local c = cluster.condition(cluster.get('asyncactor', name, ns), 'QueueDrained')
    assert.same({ 'False', 'MessagesInFlight' }, { c.status, c.reason })
    assert.is_truthy(c.message:find(old, 1, true) and c.message:find(new, 1, true), c.message)
    assert.is_truthy(brokers.sqs_url(name) and brokers.sqs_url(ns .. '-' .. name))
    brokers.sqs('DeleteMessage', { QueueUrl = url, ReceiptHandle = held.ReceiptHandle })
    said, ok = migrate('migrate --to 0.4 -n %s', ns)
    assert.is_true(ok, said)
    for _, each in ipairs { name, later } do
      await_records(ns, each, ('asya-%s-%s Actor'):format(ns, each))
      assert.is_nil(brokers.sqs_url(each))
    end
  end)
end)
