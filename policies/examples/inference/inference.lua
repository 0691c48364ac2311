--- inference: pods that serve a model, with what keeps them reachable, enough, available and watched.
local policy, conditions = require 'policy', require 'conditions'

local PHASES = { { 'Serving', { Ready = 'True' } }, { 'Starting' } }

local function is_absent(ctx, kind)
  for _, each in ipairs(ctx.absent) do
    if each == kind then return true end
  end
end

local function container_of(spec)
  local resources = { requests = { cpu = '1', memory = spec.memory }, limits = { memory = spec.memory } }
  if spec.gpus > 0 then resources.limits['nvidia.com/gpu'] = tostring(spec.gpus) end
  return {
    name = 'server', image = spec.image, args = { '--model', spec.model, '--port', tostring(spec.port) }, resources = resources,
    ports = { { name = 'http', containerPort = spec.port } },
    readinessProbe = { httpGet = { path = '/health', port = 'http' }, periodSeconds = 5 },
  }
end

return policy.define {
  name = 'inference',
  render = function(server, ctx, plan)
    local spec, name, labels = server.spec, server.metadata.name, { ['ml.example.com/server'] = server.metadata.name }
    local function add(role, version, kind, fields, more)
      plan:add(role, { apiVersion = version, kind = kind, metadata = { name = name, labels = more }, spec = fields })
    end
    add('server', 'apps/v1', 'Deployment', { -- how many there are is the autoscaler's
      selector = { matchLabels = labels }, template = { metadata = { labels = labels }, spec = { containers = { container_of(spec) } } },
    })
    add('service', 'v1', 'Service', { selector = labels, ports = { { name = 'http', port = 80, targetPort = 'http' } } }, labels)
    add('scaler', 'autoscaling/v2', 'HorizontalPodAutoscaler', {
      scaleTargetRef = { apiVersion = 'apps/v1', kind = 'Deployment', name = name }, minReplicas = spec.minReplicas, maxReplicas = spec.maxReplicas,
      metrics = { { type = 'Resource', resource = { name = 'cpu', target = { type = 'Utilization', averageUtilization = spec.targetCPU } } } },
    })
    add('budget', 'policy/v1', 'PodDisruptionBudget', { maxUnavailable = 1, selector = { matchLabels = labels } })
    if is_absent(ctx, 'ServiceMonitor') then return end
    add('monitor', 'monitoring.coreos.com/v1', 'ServiceMonitor', { selector = { matchLabels = labels }, endpoints = { { port = 'http' } } })
  end,
  status = function(server, ctx, status)
    local workload = ctx.child('Deployment', server.metadata.name)
    local ready = conditions.summary({ conditions.of(workload, 'Available') }, { of = { 'Available' } })
    status.conditions = {}
    conditions.set(status.conditions, server.status and server.status.conditions, ready, ctx.now, server.metadata.generation)
    status.phase = conditions.phase(status.conditions, PHASES)
    status.replicas = workload and workload.status and workload.status.availableReplicas or 0
  end,
}
