--- removal: what an actor no longer says, its children no longer have: they are those of an actor that never said it.
local children = require 'children'
local cluster = require 'cluster'
local json = require 'json'
local k8s = require 'k8s'

local TRANSPORTS = [[{"transports":{"rabbitmq":{"enabled":true,"type":"rabbitmq","config":{"host":"h","username":"guest",
"passwordSecretRef":{"name":"s","key":"k"}}},"sqs":{"enabled":true,"type":"sqs","config":{"region":"us-east-1","accountId":"123456789012"}}}}]]
local PAIRS, EMPTIED = 60, 24 -- how many, drawn at random

local function list(...) return json.array { ... } end

local function container(name)
  return {
    name = name, image = 'example/' .. name .. ':1', args = list('-v'), workingDir = '/srv', imagePullPolicy = 'Always', tty = true, stdin = true,
    terminationMessagePath = '/tmp/said', terminationMessagePolicy = 'FallbackToLogsOnError',
    env = list({ name = 'A', value = 'a' }, { name = 'B', valueFrom = { fieldRef = { fieldPath = 'metadata.name' } } },
      { name = 'C', valueFrom = { secretKeyRef = { name = 's', key = 'k', optional = true } } }, { name = 'D', value = '' }),
    envFrom = list({ configMapRef = { name = 'c', optional = true } }, { prefix = 'P_', secretRef = { name = 's', optional = true } }),
    ports = list({ name = 'http', containerPort = 8080 }, { name = 'dns', containerPort = 8080, protocol = 'UDP' }),
    resources = { limits = { cpu = '1', memory = '64Mi' }, requests = { cpu = '10m', memory = '16Mi' } },
    livenessProbe = { httpGet = { path = '/', port = 'http', httpHeaders = list { name = 'X', value = 'x' } }, periodSeconds = 7, timeoutSeconds = 2 },
    readinessProbe = { tcpSocket = { port = 8080 }, failureThreshold = 9, initialDelaySeconds = 1 },
    startupProbe = { exec = { command = list('true') }, periodSeconds = 3 },
    lifecycle = { preStop = { exec = { command = list('sleep', '1') } } },
    securityContext = { runAsUser = 1000, readOnlyRootFilesystem = true, capabilities = { drop = list('ALL'), add = list('NET_ADMIN') } },
    volumeMounts = list({ name = 'data', mountPath = '/data', readOnly = true }, { name = 'data', mountPath = '/more', subPath = 'm' }),
  }
end

local function template()
  return {
    metadata = { labels = { team = 'ml', tier = 'gold' }, annotations = { note = 'n', other = 'o' } },
    spec = {
      containers = list(container 'asya-runtime', { name = 'helper', image = 'example/helper:1', env = list { name = 'H', value = 'h' } }),
      initContainers = list({ name = 'prepare', image = 'example/prepare:1', args = list('a', 'b') }, { name = 'second', image = 'example/prepare:1' }),
      volumes = list({ name = 'data', emptyDir = { sizeLimit = '1Gi', medium = 'Memory' } },
        { name = 'config', configMap = { name = 'c', optional = true, items = list { key = 'k', path = 'p' } } }),
      nodeSelector = { disk = 'ssd', zone = 'a' }, tolerations = list({ key = 'gpu', operator = 'Exists', effect = 'NoSchedule' }, { operator = 'Exists' }),
      affinity = { podAntiAffinity = { preferredDuringSchedulingIgnoredDuringExecution = list {
        weight = 5, podAffinityTerm = { topologyKey = 'host', labelSelector = { matchLabels = { a = 'b' } } } } },
        nodeAffinity = { requiredDuringSchedulingIgnoredDuringExecution = { nodeSelectorTerms = list {
          matchExpressions = list { key = 'arch', operator = 'In', values = list('arm64', 'amd64') } } } } },
      topologySpreadConstraints = list { maxSkew = 1, topologyKey = 'zone', whenUnsatisfiable = 'ScheduleAnyway',
        labelSelector = { matchLabels = { a = 'b' } } },
      securityContext = { runAsNonRoot = true, fsGroup = 2000, supplementalGroups = list(5, 6) }, serviceAccountName = 'mine',
      imagePullSecrets = list({ name = 'p' }, { name = 'q' }), hostAliases = list({ ip = '10.0.0.1', hostnames = list('a', 'b') }),
      dnsConfig = { options = list({ name = 'ndots', value = '2' }), searches = list('x.y') }, dnsPolicy = 'Default', schedulerName = 'other',
      priorityClassName = 'system-node-critical', shareProcessNamespace = true, hostname = 'me', subdomain = 'us', enableServiceLinks = false,
      automountServiceAccountToken = false, activeDeadlineSeconds = nil, preemptionPolicy = 'PreemptLowerPriority',
    },
  }
end

--- An actor that says all that one may say.
local function rich(kind, scaled)
  local workload = { kind = kind, pythonExecutable = '/opt/python', template = template(), replicas = 0 }
  if kind == 'StatefulSet' then workload.podManagementPolicy, workload.serviceName = 'Parallel', 'peers' end
  return {
    apiVersion = 'asya.sh/v1alpha1', kind = 'AsyncActor',
    metadata = { labels = { a = 'b' }, annotations = { ['autoscaling.keda.sh/paused-replicas'] = '0', mine = 'm' } },
    spec = {
      transport = 'rabbitmq', workload = workload, timeout = { processing = 77, gracefulShutdown = 7 },
      sidecar = {
        image = 'other/sidecar:2', imagePullPolicy = 'Always', resources = { limits = { cpu = '1', memory = '1Gi' }, requests = { cpu = '1m' } },
        env = list({ name = 'S', value = 's' }, { name = 'ASYA_LOG_LEVEL', value = 'debug' },
          { name = 'T', valueFrom = { fieldRef = { fieldPath = 'metadata.name' } } }),
      },
      scaling = {
        enabled = scaled, minReplicas = 1, maxReplicas = 9, pollingInterval = 3, cooldownPeriod = 33, queueLength = 4,
        advanced = { formula = 'queue * 2', target = '3', activationTarget = '1', metricType = 'AverageValue', restoreToOriginalReplicaCount = true },
      },
    },
  }
end

-- ---- edits ----

-- Without these it is no actor, or another workload, which is another story.
local REQUIRED = { ['spec.transport'] = true, ['spec.workload'] = true, ['spec.workload.kind'] = true, ['spec.workload.template'] = true,
  ['spec.workload.template.spec'] = true, ['spec.workload.template.spec.containers'] = true, ['spec.workload.template.spec.containers.1'] = true,
  ['spec.workload.podManagementPolicy'] = true, ['spec.workload.serviceName'] = true }

-- Members that Kubernetes wants in whatever holds them.
local NEEDED = {}
for name in ('name image mountPath containerPort port topologyKey maxSkew whenUnsatisfiable ip weight fieldPath podAffinityTerm '
  .. 'nodeSelectorTerms values path httpGet tcpSocket exec emptyDir configMap preStop command'):gmatch '%S+' do NEEDED[name] = true end

--- Every place inside a value, as lists of keys in order.
local function places(value, prefix, out)
  local keys = {}
  for key in pairs(value) do keys[#keys + 1] = key end
  table.sort(keys, function(a, b) return tostring(a) < tostring(b) end)
  for _, key in ipairs(keys) do
    local place = table.move(prefix, 1, #prefix, 1, {})
    place[#place + 1] = key
    if not REQUIRED[table.concat(place, '.')] and not NEEDED[key] then out[#out + 1] = place end
    if type(value[key]) == 'table' then places(value[key], place, out) end
  end
  return out
end

local function at(value, place)
  for i = 1, #place - 1 do value = type(value) == 'table' and value[place[i]] end
  return type(value) == 'table' and value or nil, place[#place]
end

--- Takes the later places of a list first, so that the earlier ones stay what they are.
local function without(actor, first, second)
  actor = k8s.copy(actor)
  local order = { first, second }
  if second and table.concat(first, '.') < table.concat(second, '.') then order = { second, first } end
  for _, place in ipairs(order) do
    local parent, key = at(actor, place)
    if parent and json.is_array(parent) then table.remove(parent, key)
    elseif parent then parent[key] = nil end
  end
  return actor
end

local function emptied(actor, place)
  actor = k8s.copy(actor)
  local parent, key = at(actor, place)
  parent[key] = json.is_array(parent[key]) and json.array {} or {}
  return actor
end

--- What is edited: { before, after, what } for each.
local function edits()
  local all = {}
  math.randomseed(20261126)
  for _, base in ipairs { rich('Deployment', true), rich('Deployment', false), rich('StatefulSet', true), rich('Job', true) } do
    local found, objects = {}, {}
    places(base.metadata, { 'metadata' }, found)
    places(base.spec, { 'spec' }, found)
    for _, place in ipairs(found) do
      local parent, key = at(base, place)
      if type(parent[key]) == 'table' then objects[#objects + 1] = place end
    end
    -- one at a time all of them once, with the kind that has most to say about them; the other kinds a share
    local function add(what, after) all[#all + 1] = { before = base, after = after, what = what } end
    local first = #all == 0
    for i, place in ipairs(found) do
      if first or i % 12 == 0 then add('- ' .. table.concat(place, '.'), without(base, place)) end
    end
    for _ = 1, PAIRS // 4 do
      local a, b = found[math.random(#found)], found[math.random(#found)]
      add(('- %s - %s'):format(table.concat(a, '.'), table.concat(b, '.')), without(base, a, b))
    end
    for _ = 1, EMPTIED // 4 do
      local place = objects[math.random(#objects)]
      if #place > 1 then add('{} ' .. table.concat(place, '.'), emptied(base, place)) end
    end
  end
  return all
end

-- ---- the cluster ----

--- kubectl VERB of all of them, several at a time; the API server refuses what is no actor.
local function send(verb, items)
  local folder = cluster.folder 'removal'
  for first = 1, #items, 20 do
    local documents = {}
    for i = first, math.min(first + 19, #items) do documents[#documents + 1] = json.encode(items[i]) end
    cluster.write(('%s/%04d.yaml'):format(folder, first), table.concat(documents, '\n---\n'))
  end
  cluster.sh('ls %s/*.yaml | xargs -P 6 -n 1 kubectl %s -f', folder, verb)
end

local function named(actor, i, namespace)
  actor = k8s.copy(actor)
  actor.metadata.name, actor.metadata.namespace = ('removal-%04d'):format(i), namespace
  return actor
end

--- Why the actor is not carried out, or nil.
local function refusal(actor)
  for _, kind in ipairs { 'WorkloadReady', 'ScalingReady' } do
    local c = cluster.condition(actor, kind)
    if c and c.status == 'False' and (c.reason:find 'Error$' or c.reason == 'ImmutableField') then return c.message end
  end
end

--- Waits until the latest generation of every actor is carried out, or found to be impossible; of those in `only`, if given.
-- Returns by name which are, and why the others are not.
local function settled(namespace, only)
  local done, refused
  cluster.eventually('all actors of ' .. namespace .. ' are carried out', 600, function()
    done, refused = {}, {}
    for _, actor in ipairs(cluster.list('asyncactors', namespace)) do
      local name = actor.metadata.name
      refused[name] = refusal(actor)
      done[name] = not refused[name] and actor.status and actor.status.observedGeneration == actor.metadata.generation
      if not done[name] and not refused[name] and (not only or only[name]) then return false, name end
    end
    return true
  end)
  return done, refused
end

describe('what an actor no longer says', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run histories'
    return
  end
  after_each(cluster.stop_all)

  it('its children no longer have', function()
    local started = os.time()
    local all = edits()
    local edited, fresh = cluster.namespace 'edited', cluster.namespace 'fresh'
    local before, after, reference = {}, {}, {}
    for i, edit in ipairs(all) do
      before[i], after[i], reference[i] = named(edit.before, i, edited), named(edit.after, i, edited), named(edit.after, i, fresh)
    end
    cluster.operator { transports = TRANSPORTS, binary = cluster.build .. '/asya-operator' }
    send('create', before)
    send('create', reference)
    settled(edited)
    local possible = settled(fresh)
    send('replace', after)
    local _, refused = settled(edited, possible)
    local ours, theirs, wrong, compared = children.of(edited), children.of(fresh), {}, 0
    for i, edit in ipairs(all) do
      local name = after[i].metadata.name
      if possible[name] then
        compared = compared + 1
        local found = refused[name] or children.difference(ours[name] or {}, theirs[name] or {}, '')
        if found then wrong[#wrong + 1] = ('%s (%s): %s'):format(edit.what, edit.before.spec.workload.kind, found) end
      end
    end
    print(('removal: %d of %d edits compared in %d s'):format(compared, #all, os.time() - started))
    cluster.sh('kubectl delete asyncactors --all -n %s --timeout=300s; kubectl delete asyncactors --all -n %s --timeout=300s', edited, fresh)
    assert.equal('', table.concat(wrong, '\n'))
    assert.is_true(compared > #all * 0.8, compared .. ' of ' .. #all)
  end)
end)
