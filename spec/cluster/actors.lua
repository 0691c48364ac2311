--- actors: random ones, valid and not; the same in every run.
local json = require 'json'

local M = {}

local function pick(list) return list[math.random(#list)] end
local function maybe(value, chance)
  if math.random() < (chance or 0.5) then return value end
end
local function list(count, make)
  local out = json.array {}
  for i = 1, count do out[i] = make(i) end
  return out
end

local function env(i)
  local source = pick {
    { value = pick { '', 'x', 'true', '42', 'ünï €', '$(OTHER) "q"\n' } },
    { valueFrom = { fieldRef = { fieldPath = 'metadata.name' } } },
    { valueFrom = { secretKeyRef = { name = 's', key = 'k', optional = true } } },
    { valueFrom = { configMapKeyRef = { name = 'c', key = 'k' } } },
  }
  return { name = 'V' .. i, value = source.value, valueFrom = source.valueFrom }
end

local function resources()
  return {
    limits = maybe { cpu = pick { 1, '500m', '0.5', 2 }, memory = pick { '64Mi', '1G', 134217728 } },
    requests = maybe { cpu = '10m', memory = '16Mi' },
  }
end

local function probe()
  return pick {
    { httpGet = { path = '/', port = pick { 8080, 'http' } }, periodSeconds = 5 },
    { tcpSocket = { port = 80 } },
    { exec = { command = json.array { 'true' } }, initialDelaySeconds = 1 },
  }
end

local function container(name)
  return {
    name = name, image = 'example/' .. name .. ':1', env = maybe(list(math.random(0, 4), env)), resources = maybe(resources()),
    args = maybe(json.array { '-v', 'ü' }), livenessProbe = maybe(probe(), 0.3), readinessProbe = maybe(probe(), 0.3),
    ports = maybe(json.array { { name = 'http', containerPort = 8000 + math.random(900) } }, 0.4),
    securityContext = maybe({ runAsUser = 1000, capabilities = { drop = json.array { 'ALL' } } }, 0.3),
    envFrom = maybe(json.array { { configMapRef = { name = 'c', optional = true } } }, 0.2),
    lifecycle = maybe({ preStop = { exec = { command = json.array { 'sleep', '1' } } } }, 0.2), workingDir = maybe '/srv',
    imagePullPolicy = maybe(pick { 'Always', 'Never', 'IfNotPresent' }, 0.3),
  }
end

local function pod_spec()
  local containers = json.array { container 'asya-runtime' }
  if maybe(true, 0.3) then table.insert(containers, math.random(2), container 'extra') end
  local runtime = containers[1].name == 'asya-runtime' and containers[1] or containers[2]
  local volumes = maybe(json.array {
    { name = 'data', emptyDir = { sizeLimit = '1Gi' } }, { name = 'cfg', configMap = { name = 'c', optional = true } },
  })
  runtime.volumeMounts = volumes and json.array { { name = 'data', mountPath = '/data' } }
  return {
    containers = containers, volumes = volumes,
    initContainers = maybe(json.array { { name = 'prepare', image = 'example/prepare:1', env = list(1, env) } }, 0.2),
    nodeSelector = maybe({ disk = 'ssd' }, 0.2),
    tolerations = maybe(json.array { { key = 'gpu', operator = 'Exists', effect = 'NoSchedule', tolerationSeconds = nil } }, 0.3),
    serviceAccountName = maybe('mine', 0.2), terminationGracePeriodSeconds = maybe(5, 0.2), priorityClassName = nil,
    securityContext = maybe({ runAsNonRoot = true, fsGroup = 2000, sysctls = json.array {} }, 0.3),
    topologySpreadConstraints = maybe(json.array {
      { maxSkew = 1, topologyKey = 'zone', whenUnsatisfiable = 'ScheduleAnyway', labelSelector = { matchLabels = { a = 'b' } } } }, 0.2),
    affinity = maybe({ podAntiAffinity = { preferredDuringSchedulingIgnoredDuringExecution = json.array { {
      weight = 5, podAffinityTerm = { topologyKey = 'host', labelSelector = { matchLabels = { a = 'b' } } },
    } } } }, 0.2),
    hostAliases = maybe(json.array { { ip = '10.0.0.1', hostnames = json.array { 'a' } } }, 0.1),
    dnsConfig = maybe({ options = json.array { { name = 'ndots', value = '2' } } }, 0.1),
  }
end

local function scaling()
  local min = math.random(0, 3)
  return {
    enabled = maybe(true, 0.7), minReplicas = maybe(min), maxReplicas = maybe(min + 1 + math.random(20), 0.8), pollingInterval = maybe(pick { 0, 5 }),
    cooldownPeriod = maybe(pick { 0, 30 }), queueLength = maybe(math.random(50)),
    advanced = maybe(pick {
      { restoreToOriginalReplicaCount = true }, { formula = 'queue * 2', target = '3' },
      { formula = 'queue', target = '3', activationTarget = '1', metricType = 'AverageValue' }, {},
    }, 0.4),
  }
end

--- A valid actor.
function M.valid(i)
  local kind = pick { 'Deployment', 'Deployment', 'StatefulSet', 'Job' }
  local workload = {
    kind = maybe(kind, kind == 'Deployment' and 0.5 or 1), replicas = maybe(math.random(0, 3)), pythonExecutable = maybe('/opt/py/bin/python3', 0.2),
    template = { metadata = maybe { labels = maybe { team = 'ml' }, annotations = maybe { note = 'ü "x"' } }, spec = pod_spec() },
  }
  if kind == 'StatefulSet' then
    workload.podManagementPolicy = maybe(pick { 'OrderedReady', 'Parallel' })
    workload.serviceName = maybe 'peers'
    workload.volumeClaimTemplates = maybe(json.array { { metadata = { name = 'state' },
      spec = { accessModes = json.array { 'ReadWriteOnce' }, resources = { requests = { storage = '1Gi' } } } } })
  end
  return {
    apiVersion = 'asya.sh/v1alpha1', kind = 'AsyncActor',
    metadata = {
      name = pick { 'r', 'random-actor', ('long'):rep(9) } .. i, labels = maybe { a = 'b' }, uid = nil,
      annotations = maybe({ ['autoscaling.keda.sh/paused-replicas'] = '1' }, 0.2),
    },
    spec = {
      transport = pick { 'rabbitmq', 'sqs' }, workload = workload, scaling = maybe(scaling(), 0.8),
      timeout = maybe { processing = maybe(math.random(0, 900)), gracefulShutdown = maybe(math.random(0, 90)) },
      sidecar = maybe {
        image = maybe 'other/sidecar:2', imagePullPolicy = maybe(pick { 'Always', 'Never' }), resources = maybe(resources()),
        env = maybe(list(math.random(0, 3), env)),
      },
    },
  }
end

--- Every path inside a value, as lists of keys.
local function paths(value, prefix, out)
  for key in pairs(value) do
    local path = { table.unpack(prefix) }
    path[#path + 1] = key
    out[#out + 1] = path
    if type(value[key]) == 'table' and value[key] ~= json.null then paths(value[key], path, out) end
  end
  return out
end

local function copy(value)
  if type(value) ~= 'table' or value == json.null then return value end
  local out = json.is_array(value) and json.array {} or {}
  for key, each in pairs(value) do out[key] = copy(each) end
  return out
end

local function nested(depth)
  local value = {}
  for _ = 1, depth do value = { a = value } end
  return value
end

local WRONG = { 7, 'text', true, json.null, json.array {}, json.array { 'x' }, { wrong = 'mapping' }, -1.5, '\u{202e}\u{0301}\u{10ffff}' }

local BASE = {
  apiVersion = 'asya.sh/v1alpha1', kind = 'AsyncActor',
  metadata = { labels = { a = 'b' }, annotations = { c = 'd' } },
  spec = {
    transport = 'rabbitmq', timeout = { processing = 30, gracefulShutdown = 5 },
    scaling = { enabled = true, minReplicas = 0, maxReplicas = 3, advanced = { formula = 'queue', target = '3' } },
    sidecar = { image = 's', env = json.array { { name = 'S', value = 's' } }, resources = { limits = { cpu = 1 } } },
    workload = {
      kind = 'Deployment', replicas = 1, pythonExecutable = 'python3',
      template = {
        metadata = { labels = { l = 'x' }, annotations = { n = 'x' } },
        spec = {
          containers = json.array { {
            name = 'asya-runtime', image = 'i', args = json.array { 'a' }, env = json.array { { name = 'E', value = 'e' } },
            volumeMounts = json.array { { name = 'v', mountPath = '/v' } }, ports = json.array { { containerPort = 80 } },
            resources = { limits = { memory = '1Gi' } }, livenessProbe = { exec = { command = json.array { 'x' } } },
          } },
          volumes = json.array { { name = 'v', emptyDir = {} } }, tolerations = json.array { { key = 'k', operator = 'Exists' } },
          nodeSelector = { n = 's' }, serviceAccountName = 'sa', initContainers = json.array { { name = 'i', image = 'i' } },
          imagePullSecrets = json.array { { name = 'p' } }, terminationGracePeriodSeconds = 3,
        },
      },
    },
  },
}

--- Wrong actors: each place of a full one holding each kind of wrong value, and what is too large, too deep or too strange.
function M.wrong()
  local out = {}
  local function add(change)
    local actor = copy(BASE)
    change(actor)
    actor.metadata.name = ('wrong-%04d'):format(#out + 1)
    out[#out + 1] = actor
  end
  for _, path in ipairs(paths(BASE.spec, {}, {})) do
    for _, value in ipairs(WRONG) do
      add(function(actor)
        local at = actor.spec
        for i = 1, #path - 1 do at = at[path[i]] end
        at[path[#path]] = copy(value)
      end)
    end
  end
  local function template(actor) return actor.spec.workload.template.spec end
  add(function(actor) template(actor).containers[1].env[1].value = ('x'):rep(1000000) end)
  add(function(actor) actor.spec.workload.template.metadata.annotations.big = ('y'):rep(900000) end)
  add(function(actor) template(actor).deep = nested(30) end)
  add(function(actor) template(actor).deep = nested(50) end)
  add(function(actor) template(actor).affinity = nested(50) end)
  add(function(actor)
    for i = 1, 3000 do template(actor).containers[1].env[i] = { name = 'E' .. i, value = 'e' } end
  end)
  add(function(actor)
    for i = 2, 200 do template(actor).containers[i] = { name = 'c' .. i, image = 'x' } end
  end)
  return out
end

return M
