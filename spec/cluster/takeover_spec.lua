--- takeover: children that the Go operator made are taken over, and no pod is restarted for it.
local chart = require 'chart'
local cluster = require 'cluster'
local json = require 'json'
local k8s = require 'k8s'

local GOLDEN = 'spec/golden'
local CASES = { 'minimal', 'custom-sidecar', 'happy-end', 'scaled', 'sqs-keys' }
-- the default of the chart's sidecar.defaultResources, which the Go operator accepted and ignored
local RESOURCES = [[{"limits":{"cpu":"500m","memory":"256Mi"},"requests":{"cpu":"100m","memory":"64Mi"}}]]

describe('takeover', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end
  after_each(function()
    cluster.stop_all()
    chart.clean()
  end)

  local function managers(object)
    local names = {}
    for _, entry in ipairs(object.metadata.managedFields) do
      if not entry.subresource then names[#names + 1] = entry.manager .. ' ' .. entry.operation end
    end
    table.sort(names)
    return table.concat(names, ', ')
  end

  --- Our operator with the settings that the Go operator ran with, and the default resources.
  local function take_over()
    return cluster.operator { transports = cluster.read(GOLDEN .. '/transports.json'), env = 'ASYA_SIDECAR_RESOURCES=' .. cluster.quote(RESOURCES) }
  end

  local function all_run(namespace)
    for _, case in ipairs(CASES) do
      cluster.eventually(case .. ' runs', 30, function()
        local actor = cluster.get('asyncactor', case, namespace)
        return actor.status and actor.status.status == 'Running', actor.status and actor.status.status
      end)
    end
  end

  --- What must not change for pods to stay: generation and template of the workloads; and how many generations of pods there are.
  local function workloads(namespace)
    local all = {}
    for _, case in ipairs(CASES) do
      local live = cluster.get('deployment', case, namespace)
      all[case] = { generation = live.metadata.generation, template = live.spec.template, sets = #cluster.list('replicasets', namespace, '-l app=' .. case) }
    end
    return all
  end

  --- The actor of a golden case and its children as the Go operator's manager left them.
  local function plant(case, namespace)
    local actor = cluster.read(('%s/%s/actor.yaml'):format(GOLDEN, case)):gsub('namespace: golden', 'namespace: ' .. namespace)
    cluster.apply(actor)
    local uid = cluster.get('asyncactor', case, namespace).metadata.uid
    for _, child in ipairs(json.decode(cluster.read(('%s/%s/children.json'):format(GOLDEN, case)))) do
      child.metadata.namespace = namespace
      child.metadata.ownerReferences[1].uid = uid
      local path = cluster.write(cluster.temp(case .. '.json'), json.encode(child))
      cluster.kubectl('create --field-manager=manager --validate=false -f %s', path)
    end
  end

  it('restarts nothing, and what we stop rendering really goes', function()
    local namespace = cluster.namespace 'takeover'
    for _, case in ipairs(CASES) do plant(case, namespace) end
    cluster.eventually('its pods', 15, function() return #cluster.list('replicasets', namespace) == #CASES end)
    local before = workloads(namespace)
    take_over()
    all_run(namespace)
    assert.same(before, workloads(namespace))

    -- a real change moves the ownership, and takes away what the new rendering does not have
    cluster.kubectl([[patch asyncactor custom-sidecar -n %s --type=json -p '[{"op":"remove","path":"/spec/sidecar/env/1"}]']], namespace)
    cluster.eventually('the variable goes', 15, function()
      local live = cluster.get('deployment', 'custom-sidecar', namespace)
      for _, variable in ipairs(live.spec.template.spec.containers[2].env) do
        if variable.name == 'EXTRA' then return false end
      end
      return true
    end)
    local live = json.decode(cluster.kubectl('get deployment custom-sidecar -n %s -o json --show-managed-fields', namespace))
    assert.equal('asya-operator Apply', managers(live))
    assert.equal(3, live.spec.replicas)

    -- a workload that is made anew has the default resources
    cluster.kubectl('delete deployment minimal -n %s', namespace)
    local function sidecar_memory()
      local workload = cluster.get('deployment', 'minimal', namespace)
      return workload and k8s.get(workload.spec.template.spec.containers[2], 'resources.limits.memory') == '256Mi'
    end
    cluster.eventually('made anew', 15, sidecar_memory)
    cluster.kubectl([[patch asyncactor minimal -n %s --type=merge -p '{"spec":{"workload":{"replicas":2}}}']], namespace)
    cluster.eventually('two', 15, function() return cluster.get('deployment', 'minimal', namespace).spec.replicas == 2 end)
    assert.is_true(sidecar_memory())
  end)

  it('restarts nothing as the commands of chart/docs/migration.md do it: from its release, in place, with the rights of the chart', function()
    cluster.clear()
    local namespace, own = cluster.namespace 'takeover', 'asya-system'
    cluster.sh('kubectl create namespace %s', own)
    local transports = json.decode(cluster.read(GOLDEN .. '/transports.json')).transports
    local said, ok = cluster.sh('helm install asya-operator %s -n %s %s', chart.older(), own, chart.values(json.encode { transports = transports }))
    assert(ok, said)
    for _, case in ipairs(CASES) do plant(case, namespace) end
    cluster.eventually('its pods', 15, function() return #cluster.list('replicasets', namespace) == #CASES end)
    local before = workloads(namespace)
    local commands = cluster.read('chart/docs/migration.md'):match '\n## In place\n.-```bash\n(.-)```'
    said, ok = cluster.sh('bash -euo pipefail %s', cluster.write(cluster.temp 'in-place.sh', commands))
    assert(ok, said)
    local ours = chart.operator(own, { runtime_namespace = namespace })
    all_run(namespace)
    assert.same(before, workloads(namespace))
    ours.stop()
    assert.is_nil(ours.log():find('forbidden', 1, true), ours.log())
  end)

  it('can be undone: the Go operator finds its children, nothing of ours is in its way, and we may come again', function()
    local namespace = cluster.namespace 'rollback'
    for _, case in ipairs(CASES) do plant(case, namespace) end
    cluster.eventually('its pods', 15, function() return #cluster.list('replicasets', namespace) == #CASES end)
    local before = workloads(namespace)
    local ours = take_over()
    all_run(namespace)
    ours.stop()
    -- What it does in a pass: finds a child by name and owner, and puts the whole object with its own fields set.
    for _, case in ipairs(CASES) do
      local actor = cluster.get('asyncactor', case, namespace)
      assert.same({ 'asya.sh/finalizer' }, actor.metadata.finalizers)
      for _, child in ipairs(json.decode(cluster.read(('%s/%s/children.json'):format(GOLDEN, case)))) do
        local live = json.decode(cluster.kubectl('get %s %s -n %s -o json', child.kind, child.metadata.name, namespace))
        assert.equal(actor.metadata.uid, live.metadata.ownerReferences[1].uid)
        for key, value in pairs(child.spec or {}) do live.spec[key] = value end
        live.metadata.labels = k8s.merge(live.metadata.labels or {}, child.metadata.labels or {})
        cluster.kubectl('replace --field-manager=manager -f %s', cluster.write(cluster.temp 'put.json', json.encode(live)))
      end
      cluster.kubectl([[patch asyncactor %s -n %s --subresource=status --field-manager=manager --type=merge -p '{"status":{"status":"Running"}}']],
        case, namespace)
    end
    assert.same(before, workloads(namespace))
    take_over()
    all_run(namespace)
    assert.same(before, workloads(namespace))
    cluster.stop_all()
    -- it deletes by taking the finalizer off: what we made or took over goes with the owner
    for _, case in ipairs(CASES) do
      cluster.kubectl([[patch asyncactor %s -n %s --field-manager=manager --type=merge -p '{"metadata":{"finalizers":null}}']], case, namespace)
    end
    cluster.kubectl('delete asyncactors --all -n %s --timeout=30s', namespace)
    cluster.eventually('the workloads go', 60, function()
      return #cluster.list('deployments,scaledobjects,triggerauthentications', namespace) == 0
    end)
  end)

  --- What the Go operator has written of an actor when it has seen its `generation`.
  local function stamp(name, namespace, generation)
    cluster.kubectl([[patch asyncactor %s -n %s --subresource=status --field-manager=manager --type=json -p '[{"op":"add","path":"/status",]]
      .. [["value":{"status":"Running","observedGeneration":%d}}]']], name, namespace, generation)
  end

  --- Changes the workload of an actor as the Go operator would.
  local function change(name, namespace, patch)
    cluster.kubectl('patch deployment %s -n %s --field-manager=manager --type=strategic -p %s', name, namespace, cluster.quote(patch))
  end

  local HELPER = '{"spec":{"template":{"metadata":{"labels":{"tier":"gold"}},"spec":{"nodeSelector":{"disk":"ssd"},'
    .. '"containers":[{"name":"helper","image":"busybox:1"}]}}}}'

  local function pod_of(name, namespace)
    local template = cluster.get('deployment', name, namespace).spec.template
    return { containers = #template.spec.containers, tier = template.metadata.labels.tier, selector = template.spec.nodeSelector }
  end

  it('takes away what was removed from an actor while no operator ran', function()
    local namespace = cluster.namespace 'removed'
    plant('minimal', namespace)
    plant('happy-end', namespace)
    for _, name in ipairs { 'minimal', 'happy-end' } do change(name, namespace, HELPER) end
    -- the Go operator has seen the latter as it is; the former has lost helper, label and selector since
    stamp('happy-end', namespace, 1)
    stamp('minimal', namespace, 1)
    cluster.kubectl([[patch asyncactor minimal -n %s --type=merge -p '{"spec":{"scaling":{"queueLength":7}}}']], namespace)
    assert.equal(2, cluster.get('asyncactor', 'minimal', namespace).metadata.generation)
    local before = pod_of('happy-end', namespace)
    take_over()
    cluster.eventually('what was removed goes', 20, function()
      local pod = pod_of('minimal', namespace)
      return pod.containers == 2 and not pod.tier and not pod.selector, json.encode(pod)
    end)
    cluster.sleep(1)
    assert.same(before, pod_of('happy-end', namespace))
  end)

  it('knows what the Go operator wrote when it had the fleet again in between', function()
    local namespace = cluster.namespace 'between'
    plant('minimal', namespace)
    local first = take_over()
    cluster.eventually('it is ours', 20, function()
      local actor = cluster.get('asyncactor', 'minimal', namespace)
      return actor.status and actor.status.renderedDigest
    end)
    cluster.kubectl([[patch asyncactor minimal -n %s --type=merge -p '{"spec":{"workload":{"replicas":2}}}']], namespace)
    cluster.eventually('an edit', 15, function() return cluster.get('deployment', 'minimal', namespace).spec.replicas == 2 end)
    first.stop()
    local function containers(list)
      cluster.kubectl([[patch asyncactor minimal -n %s --type=merge -p '{"spec":{"workload":{"template":{"spec":{"containers":%s}}}}}']], namespace, list)
    end
    local own = cluster.get('asyncactor', 'minimal', namespace).spec.workload.template.spec.containers
    local both = { own[1], { name = 'helper', image = 'busybox:1' } }
    containers(json.encode(both))
    change('minimal', namespace, '{"spec":{"template":{"spec":{"containers":[{"name":"helper","image":"busybox:1"}]}}}}')
    stamp('minimal', namespace, cluster.get('asyncactor', 'minimal', namespace).metadata.generation)
    take_over()
    cluster.eventually('it is ours again', 20, function() return cluster.get('asyncactor', 'minimal', namespace).status.renderedDigest end)
    assert.equal(3, pod_of('minimal', namespace).containers)
    containers(json.encode(own))
    cluster.eventually('the helper goes', 15, function() return pod_of('minimal', namespace).containers == 2 end)
  end)

  it('restarts no pod for a timeout that the Go operator left out, and adds it when pods are replaced anyway', function()
    local namespace = cluster.namespace 'timeout'
    plant('minimal', namespace)
    local function patch(kind, operations)
      cluster.kubectl('patch %s minimal -n %s --field-manager=manager --type=json -p %s', kind, namespace, cluster.quote(operations))
    end
    local function timeout()
      local live = cluster.get('deployment', 'minimal', namespace)
      local found = k8s.find(live.spec.template.spec.containers[2].env, 'ASYA_RUNTIME_TIMEOUT')
      return found and found.value, live
    end
    if cluster.get('asyncactor', 'minimal', namespace).spec.timeout then patch('asyncactor', '[{"op":"remove","path":"/spec/timeout"}]') end
    for at, variable in ipairs(select(2, timeout()).spec.template.spec.containers[2].env) do
      if variable.name == 'ASYA_RUNTIME_TIMEOUT' then
        patch('deployment', ('[{"op":"remove","path":"/spec/template/spec/containers/1/env/%d"}]'):format(at - 1))
      end
    end
    stamp('minimal', namespace, cluster.get('asyncactor', 'minimal', namespace).metadata.generation)
    local before = select(2, timeout())
    take_over()
    cluster.eventually('it is ours', 20, function() return cluster.get('asyncactor', 'minimal', namespace).status.renderedDigest end)
    assert.equal(before.metadata.generation, select(2, timeout()).metadata.generation)
    cluster.kubectl([[patch asyncactor minimal -n %s --type=merge -p '{"spec":{"workload":{"replicas":2}}}']], namespace)
    cluster.eventually('two', 15, function() return select(2, timeout()).spec.replicas == 2 end)
    assert.same(before.spec.template, select(2, timeout()).spec.template)
    cluster.kubectl([[patch asyncactor minimal -n %s --type=json -p '[{"op":"replace","path":"/spec/workload/template/spec/containers/0/image",]]
      .. [["value":"example/app:9"}]']], namespace)
    cluster.eventually('the timeout', 15, function() return timeout() == '300s' end)
    assert.equal(before.metadata.generation + 2, select(2, timeout()).metadata.generation)
  end)

  it('leaves alone what another operator whose manager has the same name put on a workload', function()
    local namespace = cluster.namespace 'stranger'
    cluster.operator()
    cluster.apply(cluster.actor('stranger', namespace))
    cluster.eventually('a deployment', 20, function() return cluster.get('deployment', 'stranger', namespace) end)
    local function annotate(key)
      cluster.kubectl([[patch deployment stranger -n %s --field-manager=manager -p '{"spec":{"template":{"metadata":{"annotations":{"%s":"1"}}}}}']],
        namespace, key)
    end
    local function edit(replicas)
      cluster.kubectl([[patch asyncactor stranger -n %s --type=merge -p '{"spec":{"workload":{"replicas":%d}}}']], namespace, replicas)
      cluster.eventually('the edit arrives', 15, function() return cluster.get('deployment', 'stranger', namespace).spec.replicas == replicas end)
      return cluster.get('deployment', 'stranger', namespace).spec.template.metadata.annotations
    end
    annotate 'before'
    assert.same({ before = '1' }, edit(2))
    annotate 'after'
    assert.same({ before = '1', after = '1' }, edit(3))
  end)

  it('keeps the count that somebody scaled to when scaling is switched on', function()
    local namespace = cluster.namespace 'takeover'
    cluster.operator()
    cluster.apply(cluster.actor('count', namespace))
    cluster.eventually('a deployment', 20, function() return cluster.get('deployment', 'count', namespace) end)
    cluster.kubectl([[patch asyncactor count -n %s --type=merge -p '{"spec":{"workload":{"replicas":3}}}']], namespace)
    cluster.eventually('three', 15, function() return cluster.get('deployment', 'count', namespace).spec.replicas == 3 end)
    cluster.kubectl([[patch asyncactor count -n %s --type=merge -p '{"spec":{"scaling":{"enabled":true}}}']], namespace)
    cluster.eventually('a ScaledObject', 15, function() return cluster.get('scaledobject', 'count', namespace) end)
    cluster.sleep(1)
    assert.equal(3, cluster.get('deployment', 'count', namespace).spec.replicas)
    cluster.kubectl([[patch asyncactor count -n %s --type=merge -p '{"spec":{"scaling":{"enabled":false}}}']], namespace)
    cluster.eventually('the KEDA objects go', 15, function()
      return not cluster.get('scaledobject', 'count', namespace) and not cluster.get('triggerauthentication', 'count-trigger-auth', namespace)
    end)
  end)
end)
