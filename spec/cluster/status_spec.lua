--- What an actor's status says through its life, on the real control plane: each fault is played on its pods, then taken away.
-- A watch sees every version of every status, so that nothing passes unseen between two looks.
local cluster = require 'cluster'
local json = require 'json'
local sh, kubectl, eventually = cluster.sh, cluster.kubectl, cluster.eventually

local KINDS = { 'Deployment', 'StatefulSet', 'Job' }

-- What is played on running pods: { name, status, condition reason, words of the message, annotations }.
local FAULTS = {
  { 'pull', 'ImagePullError', 'ImagePullBackOff', 'bed.asya.sh/fault=image-pull-backoff' },
  { 'runtime', 'RuntimeError', 'container asya-runtime', 'bed.asya.sh/fault=crash-loop-runtime' },
  { 'memory', 'RuntimeError', 'OOMKilled', 'bed.asya.sh/fault=oom-killed' },
  { 'sidecar', 'SidecarError', 'container asya-sidecar', 'bed.asya.sh/fault=crash-loop-sidecar' },
  { 'other', 'WorkloadError', 'container helper', 'bed.asya.sh/fault=crash-loop-runtime bed.asya.sh/fault-container=helper' },
  { 'config', 'ConfigError', 'configmap "missing" not found', 'bed.asya.sh/fault=config-error' },
  { 'volume', 'VolumeError', 'conf: configMap missing', 'bed.asya.sh/fault=volume-error' },
  { 'unready', 'Degraded', '0 of 1 replicas are ready', 'bed.asya.sh/fault=not-ready' },
}

local CONTAINERS = [[
        - {name: asya-runtime, image: 'example/app:1', env: [{name: ASYA_HANDLER, value: h.h}]}
        - {name: helper, image: 'example/helper:1'}
        volumes: [{name: conf, configMap: {name: missing, optional: true}}]
]]

local HOLD = 'bed.asya.sh/hold: "true"' -- the pods of a Job, which would complete at once

--- An actor of that kind; `notes` are annotations of its pods as YAML.
local function actor(name, ns, kind, fields, notes)
  local text = cluster.actor(name, ns, fields, CONTAINERS)
  text = text:gsub('  workload:\n', '  workload:\n    kind: ' .. kind .. '\n', 1)
  return (text:gsub('    template:\n', ('    template:\n      metadata: {annotations: {%s}}\n'):format(notes or ''), 1))
end

--- Follows the statuses of a namespace: a function that returns what was seen of an actor so far, in order, without repetitions.
local function follow(ns)
  local log = cluster.temp 'history'
  local columns = [['{.metadata.name}{" "}{.status.status}{"\n"}']]
  table.insert(cluster.started, cluster.background('kubectl get asyncactors -n %s -w -o jsonpath=%s >%s 2>&1', ns, columns, log))
  return function(name)
    local seen = {}
    for line in cluster.read(log):gmatch '[^\n]+' do
      local who, status = line:match '^(%S+) (%S+)$'
      if status and (not name or who == name) and seen[#seen] ~= status then seen[#seen + 1] = status end
    end
    return seen
  end
end

local function contains(list, wanted)
  for _, item in ipairs(list) do
    if item == wanted then return true end
  end
  return false
end

local function await(ns, wanted, seconds)
  local last
  return eventually('statuses', seconds or 30, function()
    local wrong = {}
    last = {}
    for _, it in ipairs(cluster.list('asyncactors', ns)) do
      local status = it.status and it.status.status
      last[it.metadata.name] = it
      if wanted[it.metadata.name] and status ~= wanted[it.metadata.name] then
        wrong[#wrong + 1] = ('%s is %s instead of %s'):format(it.metadata.name, tostring(status), wanted[it.metadata.name])
      end
    end
    return #wrong == 0 and next(last) and last, table.concat(wrong, '; ')
  end)
end

--- How often an event of this reason was told of an actor, by reason.
local function events(ns, name)
  local count = {}
  for _, event in ipairs(cluster.list('events.events.k8s.io', ns)) do
    if event.regarding.kind == 'AsyncActor' and event.regarding.name == name then
      count[event.reason] = (count[event.reason] or 0) + (event.series and event.series.count or 1)
    end
  end
  return count
end

--- The cells of an actor's row by the names of the columns.
local function row(ns, name, flags)
  local text = kubectl('get asyas %s -n %s %s', name, ns, flags or '')
  local header, line = text:match '^([^\n]+)\n([^\n]+)'
  local cells = {}
  for at, column in header:gmatch '()(%S+)' do cells[column] = line:sub(at):match '^(%S*)' end
  return cells, text
end

--- A patch of a pod's status about its runtime container, quoted.
local function container(fields, conditions)
  fields.name, fields.image, fields.imageID = 'asya-runtime', 'i', 'i'
  return cluster.quote(json.encode { status = { containerStatuses = json.array { fields }, conditions = conditions } })
end

local function all(value, names)
  local wanted = {}
  for name in pairs(names) do wanted[name] = value end
  return wanted
end

describe('the status', function()
  if not cluster.available then return end
  before_each(function()
    cluster.clear()
    cluster.started = cluster.started or {}
  end)
  after_each(cluster.stop_all)

  --- An operator whose policies lose patience sooner, so that the test does not take minutes.
  local function operator(options)
    options = options or {}
    local config = cluster.write(cluster.temp 'config.yaml', 'params: {status: {mount_seconds: 2, stable_seconds: 5, scaler_seconds: 1}}\n')
    options.args = (options.args or '') .. ' --config ' .. config
    return cluster.operator(options)
  end

  it('follows each fault of pods into it and back, for each kind of workload', function()
    local ns, names = cluster.namespace 'faults', {}
    operator()
    local history = follow(ns)
    local manifests = {}
    for _, kind in ipairs(KINDS) do
      for _, fault in ipairs(FAULTS) do
        local name = fault[1] .. '-' .. kind:lower()
        names[name] = { fault = fault, kind = kind }
        manifests[#manifests + 1] = actor(name, ns, kind, nil, HOLD)
      end
    end
    cluster.apply(table.concat(manifests, '---\n'))
    await(ns, all('Running', names), 60)

    local wanted = {}
    for name in pairs(names) do assert.is_nil(events(ns, name).Ready, name) end
    for name, it in pairs(names) do
      kubectl('annotate pods -n %s -l app=%s --overwrite %s', ns, name, it.fault[4])
      wanted[name] = it.fault[2]
    end
    for name, found in pairs(await(ns, wanted, 60)) do
      local fault, where = names[name].fault, name
      local pods_fault = fault[2] ~= 'Degraded'
      local ready, workload = cluster.condition(found, 'Ready'), cluster.condition(found, 'WorkloadReady')
      assert.same({ 'False', wanted[name] }, { ready.status, ready.reason }, where)
      assert.is_truthy(ready.message:find(fault[3], 1, true), where .. ': ' .. ready.message)
      assert.same({ pods_fault and 'False' or 'True', pods_fault and 'PodsNotHealthy' or 'WorkloadCreated' }, { workload.status, workload.reason }, where)
      assert.same({ 0, pods_fault and 1 or 0, 1 }, { found.status.replicas, found.status.failingPods, found.status.desiredReplicas }, where)
      local cells = row(ns, name)
      assert.same({ wanted[name], '0', pods_fault and '1' or '0', '1' }, { cells.STATUS, cells.RUNNING, cells.FAILING, cells.DESIRED }, where)
    end
    cluster.sleep(2)
    for name, it in pairs(names) do
      assert.equal(1, events(ns, name)[it.fault[2]], name)
    end

    for name in pairs(names) do kubectl('annotate pods -n %s -l app=%s bed.asya.sh/fault- bed.asya.sh/fault-container-', ns, name) end
    for name, found in pairs(await(ns, all('Running', names), 60)) do
      local ready = cluster.condition(found, 'Ready')
      assert.same({ 'True', 'Running', '1 of 1 replicas are ready' }, { ready.status, ready.reason, ready.message }, name)
      assert.equal('True', cluster.condition(found, 'WorkloadReady').status)
      assert.equal('Running', row(ns, name).STATUS)
    end
    for name in pairs(names) do
      local told = eventually('recovery of ' .. name, 10, function()
        local told = events(ns, name)
        return (told.Recovered or told.Ready) and told, json.encode(told)
      end)
      assert.equal(1, told.Created) -- which is the one event of its beginning: it was counted before the fault
      local seen = history(name) -- what the next second would overwrite is not told
      assert.equal('Running', seen[seen[1] == 'Creating' and 2 or 1], name .. ': ' .. table.concat(seen, ' '))
    end
  end)

  it('follows pods that fit nowhere', function()
    local ns, names = cluster.namespace 'nowhere', {}
    operator()
    for _, kind in ipairs(KINDS) do
      names[kind:lower()] = true
      cluster.apply(actor(kind:lower(), ns, kind, nil, HOLD))
    end
    await(ns, all('Running', names), 60)
    kubectl 'get nodes -o name | xargs kubectl cordon'
    kubectl('delete pods -n %s --all --wait=false --force', ns)
    local ok, failure = pcall(function()
      for name, found in pairs(await(ns, all('PendingResources', names), 30)) do
        assert.is_truthy(cluster.condition(found, 'WorkloadReady').message:find('cannot be scheduled', 1, true), name)
      end
    end)
    kubectl 'get nodes -o name | xargs kubectl uncordon'
    assert.is_true(ok, failure)
    await(ns, all('Running', names), 60)
  end)

  it('follows scaling, napping and updates', function()
    local ns, names = cluster.namespace 'scaling', { deployment = 'Deployment', statefulset = 'StatefulSet' }
    operator()
    local history = follow(ns)
    for name, kind in pairs(names) do cluster.apply(actor(name, ns, kind, '  scaling: {enabled: true, minReplicas: 0}')) end
    for name, found in pairs(await(ns, all('Running', names), 60)) do
      local scaling = cluster.condition(found, 'ScalingReady')
      assert.same({ 'Unknown', 'ScalerPending' }, { scaling.status, scaling.reason }, name)
      assert.equal(name, found.status.scaledObjectRef.name)
    end
    local function scale(count)
      for name, kind in pairs(names) do kubectl('scale %s %s -n %s --replicas=%d', kind:lower(), name, ns, count) end
    end
    -- Played pods come and go at once; who plays them, or who makes them, stands still until everybody has seen what is going on.
    local function slowly(component, word, change)
      assert(select(2, cluster.sh('spec/bed/bed pause %s %s', cluster.bed_dir, component)))
      local ok, failure = pcall(function()
        change()
        await(ns, all(word, names), 30)
      end)
      assert(select(2, cluster.sh('spec/bed/bed resume %s %s', cluster.bed_dir, component)))
      assert(ok, failure)
    end
    slowly('kwok', 'ScalingUp', function() scale(3) end)
    for name in pairs(names) do
      local found = eventually('three replicas of ' .. name, 20, function()
        local it = cluster.get('asyncactor', name, ns)
        return it.status.replicas == 3 and it.status.status == 'Running' and it
      end)
      assert.equal('up', found.status.lastScaleDirection)
      assert.is_truthy(row(ns, name)['LAST-SCALE']:find '^%d+[sm]', row(ns, name)['LAST-SCALE'])
    end
    slowly('kube-controller-manager', 'ScalingDown', function() scale(1) end)
    for name in pairs(names) do
      eventually(name .. ' scaled down', 30, function()
        local it = cluster.get('asyncactor', name, ns)
        return it.status.totalReplicas == 1 and it.status.status == 'Running'
      end)
    end
    scale(0)
    for name, found in pairs(await(ns, all('Napping', names), 30)) do
      assert.same({ 'True', 'Napping' }, { cluster.condition(found, 'Ready').status, cluster.condition(found, 'Ready').reason }, name)
      assert.equal('True', cluster.condition(found, 'WorkloadReady').status)
    end
    scale(1)
    await(ns, all('Running', names), 30)
    slowly('kwok', 'Updating', function()
      for name in pairs(names) do
        kubectl([[patch asyncactor %s -n %s --type=json -p '[{"op":"replace","path":"/spec/workload/template/spec/containers/0/image","value":"example/app:2"}]'
]], name, ns)
      end
    end)
    await(ns, all('Running', names), 30)
    for name in pairs(names) do
      local seen = history(name)
      for _, status in ipairs { 'ScalingUp', 'ScalingDown', 'Napping', 'Updating' } do
        assert.is_true(contains(seen, status), name .. ': ' .. table.concat(seen, ' '))
      end
      for _, status in ipairs(seen) do assert.is_nil(status:find 'Error', name .. ': ' .. table.concat(seen, ' ')) end
      local told = events(ns, name)
      assert.is_true((told.Scaled or 0) >= 4 and told.Updated == 1, json.encode(told))
    end
  end)

  it('tells at once what an edit has made, so that the next operator can take it back', function()
    local ns, patch = cluster.namespace 'undone', [[patch asyncactor edited -n %s --type=merge -p %s]]
    local function annotate(value)
      local metadata = { annotations = { edit = value } }
      kubectl(patch, ns, cluster.quote(json.encode { spec = { workload = { template = { metadata = metadata } } } }))
    end
    local function annotation()
      local template = cluster.get('deployment', 'edited', ns).spec.template
      return template.metadata.annotations and template.metadata.annotations.edit
    end
    local first = operator()
    cluster.apply(actor('edited', ns, 'Deployment'))
    await(ns, { edited = 'Running' }, 60)
    assert(select(2, cluster.sh('spec/bed/bed pause %s kwok', cluster.bed_dir))) -- its pods are being replaced all the while
    local ok, failure = pcall(function()
      annotate 'done'
      eventually('the edit is carried out', 20, function() return annotation() == 'done' end)
      cluster.sleep(0.2)
      first.kill()
      annotate(json.null)
      operator()
      eventually('the edit is taken back', 20, function() return annotation() == nil, annotation() end)
    end)
    assert(select(2, cluster.sh('spec/bed/bed resume %s kwok', cluster.bed_dir)))
    assert(ok, failure)
  end)

  it('tells before its operator ends what it has held back', function()
    local ns = cluster.namespace 'farewell'
    local op = operator()
    cluster.apply(actor('first', ns, 'Deployment'))
    await(ns, { first = 'Running' }, 60)
    assert(select(2, cluster.sh('spec/bed/bed pause %s kwok', cluster.bed_dir))) -- better news is far
    local ok, failure = pcall(function()
      cluster.apply(actor('late', ns, 'Deployment'))
      eventually('its child is made', 10, function() return cluster.get('deployment', 'late', ns) end)
      op.stop()
      assert.equal('Creating', (cluster.get('asyncactor', 'late', ns).status or {}).status)
      assert.equal(1, events(ns, 'late').Created)
    end)
    assert(select(2, cluster.sh('spec/bed/bed resume %s kwok', cluster.bed_dir)))
    assert(ok, failure)
  end)

  it('says what a person has to mend, and when it is mended', function()
    local ns, names = cluster.namespace 'people', {}
    operator()
    for _, kind in ipairs(KINDS) do
      names[kind:lower()] = kind
      cluster.apply(actor(kind:lower(), ns, kind, '  scaling: {enabled: true, minReplicas: 1}'))
    end
    local RESTING = { deployment = 'Running', statefulset = 'Running', job = 'Napping' }
    await(ns, RESTING, 60)
    local scalers = { deployment = 'scaledobject', statefulset = 'scaledobject', job = 'scaledjob' }
    local function merge(patch) return 'patch asyncactor %s -n %s --type=merge -p ' .. cluster.quote(json.encode(patch)) end
    local function replace(path, value)
      local step = { op = value and 'replace' or 'remove', path = path, value = value }
      return 'patch asyncactor %s -n %s --type=json -p ' .. cluster.quote(json.encode(json.array { step }))
    end
    local function keda(truth, reason)
      local condition = { type = 'Ready', status = truth, reason = reason, message = 'as KEDA says' }
      return 'patch %s %s -n %s --subresource=status --type=merge -p '
        .. cluster.quote(json.encode { status = { conditions = json.array { condition } } })
    end
    local helper = '/spec/workload/template/spec/containers/1/name'
    -- { status, into it, out of it, condition, reason, true: of the scaler }
    local TROUBLES = {
      { 'TransportError', merge { spec = { transport = 'pigeons' } }, merge { spec = { transport = 'rabbitmq' } }, 'TransportReady', 'InvalidTransport' },
      { 'ScalingError', merge { spec = { scaling = { advanced = { formula = 'queue', target = '5', metricType = 'Utilization' } } } },
        replace '/spec/scaling/advanced', 'ScalingReady', 'ValidationError' },
      { 'WorkloadError', replace(helper, 'asya-sidecar'), replace(helper, 'helper'), 'WorkloadReady', 'ValidationError' },
      { 'Paused', 'annotate asyncactor %s -n %s asya.sh/paused=true', 'annotate asyncactor %s -n %s asya.sh/paused-', 'Ready', 'Paused' },
      { 'ScalingError', keda('False', 'Bad'), keda('True', 'Good'), 'ScalingReady', 'ScalerNotReady', true },
    }
    for _, trouble in ipairs(TROUBLES) do
      local function run(command)
        for name in pairs(names) do
          if trouble[6] then kubectl(command, scalers[name], name, ns) else kubectl(command, name, ns) end
        end
      end
      run(trouble[2])
      for name, found in pairs(await(ns, all(trouble[1], names), 30)) do
        local c = cluster.condition(found, trouble[4])
        assert.same({ 'False', trouble[5] }, { c.status, c.reason }, name)
        assert.equal('False', cluster.condition(found, 'Ready').status)
        assert.equal(trouble[1], row(ns, name).STATUS)
      end
      run(trouble[3])
      await(ns, RESTING, 30)
    end
    for name in pairs(names) do assert.equal('True', cluster.condition(cluster.get('asyncactor', name, ns), 'ScalingReady').status) end
  end)

  it('carries out the workload of an actor whose scaling is wrong, and leaves its scaler as it is', function()
    local ns = cluster.namespace 'half-wrong'
    operator()
    local wrong = { formula = 'queue', target = '5', metricType = 'Utilization' }
    cluster.apply(actor('made', ns, 'Deployment', '  scaling: {enabled: true, advanced: ' .. json.encode(wrong) .. '}'))
    cluster.apply(actor('edited', ns, 'Deployment', '  scaling: {enabled: true, minReplicas: 1, maxReplicas: 3}'))
    await(ns, { edited = 'Running', made = 'ScalingError' }, 60)
    local function scaler(name) return cluster.get('scaledobject', name, ns) end
    local function template(name) return cluster.get('deployment', name, ns).spec.template end
    assert.is_nil(scaler 'made')
    assert.is_truthy(template 'made')
    local before = scaler('edited').metadata.resourceVersion
    kubectl('patch asyncactor edited -n %s --type=merge -p %s', ns, cluster.quote(json.encode {
      spec = { scaling = { minReplicas = 2, advanced = wrong }, workload = { template = { metadata = { labels = { edit = 'done' } } } } },
    }))
    local found = await(ns, { edited = 'ScalingError' }, 30).edited
    assert.equal('done', template('edited').metadata.labels.edit)
    assert.equal(before, scaler('edited').metadata.resourceVersion)
    local c = cluster.condition(found, 'ScalingReady')
    assert.same({ 'False', 'ValidationError' }, { c.status, c.reason })
    assert.is_truthy(c.message:find("spec.scaling.advanced.metricType: 'Utilization'", 1, true), c.message)
    assert.same({ 'True', 'Unknown' }, { cluster.condition(found, 'WorkloadReady').status, cluster.condition(found, 'TransportReady').status })
    assert.equal(found.metadata.generation, found.status.observedGeneration)
    kubectl('patch asyncactor edited -n %s --type=merge -p %s', ns, cluster.quote '{"spec": {"scaling": {"advanced": {"metricType": "Value"}}}}')
    await(ns, { edited = 'Running' }, 30)
    assert.equal(2, scaler('edited').spec.minReplicaCount)
  end)

  it('says what a deletion waits for', function()
    local ns, names = cluster.namespace 'going', {}
    operator()
    for _, kind in ipairs(KINDS) do
      names[kind:lower()] = kind
      cluster.apply(actor(kind:lower(), ns, kind, nil, HOLD))
    end
    await(ns, all('Running', names), 60)
    for name, kind in pairs(names) do
      local workload = cluster.get('asyncactor', name, ns).status.workloadRef.name
      kubectl([[patch %s %s -n %s --type=merge -p '{"metadata":{"finalizers":["example.com/hold"]}}']], kind:lower(), workload, ns)
      kubectl('delete asyncactor %s -n %s --wait=false', name, ns)
    end
    for name, found in pairs(await(ns, all('Terminating', names), 30)) do
      assert.is_truthy(cluster.condition(found, 'Ready').message:find('example.com/hold', 1, true), name)
    end
    for _, kind in pairs(names) do
      kubectl([[patch %s -n %s $(kubectl get %s -n %s -o jsonpath='{.items[0].metadata.name}') --type=merge -p '{"metadata":{"finalizers":null}}']],
        kind:lower(), ns, kind:lower(), ns)
    end
    eventually('all gone', 30, function() return #cluster.list('asyncactors', ns) == 0 end)
  end)

  it('tells a Job that has completed', function()
    local ns = cluster.namespace 'job'
    operator()
    cluster.apply(actor('done', ns, 'Job'))
    local found = await(ns, { done = 'Completed' }, 30)
    assert.equal('True', cluster.condition(found.done, 'Ready').status)
  end)

  it('says what holds a workload that somebody told to wait, until the command that it names has been run', function()
    local ns, names, holds = cluster.namespace 'held', {}, {
      paused = { 'Deployment', '{"spec":{"paused":true}}', 'Updating', 'DeploymentPaused' },
      ondelete = { 'StatefulSet', '{"spec":{"updateStrategy":{"type":"OnDelete","rollingUpdate":null}}}', 'Updating', 'UpdateOnDelete' },
      partitioned = { 'StatefulSet', '{"spec":{"updateStrategy":{"rollingUpdate":{"partition":1}}}}', 'Updating', 'UpdatePartitioned' },
      suspended = { 'Job', '{"spec":{"suspend":true}}', 'Degraded', 'JobSuspended' },
    }
    operator()
    for name, it in pairs(holds) do
      names[name] = it[3]
      cluster.apply(actor(name, ns, it[1], nil, HOLD))
    end
    await(ns, all('Running', names), 60)
    for name, it in pairs(holds) do
      local workload = it[1] == 'Job' and cluster.list('jobs', ns)[1].metadata.name or name
      kubectl('patch %s %s -n %s -p %s', it[1]:lower(), workload, ns, cluster.quote(it[2]))
      if it[1] ~= 'Job' then
        kubectl([[patch asyncactor %s -n %s --type=json -p '[{"op":"replace","path":"/spec/workload/template/spec/containers/0/image","value":"example/app:2"}]'
]], name, ns)
      end
    end
    for name, found in pairs(await(ns, names, 30)) do
      local work, whole = cluster.condition(found, 'WorkloadReady'), cluster.condition(found, 'Ready')
      assert.same({ 'True', holds[name][4] }, { work.status, work.reason }, name)
      assert.is_truthy(whole.message:find(work.message, 1, true), whole.message)
      local output, ok = sh('%s', work.message:match '; (kubectl .*) ends that$')
      assert.is_true(ok, output)
    end
    for name, found in pairs(await(ns, all('Running', names), 60)) do
      assert.equal('WorkloadCreated', cluster.condition(found, 'WorkloadReady').reason, name)
    end
  end)

  it('forgives restarts, and an evicted pod beside healthy ones', function()
    local ns = cluster.namespace 'forgiven'
    operator()
    cluster.apply(cluster.actor('a', ns, nil, nil))
    await(ns, { a = 'Running' }, 30)
    local pod = cluster.list('pods', ns)[1].metadata.name
    local now = sh('date -u +%%Y-%%m-%%dT%%H:%%M:%%SZ'):match '%S+'
    kubectl('patch pod %s -n %s --subresource=status --type=strategic -p %s', pod, ns, container {
      ready = true, restartCount = 9, state = { running = { startedAt = now } },
      lastState = { terminated = { exitCode = 1, startedAt = now, finishedAt = now } },
    })
    await(ns, { a = 'RuntimeError' }, 10)
    await(ns, { a = 'Running' }, 30) -- nothing but time has passed
    kubectl([[run evicted -n %s --image=x --labels=asya.sh/asya=a --overrides='{"spec":{"nodeName":"nowhere"}}']], ns)
    kubectl([[patch pod evicted -n %s --subresource=status --type=merge -p '{"status":{"phase":"Failed","reason":"Evicted"}}']], ns)
    cluster.sleep(2)
    assert.equal('Running', cluster.get('asyncactor', 'a', ns).status.status)
  end)

  it('is written at most once a second, and the last one is right', function()
    local ns = cluster.namespace 'storm'
    operator()
    cluster.apply(cluster.actor('a', ns))
    await(ns, { a = 'Running' }, 30)
    cluster.sleep(2)
    local pod, mark, began = cluster.list('pods', ns)[1].metadata.name, cluster.audit_mark(), os.time()
    local function patch(restarts)
      local not_ready = json.array { { type = 'Ready', status = 'False' }, { type = 'ContainersReady', status = 'False' } }
      return container({ ready = false, restartCount = restarts, state = { waiting = { reason = 'CrashLoopBackOff' } } }, not_ready)
    end
    sh('seq 100 | xargs -P 4 -I{} kubectl patch pod %s -n %s --subresource=status --type=strategic -p %s', pod, ns, (patch(-1):gsub('%-1', '{}')))
    kubectl('patch pod %s -n %s --subresource=status --type=strategic -p %s', pod, ns, patch(777))
    local found = eventually('the last state', 10, function()
      local it = cluster.get('asyncactor', 'a', ns)
      return cluster.condition(it, 'Ready').message:find('after 777 restarts', 1, true) and it, cluster.condition(it, 'Ready').message
    end)
    assert.equal('RuntimeError', found.status.status)
    local requests, seconds = cluster.requests(mark), os.time() - began + 1
    local writes = requests['patch asyncactors.asya.sh/status'] or 0
    assert.is_true(writes >= 1 and writes <= seconds + 1, json.encode(requests) .. ' in ' .. seconds .. ' s')
  end)

  it('works without KEDA, says so, and takes it up when it is installed', function()
    local ns = cluster.namespace 'keda'
    local crds = { 'scaledobjects.keda.sh', 'scaledjobs.keda.sh', 'triggerauthentications.keda.sh' }
    local saved = cluster.temp 'keda.json'
    local list = json.decode((sh('kubectl get crd %s -o json', table.concat(crds, ' '))))
    for _, crd in ipairs(list.items) do crd.metadata, crd.status = { name = crd.metadata.name, annotations = crd.metadata.annotations }, nil end
    cluster.write(saved, json.encode(list))
    kubectl('delete crd %s', table.concat(crds, ' '))
    local ok, failure = pcall(function()
      operator()
      cluster.apply(cluster.actor('a', ns, '  scaling: {enabled: true}'))
      local found = await(ns, { a = 'ScalingError' }, 30).a
      local c = cluster.condition(found, 'ScalingReady')
      assert.is_truthy(c.message:find('is not installed in this cluster; install KEDA', 1, true), c.message)
      assert.is_truthy(cluster.get('deployment', 'a', ns))
    end)
    kubectl('apply --server-side --force-conflicts -f %s', saved)
    assert.is_true(ok, failure)
    await(ns, { a = 'Running' }, 60)
    assert.is_truthy(cluster.get('scaledobject', 'a', ns))
    kubectl('delete crd %s', crds[1])
    ok, failure = pcall(await, ns, { a = 'ScalingError' }, 60)
    kubectl('apply --server-side --force-conflicts -f %s', saved)
    assert.is_true(ok, failure)
    await(ns, { a = 'Running' }, 60)
  end)

  it('reads well at 80 columns', function()
    local ns = cluster.namespace 'columns'
    operator()
    cluster.apply(cluster.actor('resize-photo', ns, '  scaling: {enabled: true, maxReplicas: 7}'))
    await(ns, { ['resize-photo'] = 'Running' }, 30)
    local cells, text = row(ns, 'resize-photo')
    for line in text:gmatch '[^\n]+' do assert.is_true(#line <= 80, #line .. ': ' .. line) end
    assert.same({ 'Running', '1', '0', '1', '1' }, { cells.STATUS, cells.RUNNING, cells.FAILING, cells.TOTAL, cells.DESIRED })
    cells = row(ns, 'resize-photo', '-o wide') -- this operator leaves queues to others
    assert.same({ '0', '7', 'Unknown', 'KEDA' }, { cells.MIN, cells.MAX, cells.TRANSPORT, cells.SCALING })
  end)
end)
