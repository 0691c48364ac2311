--- chart_values: each value does what it says, in every spelling; what cannot work is refused with the path and the fix.
local chart = require 'chart'
local cluster = require 'cluster'
local json = require 'json'
local yaml = require 'asya.yaml'

-- Arguments of --set, then what the message must hold.
local REFUSED = {
  -- unknown keys, with their path
  { 'foo=1', "additional properties 'foo'" },
  { 'image.tagg=x', '/image', "'tagg'" },
  { 'transports.rabbitmq.conf.host=x', '/transports/rabbitmq', "'conf'" },
  { 'transports.rabbitmq.config.hots=x', '/transports/rabbitmq/config', "'hots'" },
  { 'operator.transports.sqs.config.regoin=x', '/operator/transports/sqs/config', "'regoin'" },
  { 'transports.sqs.config.queues.dlq.enable=true', '/transports/sqs/config/queues/dlq', "'enable'" },
  { 'transports.events.type=sqs,transports.events.config.host=x', '/transports/events/config', "'host'" },
  { 'metrics.serviceMonitor.enable=true', '/metrics/serviceMonitor', "'enable'" },
  { 'policyParams.scaling.perod=1', '/policyParams/scaling', "'perod'" },
  { 'policies.rollout.maxRestart=1', '/policies/rollout', "'maxRestart'" },
  { 'policies.record.limit=64Mi', '/policies/record', "'limit'" },
  { 'sidecar.tag=', '/sidecar/tag', '--set sidecar.image=IMAGE:TAG' }, -- which the chart of 0.4 has
  -- wrong types and values
  { 'replicaCount=two', '/replicaCount', 'got string, want integer' },
  { 'replicaCount=-1', '/replicaCount', 'minimum' },
  { 'image.tag=5', '/image/tag', 'got number, want string' },
  { 'image.digest=latest', '/image/digest', 'sha256' },
  { 'transports.rabbitmq.config.port=amqp', '/transports/rabbitmq/config/port', 'want integer' },
  { 'transports.rabbitmq.config.username=5', '/transports/rabbitmq/config/username', 'want string' },
  { 'transports.sqs.config.accountId=123456789012', '/transports/sqs/config/accountId', 'got number, want string' },
  { 'transports.sqs.config.tags.cost=1234', '/transports/sqs/config/tags/cost', 'want string' },
  { 'transports.rabbitmq.enabled=yes', '/transports/rabbitmq/enabled', 'want boolean' },
  { 'transports.k.type=kafka', '/transports/k/type', "'rabbitmq', 'sqs'" },
  { 'transports.k.enabled=true', '/transports/k', "missing property 'type'" },
  { 'transports.rabbitmq.type=sqs', '/transports/rabbitmq/type', "'rabbitmq'" },
  { 'logLevel=verbose', '/logLevel', 'debug' },
  { 'controller.queueHealthCheckInterval=often', '/controller/queueHealthCheckInterval' },
  { 'controller.maxConcurrentReconciles=0', '/controller/maxConcurrentReconciles' },
  { 'health.port=99999', '/health/port' },
  { 'podAnnotations.a=true', '/podAnnotations/a', 'want string' },
  { 'gatewayURL=gateway', '/gatewayURL' },
  { 'podDisruptionBudget.minAvailable=some', '/podDisruptionBudget/minAvailable' },
  { 'policies.extra.bad=x', '/policies/extra', "'bad'" },
  { 'policyParams.scaling.period=0', '/policyParams/scaling/period', 'minimum' },
  { 'policyParams.sidecar.keep_bare=no', '/policyParams/sidecar/keep_bare', 'want boolean' },
  { 'volumes[0].emptyDir.medium=Memory', '/volumes/0', 'name' },
  { 'tolerations[0].operatr=Exists', '/tolerations/0', "'operatr'" },
  { 'affinity.nodeAfinity.x=y', '/affinity', "'nodeAfinity'" },
  { 'sidecar.defaultResources.limits.cpu=banana', '/sidecar/defaultResources/limits/cpu', 'a quantity, such as 500m, 2 or 64Mi' },
  { 'resources.limits.memory=lots', '/resources/limits/memory', 'a quantity, such as 500m, 2 or 64Mi' },
  { 'runtime.namespace=Asya_Prod', '/runtime/namespace', 'the name of a namespace: a-z, 0-9 and -' },
  { 'watchNamespaces={a,a}', '/watchNamespaces' }, -- two Roles of one name
  { 'watchNamespaces={A_b}', '/watchNamespaces/0', 'the name of a namespace: a-z, 0-9 and -' },
  { 'runtime.github.version=v1.0.0', '/runtime/github/version', 'add --set runtime.source=github' },
  { 'policies.rollout.maxRestarting=some', '/policies/rollout/maxRestarting', 'a number, such as 5, or a share, such as 10%' },
  { 'policies.record.enabled=yes', '/policies/record/enabled', 'want boolean' },
  { 'policies.record.sizeLimit=lots', '/policies/record/sizeLimit', 'a size in Mi or Gi, such as 64Mi' },
  { 'policies.record.sizeLimit=0Mi', '/policies/record/sizeLimit', 'a size in Mi or Gi, such as 64Mi' },
  { 'policies.record.sizeLimit=64', '/policies/record/sizeLimit', 'want string' },
  { 'transports.k.config.host=h', '/transports/k', "missing property 'type'" },
  -- what does not go together, with the fix
  { 'transports.rabbitmq.enabled=false', 'no transport is enabled', 'set transports.rabbitmq.enabled=true or transports.sqs.enabled=true' },
  { 'transports.rabbitmq=null', 'no transport is enabled' },
  { 'operator.transports.rabbitmq.enabled=false', 'no transport is enabled' },
  { 'transports.sqs.enabled=true,transports.sqs.config.region=', 'transports.sqs.config.region is empty', '--set transports.sqs.config.region=' },
  { 'transports.rabbitmq.config.host=', 'transports.rabbitmq.config.host is empty', '--set transports.rabbitmq.config.host=' },
  { 'transports.rabbitmq.config.password=p', 'transports.rabbitmq.config.password', 'passwordSecretRef' },
  { 'replicaCount=2,leaderElection.enabled=false', 'replicaCount', 'leaderElection.enabled' },
  { 'metrics.port=8081', 'metrics.port is 8081, and so is health.port', 'another port' },
}

-- The table of the README that users know: a value that is not the default, and where it must arrive.
local function arg(text) return function(container) return (table.concat(container.args, ' ') .. ' '):find(text .. ' ', 1, true) end end
local function variable(name, value) return function(_, env) return env[name] == value end end
local function file(path, value)
  return function(_, _, config)
    for key in path:gmatch '[^.]+' do config = type(config) == 'table' and config[key] end
    return config == value
  end
end
local function object(kind, name)
  return function(_, _, _, objects)
    local found = chart.find(objects, kind, name:match '^!?(.*)$')
    if name:sub(1, 1) == '!' then return not found end
    return found
  end
end
local PROMISED = {
  { 'replicaCount=3', function(_, _, _, objects) return chart.find(objects, 'Deployment').spec.replicas == 3 end },
  { 'image.repository=r', function(container) return container.image == 'r:1.0.0' end },
  { 'image.tag=t', function(container) return container.image == 'asya-operator:t' end },
  { 'image.pullPolicy=Never', function(container) return container.imagePullPolicy == 'Never' end },
  { 'rbac.create=false', object('ClusterRole', '!asya-operator-manager-role') },
  { 'serviceAccount.create=false', object('ServiceAccount', '!asya-operator') },
  { 'serviceAccount.name=me', object('ServiceAccount', 'me') },
  { 'runtime.namespace=other', variable('ASYA_RUNTIME_NAMESPACE', 'other') },
  { 'transports.rabbitmq.enabled=false,transports.sqs.enabled=true', file('transports.rabbitmq.enabled', false) },
  { 'transports.rabbitmq.config.host=h', file('transports.rabbitmq.config.host', 'h') },
  { 'operator.transports.rabbitmq.config.host=h', file('transports.rabbitmq.config.host', 'h') },
  { 'operator.transports.rabbitmq.config.host=x,transports.rabbitmq.config.host=h', file('transports.rabbitmq.config.host', 'h') },
  { 'transports.sqs.enabled=true', file('transports.sqs.enabled', true) },
  { 'operator.transports.sqs.enabled=true', file('transports.sqs.enabled', true) },
  { 'transports.sqs.config.region=eu-west-1', file('transports.sqs.config.region', 'eu-west-1') },
  { 'transports.sqs.config.actorRoleArn=arn:x', file('transports.sqs.config.actorRoleArn', 'arn:x') },
  { 'profile=0.4', variable('ASYA_PROFILE', '0.4') },
  { 'gatewayURL=http://g', variable('ASYA_GATEWAY_URL', 'http://g') },
  { 'operator.gatewayURL=http://g', variable('ASYA_GATEWAY_URL', 'http://g') },
  { 'operator.gatewayURL=http://x,gatewayURL=http://g', variable('ASYA_GATEWAY_URL', 'http://g') },
  { 'sidecar.image=s:1', variable('ASYA_SIDECAR_IMAGE', 's:1') },
  { 'sidecar.defaultResources.limits.cpu=1', function(_, env) return json.decode(env.ASYA_SIDECAR_RESOURCES).limits.cpu == 1 end },
  { 'sidecar.defaultResources=null', variable('ASYA_SIDECAR_RESOURCES', nil) },
  { 'leaderElection.enabled=false', arg '--leader-elect=false' },
  { 'metrics.enabled=false', arg '--metrics-bind-address=0' },
  { 'metrics.enabled=false', object('Service', '!asya-operator-metrics') },
  { 'metrics.port=9090', arg '--metrics-bind-address=:9090' },
  { 'health.port=9091', arg '--health-probe-bind-address=:9091' },
  { 'logLevel=debug', arg '--log-level=debug' },
  { 'policies.record.enabled=true', arg '--record=/var/lib/asya-operator/records' },
  { 'policies.record.enabled=true,policies.record.sizeLimit=1Gi', arg '--record-limit=1Gi' },
  { 'controller.maxConcurrentReconciles=7', arg '--max-concurrent-reconciles=7' },
  { 'controller.queueHealthCheckInterval=1m', variable('ASYA_QUEUE_HEALTH_CHECK_INTERVAL', '1m') },
  { 'controller.disableQueueManagement=true', variable('ASYA_DISABLE_QUEUE_MANAGEMENT', 'true') },
  { 'policyParams.scaling.period=30', file('params.scaling.period', 30) },
  { 'nameOverride=n', object('Deployment', 'asya-operator-n') },
  { 'fullnameOverride=f', object('Deployment', 'f') },
}

describe('values of the chart', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  for _, row in ipairs(REFUSED) do
    it('are refused: ' .. row[1], function()
      local text, said = chart.text('--set ' .. cluster.quote(row[1]))
      assert.is_nil(text)
      for i = 2, #row do assert.is_truthy(said:find(row[i], 1, true), said) end
      assert.is_true(select(2, said:gsub("at '/", '')) <= 1, 'one line for one mistake: ' .. said)
    end)
  end

  for _, row in ipairs(PROMISED) do
    it('arrive: ' .. row[1], function()
      local function ask(flags)
        local objects = chart.objects(flags)
        local container = chart.find(objects, 'Deployment').spec.template.spec.containers[1]
        local env, config = {}, nil
        for _, each in ipairs(container.env) do env[each.name] = each.value end
        for _, each in ipairs(objects) do
          if each.kind == 'ConfigMap' and each.data['config.yaml'] then config = yaml.load_all(each.data['config.yaml'])[1] end
        end
        return row[2](container, env, config, objects)
      end
      assert.is_truthy(ask('--set ' .. cluster.quote(row[1])))
      assert.is_falsy(ask(''), 'so it is by default')
    end)
  end

  it('of a README of old mean what they meant', function()
    local _, env = chart.manager()
    local config = chart.config()
    assert.equal('rabbitmq.default.svc.cluster.local', config.transports.rabbitmq.config.host)
    assert.is_true(config.transports.rabbitmq.enabled)
    assert.is_false(config.transports.sqs.enabled)
    assert.equal('us-east-1', config.transports.sqs.config.region)
    assert.equal('asya', env.ASYA_RUNTIME_NAMESPACE)
    assert.same({ limits = { cpu = '500m', memory = '256Mi' }, requests = { cpu = '100m', memory = '64Mi' } }, json.decode(env.ASYA_SIDECAR_RESOURCES))
  end)

  it('lie over each other key by key, and what is empty takes away', function()
    local rabbitmq = chart.config(chart.values [[
operator: {transports: {rabbitmq: {config: {host: old, username: kept}}}}
transports: {rabbitmq: {config: {host: new, port: 5673, exchange: ""}}, sqs: null}
]]).transports
    assert.is_nil(rabbitmq.sqs)
    local config = rabbitmq.rabbitmq.config
    assert.same({ 'new', 'kept', 5673, 'rabbitmq-secret' }, { config.host, config.username, config.port, config.passwordSecretRef.name })
    assert.is_nil(config.exchange)
    assert.is_nil(chart.config('--set transports.rabbitmq.config.passwordSecretRef.name=').transports.rabbitmq.config.passwordSecretRef)
  end)

  it('that are left empty are those of the chart, or off', function()
    local flags = chart.values('policyParams:\ncommonLabels:\npodLabels:\nlogLevel:\nlogFormat:\n'
      .. 'leaderElection: {enabled: }\ncontroller: {maxConcurrentReconciles: }\n')
    local args = table.concat(chart.manager(flags).args, ' ')
    assert.equal((table.concat(chart.manager().args, ' '):gsub('elect=true', 'elect=false')), args)
    assert.same({}, chart.config(flags).params)
  end)

  it('lay nothing under an entry that names its type: actors keep the settings they were made with', function()
    local entry = { type = 'rabbitmq', enabled = true, config = { host = 'mine' } }
    assert.same(entry, chart.config(chart.values('transports: ' .. json.encode { rabbitmq = entry })).transports.rabbitmq)
  end)

  it('of an older release alone make a whole one of ours', function()
    local ours, older = chart.objects(), chart.objects('', chart.older())
    local names = {}
    for _, each in ipairs(ours) do names[each.kind .. each.metadata.name] = each end
    for _, each in ipairs(older) do
      local mine = assert(names[each.kind .. each.metadata.name], each.metadata.name)
      names[each.kind .. each.metadata.name] = nil
      assert.same(mine.rules, each.rules)
    end
    assert.same({}, names)
    local deployment = chart.find(older, 'Deployment').spec.template.spec
    assert.equal('2048Mi', deployment.containers[1].resources.limits.memory) -- theirs wins
    assert.equal('asya-operator:latest', deployment.containers[1].image)
    assert.equal(json.null, (chart.manager '--set resources=null').resources) -- but null of ours stays null
  end)

  it('of policies are those that policies have', function()
    local params = json.decode(cluster.read 'chart/values.schema.json').properties.policyParams
    local types = { string = 'string', integer = 'integer', number = 'number', boolean = 'boolean', any = 'object' }
    local wanted, found = {}, {}
    for _, policy in ipairs(require('case').bundle().all) do
      for _, row in ipairs(require('schema').describe(policy.def.params, policy.name)) do wanted[row.path] = types[row.type] end
    end
    for policy, rules in pairs(params.properties) do
      for name, rule in pairs(rules.properties) do found[policy .. '.' .. name] = rule.type end
    end
    assert.same(wanted, found, 'chart/values.schema.json, policyParams')
  end)

  it('give pods that stand the strictest security level, and names that fit', function()
    local name = ('n'):rep(63)
    local objects = chart.objects('--set fullnameOverride=' .. name .. ' --set metrics.dashboard.enabled=true --set policies.record.enabled=true')
    for _, each in ipairs(objects) do
      assert.is_true(each.kind ~= 'Service' or #each.metadata.name <= 63, each.metadata.name)
      assert.equal('Helm', each.metadata.labels['app.kubernetes.io/managed-by'])
    end
    local namespace = cluster.namespace 'strict'
    cluster.kubectl('label namespace %s pod-security.kubernetes.io/enforce=restricted', namespace)
    for _, each in ipairs(objects) do
      local pod = each.kind == 'Pod' and each.spec or each.kind == 'Deployment' and each.spec.template.spec
      if pod then
        pod.serviceAccountName = 'default'
        local metadata = { name = each.kind:lower(), namespace = namespace }
        local out, ok = cluster.apply(json.encode { apiVersion = 'v1', kind = 'Pod', metadata = metadata, spec = pod }, true, '--dry-run=server')
        assert.is_true(ok, out)
      end
    end
  end)

  it('give records a volume of that size at the place where they are written', function()
    local container, _, pod = chart.manager '--set policies.record.enabled=true --set policies.record.sizeLimit=32Mi'
    local function volume(list, name) for _, each in ipairs(list) do if each.name == name then return each end end end
    assert.same({ sizeLimit = '32Mi' }, volume(pod.volumes, 'records').emptyDir)
    assert.equal('/var/lib/asya-operator/records', volume(container.volumeMounts, 'records').mountPath)
    assert.is_true(container.securityContext.readOnlyRootFilesystem)
    local _, _, without = chart.manager()
    assert.is_nil(volume(without.volumes, 'records'))
  end)

  it('never let two operators run without a lease', function()
    assert.equal('Recreate', chart.find(chart.objects '--set leaderElection.enabled=false', 'Deployment').spec.strategy.type)
    assert.is_nil(chart.find(chart.objects(), 'Deployment').spec.strategy)
  end)

  it('open the ports of the enabled transports, and no others', function()
    local function egress(flags)
      local ports = {}
      for _, rule in ipairs(chart.find(chart.objects('--set networkPolicy.enabled=true ' .. flags), 'NetworkPolicy').spec.egress) do
        for _, port in ipairs(rule.ports) do ports[#ports + 1] = port.port end
      end
      return table.concat(ports, ' ')
    end
    assert.equal('53 53 443 6443 5672', egress '')
    assert.equal('53 53 443 6443 5671 15671', egress('--set transports.rabbitmq.config.port=5671'
      .. ' --set transports.rabbitmq.config.management.url=https://h:15671'))
    assert.equal('53 53 443 6443 443', egress '--set transports.rabbitmq.enabled=false --set transports.sqs.enabled=true')
    assert.equal('53 53 443 6443 5672 4566', egress '--set transports.sqs.enabled=true --set transports.sqs.config.endpoint=http://localstack:4566')
  end)

  it('make what an older server has', function()
    local function budget(version)
      local objects = chart.objects('--set podDisruptionBudget.enabled=true --kube-version ' .. version)
      return chart.find(objects, 'PodDisruptionBudget').apiVersion
    end
    assert.equal('policy/v1beta1', budget '1.20.5')
    assert.equal('policy/v1', budget '1.21.0-eks-1')
    assert.is_nil((chart.text '--kube-version 1.18.9'))
  end)

  it('are the same from the tree, whose links the package does not have', function()
    local said, ok = cluster.sh('helm package chart -d %s', cluster.temp 'package')
    assert.is_true(ok, said)
    local archive, folders = said:match '(%S+%.tgz)', { cluster.temp 'ours', cluster.temp 'helms' }
    for i, package in ipairs { cluster.PACKAGE, archive } do
      local folder = folders[i]
      cluster.sh('rm -rf %s; mkdir %s && tar -xmzf %s -C %s', folder, folder, package, folder)
      cluster.sh('helm show chart %s >%s/asya-operator/Chart.yaml', package, folder) -- helm writes it anew, in its own order
    end
    assert.equal('', (cluster.sh('diff -r %s %s', folders[1], folders[2])))
    assert.equal('', (cluster.sh('find %s -type l', folders[1])))
    assert.is_nil(chart.text():find('symbolic link', 1, true))
    assert.is_nil(cluster.sh('helm show values %s', cluster.PACKAGE):find('symbolic link', 1, true))
    local files = cluster.sh('tar tzf %s', cluster.PACKAGE)
    assert.is_truthy(files:find('asya-operator/crds/asyncactors.asya.sh.yaml', 1, true))
    for _, kept_out in ipairs { 'crds/examples', 'docs/', 'policies/README.md', 'policies/template' } do
      assert.is_nil(files:find(kept_out, 1, true), kept_out)
    end
  end)
end)
