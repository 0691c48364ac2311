--- A model that is served: an object of ten lines becomes what a team would have to write by hand.
local policy, schema = require 'policy', require 'schema'

return policy.manifest {
  parent = 'ml.example.com/v1 InferenceServer',
  children = {
    'apps/v1 Deployment', 'v1 Service', 'autoscaling/v2 HorizontalPodAutoscaler', 'policy/v1 PodDisruptionBudget',
    'monitoring.coreos.com/v1 ServiceMonitor', -- where there is a Prometheus operator
  },
  crd = {
    spec = {
      image = schema.string { min_len = 1 }:required():doc 'The server.',
      model = schema.string { min_len = 1 }:required():doc 'What it serves, as its argument --model.',
      port = schema.integer { min = 1, max = 65535 }:default(8000):doc 'Where it listens; metrics are there, too.',
      minReplicas = schema.integer { min = 1, max = 1000 }:default(1),
      maxReplicas = schema.integer { min = 1, max = 1000 }:default(3),
      targetCPU = schema.integer { min = 1, max = 100 }:default(70):doc 'Percent of the CPU that is asked for.',
      gpus = schema.integer { min = 0, max = 16 }:default(0),
      memory = schema.string { min_len = 1 }:default '4Gi',
    },
    rules = { { 'self.minReplicas <= self.maxReplicas', 'minReplicas is more than maxReplicas' } },
    status = { phase = schema.string(), replicas = schema.integer() },
    columns = { 'status.phase', 'spec.model', 'status.replicas' },
  },
  cases = { parent = {
    metadata = { name = 'chat' },
    spec = { image = 'vllm:1', model = 'small', port = 8000, minReplicas = 1, maxReplicas = 3, targetCPU = 70, gpus = 0, memory = '4Gi' },
  } },
}
