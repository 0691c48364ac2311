--- older KEDA: beside the CRDs of each KEDA from 2.14 on, actors get all that it has, and their status names what it lacks.
local cluster = require 'cluster'
local json = require 'json'

-- The CRDs come from KEDA's Go module, and these are the sums that go.sum would have.
local RELEASES = {
  { '2.14', 'v2.14.1', 'h1:8HShe/6GPo2h1BQ/vkW4k874wHAnkzE7aLbk04rH0u4=' },
  { '2.15', 'v2.15.1', 'h1:Kb3woYuCeCPICH037vTIcUopXgOYpdP2qa+CmHgV3SE=' },
  { '2.16', 'v2.16.1', 'h1:LfYsxfSX8DjetLW8q9qnriImH936POrQJvE+caRoScI=' },
  { '2.17', 'v2.17.2', 'h1:xlrcK5TKABJF9PebK79sgL07s/csGjL3H4m72OkZXxk=' },
  { '2.18', 'v2.18.3', 'h1:PY3o80tzBAzCffS8J6eBZctT4B+g/r26zErNSMleC50=' },
  { '2.19', 'v2.19.0', 'h1:IP3iMTwr9HkaAwPtLnhngPv74LghMf7ubLrsGLQo52M=' },
  { '2.20', 'v2.20.0', 'h1:nPKQL9iKsPpoyq7BftlBzJiQzb2LdKHiqBIEG6ju3bk=' },
}

-- What came after 2.14, and with which release.
local BEHAVIOR, TOLERANCE, MODIFIERS, EXTERNAL_ID = '2.17', '2.18', '2.20', '2.20'

local TRANSPORTS = json.encode { transports = {
  rabbitmq = { enabled = true, config = { host = '127.0.0.1' } },
  sqs = { enabled = true, config = {
    region = 'us-east-1', scalerRoleArn = 'arn:aws:iam::210987654321:role/count', scalerExternalId = 'asya', queues = { autoCreate = false },
  } },
} }

local WITH_ALL = [[
  scaling:
    enabled: true
    minReplicas: 2
    idleReplicas: 0
    initialCooldownPeriod: 5
    fallback: {failureThreshold: 3, replicas: 2, behavior: currentReplicas}
    additionalTriggers: [{name: office, type: cron, metadata: {timezone: UTC, start: "0 8 * * *", end: "0 9 * * *", desiredReplicas: "2"}}]
    advanced:
      formula: queue + office
      target: "2"
      horizontalPodAutoscalerConfig: {name: mine, behavior: {scaleUp: {tolerance: 100m}, scaleDown: {stabilizationWindowSeconds: 5, tolerance: 0}}}]]
local WITH_MODIFIERS = [[
  scaling:
    enabled: true
    fallback: {failureThreshold: 3, replicas: 2, behavior: scalingModifiers}
    advanced: {formula: queue, target: "2"}]]
local WITH_JOBS = [[
  scaling:
    enabled: true
    successfulJobsHistoryLimit: 1
    failedJobsHistoryLimit: 2
    scalingStrategy: {strategy: default, pendingPodConditions: [Ready], multipleScalersCalculation: sum}]]

local function has(version, since) return tonumber(version:match '%d+$') >= tonumber(since:match '%d+$') end

--- The folder with what makes the CRDs of a release: `bases`, and patches over them, without which ScaledJobs have no labels for their pods.
local function download(release)
  local told, ok = cluster.sh('cd / && GOFLAGS= GOWORK=off go mod download -json github.com/kedacore/keda/v2@%s', release[2])
  assert(ok, told)
  local it = json.decode(told)
  assert.equal(release[3], it.Sum, 'the sum of KEDA ' .. release[2])
  return it.Dir .. '/config/crd'
end

--- What the server says that it knows of what came later.
local function known()
  local schemas = json.decode(cluster.kubectl 'get --raw /openapi/v3/apis/keda.sh/v1alpha1').components.schemas
  local scaler, auth = schemas['sh.keda.v1alpha1.ScaledObject'], schemas['sh.keda.v1alpha1.TriggerAuthentication']
  local spec = scaler.properties.spec.properties
  local behavior = spec.fallback.properties.behavior
  local rules = spec.advanced.properties.horizontalPodAutoscalerConfig.properties.behavior.properties.scaleUp.properties
  return {
    behavior = behavior ~= nil, modifiers = json.encode(behavior or {}):find('scalingModifiers', 1, true) ~= nil, tolerance = rules.tolerance ~= nil,
    external_id = auth.properties.spec.properties.podIdentity.properties.externalID ~= nil,
  }
end

--- Installs the CRDs of a release. @param as_bed bool? without the patches, as `bed up` does
local function install(release, as_bed)
  local version, folder = release[1], download(release)
  local source = as_bed and 'cat %s/bases/*.yaml' or 'kubectl kustomize %s'
  local text, ok = cluster.sh(source .. ' | kubectl apply --server-side --force-conflicts -f -', folder)
  assert(ok, text)
  local wanted = json.encode { behavior = has(version, BEHAVIOR), modifiers = has(version, MODIFIERS), tolerance = has(version, TOLERANCE),
    external_id = has(version, EXTERNAL_ID) }
  cluster.eventually('the schemas of KEDA ' .. version, 30, function()
    local is = json.encode(known())
    return is == wanted, is
  end)
end

describe('beside an older KEDA', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end
  local newest = { '2.21', cluster.read('spec/bed/modules/keda/go.mod'):match 'keda/v2 (v%S+)' }
  newest[3] = cluster.read('spec/bed/modules/keda/go.sum'):match('keda/v2 ' .. newest[2]:gsub('%p', '%%%0') .. ' (h1:%S+)')

  before_each(cluster.clear)
  after_each(cluster.stop_all)
  teardown(function() install(newest, true) end)

  local function operator(args)
    return cluster.operator { transports = TRANSPORTS, args = args }
  end

  local function apply(ns)
    local abroad = cluster.actor('abroad', ns, '  scaling: {enabled: true}'):gsub('transport: rabbitmq', 'transport: sqs')
    local jobs = cluster.actor('jobs', ns, WITH_JOBS):gsub('  workload:\n', '  workload:\n    kind: Job\n')
    cluster.apply(table.concat({ cluster.actor('all', ns, WITH_ALL), cluster.actor('modifiers', ns, WITH_MODIFIERS), jobs, abroad }, '\n---\n'))
  end

  --- What the status of an actor says of scaling, once its scaler is there.
  local function scaling(name, ns)
    return cluster.eventually(name .. ' has a status', 20, function()
      local it = cluster.get('asyncactor', name, ns)
      local condition = it.status and it.status.observedGeneration and cluster.condition(it, 'ScalingReady')
      return condition and condition.reason ~= 'ScalerMissing' and condition, json.encode(it.status or {})
    end)
  end

  local function assert_lacks(condition, ...)
    assert.same({ 'False', 'KedaTooOld' }, { condition.status, condition.reason }, condition.message)
    for _, text in ipairs { ... } do assert.is_truthy(condition.message:find(text, 1, true), condition.message) end
  end

  local function assert_lacks_nothing(condition) assert.equal('ScalerPending', condition.reason, condition.message) end

  local function judge(version, ns)
    local all = scaling('all', ns)
    if has(version, TOLERANCE) then
      assert_lacks_nothing(all)
    elseif has(version, BEHAVIOR) then
      assert_lacks(all, 'behavior.scaleUp.tolerance: it needs KEDA 2.18', 'behavior.scaleDown.tolerance: it needs KEDA 2.18')
    else
      assert_lacks(all, 'spec.scaling.fallback.behavior: it needs KEDA 2.17', 'behavior.scaleUp.tolerance: it needs KEDA 2.18')
    end
    local modifiers, abroad = scaling('modifiers', ns), scaling('abroad', ns)
    if has(version, MODIFIERS) then
      assert_lacks_nothing(modifiers)
      assert_lacks_nothing(abroad)
    else
      assert_lacks(modifiers, "spec.scaling.fallback.behavior: 'scalingModifiers' needs KEDA 2.20")
      assert_lacks(abroad, 'spec.transport: scalerExternalId needs KEDA 2.20')
    end
    assert_lacks_nothing(scaling('jobs', ns))
  end

  --- All that the release has is there, and nothing else is missing.
  local function look(version, ns)
    local spec = cluster.get('scaledobject', 'all', ns).spec
    assert.same({ failureThreshold = 3, replicas = 2, behavior = has(version, BEHAVIOR) and 'currentReplicas' or nil }, spec.fallback)
    assert.same({ 0, 2, 5, 'office', 'queue + office' }, { spec.idleReplicaCount, spec.minReplicaCount, spec.initialCooldownPeriod, spec.triggers[2].name,
      spec.advanced.scalingModifiers.formula })
    local hpa = spec.advanced.horizontalPodAutoscalerConfig
    assert.same({ 'mine', 5 }, { hpa.name, hpa.behavior.scaleDown.stabilizationWindowSeconds })
    assert.equal(has(version, TOLERANCE) and '100m' or nil, hpa.behavior.scaleUp.tolerance)
    assert.same({ provider = 'aws', identityOwner = 'keda', roleArn = 'arn:aws:iam::210987654321:role/count',
      externalID = has(version, EXTERNAL_ID) and 'asya' or nil }, cluster.get('triggerauthentication', 'abroad-trigger-auth', ns).spec.podIdentity)
    local jobs = cluster.get('scaledjob', 'jobs', ns).spec
    assert.same({ 1, 2 }, { jobs.successfulJobsHistoryLimit, jobs.failedJobsHistoryLimit })
    assert.same({ pendingPodConditions = { 'Ready' }, multipleScalersCalculation = 'sum' }, jobs.scalingStrategy)
  end

  for _, release in ipairs(RELEASES) do
    it(release[1] .. ' an actor has what its CRDs know, and its status names the rest', function()
      install(release)
      local ns = cluster.namespace 'older'
      operator()
      apply(ns)
      judge(release[1], ns)
      look(release[1], ns)
    end)
  end

  it('what was left out follows as soon as KEDA is upgraded', function()
    install(RELEASES[1])
    local ns = cluster.namespace 'upgraded'
    local config = cluster.temp '.yaml'
    cluster.write(config, 'params: {status: {upgrade_seconds: 1}}\n')
    operator('--config ' .. config)
    apply(ns)
    judge('2.14', ns)
    install(newest)
    cluster.eventually('the scaler has all', 60, function()
      return (cluster.get('scaledobject', 'all', ns).spec.fallback or {}).behavior == 'currentReplicas'
    end)
    cluster.eventually('nobody complains', 20, function()
      for _, it in ipairs(cluster.list('asyncactors', ns)) do
        if cluster.condition(it, 'ScalingReady').reason == 'KedaTooOld' then return false, it.metadata.name end
      end
      return true
    end)
    judge(newest[1], ns)
    look(newest[1], ns)
  end)
end)
