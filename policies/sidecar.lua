--- sidecar: the container beside the runtime that talks to the broker.
local policy = require 'policy'
local k8s = require 'k8s'
local json = require 'json'
local schema = require 'schema'
local actors = require 'actor'
local names = require 'names'
local transports = require 'transport'

local TIMEOUT = 'ASYA_RUNTIME_TIMEOUT'

--- The gateway of the operator's configuration, else the one a user gave the runtime container literally.
local function gateway_url(ctx, pod)
  local configured = ctx.settings.gatewayURL
  if configured and configured ~= '' then return configured end
  return k8s.env_value(k8s.container(pod, actors.RUNTIME), 'ASYA_GATEWAY_URL') or ''
end

local function env(actor, ctx, pod)
  local transport = actors.transport(actor, ctx)
  local list = {
    { name = 'ASYA_LOG_LEVEL', value = ctx.params.log_level },
    { name = 'ASYA_GATEWAY_URL', value = gateway_url(ctx, pod) },
    { name = 'ASYA_ACTOR_NAME', value = names.actor(actor) },
    { name = 'ASYA_ACTOR_HAPPY_END', value = 'happy-end' },
    { name = 'ASYA_ACTOR_ERROR_END', value = 'error-end' },
  }
  if actors.is_end(actor) then list[#list + 1] = { name = 'ASYA_IS_END_ACTOR', value = 'true' } end
  list[#list + 1] = { name = TIMEOUT, value = actors.processing_timeout(actor) .. 's' }
  list[#list + 1] = { name = 'ASYA_TRANSPORT', value = transport.type }
  for _, variable in ipairs(transports.env(transport, actor)) do list[#list + 1] = variable end
  list[#list + 1] = { name = 'ASYA_SOCKET_DIR', value = actors.SOCKET_DIR }
  return names.sidecar_env(actor, list)
end

--- The workload as it is, and its sidecar; or nil.
local function running(workload, ctx)
  local live = ctx.child(workload.kind, workload.metadata.name)
  local pod = live and k8s.get(live, 'spec.template.spec')
  return live, pod and k8s.container(pod, actors.SIDECAR)
end

--- Does this workload run with a sidecar that has no resources? So the Go operator made them.
local function runs_bare(workload, ctx)
  local _, sidecar = running(workload, ctx)
  return sidecar ~= nil and next(sidecar.resources or {}) == nil
end

--- The Go operator gave no timeout to the sidecar of an actor that was stored without one. Its pods are not replaced for that alone: they get
-- it with the next edit that replaces them.
local function spare_timeout(actor, ctx, workload, container)
  local live, sidecar = running(workload, ctx)
  local said = k8s.get(actor, 'spec.timeout.processing') or k8s.find(k8s.get(actor, 'spec.sidecar.env'), TIMEOUT)
  if said or not sidecar or k8s.find(sidecar.env, TIMEOUT) then return end
  local variable, at = k8s.find(container.env, TIMEOUT)
  table.remove(container.env, at)
  local seen = k8s.get(actor, 'status.observedGeneration')
  local edited = seen and seen ~= actor.metadata.generation
  if edited and not actors.is_stored(workload.spec.template, live.spec.template) then table.insert(container.env, at, variable) end
end

--- The actor's own resources; an actor that sets none gets the operator's default, unless that would restart pods nobody asked about.
local function resources(actor, ctx, workload)
  local own = k8s.get(actor, 'spec.sidecar.resources')
  if own and next(own) ~= nil then return k8s.copy(own) end
  if ctx.params.keep_bare and runs_bare(workload, ctx) then return nil end
  return k8s.copy(ctx.settings.sidecarResources)
end

local function image(actor, ctx)
  local own = k8s.get(actor, 'spec.sidecar.image')
  return own ~= '' and own or ctx.settings.sidecarImage or ctx.params.image
end

return policy.define {
  name = 'sidecar',
  after = { 'workload' },
  doc = 'The asya-sidecar container, last in the pod; a native sidecar in Jobs.',
  params = {
    image = schema.string { min_len = 1 }:default('asya-sidecar:latest'):doc 'Image when neither the actor nor ASYA_SIDECAR_IMAGE names one.',
    log_level = schema.string { min_len = 1 }:default('info'):doc 'ASYA_LOG_LEVEL of sidecars; an actor may override it.',
    keep_bare = schema.boolean():default(true)
      :doc 'A workload whose sidecar runs without resources keeps none; false gives the default ones to all, which replaces pods.',
    security_context = schema.any():doc 'securityContext of sidecars. None by default: adding one restarts pods.',
  },

  render = function(actor, ctx, plan)
    local workload = plan:get 'workload'
    local pod = actors.pod(workload)
    local container = {
      name = actors.SIDECAR,
      image = image(actor, ctx),
      imagePullPolicy = k8s.get(actor, 'spec.sidecar.imagePullPolicy') or 'IfNotPresent',
      resources = resources(actor, ctx, workload),
      securityContext = k8s.copy(ctx.params.security_context),
      volumeMounts = json.array {
        { name = 'socket-dir', mountPath = actors.SOCKET_DIR },
        { name = 'tmp', mountPath = '/tmp' },
      },
    }
    k8s.add_env(container, env(actor, ctx, pod))
    k8s.add_env(container, k8s.copy(k8s.get(actor, 'spec.sidecar.env')) or {})
    if actors.kind(actor) == 'Job' then
      container.restartPolicy = 'Always' -- a native sidecar: it does not keep the pod of a Job from ending
      k8s.add_init_container(pod, container)
    else
      k8s.add_container(pod, container)
      spare_timeout(actor, ctx, workload, container)
    end
  end,
}
