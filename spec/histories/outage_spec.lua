--- outage: brokers that go away, or accept and never answer, under actors that have work.
local brokers = require 'brokers'
local cluster = require 'cluster'
local json = require 'json'

local eventually, sh = cluster.eventually, cluster.sh
local env = os.getenv

local function registry(more)
  local rabbitmq = {
    enabled = true,
    config = { host = '127.0.0.1', port = tonumber(env 'BED_RABBITMQ_PORT'), username = 'guest', queues = { autoCreate = true, dlq = { enabled = true } },
      passwordSecretRef = { name = 'rabbitmq-secret', key = 'password' } },
  }
  return json.encode { transports = { rabbitmq = rabbitmq, slow = more } }
end

local function new_namespace()
  local ns = cluster.namespace 'outage'
  cluster.kubectl('create secret generic rabbitmq-secret -n %s --from-literal=password=guest', ns)
  return ns
end

--- How many actors have TransportReady of this status.
local function count(ns, status)
  local n = 0
  for _, actor in ipairs(cluster.list('asyncactors', ns)) do
    local condition = cluster.condition(actor, 'TransportReady')
    if condition and condition.status == status then n = n + 1 end
  end
  return n
end

describe('an outage', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run histories'
    return
  end
  after_each(cluster.stop_all)

  it('of a minute under 200 actors loses no message, and heals by itself over few connections', function()
    local ns, yaml = new_namespace(), {}
    for i = 1, 200 do yaml[i] = cluster.actor(('many-%d'):format(i), ns) end
    local op = cluster.operator { transports = registry(), queues = true, binary = cluster.build .. '/asya-operator',
      env = 'ASYA_QUEUE_HEALTH_CHECK_INTERVAL=5s' }
    cluster.apply(table.concat(yaml, '\n---\n'))
    eventually('all have their queue', 90, function() local n = count(ns, 'True') return n == 200, n end)
    for i = 1, 20 do brokers.publish(('many-%d'):format(i), 1) end
    cluster.sleep(3)
    sh('spec/bed/bed kill %s rabbitmq', cluster.bed_dir)
    eventually('all say that the broker is away', 40, function() local n = count(ns, 'False') return n == 200, n end)
    cluster.sleep(45)
    assert.is_true(op.alive(), op.log())
    sh('spec/bed/bed start %s rabbitmq', cluster.bed_dir)
    eventually('all are well again', 90, function() local n = count(ns, 'True') return n == 200, n end)
    local full = 0
    for name, queue in pairs(brokers.queues()) do full = full + (name:find '^asya%-many%-' and queue.messages or 0) end
    assert.equal(20, full)
    local _, connections = brokers.rabbitmqctl('-q list_connections pid'):gsub('<[^>]+>', '')
    assert.is_true(connections <= 2, connections .. ' connections')
    cluster.kubectl('delete asyncactors --all -n %s --timeout=120s', ns)
    op.stop()
  end)

  it('of one broker that accepts and never answers is nothing to the actors of another', function()
    local ns = new_namespace()
    local script = [[
import socket, sys, time
s = socket.socket(); s.bind(("127.0.0.1", 0)); s.listen(50); print(s.getsockname()[1], flush=True); time.sleep(600)]]
    local out = cluster.temp 'silent.out'
    finally(cluster.background('python3 -c %s >%s 2>/dev/null', cluster.quote(script), out).stop)
    local port = eventually('the silent broker listens', 10, function() return tonumber((cluster.read(out):match '%d+')) end)
    cluster.operator { queues = true, transports = registry {
      type = 'rabbitmq', enabled = true, config = { host = '127.0.0.1', port = port, queues = { autoCreate = true } } } }
    local yaml = {}
    for i = 1, 12 do yaml[i] = cluster.actor('stuck-' .. i, ns):gsub('transport: rabbitmq', 'transport: slow') end
    cluster.apply(table.concat(yaml, '\n---\n'))
    cluster.sleep(1)
    cluster.apply(cluster.actor('quick', ns))
    eventually('quick is Running', 20, function()
      local actor = cluster.get('asyncactor', 'quick', ns)
      return actor.status and actor.status.status == 'Running', json.encode(actor.status or {})
    end)
    eventually('the others say why they are not', 60, function()
      local condition = cluster.condition(cluster.get('asyncactor', 'stuck-12', ns), 'TransportReady')
      return condition and condition.reason:find '^Broker', condition and condition.message
    end)
    assert.is_nil(cluster.get('deployment', 'stuck-1', ns))
    sh('kubectl annotate asyncactors --all -n %s asya.sh/skip-queue-cleanup=true', ns)
    cluster.kubectl('delete asyncactors --all -n %s --timeout=60s', ns)
  end)
end)
