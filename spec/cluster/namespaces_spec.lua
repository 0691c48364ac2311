--- namespaces: an operator that watches some namespaces, with the rights that the chart's Roles give and no others.
local cluster = require 'cluster'

local eventually = cluster.eventually

--- A policy of the chart's value policies.extra.
local STAMP = [[
local policy = require 'policy'
return policy.define { name = 'stamp', after = { 'workload' }, render = function(actor, ctx, plan)
  plan:get('workload').metadata.annotations = { stamp = 'yes' }
end }
]]

local function actor_ready(name, ns)
  eventually(name .. ' is Running', 60, function()
    local object = cluster.get('asyncactor', name, ns)
    return object and object.status and object.status.status == 'Running', object and object.status and object.status.status
  end)
end

describe('namespaced mode', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  local own, one, two, other, account
  before_each(function()
    cluster.clear()
    own, one, other = cluster.namespace 'operators', cluster.namespace 'one', cluster.namespace 'other'
    two = one .. '-later'
  end)
  after_each(function()
    cluster.stop_all()
    cluster.clear()
  end)

  --- Installs what the chart makes for these namespaces: ServiceAccount, Roles, policies.
  local function install(...)
    local file = cluster.chart('asya-operator', own, ("--set 'watchNamespaces={%s}' --set replicaCount=0 --set-file 'policies.extra.stamp\\.lua=%s'")
      :format(table.concat({ ... }, ','), cluster.write(cluster.temp 'stamp.lua', STAMP)))
    assert.is_nil(cluster.read(file):find('kind: ClusterRole', 1, true))
    cluster.kubectl('apply -f %s', file)
    account = account or cluster.account('asya-operator', own)
  end

  local function operator()
    return cluster.operator {
      args = ('--leader-elect --kubeconfig %s'):format(account), env = ('ASYA_WATCH_NAMESPACES=%s,%s'):format(one, two), runtime_namespace = one,
    }
  end

  it('serves these alone, with Roles alone, also one that comes later', function()
    account = nil
    install(one)
    for _, question in ipairs { 'list asyncactors -A', 'list pods -n ' .. other, 'get secrets -n ' .. own, 'patch asyncactors -n ' .. other } do
      local answer = cluster.sh('kubectl --kubeconfig %s auth can-i %s', account, question)
      assert.is_truthy(answer:find '^no' or answer:find '\nno', question .. ': ' .. answer)
    end
    cluster.apply(cluster.actor('elsewhere', other))
    local version = cluster.get('asyncactor', 'elsewhere', other).metadata.resourceVersion
    local op = operator()
    cluster.apply(cluster.actor('scaled', one, '  scaling: {enabled: true}'))
    cluster.apply(cluster.actor('here', one))
    actor_ready('here', one)
    eventually('the scaled one has what scales it', 20, function() return cluster.get('scaledobject', 'scaled', one) end)
    eventually('it says what it cannot see', 10, function() return op.log():find('in namespace ' .. two .. '; does it exist', 1, true) end)
    eventually('the policies of the chart are live, and kept', 20, function()
      local state = cluster.get('configmap', 'asya-operator-policies-extra', own).metadata.annotations['asya.sh/policies-state']
      return state and state:find '^live' and cluster.get('configmap', 'asya-operator-policies-live', own), state
    end)
    assert.equal('yes', cluster.get('deployment', 'here', one).metadata.annotations.stamp)

    cluster.kubectl('create namespace %s', two)
    cluster.apply(cluster.actor('late', two))
    install(one, two)
    actor_ready('late', two)
    assert.is_truthy(op.log():find('namespace ' .. two .. ' can be seen now', 1, true))

    cluster.kubectl('delete asyncactors --all -n %s --timeout=30s', one)
    cluster.kubectl('delete asyncactors --all -n %s --timeout=30s', two)
    assert.equal(version, cluster.get('asyncactor', 'elsewhere', other).metadata.resourceVersion)
    assert.is_nil(cluster.get('deployment', 'elsewhere', other))
    for line in op.log():gmatch '[^\n]+' do
      assert.is_true(not line:find('forbidden', 1, true) and not line:find('cannot', 1, true), line)
    end
    local _, times = op.log():gsub('is not allowed to list namespaces, so what they say', '')
    assert.equal(1, times, op.log())
  end)

  it('sees no actor before what belongs to it', function()
    account = nil
    install(one)
    cluster.kubectl('create namespace %s', two)
    install(one, two)
    local op = operator()
    cluster.apply(cluster.actor('known', two))
    actor_ready('known', two)
    op.stop()
    local version = cluster.get('deployment', 'known', two).metadata.resourceVersion

    cluster.kubectl('delete rolebinding asya-operator-manager-rolebinding -n %s', two)
    cluster.kubectl('create role half -n %s --verb=get,list,watch,patch --resource=asyncactors.asya.sh,asyncactors.asya.sh/status', two)
    cluster.kubectl('create rolebinding half -n %s --role=half --serviceaccount=%s:asya-operator', two, own)
    op = operator()
    cluster.apply(cluster.actor('first', one))
    actor_ready('first', one)
    assert.is_nil(op.log():find(two .. '/known', 1, true), op.log())

    install(one, two)
    eventually('the namespace can be seen', 60, function() return op.log():find('namespace ' .. two .. ' can be seen now', 1, true) end)
    cluster.kubectl("patch asyncactor known -n %s --type=merge -p '{\"spec\":{\"timeout\":{\"processing\":77}}}'", two)
    eventually('it is worked on', 20, function() return op.log():find('updated Deployment known', 1, true) end)
    assert.is_nil(op.log():find('created Deployment known', 1, true))
    assert.not_equal(version, cluster.get('deployment', 'known', two).metadata.resourceVersion)
    assert.is_nil(op.log():find('cannot create', 1, true))
  end)

  it('puts one object into the cache once, and forgets those of a namespace that goes', function()
    account = nil
    install(one)
    cluster.kubectl('create namespace %s', two)
    install(one, two)
    local op = operator()
    cluster.apply(cluster.actor('same', one))
    cluster.apply(cluster.actor('same', two))
    actor_ready('same', one)
    actor_ready('same', two)
    cluster.kubectl('delete asyncactor same -n %s --timeout=30s', two)
    assert.equal('Running', cluster.get('asyncactor', 'same', one).status.status)
    assert.is_nil(cluster.get('deployment', 'same', one).metadata.deletionTimestamp)
    cluster.kubectl('delete namespace %s --timeout=60s', two)
    cluster.apply(cluster.actor('after', one))
    actor_ready('after', one)
    assert.is_true(op.alive())
  end)

  it('has room for writes beside the watches of many namespaces', function()
    local names = {}
    for i = 1, 25 do names[i] = cluster.namespace 'many' end
    local op = cluster.operator { args = '--namespace ' .. own, env = 'ASYA_WATCH_NAMESPACES=' .. table.concat(names, ',') }
    for _, name in ipairs { names[1], names[13], names[25] } do cluster.apply(cluster.actor('there', name)) end
    for _, name in ipairs { names[1], names[13], names[25] } do actor_ready('there', name) end
    op.stop()
    for _, name in ipairs(names) do cluster.sh('kubectl delete namespace %s --wait=false', name) end
  end)

  it('refuses what is not a valid name of a namespace', function()
    local text, ok = cluster.sh('%s/asya-operator run --watch-namespaces one,Two', cluster.build)
    assert.is_false(ok)
    assert.is_truthy(text:find("namespaces to watch: 'Two' is not a valid name", 1, true), text)
  end)
end)
