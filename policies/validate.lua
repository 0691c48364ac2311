--- validate: refuses what cannot work, naming the field and the fix. Nothing of a refused actor is touched.
local policy = require 'policy'
local k8s = require 'k8s'
local schema = require 'schema'
local json = require 'json'
local actors = require 'actor'
local names = require 'names'
local transports = require 'transport'

local POD = 'spec.workload.template.spec'

--- Stops at the first thing that is wrong, with where it is.
local function wrong(path, fmt, ...)
  return { path = path, message = path .. ': ' .. fmt:format(...), reason = 'ValidationError', condition = 'WorkloadReady' }
end

local function describe(value)
  if value == json.null then return 'null' end
  if json.is_array(value) then return 'a list' end
  local kind = math.type(value) or type(value)
  if kind == 'table' then return 'a mapping' end
  if kind == 'string' then return 'a string' end
  return ('the %s %s'):format(kind == 'boolean' and 'boolean' or 'number', tostring(value))
end

--- The shape of a pod template as far as policies build on it; the API server knows the rest.
local check

--- The fields of a mapping and what each must be, in an order made once.
local function fields(shapes)
  local list = {}
  for name, shape in pairs(shapes) do list[#list + 1] = { name = name, shape = shape } end
  return list
end

local function text(value, path)
  if type(value) == 'string' then return nil end
  return wrong(path, 'must be a string, not %s; put it in quotes', describe(value))
end

local function list_of(item)
  return function(value, path, ctx)
    if not json.is_array(value) then return wrong(path, 'must be a list, not %s', describe(value)) end
    for i, each in ipairs(value) do
      local bad = check(item, each, ('%s[%d]'):format(path, i - 1), ctx)
      if bad then return bad end
    end
  end
end

local function map_of_text(value, path)
  if type(value) ~= 'table' or json.is_array(value) then return wrong(path, 'must be a mapping, not %s', describe(value)) end
  for key, each in pairs(value) do
    local bad = text(each, path .. '.' .. key)
    if bad then return bad end
  end
end

local KINDS = { Deployment = true, StatefulSet = true, Job = true }

local function kind_of_workload(value, path)
  if KINDS[value] then return nil end
  return wrong(path, 'must be Deployment, StatefulSet or Job, not %s', type(value) == 'string' and ("'%s'"):format(value) or describe(value))
end

local VARIABLE = fields { name = text, value = text }

local function variable(value, path, ctx)
  local bad = check(VARIABLE, value, path, ctx)
  if not bad and (value.name == nil or value.name == json.null) then bad = wrong(path .. '.name', 'is missing') end
  return bad
end

local function env(value, path, ctx)
  local limit = ctx.params.max_env
  if json.is_array(value) and #value > limit then
    return wrong(path, 'has %d entries, at most %d are allowed; put them in a ConfigMap and use envFrom', #value, limit)
  end
  return list_of(variable)(value, path, ctx)
end

local CONTAINER = fields {
  name = text, image = text, command = list_of(text), args = list_of(text), env = env,
  ports = list_of {}, envFrom = list_of {}, volumeMounts = list_of(fields { name = text, mountPath = text }),
}

local TEMPLATE = fields {
  metadata = fields { labels = map_of_text, annotations = map_of_text },
  spec = fields {
    containers = list_of(CONTAINER), initContainers = list_of(CONTAINER), volumes = list_of(fields { name = text }),
    tolerations = list_of {}, imagePullSecrets = list_of {}, nodeSelector = map_of_text, serviceAccountName = text,
  },
}

-- The schema of the CRD says the same where there is one: not offline, and not with an older CRD.
local SPEC = fields {
  workload = fields { kind = kind_of_workload, type = kind_of_workload, template = TEMPLATE },
  sidecar = fields { resources = {}, env = list_of(variable) },
}

function check(shape, value, path, ctx)
  if type(shape) == 'function' then return shape(value, path, ctx) end
  if type(value) ~= 'table' or value == json.null or json.is_array(value) then
    return wrong(path, 'must be a mapping, not %s', describe(value))
  end
  for _, field in ipairs(shape) do
    local inner = value[field.name]
    if inner ~= nil and inner ~= json.null then
      local bad = check(field.shape, inner, path .. '.' .. field.name, ctx)
      if bad then return bad end
    end
  end
end

local function count_named(containers, name)
  local count, last = 0, nil
  for i, container in ipairs(containers or {}) do
    if container.name == name then count, last = count + 1, i end
  end
  return count, last
end

--- The containers whose names mean something here.
local function check_containers(pod)
  if count_named(pod.containers, actors.SIDECAR) > 0 then
    return wrong(POD .. '.containers', "the name 'asya-sidecar' is reserved for the injected sidecar; rename that container")
  end
  if count_named(pod.initContainers, actors.SIDECAR) > 0 then
    return wrong(POD .. '.initContainers', "init container 'asya-sidecar': the name is reserved for the injected sidecar; rename it")
  end
  local count, index = count_named(pod.containers, actors.RUNTIME)
  local runtime = pod.containers and index and pod.containers[index]
  if runtime and #(k8s.get(runtime, 'command') or {}) > 0 then
    return wrong(('%s.containers[%d].command'):format(POD, index - 1),
      "the command of 'asya-runtime' is set by the operator; remove it (args may stay)")
  end
  if count ~= 1 then
    return wrong(POD .. '.containers', "exactly one container must be named 'asya-runtime', found %d", count)
  end
end

local OUR_VOLUMES = { ['socket-dir'] = true, tmp = true, [actors.RUNTIME] = true }
local OUR_MOUNTS = { [actors.SOCKET_DIR] = true, ['/tmp'] = true, ['/opt/asya/' .. actors.SCRIPT] = true }

--- What we add to the pod must not be there already: the server would refuse it with a message that names neither side.
local function check_clashes(actor, template, ctx)
  for i, volume in ipairs(k8s.get(template, 'spec.volumes') or {}) do
    if OUR_VOLUMES[volume.name] then
      return wrong(('%s.volumes[%d].name'):format(POD, i - 1), "'%s' is the name of a volume that the operator adds; rename yours", volume.name)
    end
  end
  local runtime, index = k8s.find(k8s.get(template, 'spec.containers'), actors.RUNTIME)
  for i, mount in ipairs(k8s.get(runtime, 'volumeMounts') or {}) do
    if OUR_MOUNTS[mount.mountPath] then
      return wrong(('%s.containers[%d].volumeMounts[%d].mountPath'):format(POD, index - 1, i - 1),
        "'%s' is where the operator mounts something; choose another path", mount.mountPath)
    end
  end
  local labels = k8s.get(template, 'metadata.labels') or {}
  for key, value in pairs(actors.pod_labels(actor, ctx)) do
    if labels[key] ~= nil and labels[key] ~= value then
      return wrong('spec.workload.template.metadata.labels.' .. key,
        "must be '%s' or absent, not '%s': the workload selects its pods by it", value, tostring(labels[key]))
    end
  end
end

local function check_name(actor, ctx)
  local problem = names.problem(actor, actors.kind(actor), actors.transport(actor, ctx))
  return problem and wrong(problem.path, '%s', problem.text)
end

local function check_transport(actor, ctx)
  local problem = transports.problem_of(actor, ctx)
  return problem and { path = 'spec.transport', message = problem, reason = 'InvalidTransport', condition = 'TransportReady' }
end

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

--- What is wrong with the registry of transports. Actors are told of the entry that they use; the other entries work.
local function registry_problems(ctx)
  local registry, known, found = k8s.get(ctx.settings, 'transports'), actors.transports(ctx), {}
  if registry ~= nil and (type(registry) ~= 'table' or json.is_array(registry)) then return { 'transports: must be a mapping, not ' .. describe(registry) } end
  for _, key in ipairs(registry and registry.transports ~= nil and sorted_keys(registry) or {}) do
    if key ~= 'transports' then found[#found + 1] = ('transports.%s: is not a valid key beside transports.transports'):format(key) end
  end
  for _, name in ipairs(sorted_keys(known)) do
    local transport = actors.transport_named(name, ctx)
    found[#found + 1] = transport and transports.problem(transport)
      or not transport and known[name] ~= json.null and ('transports.%s: must be a mapping, not %s'):format(name, describe(known[name])) or nil
  end
  return found
end

return policy.define {
  name = 'validate',
  doc = 'Refuses actors that cannot work, with the field and the fix.',
  params = {
    max_env = schema.integer { min = 1 }:default(2000):doc 'Most environment variables a container may list.',
  },

  settings = registry_problems,

  validate = function(actor, ctx)
    if k8s.get(actor, { 'metadata', 'annotations', 'asya.sh/paused' }) == 'true' then
      return policy.invalid {
        path = 'metadata.annotations', reason = 'Paused', condition = 'WorkloadReady',
        message = 'paused by the annotation asya.sh/paused: nothing is changed until it is removed',
      }
    end
    local template = k8s.get(actor, 'spec.workload.template') or {}
    local bad = check(SPEC, k8s.get(actor, 'spec') or {}, 'spec', ctx)
      or check_containers(k8s.get(template, 'spec') or {})
      or check_clashes(actor, template, ctx)
      or check_name(actor, ctx)
      or check_transport(actor, ctx)
    return bad and policy.invalid(bad)
  end,
}
