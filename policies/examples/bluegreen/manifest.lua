--- Two sets of pods, of which one serves. A new template goes to the other one, which serves when all of it is available.
local policy, schema = require 'policy', require 'schema'

return policy.manifest {
  parent = 'ctl.example.com/v1 BlueGreenDeployment',
  children = { 'apps/v1 ReplicaSet', 'v1 Service' },
  crd = {
    spec = {
      replicas = schema.integer { min = 0, max = 1000 }:default(1),
      ports = schema.any():required():doc 'The ports of the Service.',
      template = schema.any():required():doc 'What the pods are: a pod template.',
    },
    status = { active = schema.string(), readyReplicas = schema.integer() },
    columns = { 'status.active', 'status.readyReplicas' },
    short_names = { 'bgd' },
  },
  cases = { parent = {
    metadata = { name = 'web' },
    spec = { replicas = 2, ports = { { port = 80 } }, template = { spec = { containers = { { name = 'web', image = 'nginx:1.27' } } } } },
  } },
}
