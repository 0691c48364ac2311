--- cost: how many requests an actor takes to begin, and what is told when. The figures of a large fleet are spec/bench's,
-- which works with a few, too.
local cluster = require 'cluster'
local exposition = require 'exposition'
local json = require 'json'

describe('an actor', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end
  before_each(cluster.clear)
  after_each(cluster.stop_all)

  local function scaled(name, ns) return cluster.actor(name, ns, '  scaling: {enabled: true, minReplicas: 1, maxReplicas: 10}') end
  local function condition(name, ns) return cluster.condition(cluster.get('asyncactor', name, ns), 'Ready') end
  --- An operator that shares its bundle with no other test.
  local function operator(options)
    options = options or {}
    options.args = ('--namespace %s %s'):format(cluster.namespace 'operator', options.args or '')
    return cluster.operator(options)
  end
  local function all_run(ns, count)
    cluster.eventually('all run', 120, function()
      local running = 0
      for _, it in ipairs(cluster.list('asyncactors', ns)) do running = running + (it.status and it.status.status == 'Running' and 1 or 0) end
      return running == count, running
    end)
  end

  it('costs a finalizer, three children, one Event and two statuses at most; and nothing when all is right', function()
    local COUNT, ns, manifests = 40, cluster.namespace 'cost', {}
    for i = 1, COUNT do manifests[i] = scaled('cost-' .. i, ns) end
    cluster.apply(table.concat(manifests, '---\n'), false, '--server-side')
    local mark = cluster.audit_mark()
    local op = operator { binary = cluster.build .. '/asya-operator' }
    all_run(ns, COUNT)
    cluster.sleep(3)
    local sent = cluster.requests(mark)
    for _, what in ipairs { 'patch asyncactors.asya.sh', 'create deployments.apps', 'create scaledobjects.keda.sh', 'create triggerauthentications.keda.sh',
      'create events.events.k8s.io' } do
      assert.equal(COUNT, sent[what], what .. ': ' .. json.encode(sent))
    end
    local statuses = sent['patch asyncactors.asya.sh/status']
    assert.is_true(statuses >= COUNT and statuses <= 2 * COUNT, json.encode(sent))
    for _, what in ipairs { 'patch deployments.apps', 'patch scaledobjects.keda.sh', 'patch triggerauthentications.keda.sh', 'patch events.events.k8s.io' } do
      assert.is_nil(sent[what], json.encode(sent))
    end
    op.stop()
    mark = cluster.audit_mark()
    op = operator { binary = cluster.build .. '/asya-operator' }
    cluster.eventually('it has begun', 20, function() return op.log():find('caches are filled', 1, true) end)
    cluster.sleep(4)
    for what, count in pairs(cluster.requests(mark)) do
      assert.is_true(what:find '^list ' ~= nil or what:find '^get ' ~= nil or what:find 'configmaps' ~= nil, what .. ': ' .. count)
    end
  end)

  it('that nothing has touched is not planned again by an operator that starts; whatever was touched is', function()
    local ns, own, manifests, METRICS = cluster.namespace 'restart', cluster.namespace 'operator', {}, '127.0.0.1:18496'
    local COUNT = 12
    local function start(env)
      local op = cluster.operator { env = env, args = ('--namespace %s --metrics-bind-address %s'):format(own, METRICS) }
      cluster.eventually('it has begun', 20, function() return op.log():find('caches are filled', 1, true) end)
      return op
    end
    --- How many plans it has made, once each actor has had a pass.
    local function plans()
      local made
      cluster.eventually('each has had a pass', 30, function()
        local text, ok = cluster.sh('curl -sS --max-time 5 http://%s/metrics', METRICS)
        if not ok then return false, text end
        local page = exposition.read(text)
        made = exposition.value(page, 'policy_call_seconds_count', { call = 'plan' }) or 0
        local statuses = exposition.value(page, 'policy_call_seconds_count', { call = 'status' }) or 0
        return statuses >= COUNT, text
      end)
      return made
    end
    for i = 1, COUNT do manifests[i] = scaled('settled-' .. i, ns) end
    cluster.apply(table.concat(manifests, '---\n'), false, '--server-side')
    local op = start()
    all_run(ns, COUNT)
    op.stop()
    op = start()
    assert.is_true(plans() <= 4, 'one that looks after the shared object, and those that were under way meanwhile: ' .. plans())
    assert.is_nil(op.log():find('updated', 1, true))
    op.stop()

    cluster.kubectl('set image deployment settled-1 -n %s asya-runtime=another:1', ns)
    cluster.kubectl('patch scaledobject settled-2 -n %s --type=merge -p \'{"spec":{"maxReplicaCount":3}}\'', ns)
    cluster.kubectl('delete triggerauthentication settled-3-trigger-auth -n %s', ns)
    cluster.kubectl('patch asyncactor settled-4 -n %s --type=merge -p \'{"spec":{"scaling":{"maxReplicas":7}}}\'', ns)
    cluster.kubectl('patch asyncactor settled-5 -n %s --subresource=status --type=merge -p \'{"status":{"settledDigest":"0123456789abcdef"}}\'', ns)
    cluster.kubectl('patch scaledobject settled-5 -n %s --type=merge -p \'{"spec":{"minReplicaCount":4}}\'', ns)
    cluster.kubectl('delete deployment settled-6 -n %s --cascade=orphan', ns)
    cluster.kubectl('delete configmap asya-runtime -n %s', ns)
    op = start()
    local function scaler(i) return cluster.get('scaledobject', 'settled-' .. i, ns).spec end
    cluster.eventually('all is as it should be', 30, function()
      local image = cluster.sh("kubectl get deployment settled-1 -n %s -o jsonpath='{..image}'", ns)
      return not image:find 'another' and scaler(2).maxReplicaCount == 10 and scaler(4).maxReplicaCount == 7
        and scaler(5).minReplicaCount == 1 and cluster.get('triggerauthentication', 'settled-3-trigger-auth', ns)
        and cluster.get('deployment', 'settled-6', ns) and cluster.get('configmap', 'asya-runtime', ns), op.log()
    end)
    assert.is_true(plans() < 2 * COUNT)
    -- Who was not planned is looked after as well as ever.
    cluster.kubectl('patch scaledobject settled-9 -n %s --type=merge -p \'{"spec":{"maxReplicaCount":2}}\'', ns)
    cluster.eventually('it is put back', 20, function() return scaler(9).maxReplicaCount == 10 end)
    assert.is_truthy(op.log():find('settled%-9: restored ScaledObject'), op.log())
    all_run(ns, COUNT)
    op.stop()
    op = start() -- which is told whose the fields are that were put back
    plans()
    assert.is_nil(op.log():find('updated', 1, true), op.log())
    op.stop()

    start 'ASYA_GATEWAY_URL=http://another'
    cluster.eventually('other settings reach all', 60, function()
      local _, count = cluster.sh("kubectl get deployments -n %s -o jsonpath='{..env[?(@.name==\"ASYA_GATEWAY_URL\")].value}'", ns):gsub('http://another', '')
      return count >= COUNT, count
    end)
  end)

  it('is told of an error at once, though its children were made just now', function()
    local ns = cluster.namespace 'error'
    operator()
    cluster.apply(cluster.actor('refused', ns, nil,
      '        - name: asya-runtime\n          image: x:1\n          volumeMounts: [{name: nowhere, mountPath: /data}]\n'))
    cluster.eventually('the error', 5, function() return (condition('refused', ns) or {}).reason == 'WorkloadError' end)
  end)

  --- A folder with one policy, which marks each Deployment.
  local function marks()
    local dir = cluster.folder 'policies'
    cluster.write(dir .. '/mark.lua', [[
local policy = require 'policy'
return policy.define {
  name = 'mark', after = { 'sidecar' },
  render = function(_, _, plan) plan:get('workload').metadata.annotations = { marked = 'yes' } end,
}
]])
    return dir
  end
  local function mark_of(name, ns)
    local deployment = cluster.get('deployment', name, ns)
    return deployment and (deployment.metadata.annotations or {}).marked
  end

  it('whose operator was killed before it could record what it made loses what new policies do not render', function()
    local ns, own, faults, dir = cluster.namespace 'unrecorded', cluster.namespace 'operator', cluster.faults(), marks()
    faults.add { method = 'PATCH', path = '/asyncactors/.*/status', act = 'reset' }
    local first = cluster.operator { args = ('--kubeconfig %s --namespace %s --policies %s'):format(faults.kubeconfig, own, dir) }
    cluster.apply(cluster.actor('a', ns))
    cluster.eventually('it is made', 20, function() return mark_of('a', ns) == 'yes' end)
    first.kill()
    faults.clear()
    cluster.operator { args = '--namespace ' .. cluster.namespace 'operator' } -- where nothing was live
    cluster.eventually('the mark is gone', 20, function() return mark_of('a', ns) == nil end)
  end)

  it('whose operator was killed before it could record an edit keeps nothing of it when it is taken back', function()
    local ns, faults, dir = cluster.namespace 'taken-back', cluster.faults(), marks()
    local function start(more) return cluster.operator { args = ('--namespace %s %s'):format(cluster.namespace 'operator', more) } end
    cluster.apply(cluster.actor('a', ns))
    local first = start ''
    all_run(ns, 1)
    first.stop()
    faults.add { method = 'PATCH', path = '/asyncactors/.*/status', act = 'reset' }
    local second = start(('--kubeconfig %s --policies %s'):format(faults.kubeconfig, dir))
    cluster.eventually('it is edited', 20, function() return mark_of('a', ns) == 'yes' end)
    second.kill()
    faults.clear()
    start ''
    cluster.eventually('the mark is gone', 20, function() return mark_of('a', ns) == nil end)
  end)
end)
