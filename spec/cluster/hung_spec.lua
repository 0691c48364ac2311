--- hung: runtimes that give no answer, on a real API server: what the kubelet would say of them is written by hand.
local cluster = require 'cluster'
local json = require 'json'

local eventually = cluster.eventually

describe('a runtime that hangs', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end
  after_each(cluster.stop_all)

  local function await_running(name, ns)
    eventually(name .. ' is Running', 30, function()
      local status = (cluster.get('asyncactor', name, ns) or {}).status or {}
      return status.status == 'Running', status.status
    end)
  end

  it('is told of by a condition and an Event, until its pod is replaced', function()
    local ns = cluster.namespace 'hung'
    local op = cluster.operator { args = '--namespace ' .. cluster.namespace 'own' }
    cluster.apply(cluster.actor('hung', ns))
    await_running('hung', ns)
    local pod = cluster.list('pods', ns)[1]
    local now, ago = os.date '!%Y-%m-%dT%H:%M:%SZ', os.date('!%Y-%m-%dT%H:%M:%SZ', os.time() - 4000)
    for _, container in ipairs(pod.status.containerStatuses) do
      if container.name == 'asya-runtime' then
        container.state = { running = { startedAt = ago } }
      else
        container.restartCount, container.state = 1, { running = { startedAt = now } }
        container.lastState = { terminated = { exitCode = 1, reason = 'Error', startedAt = ago, finishedAt = now } }
      end
    end
    cluster.kubectl('patch pod %s -n %s --subresource=status --type=merge -p %s', pod.metadata.name, ns,
      cluster.quote(json.encode { status = { containerStatuses = pod.status.containerStatuses } }))
    local said = eventually('the condition is there', 30, function()
      local condition = cluster.condition(cluster.get('asyncactor', 'hung', ns), 'RuntimeHung')
      return condition and condition.message
    end)
    assert.is_truthy(said:find('the runtime of pod ' .. pod.metadata.name .. ' seems to hang', 1, true), said)
    assert.equal(said, cluster.event(ns, 'hung', 'RuntimeHung', 30))
    cluster.kubectl('delete pod %s -n %s', pod.metadata.name, ns)
    eventually('the condition goes', 30, function() return not cluster.condition(cluster.get('asyncactor', 'hung', ns), 'RuntimeHung') end)
    cluster.kubectl('delete asyncactors --all -n %s --timeout=30s', ns)
    op.stop()
  end)

  --- What kubelets say that they know; the scheduler asks for it.
  local function declare(features)
    for _, node in ipairs(cluster.list 'nodes') do
      cluster.kubectl('patch node %s --subresource=status --type=merge -p %s', node.metadata.name,
        cluster.quote(json.encode { status = { declaredFeatures = json.array(features) } }))
    end
  end

  it('is restarted with its pod where a parameter says so, by a server that knows how', function()
    if cluster.minor() < 36 then return end
    local ns = cluster.namespace 'hung'
    declare { 'RestartAllContainersOnContainerExits' }
    local config = cluster.write(cluster.temp 'config.yaml', 'params: {hung: {restart_pod: true}}\n')
    local op = cluster.operator { args = ('--namespace %s --config %s'):format(cluster.namespace 'own', config) }
    cluster.apply(cluster.actor('whole', ns))
    await_running('whole', ns)
    local deployment = cluster.get('deployment', 'whole', ns)
    local sidecar = deployment.spec.template.spec.containers[2]
    assert.same({ { action = 'RestartAllContainers', exitCodes = { operator = 'In', values = { 1 } } } }, sidecar.restartPolicyRules)
    assert.equal('Always', sidecar.restartPolicy)
    assert.equal(1, deployment.metadata.generation)
    cluster.kubectl('delete asyncactors --all -n %s --timeout=30s', ns)
    op.stop()
    declare {}
  end)
end)
