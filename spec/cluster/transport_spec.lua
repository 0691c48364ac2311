--- transport: queues at real brokers, made before the actor works and gone after it.
local brokers = require 'brokers'
local cluster = require 'cluster'
local json = require 'json'

local eventually, sh = cluster.eventually, cluster.sh
local env = os.getenv
local rabbitmqctl, manage, queues, queue, publish = brokers.rabbitmqctl, brokers.manage, brokers.queues, brokers.queue, brokers.publish
local transports, operator, await_transport, await_status = brokers.transports, brokers.operator, brokers.await_transport, brokers.await_status
local put_secret, namespace, await, fresh = brokers.put_secret, brokers.namespace, brokers.await, brokers.fresh

--- What is bound to the exchange, as "queue key" in order.
local function bindings(name)
  local found = {}
  for _, each in ipairs(json.decode(rabbitmqctl '-q --formatter json list_bindings source_name destination_name routing_key')) do
    if each.source_name == 'asya' and each.destination_name == 'asya-' .. name then found[#found + 1] = each.routing_key end
  end
  table.sort(found)
  return found
end

describe('queues of actors', function()
  if not cluster.available or not env 'BED_RABBITMQCTL' then
    pending 'needs a control plane with brokers: run it through spec/run cluster'
    return
  end

  after_each(cluster.stop_all)

  setup(brokers.clear)

  it('are there with dead letter queue and bindings before the workload', function()
    local ns, name = namespace(), fresh 'first'
    local op = operator()
    cluster.apply(cluster.actor(name, ns))
    local actor = await_status(ns, name, 'Running')
    local made = queue(name)
    assert.same(brokers.arguments(name), made.arguments)
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

  it('survive with their messages when they differ, and the actor says in what', function()
    local ns, name = namespace(), fresh 'differs'
    brokers.declare(name, { ['x-message-ttl'] = 600000 })
    publish(name, 10)
    local op = operator()
    cluster.apply(cluster.actor(name, ns))
    local condition, actor = await_transport(ns, name, 'False', 'QueueMismatch')
    for _, text in ipairs { 'asya-' .. name, 'x-message-ttl', '600000', 'absent' } do
      assert.is_truthy(condition.message:find(text, 1, true), condition.message)
    end
    assert.equal('TransportError', actor.status.status)
    assert.equal('NotReady', actor.status.transportStatus)
    cluster.sleep(3)
    assert.equal(10, queue(name).messages)
    local _, said = op.log():gsub('QueueMismatch', '')
    assert.equal(1, said, 'said once')
    manage('DELETE', '/api/queues/%2F/asya-' .. name)
    await_status(ns, name, 'Running', 45)
    cluster.kubectl('delete asyncactor %s -n %s --timeout=20s', name, ns)
  end)

  it('stay or go with their actor as the configuration says', function()
    local ns = namespace()
    for _, case in ipairs {
      { 'keep', function(c) c.queues.deletionPolicy = 'Retain' end, true },
      { 'given', function(c) c.queues.autoCreate = false end, true },
      { 'empty', function(c) c.queues.deletionPolicy = 'DeleteIfEmpty' end, false },
      { 'skip', nil, true, 'asya.sh/skip-queue-cleanup=true' },
    } do
      local name = fresh(case[1])
      if case[1] == 'given' then
        brokers.declare(name, brokers.arguments(name))
        brokers.declare(name .. '-dlq')
      end
      local op = operator { change = case[2] }
      cluster.apply(cluster.actor(name, ns))
      await_status(ns, name, 'Running')
      if case[4] then cluster.kubectl('annotate asyncactor %s -n %s %s', name, ns, case[4]) end
      cluster.kubectl('delete asyncactor %s -n %s --timeout=20s', name, ns)
      assert.equal(case[3], queue(name) ~= nil, case[1])
      op.stop()
    end
  end)

  it('with messages inside hold their actor back when only empty ones may go, until it is let go', function()
    local ns, name = namespace(), fresh 'full'
    operator { change = function(c) c.queues.deletionPolicy = 'DeleteIfEmpty' end }
    cluster.apply(cluster.actor(name, ns))
    await_status(ns, name, 'Running')
    publish(name, 2)
    cluster.kubectl('delete asyncactor %s -n %s --wait=false', name, ns)
    local condition, actor = await_transport(ns, name, 'False', 'QueueNotEmpty')
    for _, text in ipairs { '2 messages', 'asya.sh/skip-queue-cleanup=true' } do
      assert.is_truthy(condition.message:find(text, 1, true), condition.message)
    end
    assert.equal('Terminating', actor.status.status)
    assert.is_nil(cluster.get('deployment', name, ns))
    cluster.kubectl('annotate asyncactor %s -n %s asya.sh/skip-queue-cleanup=true', name, ns)
    eventually('it is gone', 20, function() return not cluster.get('asyncactor', name, ns) end)
    assert.equal(2, queue(name).messages)
  end)

  it('are reached again when the Secret is mended', function()
    local ns, name = namespace 'wrong', fresh 'secret'
    local op = operator()
    cluster.apply(cluster.actor(name, ns))
    await_transport(ns, name, 'False', 'AccessDenied')
    assert.is_nil(cluster.get('deployment', name, ns))
    put_secret(ns, 'guest')
    await_status(ns, name, 'Running', 60)
    cluster.kubectl('delete secret rabbitmq-secret -n %s', ns)
    cluster.kubectl('delete asyncactor %s -n %s --timeout=30s', name, ns)
    assert.is_nil(queue(name))

    local bare, other = cluster.namespace 'mq', fresh 'bare'
    cluster.apply(cluster.actor(other, bare))
    local condition = await_transport(bare, other, 'False', 'SecretMissing')
    assert.equal(('Secret %s/rabbitmq-secret: not there; create it: kubectl create secret generic rabbitmq-secret -n %s --from-literal=password=VALUE')
      :format(bare, bare), condition.message)
    cluster.sh('%s', (condition.message:match('kubectl .*'):gsub('password=VALUE', 'pass=guest')))
    local command = eventually('the key is missing', 45, function()
      local c = cluster.condition(cluster.get('asyncactor', other, bare), 'TransportReady')
      return c.message:match 'has no key password; add it: (kubectl .*)', c.message
    end)
    cluster.sh('%s', (command:gsub('VALUE', 'guest')))
    await_status(bare, other, 'Running', 60)
    assert.is_nil(op.log():find('wrong', 1, true), 'no password in the log')
    cluster.kubectl('delete asyncactor %s -n %s --timeout=30s', other, bare)
  end)

  it('of one name in two namespaces are told to both, and deleted with the last', function()
    local one, two, name = namespace(), namespace(), fresh 'twin'
    local op = operator()
    for _, ns in ipairs { one, two } do
      cluster.apply(cluster.actor(name, ns))
      await_status(ns, name, 'Running')
    end
    for _, ns in ipairs { one, two } do
      eventually('an Event in ' .. ns, 10, function()
        return cluster.kubectl('get events -n %s -o yaml', ns):find('QueueShared', 1, true)
      end)
    end
    op.stop()
    cluster.kubectl('delete asyncactor %s -n %s --wait=false', name, one)
    operator() -- which sees first the one that is to go
    eventually('one is gone', 30, function() return not cluster.get('asyncactor', name, one) end)
    assert.is_truthy(queue(name))
    cluster.kubectl('delete asyncactor %s -n %s --timeout=20s', name, two)
    assert.is_nil(queue(name))
  end)

  it('are nobody\'s business when queue management is off', function()
    local ns, name = cluster.namespace 'mq', fresh 'off'
    cluster.operator { transports = transports() }
    cluster.apply(cluster.actor(name, ns))
    await_status(ns, name, 'Running')
    assert.is_nil(queue(name))
    cluster.kubectl('delete asyncactor %s -n %s --timeout=20s', name, ns)
  end)

  it('that somebody deletes are made again at the next look, and counts are shown', function()
    local ns, name = namespace(), fresh 'look'
    operator { interval = '1s' }
    cluster.apply(cluster.actor(name, ns))
    await_status(ns, name, 'Running')
    publish(name, 3)
    await(ns, name, '3 messages', 15, function(actor) return actor.status.queuedMessages == 3 end)
    rabbitmqctl('delete_queue asya-%s', name)
    eventually('it is there again', 15, function() return queue(name) end)
    assert.same({ 'asya-' .. name, name }, bindings(name))
    rabbitmqctl('delete_queue asya-%s-dlq', name)
    eventually('so is the one for dead letters', 15, function() return queue(name .. '-dlq') end)
    await(ns, name, 'no messages', 15, function(actor) return actor.status.queuedMessages == 0 end)
    cluster.sleep(2)
    local mark = cluster.audit_mark()
    cluster.sleep(4)
    for what in pairs(cluster.requests(mark)) do assert.equal('get secrets', what) end
    cluster.kubectl('delete asyncactor %s -n %s --timeout=20s', name, ns)
  end)

  it('are seen to be away with their broker, and there again with it', function()
    local ns, prefix, count = namespace(), fresh 'out', 30
    local op, list = operator { interval = '3s' }, {}
    for i = 1, count do list[i] = cluster.actor(prefix .. '-' .. i, ns) end
    cluster.apply(table.concat(list, '---\n'))
    local function all(what, seconds, fn)
      eventually(what, seconds, function()
        local n, detail = 0, nil
        for _, actor in ipairs(cluster.list('asyncactors', ns)) do
          if actor.status and fn(actor) then n = n + 1 else detail = json.encode(actor.status or {}) end
        end
        return n == count, n .. ' ' .. tostring(detail)
      end)
    end
    local function transport_is(truth)
      return function(actor)
        local c = cluster.condition(actor, 'TransportReady')
        return c and c.status == truth
      end
    end
    all('all run', 60, function(actor) return actor.status.status == 'Running' end)
    local connections = select(2, rabbitmqctl('-q list_connections pid'):gsub('<[^>]+>', ''))
    assert.is_true(connections >= 1 and connections <= 3, connections .. ' connections')

    sh('spec/bed/bed kill %s rabbitmq', cluster.bed_dir)
    all('TransportReady is False', 40, transport_is 'False')
    cluster.kubectl('set image deployment/%s-1 -n %s asya-sidecar=evil:1', prefix, ns)
    eventually('workloads are kept right meanwhile', 15, function()
      local live = cluster.get('deployment', prefix .. '-1', ns)
      return live and live.spec.template.spec.containers[2].image == 'asya-sidecar:latest'
    end)
    cluster.kubectl('delete asyncactor %s-1 -n %s --wait=false', prefix, ns)
    cluster.sleep(2)
    assert.is_truthy(cluster.get('asyncactor', prefix .. '-1', ns), 'it waits for the broker')
    sh('spec/bed/bed start %s rabbitmq', cluster.bed_dir)
    count = count - 1
    eventually('the deleted one is gone', 90, function() return not cluster.get('asyncactor', prefix .. '-1', ns) end)
    assert.is_nil(queue(prefix .. '-1'))
    all('TransportReady is True', 60, transport_is 'True')
    connections = select(2, rabbitmqctl('-q list_connections pid'):gsub('<[^>]+>', ''))
    assert.is_true(connections >= 1 and connections <= 3, connections .. ' connections')
    assert.is_nil(op.log():find('Sanitizer', 1, true))
    cluster.kubectl('delete asyncactors --all -n %s --timeout=60s', ns)
    for name in pairs(queues()) do assert.is_nil(name:find(prefix, 1, true), name) end
  end)

  it('are there, with the workload, where the registry lacks the account that scaling needs', function()
    local ns, name = namespace(), fresh 'no-account'
    operator { change = function(_, sqs) sqs.accountId = nil end }
    cluster.apply((cluster.actor(name, ns, '  scaling: {enabled: true, minReplicas: 1}'):gsub('transport: rabbitmq', 'transport: sqs')))
    local found = await_status(ns, name, 'ScalingError')
    eventually('the workload is ready', 30, function() return cluster.get('asyncactor', name, ns).status.readyReplicas == 1 end)
    assert.equal('77', brokers.sqs_attributes(name).VisibilityTimeout)
    assert.is_nil(cluster.get('scaledobject', name, ns))
    assert.is_truthy(cluster.condition(found, 'ScalingReady').message:find('needs accountId', 1, true))
  end)

  it('stay until what scales the workload is gone', function()
    local ns, name = namespace(), fresh 'scaled'
    operator()
    cluster.apply(cluster.actor(name, ns, '  scaling: {enabled: true, minReplicas: 1}'))
    eventually('a ScaledObject', 30, function() return cluster.get('scaledobject', name, ns) end)
    cluster.kubectl('patch scaledobject %s -n %s --type merge -p %s', name, ns, cluster.quote '{"metadata":{"finalizers":["finalizer.keda.sh/x"]}}')
    cluster.kubectl('delete asyncactor %s -n %s --wait=false', name, ns)
    eventually('the ScaledObject is going', 15, function() return cluster.get('scaledobject', name, ns).metadata.deletionTimestamp end)
    cluster.sleep(2)
    assert.is_truthy(cluster.get('deployment', name, ns))
    assert.is_truthy(queue(name))
    cluster.kubectl('patch scaledobject %s -n %s --type merge -p %s', name, ns, cluster.quote '{"metadata":{"finalizers":null}}')
    eventually('the actor is gone', 20, function() return not cluster.get('asyncactor', name, ns) end)
    assert.is_nil(cluster.get('deployment', name, ns))
    assert.is_nil(queue(name))
  end)

  it('go with an actor that is invalid, stay with one whose transport is gone from the configuration, and with orphans', function()
    local ns, bad, lost, orphan = namespace(), fresh 'bad', fresh 'lost', fresh 'orphan'
    local op = operator()
    for _, name in ipairs { bad, lost, orphan } do
      cluster.apply(cluster.actor(name, ns))
      await_status(ns, name, 'Running')
    end
    cluster.apply(cluster.actor(bad, ns, nil, '        - name: other\n          image: x:1\n'))
    await_status(ns, bad, 'WorkloadError')
    cluster.kubectl('delete asyncactor %s -n %s --timeout=20s', bad, ns)
    assert.is_nil(queue(bad))
    cluster.kubectl('delete asyncactor %s -n %s --cascade=orphan --timeout=20s', orphan, ns)
    assert.is_truthy(queue(orphan))
    assert.is_truthy(cluster.get('deployment', orphan, ns))
    op.stop()
    local after = cluster.operator { queues = true, transports = '{"transports":{}}' }
    eventually('the empty registry has reached it', 40, function() return after.log():find('policies live: bundle', 1, true), after.log():sub(-500) end)
    cluster.kubectl('delete asyncactor %s -n %s --timeout=20s', lost, ns)
    assert.is_truthy(queue(lost))
    eventually('an Event says so', 10, function()
      return cluster.kubectl('get events -n %s -o yaml', ns):find('QueueLeft', 1, true)
    end)
    cluster.kubectl('delete deployment %s -n %s', orphan, ns)
  end)

  local function stop(op) op.stop() end
  local function start() operator() end
  --- How an operator can be away while Kubernetes lets go of an actor's children: what ends its work, and what it goes on with; and what
  -- else happens meanwhile, to an actor whose plan has other children then.
  local absences = {
    ['stood still'] = { function(op) op.signal 'STOP' end, function(op) op.signal 'CONT' end },
    ['was down'] = { stop, start },
    ['was down, and so when the actor was edited,'] = { stop, start, function(ns, name)
      cluster.kubectl('patch asyncactor %s -n %s --type merge -p %s', name, ns, cluster.quote '{"spec":{"workload":{"kind":"StatefulSet"}}}')
    end },
  }
  for absence, ways in pairs(absences) do
    it('stay with orphans, though the operator ' .. absence .. ' when they became orphans', function()
      local ns, name = namespace(), fresh 'orphan'
      local op = operator()
      cluster.apply(cluster.actor(name, ns))
      await_status(ns, name, 'Running')
      ways[1](op)
      if ways[3] then ways[3](ns, name) end
      cluster.kubectl('delete asyncactor %s -n %s --cascade=orphan --wait=false', name, ns)
      local done, failure = pcall(eventually, 'Kubernetes has let go of what it had', 20, function()
        return table.concat(cluster.get('asyncactor', name, ns).metadata.finalizers, ' ') == 'asya.sh/finalizer'
      end)
      ways[2](op)
      assert.is_true(done, failure)
      eventually('the actor is gone', 30, function() return not cluster.get('asyncactor', name, ns) end)
      assert.is_truthy(queue(name))
      assert.is_truthy(cluster.get('deployment', name, ns))
      cluster.kubectl('delete deployment %s -n %s', name, ns)
    end)
  end

  it('at a broker that never answers hold up nobody else', function()
    local ns, name = namespace(), fresh 'quick'
    local silent = cluster.background [[python3 -c 'import socket, time; s = socket.socket(); s.bind(("127.0.0.1", 18499)); s.listen(128); time.sleep(90)' \
      >/dev/null 2>&1]]
    local list = {}
    for i = 1, 40 do list[i] = cluster.actor('slow-' .. i, ns):gsub('transport: rabbitmq', 'transport: slow') end
    cluster.apply(table.concat(list, '---\n'))
    local registry = json.decode(transports())
    registry.transports.slow = { enabled = true, type = 'rabbitmq', config = { host = '127.0.0.1', port = 18499 } }
    local op = cluster.operator { queues = true, transports = json.encode(registry), args = '--namespace ' .. ns }
    eventually('the slow ones wait', 20, function() return op.log():find('caches are filled', 1, true) end)
    cluster.apply(cluster.actor(name, ns))
    await_status(ns, name, 'Running', 10)
    assert.is_nil(cluster.get('deployment', 'slow-1', ns))
    local condition = await_transport(ns, 'slow-1', 'False', 'BrokerTimeout', 40)
    assert.is_truthy(condition.message:find('127.0.0.1:18499', 1, true), condition.message)
    cluster.kubectl('delete asyncactor %s -n %s --timeout=20s', name, ns)
    cluster.kubectl('annotate asyncactors --all -n %s asya.sh/skip-queue-cleanup=true', ns)
    cluster.kubectl('delete asyncactors --all -n %s --timeout=60s', ns)
    silent.stop()
  end)

  it('that are refused, and those that differ, are tried again at their own pace', function()
    rabbitmqctl '-q add_user narrow narrow'
    rabbitmqctl [[-q set_permissions narrow '^asya(-differs.*)?$' '.*' '.*']]
    local ns, refused, differs = namespace 'narrow', fresh 'refused', fresh 'differs'
    brokers.declare(differs, { ['x-message-ttl'] = 600000 })
    operator { change = function(c) c.username = 'narrow' end }
    cluster.apply(cluster.actor(refused, ns) .. '---\n' .. cluster.actor(differs, ns))
    await_transport(ns, refused, 'False', 'AccessDenied')
    await_transport(ns, differs, 'False', 'QueueMismatch')
    --- Each refusal costs a channel.
    local function closed() return json.decode(manage('GET', '/api/overview')).churn_rates.channel_closed end
    cluster.sleep(6) -- the broker counts every five seconds
    local before = closed()
    cluster.sleep(12)
    local count = closed() - before
    assert.is_true(count < 30, count .. ' channels closed in twelve seconds')
    cluster.kubectl('annotate asyncactors --all -n %s asya.sh/skip-queue-cleanup=true', ns)
    cluster.kubectl('delete asyncactors --all -n %s --timeout=60s', ns)
    rabbitmqctl '-q delete_user narrow'
  end)

  it('and their brokers are counted in metrics', function()
    local ns, name = namespace(), fresh 'metric'
    operator { args = '--metrics-bind-address 127.0.0.1:18490' }
    cluster.apply(cluster.actor(name, ns))
    await_status(ns, name, 'Running')
    local text = sh 'curl -s -m 5 http://127.0.0.1:18490/metrics'
    for _, series in ipairs { ('queue_messages{queue="asya-%s",transport="rabbitmq"} 0'):format(name), 'transport_up{transport="rabbitmq"} 1' } do
      assert.is_truthy(text:find(series, 1, true), series .. '\n' .. text)
    end
    cluster.kubectl('delete asyncactor %s -n %s --timeout=20s', name, ns)
  end)

  it('at SQS have redrive and tags, and a dead letter queue that somebody deletes is made again at the next start', function()
    local ns, name = namespace(), fresh 'sqs'
    local first = operator()
    cluster.apply((cluster.actor(name, ns):gsub('transport: rabbitmq', 'transport: sqs')))
    local actor = await_status(ns, name, 'Running')
    local attributes = brokers.sqs_attributes(name)
    assert.equal('77', attributes.VisibilityTimeout)
    assert.equal('345600', attributes.MessageRetentionPeriod)
    local redrive = json.decode(attributes.RedrivePolicy)
    assert.equal(4, tonumber(redrive.maxReceiveCount))
    assert.is_truthy(redrive.deadLetterTargetArn:find ':asya%-dlq$')
    local tags = brokers.sqs('ListQueueTags', { QueueUrl = brokers.sqs_url(name) }).Tags
    assert.same({ ['asya.sh/actor'] = name, ['asya.sh/namespace'] = ns, team = 'images' }, tags)
    assert.equal(0, actor.status.processingMessages)
    brokers.sqs('DeleteQueue', { QueueUrl = brokers.sqs_url 'dlq' })
    first.stop()
    operator()
    eventually('the next one makes the dead letter queue again', 15, function() return brokers.sqs_url 'dlq' end)
    cluster.kubectl('delete asyncactor %s -n %s --timeout=20s', name, ns)
    assert.is_nil(brokers.sqs_url(name))
    assert.is_truthy(brokers.sqs_url 'dlq')
  end)
end)
