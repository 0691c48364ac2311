--- release: install, upgrade, roll back, uninstall by real helm on a real node. The steps are one story: each builds on the one before.
package.path = 'spec/node/?.lua;' .. package.path
local node = require 'node'
local cluster = require 'cluster'
local pages = require 'pages'

local eventually, helm = cluster.eventually, node.helm
local RELEASE = 'asya-operator ' .. cluster.PACKAGE .. ' -n ' .. node.SYSTEM

describe('a release', function()
  if not node.available then
    pending 'needs a real node: run it through spec/run node'
    return
  end

  local ns = 'work'

  setup(function()
    node.load_images()
    cluster.kubectl('create namespace %s', ns)
    cluster.kubectl('create secret generic rabbitmq-secret -n %s --from-literal=password=%s', ns, os.getenv 'BED_RABBITMQ_PASSWORD')
  end)
  teardown(function() cluster.clear() end)

  local function log()
    return cluster.kubectl('logs -n %s -l app.kubernetes.io/name=asya-operator --tail=-1', node.SYSTEM)
  end

  it('is installed with defaults, and its pod is ready', function()
    helm('install %s --create-namespace --set resources.limits.memory=64Mi --wait --timeout 90s', RELEASE)
    local pods = node.operators()
    assert.equal(1, #pods)
    local pod, container = pods[1], pods[1].status.containerStatuses[1]
    assert.equal(os.getenv 'BED_NODE', pod.spec.nodeName)
    assert.equal('asya-operator', pod.spec.serviceAccountName)
    assert.is_true(node.ready(pod))
    assert.equal(0, container.restartCount)
    eventually('it holds the lease', 20, function() return node.leader() ~= '', node.leader() end)
  end)

  it('runs with 64 MiB, no root, no capability, and files it cannot write', function()
    local pid, proc = node.process(node.operators()[1], 'manager')
    local status = proc 'status'
    assert.equal('65532', status:match 'Uid:%s+(%d+)')
    assert.is_truthy(status:find('\nCapEff:\t0000000000000000\n', 1, true), status)
    assert.equal('1', status:match 'NoNewPrivs:%s+(%d)')
    assert.equal('2', status:match '\nSeccomp:%s+(%d)')
    assert.is_truthy(proc 'mountinfo':find ' / / ro[, ]')
    assert.equal(64 * 1024 * 1024, node.memory_limit(proc 'cgroup'))
    print(('operator (pid %s): %s kB resident of 65536'):format(pid, status:match 'VmRSS:%s+(%d+)'))
  end)

  it('says that the runtime namespace is missing, and goes on', function()
    eventually('the log says so', 20, function() return log():find('runtime ConfigMap', 1, true), log() end)
    eventually('an event says so', 20, function()
      local notes = cluster.kubectl 'get events -n default --field-selector involvedObject.name=asya -o jsonpath={..message}'
      return notes:find('runtime ConfigMap', 1, true), notes
    end)
    assert.is_true(node.ready(node.operators()[1]))
  end)

  it('heals when the runtime namespace appears', function()
    cluster.kubectl 'create namespace asya'
    eventually('the runtime ConfigMap', 90, function() return cluster.get('configmap', 'asya-runtime', 'asya') end)
    assert.equal(0, node.operators()[1].status.containerStatuses[1].restartCount)
  end)

  it('passes helm test', function()
    local output = helm('test asya-operator -n %s --timeout 60s', node.SYSTEM)
    assert.is_truthy(output:find 'Phase:%s+Succeeded', output)
  end)

  it('is asked by whoever has the image, as chart/docs/image.md says', function()
    local asked = pages.blocks('The image alone')[1]:match '^(.-%-%- check %-%-live\n)'
    eventually('it is answered', 60, function() -- a pod that has ended before kubectl is attached to it may show nothing
      local said = pages.run(asked)
      return said:find('cases', 1, true), said
    end)
  end)

  it('is told of a broker by an upgrade, and an actor answers a message', function()
    helm('upgrade %s --reuse-values --set transports.rabbitmq.config.host=%s --wait --timeout 90s', RELEASE, os.getenv 'BED_RABBITMQ_HOST')
    local upgraded = os.time()
    cluster.apply(node.actor('happy-end', ns, 0))
    -- the settings are a file: they come with the volume that the kubelet keeps
    eventually('the new settings are live', 240, function()
      local actor = cluster.get('asyncactor', 'happy-end', ns)
      local ready = cluster.condition(actor, 'TransportReady') or {}
      return ready.status == 'True', ready.message
    end)
    print(('settings: live %d s after helm upgrade'):format(os.time() - upgraded))
    cluster.apply(node.actor('double', ns))
    node.await_actor('double', ns, 'Running')
    assert.equal(42, node.ask('double', 21))
  end)

  it('is upgraded with --reuse-values, rolled back, and no actor notices', function()
    local before = node.lives(ns)
    assert.is_truthy(next(before))
    helm('upgrade %s --reuse-values --set image.tag=next --wait --timeout 90s', RELEASE)
    local pod = node.operators()[1]
    assert.is_truthy(pod.spec.containers[1].image:find ':next$', pod.spec.containers[1].image)
    eventually('the new one leads', 30, function() return node.leader():find(pod.metadata.name, 1, true), node.leader() end)
    cluster.apply(node.actor('after-upgrade', ns, 0))
    eventually('the new one works', 20, function() return cluster.get('deployment', 'after-upgrade', ns) end)
    assert.same(before, node.lives(ns))

    helm('rollback asya-operator -n %s --wait --timeout 90s', node.SYSTEM)
    assert.is_nil(node.operators()[1].spec.containers[1].image:find ':next$')
    cluster.apply(node.actor('after-rollback', ns, 0))
    eventually('the old one works again', 40, function() return cluster.get('deployment', 'after-rollback', ns) end)
    assert.same(before, node.lives(ns))
    assert.equal(6, node.ask('double', 3))
  end)

  it('brings an edit of its policies to life from a watch, not from the volume that the kubelet keeps', function()
    local before = node.lives(ns)
    -- what somebody does in an editor: one annotation more on every Deployment
    local script = cluster.write(cluster.temp 'edit.sed',
      "s/metadata = { name = actor.metadata.name },/metadata = { name = actor.metadata.name, annotations = { edited = 'yes' } },/\n")
    local output, ok = cluster.sh('EDITOR="sed -i -f %s" kubectl edit configmap -n %s 00-asya-operator-policies', script, node.SYSTEM)
    assert.is_true(ok and output:find 'edited' ~= nil, output)
    local edited = tonumber((cluster.sh 'date +%%s.%%N'))
    eventually('the Deployment of an actor has it', 60, function()
      return (cluster.get('deployment', 'double', ns).metadata.annotations or {}).edited == 'yes', log()
    end)
    print(('policies: live %.1f s after kubectl edit'):format(tonumber((cluster.sh 'date +%%s.%%N')) - edited))
    assert.same(before, node.lives(ns))
  end)

  it('leaves actors, workloads and finalizers behind when it is uninstalled, and they go on working', function()
    local before = node.lives(ns)
    helm('uninstall asya-operator -n %s --wait', node.SYSTEM)
    eventually('the operator is gone', 30, function() return #cluster.list('pods', node.SYSTEM) == 0 end)
    assert.same({ 'asya.sh/finalizer' }, cluster.get('asyncactor', 'double', ns).metadata.finalizers)
    assert.is_truthy(cluster.get('deployment', 'double', ns) and cluster.get('crd', 'asyncactors.asya.sh'))
    assert.equal(10, node.ask('double', 5))
    assert.same(before, node.lives(ns))
  end)

  it('lets them go by whoever has the image, as chart/docs/uninstall.md says', function()
    local before = node.lives(ns)
    local said = pages.run(pages.blocks('Let the actors go with the image alone')[1])
    assert.is_truthy(said:find('asyncactor.asya.sh/double released', 1, true), said)
    assert.is_nil(cluster.get('asyncactor', 'double', ns).metadata.finalizers)
    assert.same(before, node.lives(ns))
  end)

  it('picks them up when it is installed again', function()
    local before = node.lives(ns)
    cluster.kubectl('scale deployment after-upgrade -n %s --replicas=0', ns)
    cluster.kubectl('annotate deployment double -n %s edited=no --overwrite', ns)
    helm('install %s --set transports.rabbitmq.config.host=%s --wait --timeout 90s', RELEASE, os.getenv 'BED_RABBITMQ_HOST')
    cluster.kubectl([[patch asyncactor after-upgrade -n %s --type=merge -p '{"spec":{"workload":{"template":{"metadata":{"labels":{"new":"yes"}}}}}}']], ns)
    eventually('it works on the actors that were there', 40, function()
      return cluster.get('deployment', 'after-upgrade', ns).spec.template.metadata.labels.new == 'yes', log()
    end)
    node.await_actor('double', ns, 'Running')
    assert.same(before, node.lives(ns))
  end)

  it('fails over to its other replica when the pod of the leader is deleted', function()
    helm('upgrade %s --reuse-values --set replicaCount=2 --wait --timeout 90s', RELEASE)
    eventually('two are ready', 30, function()
      local pods = node.operators()
      return #pods == 2 and node.ready(pods[1]) and node.ready(pods[2])
    end)
    local first = eventually('one leads', 30, function()
      for _, pod in ipairs(node.operators()) do
        if node.leader():find(pod.metadata.name, 1, true) then return pod end
      end
    end)
    local before = node.lives(ns)
    cluster.kubectl('delete pod %s -n %s --wait=false', first.metadata.name, node.SYSTEM)
    eventually('the other one leads', 40, function()
      local now = node.leader()
      return now ~= '' and not now:find(first.metadata.name, 1, true), now
    end)
    cluster.apply(node.actor('after-failover', ns, 0))
    eventually('it works', 40, function() return cluster.get('deployment', 'after-failover', ns) end)
    assert.same(before, node.lives(ns))
  end)

  it('deletes actors and everything of them while it runs', function()
    cluster.kubectl('delete asyncactors --all -n %s --timeout=60s', ns)
    eventually('their pods are gone', 60, function() return #cluster.list('pods', ns) == 0 end)
    helm('uninstall asya-operator -n %s --wait', node.SYSTEM)
  end)
end)
