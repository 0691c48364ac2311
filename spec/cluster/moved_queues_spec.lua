--- moved_queues: what becomes of an actor's queue when the actor moves to another transport, and of one broker that has two names.
local brokers = require 'brokers'
local cluster = require 'cluster'
local json = require 'json'
local k8s = require 'k8s'

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

describe('a transport that leads to another broker than before', function()
  if not cluster.available or not os.getenv 'BED_RABBITMQCTL' then return end
  after_each(cluster.stop_all)

  local function at(change) return brokers.operator { change = change } end
  local function home() end
  local function delete(ns, name) cluster.kubectl('delete asyncactor %s -n %s --timeout=30s', name, ns) end
  local function left(ns, name)
    local note = event(ns, name, 'QueueLeft')
    assert.is_truthy(note:find(('asya-%s is left where transport'):format(name), 1, true), note)
  end

  it('leaves the queues of that one, and says so; those of the same names that it finds are not the actors\'', function()
    local ns, goes, stays, vhost = namespace(), fresh 'goes', fresh 'stays', fresh 'vhost'
    local op = at(home)
    for _, name in ipairs { goes, stays } do
      cluster.apply(cluster.actor(name, ns))
      await_records(ns, name, 'rabbitmq Actor')
      brokers.publish(name, 3)
    end
    op.stop()
    brokers.manage('PUT', '/api/vhosts/' .. vhost)
    brokers.manage('PUT', ('/api/permissions/%s/guest'):format(vhost), { configure = '.*', write = '.*', read = '.*' })
    for _, name in ipairs { goes, stays } do brokers.declare(name, brokers.arguments(name), vhost) end
    op = at(function(rabbitmq) rabbitmq.vhost = vhost end)
    for _, name in ipairs { goes, stays } do
      await_records(ns, name, 'rabbitmq Actor, rabbitmq Other')
      left(ns, name)
    end
    delete(ns, goes)
    assert.is_truthy(brokers.manage('GET', ('/api/queues/%s/asya-%s'):format(vhost, goes)):find('"durable":true', 1, true))
    assert.equal(3, queue(goes).messages)
    op.stop()
    at(home)
    await_records(ns, stays, 'rabbitmq Actor')
    delete(ns, stays)
    assert.is_nil(queue(stays))
    brokers.manage('DELETE', '/api/vhosts/' .. vhost)
  end)

  it('does the same where that is another region of SQS', function()
    local ns, name, region = namespace(), fresh 'region', 'eu-west-1'
    local op = at(home)
    cluster.apply((cluster.actor(name, ns):gsub('transport: rabbitmq', 'transport: sqs')))
    await_records(ns, name, 'sqs Actor')
    op.stop()
    brokers.sqs('CreateQueue', { QueueName = 'asya-' .. name, Attributes = { VisibilityTimeout = '77' } }, region)
    at(function(_, sqs) sqs.region = region end)
    await_records(ns, name, 'sqs Actor, sqs Other')
    left(ns, name)
    delete(ns, name)
    assert.is_truthy(brokers.sqs('GetQueueUrl', { QueueName = 'asya-' .. name }, region).QueueUrl)
    assert.is_truthy(brokers.sqs_url(name))
  end)

  it('does the same where the keys of a Secret are those of another account', function()
    local ns, goes, stays, account = namespace(), fresh 'goes', fresh 'stays', '210987654321'
    local key = brokers.key_of(account)
    local function theirs(name) return brokers.sqs('GetQueueUrl', { QueueName = 'asya-' .. name }, nil, key).QueueUrl end
    local function use(id) cluster.kubectl([[patch secret aws -n %s -p '{"stringData":{"id":"%s"}}']], ns, id) end
    local op = at(home)
    for _, name in ipairs { goes, stays } do
      cluster.apply((cluster.actor(name, ns):gsub('transport: rabbitmq', 'transport: sqs')))
      await_records(ns, name, 'sqs Actor')
      brokers.sqs('CreateQueue', { QueueName = 'asya-' .. name }, nil, key)
      assert.is_truthy(theirs(name):find(account, 1, true))
    end
    op.stop()
    use(key)
    op = at(home)
    delete(ns, goes) -- before anybody has asked for its queue
    assert.is_truthy(theirs(goes))
    cluster.kubectl('annotate asyncactor %s -n %s looked=at', stays, ns)
    await_records(ns, stays, 'sqs Actor, sqs Other')
    left(ns, stays)
    op.stop()
    use 'AKID'
    at(home)
    cluster.kubectl('annotate asyncactor %s -n %s looked-', stays, ns)
    await_records(ns, stays, 'sqs Actor')
    delete(ns, stays)
    assert.is_nil(brokers.sqs_url(stays))
    assert.is_truthy(theirs(stays))
    assert.is_truthy(brokers.sqs_url(goes)) -- nobody looks there
  end)

  it('is taken for the one of a record that says no place, which is completed', function()
    local ns, name = namespace(), fresh 'older'
    local op = at(home)
    cluster.apply(cluster.actor(name, ns))
    await_records(ns, name, 'rabbitmq Actor')
    brokers.await_status(ns, name, 'Running')
    op.stop()
    cluster.kubectl([[patch asyncactor %s -n %s --subresource=status --type=json -p '[{"op":"remove","path":"/status/queues/0/place"}]']], name, ns)
    local before = cluster.get('asyncactor', name, ns)
    local pods = cluster.get('deployment', name, ns).metadata.generation
    at(home)
    local after = brokers.await(ns, name, 'the place is recorded', 30, function(actor) return actor.status.queues[1].place end)
    assert.equal('Actor', after.status.queues[1].owner)
    assert.equal(before.status.renderedDigest, after.status.renderedDigest)
    assert.equal(pods, cluster.get('deployment', name, ns).metadata.generation)
    delete(ns, name)
    assert.is_nil(queue(name))
  end)

  it('is the one of all records where the CRD is of an older operator, and has no field for it', function()
    local whole = cluster.get('crd', 'asyncactors.asya.sh')
    whole.metadata.managedFields, whole.metadata.resourceVersion = nil, nil
    local older = k8s.copy(whole)
    older.spec.versions[1].schema.openAPIV3Schema.properties.status.properties.queues.items.properties.place = nil
    local function replace(crd) cluster.kubectl('replace -f %s', cluster.write(cluster.temp 'crd.json', json.encode(crd))) end
    finally(function() replace(whole) end)
    replace(older)
    local ns, goes, stays = namespace(), fresh 'goes', fresh 'stays'
    local function places(name) return cluster.get('asyncactor', name, ns).status.queues[1].place end
    local op = at(home)
    for _, name in ipairs { goes, stays } do
      cluster.apply(cluster.actor(name, ns))
      await_records(ns, name, 'rabbitmq Actor')
      cluster.eventually('the server has no field for the place', 30, function() return not places(name) end)
    end
    op.stop()
    op = at(home)
    delete(ns, goes)
    assert.is_nil(queue(goes))
    op.stop()
    replace(whole)
    at(home)
    cluster.eventually('the place is recorded with the next change, once the server has a field for it', 30, function()
      cluster.kubectl('annotate asyncactor %s -n %s --overwrite looked=%d', stays, ns, os.time())
      return places(stays)
    end)
    delete(ns, stays)
    assert.is_nil(queue(stays))
  end)
end)
