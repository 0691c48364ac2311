--- chart: what helm makes of the chart is accepted, refused with the value's name, and enough to run.
local chart = require 'chart'
local cluster = require 'cluster'
local exposition = require 'exposition'

--- The YAML, or what helm said and false.
local function template(arguments)
  local path = cluster.temp 'template.yaml'
  local output, ok = cluster.sh('(helm template asya-operator %s --no-hooks -n asya-system %s >%s)', cluster.PACKAGE, arguments or '', path)
  return ok and cluster.read(path) or output, ok
end

local VALUES = {
  { 'defaults', '' },
  { 'SQS with a role', '--set transports.sqs.enabled=true --set transports.sqs.config.region=us-east-1'
    .. ' --set transports.sqs.config.actorRoleArn=arn:aws:iam::1:role/a --set transports.rabbitmq.enabled=false' },
  { 'the older spelling', '--set operator.transports.blue.type=rabbitmq --set operator.transports.blue.enabled=true'
    .. ' --set operator.transports.blue.config.host=h --set operator.gatewayURL=http://gw' },
  { 'two replicas', '--set replicaCount=2 --set podDisruptionBudget.enabled=true --set networkPolicy.enabled=true' },
  { 'no metrics', '--set metrics.enabled=false' },
  { 'a dashboard', '--set metrics.dashboard.enabled=true' },
  { 'a digest and names', '--set image.digest=sha256:' .. ('0a'):rep(32)
    .. ' --set fullnameOverride=op --set serviceAccount.create=false --set rbac.create=false' },
  { 'further policies', [[--set-string 'policies.extra.x\.lua=return 1' --set policyParams.scaling.scale_up_pods=20 --set policies.configMap=false]] },
  { 'pods', '--set priorityClassName=high --set nodeSelector.a=b --set-json \'tolerations=[{"key":"x"}]\' --set podLabels.x=y --set commonLabels.z=w'
    .. ' --set podAnnotations.a=b --set-json \'extraEnv=[{"name":"A","value":"b"}]\' --set-json \'imagePullSecrets=[{"name":"p"}]\'' },
  { "the README's runtime from the node", '--set runtime.source=local --set runtime.local.path=/etc/asya-runtime/asya_runtime.py'
    .. ' --set runtime.namespace=asya' },
  { "the README's runtime of a release", '--set runtime.source=github --set runtime.github.repo=deliveryhero/asya'
    .. ' --set runtime.github.version=v1.0.0 --set runtime.namespace=asya' },
  { 'a pinned release of a mirror', '--set runtime.source=github --set runtime.githubRelease=1.10 --set runtime.github.baseURL=https://ghe.example.com/'
    .. ' --set runtime.github.tokenSecretRef.name=gh --set runtime.github.caFile=/ca/ca.crt --set runtime.checksumAnnotation=true'
    .. ' --set runtime.github.checksum=' .. ('0a'):rep(32) },
  { "the older chart's runtime", '--set runtime.localPath=/runtime/asya_runtime.py --set runtime.github=null' },
  { 'a class in two namespaces', "--set operatorClass=blue --set 'watchNamespaces={default,asya-system}' --set releaseOnUninstall=true" },
  { 'SQS elsewhere, alone', '--set transports.rabbitmq.enabled=false --set transports.sqs.enabled=true --set networkPolicy.enabled=true'
    .. ' --set transports.sqs.config.endpoint=http://localstack:4566 --set-string transports.sqs.config.accountId=000000000000'
    .. ' --set transports.sqs.config.credentials.accessKeyIdSecretRef.name=aws --set transports.sqs.config.credentials.accessKeyIdSecretRef.key=id' },
  { 'transports of other names', '--set transports.events.type=rabbitmq,transports.events.enabled=true,transports.events.config.host=a'
    .. ' --set transports.bulk.type=sqs,transports.bulk.enabled=true,transports.bulk.config.region=eu-central-1 --set transports.rabbitmq=null' },
  { 'high availability', '--set replicaCount=2 --set podDisruptionBudget.enabled=true --set podDisruptionBudget.minAvailable=50%'
    .. ' --set-json \'topologySpreadConstraints=[{"maxSkew":1,"topologyKey":"kubernetes.io/hostname","whenUnsatisfiable":"ScheduleAnyway",'
    .. '"labelSelector":{"matchLabels":{"app.kubernetes.io/instance":"asya-operator"}}}]\'' },
  { 'a network for somebody', [[--set networkPolicy.enabled=true --set-json 'networkPolicy.metricsFrom=[{"namespaceSelector":{}}]']]
    .. [[ --set-json 'networkPolicy.extraEgress=[{"to":[{"ipBlock":{"cidr":"10.0.0.0/8"}}]}]' --set 'networkPolicy.apiServerPorts={8443}']] },
  { 'rights for more', [[--set-json 'rbac.extraRules=[{"apiGroups":[""],"resources":["services"],"verbs":["list"]}]' --set rbac.readSecrets=false]] },
  { 'a volume', [[--set-json 'volumes=[{"name":"v","emptyDir":{}}]' --set-json 'volumeMounts=[{"name":"v","mountPath":"/v"}]']] },
  { 'bundles', [[--set-json 'bundles=[{"name":"a","parent":"e.com/v1 A","children":["v1 ConfigMap"],"files":{"manifest.lua":"return 1"}}]']]
    .. ' --set operatorClass=blue' },
  { 'labels that are ours already', [[--set 'commonLabels.app\.kubernetes\.io/name=x' --set 'podLabels.app\.kubernetes\.io/instance=x']] },
  { 'a name of 63 characters', '--set fullnameOverride=' .. ('n'):rep(63) .. ' --set metrics.dashboard.enabled=true' },
  { 'one operator without a lease', '--set leaderElection.enabled=false' },
  { 'nothing that is optional', '--set resources=null --set sidecar.defaultResources=null --set controller.queueHealthCheckInterval='
    .. ' --set securityContext=null --set podSecurityContext=null --set transports.rabbitmq.config.passwordSecretRef.name=' },
  { "the README's staging", '--set runtime.namespace=asya-staging --set runtime.local.path=/x.py --set image.tag=dev --set image.pullPolicy=Never' },
}

local REFUSED = {
  { '--set transprots.rabbitmq.enabled=true', 'transprots' }, { '--set replicaCount=two', 'replicaCount' },
  { '--set transports.rabbitmq.enabled=false', 'no transport is enabled' },
  { '--set transports.sqs.enabled=true --set transports.sqs.config.region=', 'transports.sqs.config.region' },
  { '--set replicaCount=2 --set leaderElection.enabled=false', 'leaderElection.enabled' },
  { '--set transports.rabbitmq.config.password=p', 'passwordSecretRef' }, { '--set transports.rabbitmq.config.hots=p', 'hots' },
  { '--set logLevel=loud', 'logLevel' }, { '--set runtime.source=github', '--set runtime.github.version=v1.0.0' },
  { '--set runtime.source=gitlab', 'runtime/source' }, { '--set runtime.local.path=asya_runtime.py', 'runtime/local/path' },
  { '--set runtime.source=github --set runtime.github.version=v1 --set runtime.github.checksum=abc', 'runtime/github/checksum' },
  { '--set runtime.github.baseURL=http://x', 'runtime/github/baseURL' },
  { '--set image.pullPolicy=Often', 'pullPolicy' },
  { '--set transports.rabbitmq.config.port=no', 'port' },
  { '--set operatorClass=Blue', 'operatorClass' }, { "--set 'watchNamespaces={a_b}'", 'watchNamespaces' },
  { '--set releaseOnUninstall=true --set leaderElection.enabled=false', 'releaseOnUninstall needs leaderElection.enabled' },
}

describe('the chart', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end
  after_each(cluster.stop_all)

  for _, row in ipairs(VALUES) do
    it('is accepted by lint and by the API server: ' .. row[1], function()
      local said, clean = cluster.sh('helm lint --strict %s %s', cluster.PACKAGE, row[2])
      assert.is_true(clean, said)
      cluster.sh 'kubectl create namespace asya-system'
      local yaml, ok = template(row[2])
      assert.is_true(ok, yaml)
      local output, accepted = cluster.sh('kubectl apply --dry-run=server --validate=strict -f %s', cluster.write(cluster.temp 'chart.yaml', yaml))
      assert.is_true(accepted, output)
    end)
  end

  for _, row in ipairs(REFUSED) do
    it('refuses ' .. row[1], function()
      local output, ok = template(row[1])
      assert.is_false(ok)
      assert.is_truthy(output:find(row[2], 1, true), output)
    end)
  end

  it('gives class and namespaces to the operator, and the class to its policies', function()
    local yaml = template "--set operatorClass=1e3 --set 'watchNamespaces={a,b}' --set-string 'policies.extra.x\\.lua=return 1'"
    assert.is_truthy(yaml:find('name: ASYA_OPERATOR_CLASS%s+value: "1e3"') and yaml:find('name: ASYA_WATCH_NAMESPACES%s+value: "a,b"'), yaml)
    assert.equal(3, select(2, yaml:gsub('asya.sh/operator%-class: "1e3"', '')))
  end)

  it('lets helm test look at the policies of its own class', function()
    local class
    for _, variable in ipairs(chart.find(chart.objects '--set operatorClass=blue', 'Pod').spec.containers[1].env or {}) do
      if variable.name == 'ASYA_OPERATOR_CLASS' then class = variable.value end
    end
    assert.equal('blue', class)
  end)

  it('has an alert for a lease that nobody holds, whatever its name, and also when no pod is left to be scraped', function()
    for flags, lease in pairs { [''] = 'asya-operator.asya.sh', ['--set operatorClass=blue'] = 'asya-operator.asya.sh-blue' } do
      local yaml = template('--set metrics.prometheusRule.enabled=true ' .. flags)
      local expression = yaml:match 'alert: AsyaOperatorNoLeader%s+expr: ([^\n]*)'
      assert.equal(('absent(leader_election_master_status{name="%s"} == 1)'):format(lease), expression)
    end
  end)

  -- Which is linked with templates of Go 1.14: an action is one line, and `and` looks at all its arguments.
  it('uses nothing that Helm 3.2 lacks', function()
    for path in io.popen('ls chart/templates/*.* chart/templates/tests/*'):lines() do
      for action in cluster.read(path):gsub('{{%- /%*.-%*/', ''):gmatch '{{.-}}' do
        action = action:gsub('"[^"]*"', '""')
        for name in ('dig chunk add1f addf subf mulf divf maxf minf all any osBase osDir randInt'
          .. ' regexQuoteMeta mustFromJson fromToml toYamlPretty mustToYaml break continue'):gmatch '%w+' do
          assert.is_nil(action:find('%f[%w.$]' .. name .. '%f[^%w.]'), path .. ': ' .. action)
        end
        assert.is_nil(action:find 'kindIs "" [$.%w]+%) %(eq %$' or action:find '\n', path .. ': ' .. action)
      end
    end
  end)

  it('makes Prometheus objects when asked to', function()
    local yaml = template '--set metrics.serviceMonitor.enabled=true --set metrics.prometheusRule.enabled=true'
    assert.is_truthy(yaml:find('kind: ServiceMonitor', 1, true) and yaml:find('alert: AsyaPoliciesRejected', 1, true))
    for expression in yaml:gmatch 'expr: ([^\n]*)' do
      for _, name in ipairs(exposition.names(expression)) do
        local metric = name:gsub('_bucket$', '')
        assert.is_truthy(cluster.read('engine/serve/instruments.c'):find('"' .. metric .. '"', 1, true), metric .. ' is no metric of ours')
      end
    end
  end)

  it('has a README that is up to date', function()
    assert.equal(dofile('spec/chart_docs.lua').page(), cluster.read 'chart/README.md', 'run: lua5.4 spec/chart_docs.lua > chart/README.md')
  end)
end)
