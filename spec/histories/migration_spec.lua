--- migration: twenty actors go from profile 0.1 to 0.4 while messages are on their way and the operator that leads is killed.
local brokers = require 'brokers'
local cluster = require 'cluster'

local eventually, fresh = cluster.eventually, brokers.fresh

local ACTORS, MESSAGES = 10, 50 -- at each transport; for each actor
local PARAMS = 'params: {queue: {quiet_seconds: 2, drain_seconds: 120}}\n'
local SETTINGS = 'ASYA_CREDENTIALS_NAMESPACE=default'
local AGAIN = 110 -- what a kill may repeat: a batch of RabbitMQ, one of SQS

local function transports()
  return brokers.transports(function(_, sqs) sqs.visibilityTimeout = 10 end)
end

local function operator(own, config)
  return cluster.operator { queues = true, transports = transports(), env = SETTINGS .. ' ASYA_QUEUE_HEALTH_CHECK_INTERVAL=0',
    args = ('--leader-elect --namespace %s --config %s'):format(own, config) }
end

--- Actors of one transport in a namespace of their own, with those who send to them and read.
local function mesh(transport)
  local it = { ns = brokers.namespace(), actors = {}, file = cluster.temp 'mesh', stop = cluster.temp 'stop', said = cluster.temp 'migrate' }
  local applied = {}
  for i = 1, ACTORS do
    it.actors[i] = fresh 'mesh'
    local actor = cluster.actor(it.actors[i], it.ns, '  scaling: {enabled: true, minReplicas: 1, maxReplicas: 2}')
    applied[i] = actor:gsub('transport: rabbitmq', 'transport: ' .. transport)
  end
  cluster.apply(table.concat(applied, '\n---\n'))

  --- @param may_be_others  function(queue): may it count as somebody else's? Without it none may
  function it.await_queues(wanted, may_be_others)
    for _, name in ipairs(it.actors) do
      brokers.await_records(it.ns, name, wanted(name) .. ' Actor', function(record)
        local others = record.owner == 'Other' and may_be_others and may_be_others(record.name)
        return ('%s %s%s'):format(record.name, others and 'Actor' or record.owner, record.drain and ' ' .. record.drain or '')
      end)
    end
  end
  --- The names of all queues that the actors' statuses call theirs: {name: true}.
  function it.recorded()
    local found = {}
    for _, name in ipairs(it.actors) do
      for _, record in ipairs(cluster.get('asyncactor', name, it.ns).status.queues) do found[record.name] = record.owner == 'Actor' end
    end
    return found
  end
  function it.begin()
    cluster.sh([[PYTHONPATH=spec/cluster ASYA_RABBITMQ_USERNAME=guest ASYA_RABBITMQ_PASSWORD=guest ASYA_RABBITMQ_EXCHANGE=asya \
      ASYA_AWS_REGION=us-east-1 ASYA_SQS_ENDPOINT=%s python3 spec/histories/mesh.py %s %s %s %s %d %s >/dev/null 2>&1 &]],
      os.getenv 'BED_SQS_URL', it.file, it.stop, transport, it.ns, MESSAGES, table.concat(it.actors, ' '))
  end
  function it.migrate(config)
    cluster.sh([[(%s ASYA_TRANSPORT_CONFIG=%s %s/san/asya-operator migrate --to 0.4 -n %s --config %s; echo ended $?) >%s 2>&1 &]], SETTINGS,
      cluster.quote(transports()), cluster.build, it.ns, config, it.said)
  end
  --- How often each message was sent or taken by a reader: {id: n}, and all of them.
  function it.count(what)
    local found, all = {}, 0
    for id in cluster.read(it.file):gmatch('%f[%w]' .. what .. ' (%S+)\n') do
      found[id] = (found[id] or 0) + 1
      all = all + 1
    end
    return found, all
  end
  return it
end

describe('twenty actors that migrate takes from profile 0.1 to 0.4', function()
  if not cluster.available or not os.getenv 'BED_RABBITMQCTL' then
    pending 'needs a control plane with brokers: run it through spec/run histories'
    return
  end

  after_each(cluster.stop_all)
  setup(function()
    brokers.clear()
    brokers.put_secrets 'default'
  end)

  it('lose none of a thousand messages on their way, and are always to be reached and scaled, though the leader is killed', function()
    local own, config = cluster.namespace 'operator', cluster.write(cluster.temp 'yaml', PARAMS)
    local leader, meshes = operator(own, config), { mesh 'rabbitmq', mesh 'sqs' }
    for _, each in ipairs(meshes) do each.await_queues(function(name) return 'asya-' .. name end) end
    local other, mark = operator(own, config), cluster.audit_mark()
    for _, each in ipairs(meshes) do each.begin() end
    for _, each in ipairs(meshes) do
      eventually('half of the messages are sent', 60, function()
        local _, sent = each.count 'sent'
        return sent >= ACTORS * MESSAGES / 2, cluster.read(each.file):sub(-200)
      end)
    end
    for _, each in ipairs(meshes) do each.migrate(config) end
    eventually('some messages are moved', 60, function() return leader.log():find('moved %d+ messages from queue asya%-mesh') end)
    leader.kill()
    for _, each in ipairs(meshes) do each.known = each.recorded() end
    for _, each in ipairs(meshes) do
      eventually('migrate has ended', 240, function()
        return cluster.read(each.said):find 'ended %d', cluster.read(each.said) .. other.log():sub(-2000)
      end)
      assert.is_truthy(cluster.read(each.said):find('10 migrated to profile 0.4\nended 0', 1, true), cluster.read(each.said))
      each.await_queues(function(name) return ('asya-%s-%s'):format(each.ns, name) end, function(queue)
        -- made by the one that was killed, which died before it wrote that down (chart/docs/configuration.md, "What happens to queues")
        return not each.known[queue] and not other.log():find(('created queue %s%%f[^%%w-]'):format((queue:gsub('%-', '%%-'))))
      end)
      cluster.write(each.stop, '')
    end
    assert.is_truthy(other.log():find('moved %d+ messages'), 'the second operator has had nothing to do')
    local all, again = 0, 0
    for _, each in ipairs(meshes) do
      eventually('all is sent and read', 120, function() return cluster.read(each.file):find '\nend\n$', cluster.read(each.file):sub(-200) end)
      local sent, count_sent = each.count 'sent'
      local got, count_got = each.count 'got'
      assert.equal(ACTORS * MESSAGES, count_sent)
      for id in pairs(sent) do assert.is_truthy(got[id], id .. ' is lost') end
      all, again = all + count_sent, again + count_got - count_sent
    end
    print(('migration: %d messages sent to %d actors, none lost, %d came twice'):format(all, 2 * ACTORS, again))
    assert.is_true(again <= AGAIN, again .. ' came twice')
    for what in pairs(cluster.requests(mark)) do assert.is_nil(what:find '^delete scaledobjects', what) end
  end)
end)
