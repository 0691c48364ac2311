--- spine: an actor applied to a real cluster becomes a running workload, and stays one.
local cluster = require 'cluster'
local json = require 'json'

local eventually = cluster.eventually

local function deployment(name, namespace)
  return cluster.get('deployment', name, namespace)
end

local function container(object, name)
  for _, c in ipairs(object.spec.template.spec.containers) do
    if c.name == name then return c end
  end
end

local function await_status(name, namespace, wanted)
  return eventually(('actor %s is %s'):format(name, wanted), 30, function()
    local actor = cluster.get('asyncactor', name, namespace)
    local status = actor and actor.status and actor.status.status
    return status == wanted and actor, status
  end)
end

describe('the spine', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  after_each(cluster.stop_all)

  it('makes a running workload of an actor that comes while the operator runs', function()
    local ns = cluster.namespace 'spine'
    cluster.operator()
    cluster.apply(cluster.actor('first', ns))
    local actor = await_status('first', ns, 'Running')
    local live = deployment('first', ns)
    assert.same({ 'asya-runtime', 'asya-sidecar' },
      { live.spec.template.spec.containers[1].name, live.spec.template.spec.containers[2].name })
    assert.equal(actor.metadata.uid, live.metadata.ownerReferences[1].uid)
    assert.equal('asya.sh/finalizer', actor.metadata.finalizers[1])
    assert.is_truthy(cluster.get('configmap', 'asya-runtime', ns).data['asya_runtime.py'])
    assert.equal('True', cluster.condition(actor, 'Ready').status)
  end)

  it('makes running workloads of actors that were there before it', function()
    local ns = cluster.namespace 'spine'
    for i = 1, 5 do cluster.apply(cluster.actor('early-' .. i, ns)) end
    cluster.operator()
    for i = 1, 5 do await_status('early-' .. i, ns, 'Running') end
  end)

  it('keeps the runtime ConfigMap in the runtime namespace without any actor', function()
    local ns = cluster.namespace 'runtime'
    cluster.operator { runtime_namespace = ns }
    eventually('runtime ConfigMap', 15, function() return cluster.get('configmap', 'asya-runtime', ns) end)
    cluster.kubectl('delete configmap asya-runtime -n %s', ns)
    eventually('runtime ConfigMap is back', 15, function() return cluster.get('configmap', 'asya-runtime', ns) end)
  end)

  it('makes a runtime ConfigMap right that somebody else made without our labels', function()
    local ns = cluster.namespace 'foreign'
    cluster.kubectl('create configmap asya-runtime -n %s --from-literal=asya_runtime.py=old --from-literal=mine=kept', ns)
    cluster.operator()
    cluster.apply(cluster.actor('foreign', ns))
    await_status('foreign', ns, 'Running')
    local live = cluster.get('configmap', 'asya-runtime', ns)
    assert.is_true(#live.data['asya_runtime.py'] > 1000)
    assert.equal('kept', live.data.mine)
    cluster.kubectl('label configmap asya-runtime -n %s app.kubernetes.io/name-', ns)
    eventually('the label is back', 15, function()
      return cluster.get('configmap', 'asya-runtime', ns).metadata.labels['app.kubernetes.io/name'] == 'asya-runtime'
    end)
  end)

  it('waits for a runtime namespace that does not exist yet', function()
    local op = cluster.operator { runtime_namespace = 'comes-later' }
    eventually('it says so', 15, function() return op.log():find('runtime ConfigMap', 1, true) end)
    eventually('an event says so, about the namespace', 15, function()
      local notes = cluster.kubectl 'get events -n default --field-selector involvedObject.name=comes-later,reason=CannotWrite -o jsonpath={..message}'
      return notes:find('cannot write the runtime ConfigMap comes-later/asya-runtime', 1, true), notes
    end)
    cluster.kubectl 'create namespace comes-later'
    eventually('runtime ConfigMap', 90, function() return cluster.get('configmap', 'asya-runtime', 'comes-later') end)
  end)

  it('puts back a deployment that somebody deletes or edits, and leaves what is not ours', function()
    local ns = cluster.namespace 'drift'
    cluster.operator()
    cluster.apply(cluster.actor('drift', ns))
    await_status('drift', ns, 'Running')
    local before = deployment('drift', ns).metadata.uid
    cluster.kubectl('delete deployment drift -n %s', ns)
    eventually('a new deployment', 15, function()
      local live = deployment('drift', ns)
      return live and live.metadata.uid ~= before
    end)
    await_status('drift', ns, 'Running')
    cluster.kubectl('set image deployment/drift asya-sidecar=evil:1 -n %s', ns)
    eventually('the image is put back', 15, function()
      return container(deployment('drift', ns), 'asya-sidecar').image == 'asya-sidecar:latest'
    end)
    cluster.kubectl('annotate deployment drift -n %s team=mine', ns)
    cluster.kubectl('rollout restart deployment/drift -n %s', ns)
    cluster.sleep(2)
    local live = deployment('drift', ns)
    assert.equal('mine', live.metadata.annotations.team)
    assert.is_truthy(live.spec.template.metadata.annotations['kubectl.kubernetes.io/restartedAt'])
  end)

  it('changes a child for the first time in two writes, whoever writes its status meanwhile', function()
    local ns, faults = cluster.namespace 'first', cluster.faults()
    cluster.operator { args = ('--kubeconfig %s --watch-namespaces %s'):format(faults.kubeconfig, ns) }
    cluster.apply(cluster.actor('first', ns))
    await_status('first', ns, 'Running')
    cluster.sleep(3)
    local writing = cluster.write(cluster.temp 'writer.sh', ([[
for i in $(seq 100); do kubectl patch deployment first -n %s --subresource=status --type=merge -p "{\"status\":{\"collisionCount\":$i}}"; done
]]):format(ns))
    local writer = cluster.background('sh %s >/dev/null 2>&1', writing)
    faults.add { method = 'PATCH', path = ('/namespaces/%s/deployments/first'):format(ns), act = 'delay', ms = 700 }
    local mark, began = cluster.audit_mark(), os.time()
    cluster.kubectl([[patch asyncactor first -n %s --type=merge -p '{"spec":{"workload":{"replicas":2}}}']], ns)
    eventually('two', 20, function() return deployment('first', ns).spec.replicas == 2 end)
    writer.stop()
    assert.is_true(os.time() - began <= 4, 'it took ' .. os.time() - began .. ' s')
    local sent = cluster.requests(mark)
    assert.same({ 0, 2 }, { sent['get deployments.apps'] or 0, sent['patch deployments.apps'] })
  end)

  it('puts back a zero that somebody takes away, since absent it would be something else', function()
    local ns, dir = cluster.namespace 'zero', cluster.folder 'policies'
    cluster.write(dir .. '/hasty.lua', [[
local policy = require 'policy'
return policy.define {
  name = 'hasty', after = { 'scaling' },
  render = function(_, _, plan)
    local scaler = plan:get 'scaler'
    if scaler then scaler.spec.cooldownPeriod = 0 end
  end,
}
]])
    cluster.operator { args = ('--namespace %s --policies %s'):format(cluster.namespace 'operator', dir) } -- where nothing was live
    cluster.apply(cluster.actor('zero', ns, '  scaling: {enabled: true}'))
    local function cooldown()
      local object = cluster.get('scaledobject', 'zero', ns)
      return object and object.spec.cooldownPeriod
    end
    eventually('the zero', 20, function() return cooldown() == 0 end)
    cluster.kubectl([[patch scaledobject zero -n %s --type=json -p '[{"op":"remove","path":"/spec/cooldownPeriod"}]']], ns)
    eventually('the zero again', 15, function() return cooldown() == 0, tostring(cooldown()) end)
  end)

  it('carries out an edit of the actor, and what is taken away really goes', function()
    local ns = cluster.namespace 'edit'
    cluster.operator()
    cluster.apply(cluster.actor('edit', ns, nil, [[
        - name: asya-runtime
          image: example/app:1.0
          env: [{name: ASYA_HANDLER, value: handlers.process}, {name: GOES, value: away}]
          resources: {requests: {cpu: "0.1", memory: 1024Mi}}
]]))
    await_status('edit', ns, 'Running')
    cluster.apply(cluster.actor('edit', ns, nil, [[
        - name: asya-runtime
          image: example/app:2.0
          env: [{name: ASYA_HANDLER, value: handlers.process}]
]]))
    eventually('the new template', 15, function()
      local runtime = container(deployment('edit', ns), 'asya-runtime')
      return runtime.image == 'example/app:2.0' and #runtime.env == 2 and next(runtime.resources) == nil
    end)
  end)

  it('leaves nothing behind when an actor is deleted', function()
    local ns = cluster.namespace 'gone'
    cluster.operator()
    cluster.apply(cluster.actor('gone', ns))
    await_status('gone', ns, 'Running')
    cluster.kubectl('delete asyncactor gone -n %s --timeout=30s', ns)
    eventually('no deployment and no pods', 60, function()
      return #cluster.list('deployments', ns) == 0 and #cluster.list('pods', ns) == 0
    end)
  end)

  it('converges after kill -9, and writes nothing when there is nothing to do', function()
    cluster.clear()
    local ns = cluster.namespace 'kill'
    local op = cluster.operator()
    cluster.apply(cluster.actor('kill-a', ns))
    await_status('kill-a', ns, 'Running')
    op.kill()
    cluster.apply(cluster.actor('kill-b', ns))
    cluster.kubectl('scale deployment kill-a -n %s --replicas=3', ns)
    local again = cluster.operator()
    await_status('kill-b', ns, 'Running')
    eventually('replicas put back', 15, function() return deployment('kill-a', ns).spec.replicas == 1 end)
    await_status('kill-a', ns, 'Running')
    cluster.sleep(2)
    again.stop()
    local mark = cluster.audit_mark()
    local third = cluster.operator()
    eventually('caches are filled', 15, function() return third.log():find('caches are filled', 1, true) end)
    cluster.sleep(3)
    for what in pairs(cluster.requests(mark)) do
      assert.is_truthy(what:find '^list ' or what:find '^get ', what)
    end
  end)

  it('works on when the API server is killed and started again', function()
    local ns = cluster.namespace 'outage'
    cluster.operator()
    cluster.apply(cluster.actor('outage', ns))
    await_status('outage', ns, 'Running')
    cluster.sh('spec/bed/bed kill %s kube-apiserver', cluster.bed_dir)
    cluster.sleep(2)
    cluster.sh('spec/bed/bed start %s kube-apiserver', cluster.bed_dir)
    cluster.apply(cluster.actor('outage-2', ns))
    eventually('the actor that came after the outage runs', 60, function()
      local actor = cluster.get('asyncactor', 'outage-2', ns)
      return actor and actor.status and actor.status.status == 'Running'
    end)
  end)
end)

describe('bad input', function()
  if not cluster.available then return end
  after_each(cluster.stop_all)

  local function env_list(count)
    local lines = { '        - name: asya-runtime\n          image: example/app:1.0\n          env:' }
    for i = 1, count do lines[#lines + 1] = ('          - {name: V%d, value: "%d"}'):format(i, i) end
    return table.concat(lines, '\n') .. '\n'
  end

  local CASES = {
    { name = 'no-list', why = 'spec.workload.template.spec.volumes: must be a list', containers = [[
        - name: asya-runtime
          image: example/app:1.0
        volumes: {name: x}
]] },
    { name = 'numeric-env', why = 'spec.workload.template.spec.containers[0].env[0].value: must be a string, not the number 8080', containers = [[
        - name: asya-runtime
          image: example/app:1.0
          env: [{name: PORT, value: 8080}]
]] },
    { name = 'many-env', why = 'containers[0].env: has 5000 entries', containers = env_list(5000) },
    { name = 'no-runtime', why = "exactly one container must be named 'asya-runtime', found 0", containers = [[
        - name: other
          image: example/app:1.0
]] },
  }

  for _, case in ipairs(CASES) do
    it(('tells an actor with %s which field and why, and serves the others'):format(case.name), function()
      local ns = cluster.namespace 'bad'
      cluster.operator()
      cluster.apply(cluster.actor(case.name, ns, nil, case.containers), false, '--server-side')
      cluster.apply(cluster.actor('good', ns))
      await_status('good', ns, 'Running')
      local actor = await_status(case.name, ns, 'WorkloadError')
      local condition = cluster.condition(actor, 'WorkloadReady')
      assert.equal('False', condition.status)
      assert.equal('ValidationError', condition.reason)
      assert.is_truthy(condition.message:find(case.why, 1, true), condition.message)
      assert.is_nil(deployment(case.name, ns))
    end)
  end

  it('leaves the children of an actor that becomes invalid as they are', function()
    local ns = cluster.namespace 'bad'
    cluster.operator()
    cluster.apply(cluster.actor('turns', ns))
    await_status('turns', ns, 'Running')
    local before = deployment('turns', ns)
    cluster.apply(cluster.actor('turns', ns, nil, '        - name: other\n          image: x:1\n'))
    await_status('turns', ns, 'WorkloadError')
    assert.equal(before.metadata.generation, deployment('turns', ns).metadata.generation)
    cluster.apply(cluster.actor('turns', ns))
    await_status('turns', ns, 'Running')
  end)

  it('shows what the server refuses, and recovers when it is mended', function()
    local ns = cluster.namespace 'bad'
    cluster.operator()
    local clash = '        - name: asya-runtime\n          image: x:1\n          volumeMounts: [{name: nowhere, mountPath: /data}]\n'
    cluster.apply(cluster.actor('refused', ns, nil, clash))
    local actor = await_status('refused', ns, 'WorkloadError')
    assert.is_truthy(cluster.condition(actor, 'WorkloadReady').message:find('nowhere', 1, true))
    cluster.apply(cluster.actor('refused', ns))
    await_status('refused', ns, 'Running')
  end)

  --- A folder with a policy that marks Deployments, and raises an error on actors with a label.
  local function cursing(label)
    local dir = cluster.folder 'policies'
    cluster.write(dir .. '/curse.lua', (([[
local policy = require 'policy'
return policy.define {
  name = 'curse', after = { 'sidecar' },
  render = function(actor, ctx, plan)
    if (actor.metadata.labels or {}).cursed then error('no such luck') end
    plan:get('workload').metadata.annotations = { touched = 'yes' }
  end,
}
]]):gsub('%.cursed', '.' .. label, 1))) -- other tests leave their actors there
    return dir
  end

  local function touched(name, ns) return (deployment(name, ns).metadata.annotations or {}).touched end

  it('keeps everything as it is when a policy raises an error for one actor', function()
    local ns, own = cluster.namespace 'policy', cluster.namespace 'operator'
    cluster.operator { args = ('--namespace %s --policies %s'):format(own, cursing 'cursed') }
    for _, name in ipairs { 'cursed', 'blessed' } do cluster.apply(cluster.actor(name, ns)) end
    await_status('cursed', ns, 'Running')
    await_status('blessed', ns, 'Running')
    assert.equal('yes', touched('cursed', ns))
    cluster.kubectl('label asyncactor cursed -n %s cursed=yes', ns)
    cluster.kubectl('patch asyncactor cursed -n %s --type merge -p %s', ns, cluster.quote '{"spec":{"workload":{"replicas":2}}}')
    local actor = await_status('cursed', ns, 'WorkloadError')
    local condition = cluster.condition(actor, 'WorkloadReady')
    assert.equal('PolicyError', condition.reason)
    assert.is_truthy(condition.message:find('curse.lua:5', 1, true), condition.message)
    assert.equal(1, deployment('cursed', ns).spec.replicas)
    cluster.kubectl('patch asyncactor blessed -n %s --type merge -p %s', ns, cluster.quote '{"spec":{"workload":{"replicas":2}}}')
    eventually('the other actor is changed', 15, function() return deployment('blessed', ns).spec.replicas == 2 end)
  end)

  it('changes nothing when policies of a folder that are new at a start raise an error on one actor', function()
    local ns, own = cluster.namespace 'policy', cluster.namespace 'operator'
    local first = cluster.operator { args = '--namespace ' .. own }
    cluster.apply((cluster.actor('cursed', ns):gsub('namespace: [^}]*', '%0, labels: {jinxed: "yes"}')))
    cluster.apply(cluster.actor('blessed', ns))
    await_status('cursed', ns, 'Running')
    await_status('blessed', ns, 'Running')
    first.stop()
    local second = cluster.operator { args = ('--namespace %s --policies %s'):format(own, cursing 'jinxed') }
    eventually('they are rejected', 30, function() return second.log():find('rejected, nothing was changed', 1, true) end)
    assert.is_nil(touched('blessed', ns))
    cluster.kubectl('label asyncactor cursed -n %s jinxed-', ns)
    eventually('they are tried again, and reach both', 30, function() return touched('blessed', ns) == 'yes' and touched('cursed', ns) == 'yes' end)
  end)

  it('leaves a child to the actor that has it when policies give two actors one of that name', function()
    local ns, dir = cluster.namespace 'owners', cluster.folder 'policies'
    cluster.write(dir .. '/account.lua', [[
local policy = require 'policy'
return policy.define {
  name = 'account', after = { 'identity' },
  render = function(actor, ctx, plan)
    plan:add('account', {
      apiVersion = 'v1', kind = 'ServiceAccount', metadata = { name = 'common', annotations = { from = actor.metadata.name } },
    })
  end,
}
]])
    cluster.operator { args = ('--namespace %s --policies %s'):format(cluster.namespace 'operator', dir) } -- where nothing was live
    local function account() return cluster.get('serviceaccount', 'common', ns) end
    cluster.apply(cluster.actor('first', ns))
    await_status('first', ns, 'Running')
    local before = account()
    cluster.apply(cluster.actor('second', ns))
    local actor = await_status('second', ns, 'WorkloadError')
    local message = cluster.condition(actor, 'WorkloadReady').message
    assert.is_truthy(message:find('ServiceAccount common exists already and belongs to AsyncActor first', 1, true), message)
    cluster.kubectl([[patch asyncactor first -n %s --type=merge -p '{"spec":{"workload":{"replicas":2}}}']], ns)
    eventually('the first one is worked on', 15, function() return deployment('first', ns).spec.replicas == 2 end)
    cluster.sleep(1)
    assert.same(before, account())
    cluster.kubectl('delete asyncactor first -n %s --timeout=20s', ns)
    await_status('second', ns, 'Running')
    assert.equal('second', account().metadata.annotations.from)
  end)

  it('serves with the built-in bundle when the policy ConfigMap does not compile', function()
    local ns, own = cluster.namespace 'policy', cluster.namespace 'operator'
    cluster.kubectl("create configmap broken -n %s --from-literal=x.lua='return ((('", own)
    cluster.kubectl('label configmap broken -n %s asya.sh/policies=true', own)
    local op = cluster.operator { args = '--namespace ' .. own }
    cluster.apply(cluster.actor('served', ns))
    await_status('served', ns, 'Running')
    assert.is_truthy(op.log():find('x.lua:1', 1, true), op.log())
  end)

  it('takes policies from a labelled ConfigMap of its own namespace', function()
    local ns, own = cluster.namespace 'policy', cluster.namespace 'operator'
    local file = cluster.write(cluster.temp 'stamp.lua', [[
local policy = require 'policy'
return policy.define { name = 'stamp', after = { 'sidecar' }, render = function(_, _, plan)
  plan:get('workload').metadata.annotations = { stamp = 'team' }
end }
]])
    cluster.kubectl('create configmap team -n %s --from-file=stamp.lua=%s', own, file)
    cluster.kubectl('label configmap team -n %s asya.sh/policies=true', own)
    cluster.operator { args = '--namespace ' .. own }
    cluster.apply(cluster.actor('stamped', ns))
    await_status('stamped', ns, 'Running')
    assert.equal('team', deployment('stamped', ns).metadata.annotations.stamp)
  end)
end)

describe('golden children', function()
  if not cluster.available then return end

  --- What the server assigns, and what the golden children leave out.
  local function clean(object)
    local metadata = object.metadata
    for _, owner in ipairs(metadata.ownerReferences or {}) do owner.uid = 'UID' end
    object.metadata = { name = metadata.name, namespace = metadata.namespace, ownerReferences = metadata.ownerReferences }
    object.status = nil
    return object
  end

  it('render of golden/minimal, applied and read back, equals its children.json', function()
    cluster.sh 'kubectl create namespace golden'
    cluster.kubectl 'apply -f spec/golden/minimal/actor.yaml'
    local actor = cluster.temp 'golden.yaml'
    cluster.write(actor, cluster.kubectl 'get asyncactor minimal -n golden -o yaml')
    local rendered, ok = cluster.sh('ASYA_TRANSPORT_CONFIG=%s %s/asya-operator render -f %s',
      cluster.quote(cluster.read 'spec/golden/transports.json'), cluster.build, actor)
    assert.is_true(ok, rendered)
    cluster.apply(rendered, false, '--server-side')
    local wanted = json.decode(cluster.read 'spec/golden/minimal/children.json')
    local live = clean(deployment('minimal', 'golden'))
    live.metadata.annotations = nil
    assert.same(wanted[1], live)
    cluster.kubectl 'delete namespace golden --wait=false'
  end)
end)

describe('the command line', function()
  if not cluster.available then return end

  local function run(arguments, env)
    return cluster.sh('%s %s/asya-operator %s', env or '', cluster.build, arguments)
  end

  local CASES = {
    { 'a kubeconfig that is missing', '/nowhere/kubeconfig', nil, { '/nowhere/kubeconfig' } },
    { 'an empty kubeconfig', 'empty', '', { 'empty' } },
    { 'an unknown context', nil, nil, { 'context', 'nope' }, ' --context nope' },
  }
  for _, case in ipairs(CASES) do
    it('says in one line what is wrong with ' .. case[1], function()
      local path = case[2]
      if case[3] then path = cluster.write(cluster.temp(case[2]), case[3]) end
      local flag = path and ('--kubeconfig ' .. path) or ''
      local output, ok = run(('run --metrics-bind-address 0 --health-probe-bind-address 0 %s%s'):format(flag, case[5] or ''))
      assert.is_false(ok)
      local errors = {}
      for line in output:gmatch '[^\n]+' do
        if line:find '^error: ' then errors[#errors + 1] = line end
      end
      assert.equal(1, #errors, output)
      for _, word in ipairs(case[4]) do assert.is_truthy(errors[1]:find(word, 1, true), errors[1]) end
    end)
  end

  it('render names file and line of a policy that does not compile', function()
    local dir = cluster.folder 'bad-policies'
    cluster.write(dir .. '/bad.lua', 'local x = 1\nreturn x +\n')
    local output, ok = run(('render -f crds/examples --policies %s'):format(dir))
    assert.is_false(ok)
    assert.is_truthy(output:find('bad.lua:', 1, true), output)
  end)
end)

describe('an edit while the operator is away', function()
  if not cluster.available then return end
  after_each(cluster.stop_all)

  it('takes away what the actor no longer has, although all that it has is there', function()
    local ns = cluster.namespace 'away'
    local first = cluster.operator()
    local more = [[
        - name: asya-runtime
          image: example/app:1.0
          env: [{name: ASYA_HANDLER, value: handlers.process}, {name: GOES, value: away}]
]]
    cluster.apply(cluster.actor('away', ns, nil, more))
    await_status('away', ns, 'Running')
    first.stop()
    cluster.apply(cluster.actor('away', ns))
    cluster.operator()
    eventually('the variable goes', 20, function() return #container(deployment('away', ns), 'asya-runtime').env == 2 end)
  end)
end)
