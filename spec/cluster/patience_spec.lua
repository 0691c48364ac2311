--- patience: an API server that is away, or asks for time, when the operator starts and while it works.
local cluster = require 'cluster'
local exposition = require 'exposition'

local eventually = cluster.eventually

describe('an API server', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end
  local faults, ns
  lazy_setup(function() faults, ns = cluster.faults(), cluster.namespace 'patience' end)
  after_each(cluster.stop_all)

  local function start(more) return cluster.operator { args = ('--kubeconfig %s %s'):format(faults.kubeconfig, more or '') } end
  local function says(op, text, seconds)
    eventually('the log says ' .. text, seconds or 20, function() return op.log():find(text, 1, true), op.log() end)
  end
  local function running(name, seconds)
    eventually(name .. ' is Running', seconds, function()
      local actor = cluster.get('asyncactor', name, ns)
      return actor.status and actor.status.status == 'Running', actor.status and actor.status.status
    end)
  end

  it('that refuses at the start is waited for', function()
    faults.add { act = 'refuse' }
    local op = start()
    says(op, 'waiting for it')
    for _, word in ipairs { faults.server, faults.kubeconfig } do assert.is_truthy(op.log():find(word, 1, true), op.log()) end
    cluster.sleep(2)
    assert.is_true(op.alive(), op.log())
    faults.clear()
    says(op, 'caches are filled')
    local _, lines = op.log():gsub('waiting for it', '')
    assert.is_true(lines <= 2, op.log())
    op.stop()
  end)

  it('has the namespace that the pod is said to be in, whatever the kubeconfig says', function()
    local own = cluster.namespace 'own'
    cluster.operator { args = '--leader-elect', env = 'POD_NAMESPACE=' .. own }
    eventually('the lease is in that namespace', 20, function() return #cluster.list('leases', own) == 1 end)
  end)

  it('that is waited for does not keep the operator from ending', function()
    faults.add { act = 'refuse' }
    local op = start()
    says(op, 'waiting for it')
    op.stop()
  end)

  it('that asks for 30 s is left alone for so long, and then all is done', function()
    local op = start()
    says(op, 'caches are filled')
    local id = faults.add { act = 'status', status = 429, retry_after = 30, method = 'POST|PATCH', agent = 'asya-operator' }
    for i = 1, 5 do cluster.apply(cluster.actor('patient-' .. i, ns)) end
    cluster.sleep(20)
    local hits
    for _, rule in ipairs(faults.list()) do hits = rule.id == id and rule.hits or hits end
    assert.is_true(hits >= 1 and hits <= 20, hits .. ' requests')
    faults.clear()
    for i = 1, 5 do running('patient-' .. i, 40) end
  end)

  it('in which nothing happens is compared with the cache now and then, which asks it for nothing', function()
    local address = '127.0.0.1:18489'
    cluster.apply(cluster.actor('still', ns))
    local op = cluster.operator { env = 'ASYA_RESYNC_INTERVAL=3s', args = '--metrics-bind-address ' .. address }
    running('still', 30)
    local function adds()
      return exposition.value(exposition.read((cluster.sh('curl -s -m 10 http://%s/metrics', address))), 'workqueue_adds_total', { name = 'asyncactor' })
    end
    cluster.sleep(3) -- what the start has left to do
    local mark, before = cluster.audit_mark(), adds()
    eventually('each is looked at, twice', 20, function()
      local now = adds()
      return now >= before + 2 * #cluster.list('asyncactors'), now
    end)
    assert.same({}, cluster.requests(mark))
    op.stop()
  end)

  it('that tells late of a deletion is not quoted in words that nobody understands', function()
    local op = start()
    cluster.apply(cluster.actor('stale', ns))
    running('stale', 30)
    local function edit(image)
      cluster.kubectl([[patch asyncactor stale -n %s --type=json -p '%s']], ns,
        ('[{"op": "replace", "path": "/spec/workload/template/spec/containers/0/image", "value": "%s"}]'):format(image))
    end
    edit 'example/app:1.5'
    says(op, 'updated Deployment stale')
    faults.add { act = 'hold', ms = 600000, path = '/deployments' }
    cluster.kubectl('delete deployment stale -n %s', ns)
    edit 'example/app:2.0'
    says(op, 'cannot update Deployment stale: it was deleted meanwhile')
    assert.is_nil(op.log():find('uid mismatch', 1, true))
    faults.clear()
    eventually('it is there again', 30, function() return cluster.get('deployment', 'stale', ns) ~= nil end)
  end)
end)
