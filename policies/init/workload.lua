--- workload: pods that serve, and a Service in front of them.
local policy, conditions = require 'policy', require 'conditions'

local PHASES = { { 'Running', { Ready = 'True' } }, { 'Starting' } }

return policy.define {
  name = 'workload',
  doc = 'Makes a Deployment and a Service.',
  render = function(parent, _, plan)
    local name, spec, labels = parent.metadata.name, parent.spec, { ['example.com/sprocket'] = parent.metadata.name }
    plan:add('workload', {
      apiVersion = 'apps/v1', kind = 'Deployment', metadata = { name = name },
      spec = {
        replicas = spec.replicas, selector = { matchLabels = labels },
        template = {
          metadata = { labels = labels },
          spec = { containers = { { name = 'main', image = spec.image, ports = { { name = 'http', containerPort = spec.port } } } } },
        },
      },
    })
    plan:add('service', {
      apiVersion = 'v1', kind = 'Service', metadata = { name = name },
      spec = { selector = labels, ports = { { name = 'http', port = 80, targetPort = 'http' } } },
    })
  end,
  status = function(parent, ctx, status)
    local workload = ctx.child('Deployment', parent.metadata.name)
    local ready = conditions.summary({ conditions.of(workload, 'Available') }, { of = { 'Available' } })
    status.conditions = {}
    conditions.set(status.conditions, parent.status and parent.status.conditions, ready, ctx.now, parent.metadata.generation)
    status.phase = conditions.phase(status.conditions, PHASES)
  end,
}
