--- class: two operators of different policies in one cluster, and actors that move between them.
local cluster = require 'cluster'

local eventually = cluster.eventually

local CLASS = 'asya.sh/operator-class'

--- A policy that marks the workload without touching its pods.
local STAMP = [[
local policy = require 'policy'
return policy.define { name = 'stamp', after = { 'workload' }, render = function(actor, ctx, plan)
  plan:get('workload').metadata.annotations = { stamp = '%s' }
end }
]]

local function actor(name, namespace, class)
  local yaml = cluster.actor(name, namespace)
  return class and (yaml:gsub('namespace: [^}]+', '%0, annotations: {' .. CLASS .. ': ' .. class .. '}')) or yaml
end

local function stamp(name, ns)
  local deployment = cluster.get('deployment', name, ns)
  return deployment and (deployment.metadata.annotations or {}).stamp
end

local function pods(ns)
  local uids = {}
  for _, pod in ipairs(cluster.list('pods', ns)) do uids[#uids + 1] = pod.metadata.uid end
  table.sort(uids)
  return uids
end

--- A ConfigMap with the stamp, for the operators of a class in namespace `own`.
local function policies(own, name, class)
  cluster.kubectl('create configmap %s -n %s --from-file=stamp.lua=%s', name, own, cluster.write(cluster.temp 'stamp.lua', STAMP:format(name)))
  if class then cluster.kubectl('annotate configmap %s -n %s %s=%s', name, own, CLASS, class) end
  cluster.kubectl('label configmap %s -n %s asya.sh/policies=true', name, own)
end

local function running(name, ns)
  eventually(name .. ' is Running', 40, function()
    local object = cluster.get('asyncactor', name, ns)
    return object and object.status and object.status.status == 'Running', object and object.status and object.status.status
  end)
end

local function logged(operator, text) return operator.log():find(text, 1, true) ~= nil end

describe('operator classes', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  local own, ns
  before_each(function()
    cluster.clear()
    own, ns = cluster.namespace 'operators', cluster.namespace 'classes'
  end)
  after_each(function()
    cluster.stop_all()
    cluster.clear()
  end)

  local function operator(class, options)
    options = options or {}
    options.args = ('--namespace %s %s %s'):format(own, class and '--operator-class ' .. class or '', options.args or '')
    return cluster.operator(options)
  end

  it('serve their own actors and do not touch others', function()
    cluster.apply(actor('plain', ns))
    cluster.apply(actor('blue', ns, 'blue'))
    cluster.apply(actor('green', ns, 'green'))
    local version = cluster.get('asyncactor', 'green', ns).metadata.resourceVersion
    local default, blue = operator(), operator(nil, { env = 'ASYA_OPERATOR_CLASS=blue' })
    running('plain', ns)
    running('blue', ns)
    for _, each in ipairs { default, blue } do assert.is_true(logged(each, 'caches are filled: 1 asyncactors'), each.log()) end
    assert.is_true(logged(default, 'plain') and not logged(default, ns .. '/blue'))
    assert.is_true(logged(blue, 'created Deployment blue') and not logged(blue, 'created Deployment plain'))
    assert.equal(version, cluster.get('asyncactor', 'green', ns).metadata.resourceVersion)
    assert.is_nil(cluster.get('deployment', 'green', ns))
    cluster.kubectl('delete asyncactor green -n %s --timeout=10s', ns) -- nobody's finalizer is on it
  end)

  it('have leases, policies and live policies of their own in one namespace', function()
    policies(own, 'for-all-others')
    policies(own, 'for-blue', 'blue')
    operator(nil, { args = '--leader-elect' })
    operator('blue', { args = '--leader-elect' })
    cluster.apply(actor('plain', ns))
    cluster.apply(actor('blue', ns, 'blue'))
    eventually('each has its own policies', 40, function()
      local plain, other = stamp('plain', ns), stamp('blue', ns)
      return plain == 'for-all-others' and other == 'for-blue', tostring(plain) .. ', ' .. tostring(other)
    end)
    local holders = {}
    for _, name in ipairs { 'asya-operator.asya.sh', 'asya-operator.asya.sh-blue' } do
      holders[#holders + 1] = cluster.get('lease', name, own).spec.holderIdentity
    end
    assert.is_true(#holders == 2 and holders[1] ~= holders[2] and holders[1] ~= '' and holders[2] ~= '')
    for suffix, policy in pairs { [''] = 'for-all-others', ['-blue'] = 'for-blue' } do
      eventually('the record' .. suffix .. ' keeps ' .. policy, 20, function()
        local map = cluster.get('configmap', 'asya-operator-policies-live' .. suffix, own)
        local record = map and require 'json'.decode(map.data.record)
        local slots = record and record.main.live and record.kept[record.main.live.bundle]
        local kept = slots and cluster.get('configmap', ('asya-operator-policies-kept%s-%d'):format(suffix, slots[1]), own)
        return kept and kept.data['stamp.lua'] == STAMP:format(policy)
      end)
    end
    local text = cluster.sh('%s/asya-operator check --live --operator-namespace %s --operator-class blue', cluster.build, own)
    assert.is_true(text:find('configmap for-blue: live', 1, true) ~= nil and not text:find('for-all-others', 1, true), text)
    text = cluster.sh('ASYA_TRANSPORT_CONFIG=%s ASYA_DISABLE_QUEUE_MANAGEMENT=true %s/asya-operator diff -n %s --operator-namespace %s --operator-class blue',
      cluster.quote(cluster.TRANSPORTS), cluster.build, ns, own)
    assert.equal('1 asyncactors looked at, 0 children differ\n', text)
  end)

  it('hand an actor over and back without a restart', function()
    policies(own, 'for-blue', 'blue')
    local default, blue = operator(), operator('blue')
    cluster.apply(actor('moved', ns))
    running('moved', ns)
    local before, before_pods = cluster.get('deployment', 'moved', ns), pods(ns)
    assert.is_true(#before_pods > 0)

    cluster.kubectl('annotate asyncactor moved -n %s %s=blue', ns, CLASS)
    eventually('blue has it', 20, function() return stamp('moved', ns) == 'for-blue' end)
    running('moved', ns)
    local after = cluster.get('deployment', 'moved', ns)
    assert.equal(before.metadata.uid, after.metadata.uid)
    assert.same(before.spec, after.spec)
    assert.same(before_pods, pods(ns))
    assert.same({ 'asya.sh/finalizer' }, cluster.get('asyncactor', 'moved', ns).metadata.finalizers)
    assert.is_false(logged(default, 'deleted') or logged(default, 'released') or logged(blue, 'deleted'), default.log())
    for _, each in ipairs(cluster.list('deployments', ns, '--show-managed-fields')[1].metadata.managedFields) do
      assert.is_true(each.subresource == 'status' or each.manager == 'asya-operator', each.manager)
    end

    cluster.kubectl('delete deployment moved -n %s', ns)
    eventually('blue makes it again', 20, function() return logged(blue, 'created Deployment moved') end)
    assert.equal(1, select(2, default.log():gsub('created Deployment moved', '')))

    running('moved', ns)
    before_pods = pods(ns)
    cluster.kubectl("annotate asyncactor moved -n %s --overwrite %s=''", ns, CLASS)
    eventually('the default class has it', 20, function() return cluster.get('deployment', 'moved', ns) and stamp('moved', ns) == nil end)
    assert.same(before_pods, pods(ns))
  end)

  it('delete only what is theirs', function()
    local default, blue = operator(), operator('blue')
    cluster.apply(actor('blue', ns, 'blue'))
    cluster.apply(actor('plain', ns))
    running('blue', ns)
    running('plain', ns)
    blue.stop()
    cluster.kubectl('delete asyncactor blue -n %s --wait=false', ns)
    cluster.kubectl('delete asyncactor plain -n %s --timeout=30s', ns)
    local waiting = cluster.get('asyncactor', 'blue', ns)
    assert.same({ 'asya.sh/finalizer' }, waiting.metadata.finalizers)
    assert.is_nil(cluster.get('deployment', 'blue', ns).metadata.deletionTimestamp)
    operator 'blue'
    eventually('its own operator lets it go', 30, function()
      return not cluster.get('asyncactor', 'blue', ns) and not cluster.get('deployment', 'blue', ns)
    end)
    assert.is_false(logged(default, ns .. '/blue'))
  end)

  it('do not fight for the runtime ConfigMap: the class on it decides', function()
    local function script(text) return 'ASYA_RUNTIME_SCRIPT_PATH=' .. cluster.write(cluster.temp 'runtime.py', text) end
    local function runtime()
      local map = cluster.get('configmap', 'asya-runtime', ns)
      return map and map.data['asya_runtime.py'], map and map.metadata.resourceVersion
    end
    local function becomes(text)
      eventually('the script is ' .. text, 20, function() return runtime() == text, runtime() end)
    end
    operator(nil, { env = script 'ours' })
    cluster.apply(actor('plain', ns))
    running('plain', ns)
    local _, version = runtime()
    local blue = operator('blue', { env = script 'of blue' })
    cluster.apply(actor('blue', ns, 'blue'))
    running('blue', ns)
    assert.is_true(logged(blue, 'belongs to the operator of another class'), blue.log())
    assert.same({ 'ours', version }, { runtime() })

    cluster.kubectl('annotate configmap asya-runtime -n %s %s=blue', ns, CLASS)
    becomes 'of blue'
    cluster.kubectl([[patch configmap asya-runtime -n %s --type=merge -p '{"data":{"asya_runtime.py":"edited"}}']], ns)
    becomes 'of blue'
    cluster.kubectl('delete configmap asya-runtime -n %s', ns)
    eventually('somebody makes it again', 20, runtime)
    cluster.kubectl('annotate configmap asya-runtime -n %s %s-', ns, CLASS)
    becomes 'ours'

    local other = cluster.namespace 'classes'
    cluster.apply(actor('blue', other, 'blue'))
    running('blue', other)
    local map = cluster.get('configmap', 'asya-runtime', other)
    assert.same({ 'of blue', 'blue' }, { map.data['asya_runtime.py'], map.metadata.annotations[CLASS] })
  end)

  it('are refused when they are no name, or when the policies cannot tell them', function()
    local text, ok = cluster.sh('%s/asya-operator run --operator-class Blue_1', cluster.build)
    assert.is_false(ok)
    assert.is_truthy(text:find("operator class: 'Blue_1' is not a valid name", 1, true), text)
    local folder = cluster.folder 'policies'
    cluster.write(folder .. '/manifest.lua', (cluster.read('policies/manifest.lua'):gsub('class_annotation = [^\n]+\n', 'class_annotation = false,\n')))
    local blue = operator('blue', { args = '--policies ' .. folder })
    eventually('it says so and goes on with the built-in ones', 10, function()
      return logged(blue, 'without class_annotation an operator of class blue would take all objects')
    end)
  end)
end)
