--- workload: the Deployment that runs an actor, with the user's pod template made ready for the runtime script.
local policy = require 'policy'
local k8s = require 'k8s'
local json = require 'json'
local schema = require 'schema'
local text = require 'text'
local actors = require 'actor'
local names = require 'names'

local CHECKSUM = 'asya.sh/runtime-checksum'

--- Both the socket and the file must be there: a file left behind by a crash proves nothing.
local function probe(timings)
  local check = ('test -S %s/asya-runtime.sock && test -f %s/runtime-ready'):format(actors.SOCKET_DIR, actors.SOCKET_DIR)
  timings.exec = { command = json.array { 'sh', '-c', check } }
  return timings
end

local function add_probes(container, params)
  local function unless_set(field, timings)
    if k8s.get(container, field) == nil then container[field] = probe(timings) end
  end
  unless_set('startupProbe', {
    initialDelaySeconds = 3, periodSeconds = 2, timeoutSeconds = 3, failureThreshold = params.startup_failure_threshold,
  })
  unless_set('livenessProbe', { periodSeconds = 30, timeoutSeconds = 5, failureThreshold = 3 })
  unless_set('readinessProbe', { periodSeconds = 10, timeoutSeconds = 3, failureThreshold = 3 })
end

--- The user's container, taught to run the script and to talk to the sidecar.
local function prepare_runtime(container, actor, params)
  local python = k8s.get(actor, 'spec.workload.pythonExecutable') or 'python3'
  container.command = json.array { python, '/opt/asya/' .. actors.SCRIPT }
  local env = { { name = 'ASYA_SOCKET_DIR', value = actors.SOCKET_DIR } }
  if actors.is_end(actor) then env[2] = { name = 'ASYA_ENABLE_VALIDATION', value = 'false' } end
  k8s.add_env(container, env)
  k8s.add_mount(container, { name = 'socket-dir', mountPath = actors.SOCKET_DIR })
  k8s.add_mount(container, { name = 'tmp', mountPath = '/tmp' })
  k8s.add_mount(container, {
    name = actors.RUNTIME, mountPath = '/opt/asya/' .. actors.SCRIPT, subPath = actors.SCRIPT, readOnly = true,
  })
  add_probes(container, params)
end

--- The user's labels stay; ours fill in what they leave out.
local function pod_metadata(template, actor, ctx)
  local metadata = k8s.get(template, 'metadata') or {}
  metadata.labels = k8s.merge(actors.pod_labels(actor, ctx), k8s.get(metadata, 'labels') or {})
  metadata.creationTimestamp = nil
  return metadata
end

--- What stands for the script on pods, so that another script replaces them. While the script that was asked for is not there yet, it is
-- what stands there now: waiting must not replace anything.
local function script_digest(actor, ctx, plan)
  local script = plan:get 'runtime ConfigMap'
  if script then return text.sha256(script.data[actors.SCRIPT]) end
  local there = ctx.child(actors.kind(actor), actor.metadata.name)
  return k8s.get(there, { 'spec', 'template', 'metadata', 'annotations', CHECKSUM })
end

--- Jobs are left out: another template is another Job, and one that is done must not run again for a script's sake.
local function add_checksum(template, actor, ctx, plan)
  local kind = actors.kind(actor)
  if not ctx.params.runtime_checksum or (kind ~= 'Deployment' and kind ~= 'StatefulSet') then return end
  k8s.set(template, { 'metadata', 'annotations', CHECKSUM }, script_digest(actor, ctx, plan))
end

--- Of variables that have one name the last counts, as at run time: a list of the server's has each name once.
local function without_twins(pod)
  for _, field in ipairs { 'initContainers', 'containers' } do
    for _, container in ipairs(k8s.get(pod, field) or {}) do
      if k8s.get(container, 'env') then k8s.add_env(container, {}) end
    end
  end
end

local function pod_template(actor, ctx, plan)
  local template, params, identity = k8s.copy(k8s.get(actor, 'spec.workload.template') or {}), ctx.params, plan:get 'identity'
  template.metadata = pod_metadata(template, actor, ctx)
  add_checksum(template, actor, ctx, plan)
  local pod = template.spec
  without_twins(pod)
  pod.terminationGracePeriodSeconds = actors.grace_period(actor)
  k8s.add_volume(pod, { name = 'socket-dir', emptyDir = {} })
  k8s.add_volume(pod, { name = 'tmp', emptyDir = {} })
  k8s.add_volume(pod, { name = actors.RUNTIME, configMap = { name = actors.RUNTIME, defaultMode = 493 } })
  if identity then pod.serviceAccountName = identity.metadata.name end
  prepare_runtime(k8s.container(pod, actors.RUNTIME), actor, params)
  return template
end

local BUILD = {}

function BUILD.Deployment(actor, template, ctx)
  return {
    apiVersion = 'apps/v1',
    kind = 'Deployment',
    metadata = { name = actor.metadata.name },
    spec = {
      -- Scaled actors leave the count to the autoscaler, which owns it.
      replicas = not actors.scaling_enabled(actor) and (k8s.get(actor, 'spec.workload.replicas') or 1) or nil,
      selector = { matchLabels = actors.selector(actor, ctx) },
      template = template,
    },
  }
end

function BUILD.StatefulSet(actor, template, ctx)
  local object, workload = BUILD.Deployment(actor, template, ctx), actor.spec.workload
  object.kind = 'StatefulSet'
  object.spec.serviceName = k8s.get(workload, 'serviceName') or actor.metadata.name
  object.spec.podManagementPolicy = k8s.get(workload, 'podManagementPolicy')
  object.spec.volumeClaimTemplates = k8s.copy(k8s.get(workload, 'volumeClaimTemplates'))
  return object
end

--- A Job's pods must be able to end.
local function job_template(template)
  if template.spec.restartPolicy ~= 'Never' then template.spec.restartPolicy = 'OnFailure' end
  return template
end

--- A Job cannot be changed: another template is another Job, named by it, and one that still runs is left to finish.
function BUILD.Job(actor, template)
  job_template(template)
  return {
    apiVersion = 'batch/v1', kind = 'Job',
    metadata = { name = actor.metadata.name, labels = names.labels(actor, 'Job') },
    spec = { template = template },
  }
end

function BUILD.ScaledJob(actor, template)
  return {
    apiVersion = 'keda.sh/v1alpha1', kind = 'ScaledJob',
    metadata = { name = actor.metadata.name },
    spec = { jobTargetRef = { template = job_template(template) } },
  }
end

--- What of a StatefulSet can never be changed in place, and is never deleted by us to get around that.
local function check_immutable(actor, ctx)
  local there = actors.kind(actor) == 'StatefulSet' and ctx.child('StatefulSet', actor.metadata.name)
  if not there then return nil end
  local wanted = BUILD.StatefulSet(actor, {}, ctx)
  for _, field in ipairs { 'serviceName', 'podManagementPolicy', 'volumeClaimTemplates' } do
    local same, path = actors.is_stored(wanted.spec[field], there.spec[field], 'spec.workload.' .. field)
    if wanted.spec[field] ~= nil and not same then
      return policy.invalid {
        path = path, condition = 'WorkloadReady', reason = 'ImmutableField',
        message = path .. ': cannot be changed on an existing StatefulSet; change it back, or delete the StatefulSet yourself (pods and claims stay with '
          .. '--cascade=orphan)',
      }
    end
  end
end

return policy.define {
  name = 'workload',
  after = { 'validate', 'runtime', 'identity' },
  doc = "The workload object, from the user's pod template.",
  params = {
    startup_failure_threshold = schema.integer { min = 1 }:default(150)
      :doc 'Failed startup probes, two seconds apart, before a runtime that does not come up is restarted.',
    runtime_checksum = schema.boolean():default(false)
      :doc 'Put the SHA-256 of the runtime script on the pods of Deployments and StatefulSets, so that another script replaces them.',
  },

  validate = check_immutable,

  render = function(actor, ctx, plan)
    local kind = actors.kind(actor)
    if kind == 'Job' and actors.scaling_enabled(actor) then kind = 'ScaledJob' end
    plan:add('workload', BUILD[kind](actor, pod_template(actor, ctx, plan), ctx))
  end,
}
