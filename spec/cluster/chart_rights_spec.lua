--- chart_rights: an operator with exactly the rights of the chart does all of its work, and has no right that it did not use.
local chart = require 'chart'
local cluster = require 'cluster'
local json = require 'json'

local ROLE = 'arn:aws:iam::123456789012:role/asya-actor'

describe('the rights of the chart', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end
  local own, apps, mark, operator
  local eventually = cluster.eventually

  local function helm(arguments, ...)
    local output, ok = cluster.sh('helm ' .. arguments, ...)
    assert(ok, output)
    return output
  end

  local function run() return chart.operator(own, { runtime_namespace = apps, queues = true }) end

  setup(function()
    cluster.clear()
    chart.clean()
    own, apps, mark = cluster.namespace 'own', cluster.namespace 'apps', cluster.audit_mark()
    cluster.kubectl('create secret generic rabbitmq-secret -n %s --from-literal=password=%s', apps, os.getenv 'BED_RABBITMQ_PASSWORD')
    helm('install asya-operator %s -n %s --set runtime.namespace=%s --values %s', cluster.PACKAGE, own, apps, cluster.write(cluster.temp 'values.yaml', ([[
rbac: {readNamespaces: true}
transports:
  rabbitmq: {config: {host: %s, port: %s}}
  sqs: {enabled: true, config: {endpoint: "%s", actorRoleArn: "%s"}}
extraEnv: [{name: AWS_ACCESS_KEY_ID, value: test}, {name: AWS_SECRET_ACCESS_KEY, value: test}]
policies: {extra: {none.lua: 'return require("policy").define { name = "none" }'}}
]]):format(os.getenv 'BED_RABBITMQ_HOST', os.getenv 'BED_RABBITMQ_PORT', os.getenv 'BED_SQS_URL', ROLE)))
    operator = run()
  end)
  teardown(function()
    cluster.stop_all()
    cluster.clear()
    chart.clean()
  end)
  local function unhurt() assert.is_nil(operator.log():lower():find('forbidden', 1, true), operator.log()) end

  local function state(name)
    local actor = cluster.get('asyncactor', name, apps)
    return actor and actor.status and actor.status.status, name
  end
  local function patch(name, spec, kind)
    cluster.kubectl('patch %s %s -n %s --type=merge -p %s', kind or 'asyncactor', name, apps, cluster.quote(spec))
  end
  local function gone(kind, name)
    eventually(kind .. ' ' .. name .. ' goes', 30, function() return not cluster.get(kind, name, apps) end)
  end

  it('are enough to make everything', function()
    local with_kind = function(name, kind, fields)
      return (cluster.actor(name, apps, fields):gsub('  workload:', '  workload:\n    kind: ' .. kind))
    end
    cluster.apply(cluster.actor('plain', apps))
    cluster.apply(cluster.actor('scaled', apps, '  scaling: {enabled: true, minReplicas: 1}'))
    cluster.apply(with_kind('stateful', 'StatefulSet'))
    cluster.apply(with_kind('job', 'Job'))
    cluster.apply(with_kind('jobs', 'Job', '  scaling: {enabled: true}'))
    cluster.apply((cluster.actor('aws', apps, '  scaling: {enabled: true, minReplicas: 1}'):gsub('transport: rabbitmq', 'transport: sqs')))
    for _, name in ipairs { 'plain', 'scaled', 'stateful', 'job', 'jobs', 'aws' } do
      eventually(name .. ' is well', 60, function()
        local now = state(name)
        return now == 'Running' or now == 'Napping' or now == 'Completed', now
      end)
    end
    assert.equal(ROLE, cluster.get('serviceaccount', 'asya-aws', apps).metadata.annotations['eks.amazonaws.com/role-arn'])
    assert.is_truthy(cluster.get('triggerauthentication', 'scaled-trigger-auth', apps))
    assert.is_truthy(cluster.get('scaledjob', 'jobs', apps))
    assert.is_truthy(cluster.get('configmap', 'asya-runtime', apps))
    eventually('an event', 10, function()
      return #cluster.list('events.events.k8s.io', apps, '--field-selector reportingController=asya-operator') > 0
    end)
    unhurt()
  end)

  it('are enough to change it, to put it back, and to take away', function()
    patch('plain', '{"spec":{"workload":{"replicas":2}}}')
    eventually('two replicas', 20, function() return cluster.get('deployment', 'plain', apps).spec.replicas == 2 end)
    patch('stateful', '{"spec":{"workload":{"replicas":2}}}')
    eventually('two of the set', 20, function() return cluster.get('statefulset', 'stateful', apps).spec.replicas == 2 end)
    patch('scaled', '{"spec":{"scaling":{"maxReplicas":7}}}')
    eventually('its scaler', 20, function() return cluster.get('scaledobject', 'scaled', apps).spec.maxReplicaCount == 7 end)
    patch('jobs', '{"spec":{"scaling":{"maxReplicas":7}}}')
    eventually('its ScaledJob', 20, function() return cluster.get('scaledjob', 'jobs', apps).spec.maxReplicaCount == 7 end)
    patch('asya-runtime', '{"data":{"asya_runtime.py":"other"}}', 'configmap')
    eventually('the script', 20, function() return cluster.get('configmap', 'asya-runtime', apps).data['asya_runtime.py'] ~= 'other' end)
    patch('asya-aws', '{"metadata":{"annotations":{"eks.amazonaws.com/role-arn":"other"}}}', 'serviceaccount')
    eventually('the role', 20, function()
      return cluster.get('serviceaccount', 'asya-aws', apps).metadata.annotations['eks.amazonaws.com/role-arn'] == ROLE
    end)
    patch('scaled-trigger-auth', '{"spec":{"secretTargetRef":null}}', 'triggerauthentication')
    eventually('the authentication', 20, function() return cluster.get('triggerauthentication', 'scaled-trigger-auth', apps).spec.secretTargetRef end)
    local job = cluster.list('jobs', apps)[1].metadata.name
    cluster.kubectl('label job %s -n %s app=other --overwrite', job, apps)
    eventually('the label of the Job', 20, function() return cluster.get('job', job, apps).metadata.labels.app == 'job' end)
    for i = 3, 4 do -- the second time is another count of the same Event
      patch('stateful', ('{"spec":{"replicas":%d}}'):format(i), 'statefulset')
      eventually('two again', 20, function() return cluster.get('statefulset', 'stateful', apps).spec.replicas == 2 end)
    end
    patch('scaled', '{"spec":{"scaling":{"enabled":false}}}')
    gone('scaledobject', 'scaled')
    gone('triggerauthentication', 'scaled-trigger-auth')
    unhurt()
  end)

  it('are enough for policies to be edited', function()
    cluster.kubectl([[patch configmap asya-operator-policies-extra -n %s --type=merge -p '{"data":{"none.lua":"return ((("}}']], own)
    eventually('it is refused', 20, function()
      local map = cluster.get('configmap', 'asya-operator-policies-extra', own)
      local said = (map.metadata.annotations or {})['asya.sh/policies-state']
      return said and said:find('none.lua:1', 1, true), said
    end)
    assert.is_truthy(cluster.get('configmap', 'asya-operator-policies-live', own))
    unhurt()
  end)

  --- Makes an object look as if the Go operator had made it, so that its fields have to be claimed.
  local function as_by_go(kind, name)
    local child = json.decode(cluster.kubectl('get %s %s -n %s -o json --show-managed-fields', kind, name, apps))
    for _, entry in ipairs(child.metadata.managedFields) do
      if not entry.subresource then entry.manager, entry.operation = 'manager', 'Update' end
    end
    cluster.kubectl('replace --field-manager=manager -f %s', cluster.write(cluster.temp 'older.json', json.encode(child)))
  end

  it('are enough to take over what the Go operator made, of each kind', function()
    operator.stop()
    local job = cluster.list('jobs', apps)[1].metadata.name
    for kind, name in pairs {
      deployment = 'plain', statefulset = 'stateful', scaledjob = 'jobs', scaledobject = 'aws', triggerauthentication = 'aws-trigger-auth',
      serviceaccount = 'asya-aws', job = job,
    } do as_by_go(kind, name) end
    cluster.kubectl('label job %s -n %s app=other --overwrite', job, apps)
    patch('asya-aws', '{"metadata":{"annotations":{"eks.amazonaws.com/role-arn":"other"}}}', 'serviceaccount')
    patch('aws-trigger-auth', '{"spec":{"podIdentity":{"provider":"none"}}}', 'triggerauthentication')
    operator = run()
    patch('plain', '{"spec":{"workload":{"replicas":3}}}')
    patch('stateful', '{"spec":{"workload":{"replicas":3}}}')
    patch('jobs', '{"spec":{"scaling":{"maxReplicas":8}}}')
    patch('aws', '{"spec":{"scaling":{"maxReplicas":8}}}')
    eventually('three', 30, function() return cluster.get('deployment', 'plain', apps).spec.replicas == 3 end)
    eventually('three of the set', 30, function() return cluster.get('statefulset', 'stateful', apps).spec.replicas == 3 end)
    eventually('the ScaledJob', 30, function() return cluster.get('scaledjob', 'jobs', apps).spec.maxReplicaCount == 8 end)
    eventually('the scaler', 30, function() return cluster.get('scaledobject', 'aws', apps).spec.maxReplicaCount == 8 end)
    eventually('the authentication', 30, function()
      return cluster.get('triggerauthentication', 'aws-trigger-auth', apps).spec.podIdentity.provider ~= 'none'
    end)
    eventually('the role', 30, function()
      return cluster.get('serviceaccount', 'asya-aws', apps).metadata.annotations['eks.amazonaws.com/role-arn'] == ROLE
    end)
    eventually('the label of the Job', 30, function() return cluster.get('job', job, apps).metadata.labels.app == 'job' end)
    unhurt()
  end)

  it('are enough to let go', function()
    cluster.kubectl('delete asyncactors --all -n %s --timeout=60s', apps)
    for _, kind in ipairs { 'deployments', 'statefulsets', 'scaledjobs', 'scaledobjects', 'jobs' } do
      eventually(kind .. ' go', 60, function() return #cluster.list(kind, apps) == 0 end)
    end
    unhurt()
  end)

  it('are none too many', function()
    operator.stop()
    local used, watched, unused = {}, {}, {}
    local all = json.decode(cluster.sh('spec/bed/bed requests %s --user system:serviceaccount:%s:asya-operator --since-byte %d -o json',
      cluster.bed_dir, own, mark))
    for _, each in ipairs(all.requests) do
      assert.not_equal(403, each.code, each.verb .. ' ' .. each.resource)
      if each.code < 400 then used[each.verb .. ' ' .. each.resource] = true end
      if each.verb == 'watch' then watched['list ' .. each.resource] = true end
    end
    -- servers without streaming lists are asked for the list before the watch
    for right in pairs(watched) do used[right] = true end
    for _, role in ipairs { cluster.get('clusterrole', 'asya-operator-manager-role'), cluster.get('role', 'asya-operator-lease', own),
      cluster.get('clusterrole', ('asya-operator-%s-namespaces'):format(own)) } do
      for _, rule in ipairs(role.rules) do
        for _, resource in ipairs(rule.resources) do
          local name, sub = resource:match '^([^/]+)(/?.*)$'
          local group = rule.apiGroups[1] ~= '' and '.' .. rule.apiGroups[1] or ''
          for _, verb in ipairs(rule.verbs) do
            local right = ('%s %s%s%s'):format(verb, name, group, sub)
            if not used[right] then unused[#unused + 1] = right end
          end
        end
      end
    end
    assert.same({ 'update asyncactors.asya.sh/finalizers' }, unused) -- it is asked for by admission, not by a request: see below
  end)

  it('hold the one that owner references take', function()
    local rules = cluster.get('clusterrole', 'asya-operator-manager-role').rules
    local fewer = json.array {}
    for _, rule in ipairs(rules) do
      if rule.resources[1] ~= 'asyncactors/finalizers' then fewer[#fewer + 1] = rule end
    end
    assert.equal(#rules - 1, #fewer)
    cluster.kubectl('patch clusterrole asya-operator-manager-role --type=merge -p %s', cluster.quote(json.encode { rules = fewer }))
    operator = run()
    cluster.apply(cluster.actor('ownerless', apps))
    eventually('the server says why not', 20, function() return operator.log():find('blockOwnerDeletion', 1, true) end)
    assert.is_nil(cluster.get('deployment', 'ownerless', apps))
    cluster.kubectl('patch clusterrole asya-operator-manager-role --type=merge -p %s', cluster.quote(json.encode { rules = rules }))
    eventually('it comes', 60, function() return cluster.get('deployment', 'ownerless', apps) end)
    cluster.kubectl('delete asyncactor ownerless -n %s --timeout=30s', apps)
  end)

  it('do not reach what is not ours', function()
    local config = cluster.account('asya-operator', own)
    local function may(what, ...) return (cluster.sh('kubectl --kubeconfig %s auth can-i ' .. what, config, ...)):match '%S+' == 'yes' end
    assert.is_true(may('patch configmap/asya-runtime -n %s', apps))
    assert.is_true(may('get secret/rabbitmq-secret -n %s', apps))
    for _, what in ipairs { 'patch configmap/other', 'get configmap/other', 'delete configmap/asya-runtime', 'list secrets', 'delete pods',
      'update asyncactors', 'create asyncactors', 'delete asyncactors', 'get lease/asya-operator.asya.sh' } do
      assert.is_false(may('%s -n %s', what, apps), what)
    end
    assert.is_false(may('update lease/other -n %s', own))
    assert.is_false(may 'create clusterroles')
  end)
end)
