--- manifest: what this operator is about. `asya-operator manifest --bundle .` makes the CRD, the rights and the Deployment of it.
local policy, schema = require 'policy', require 'schema'

return policy.manifest {
  parent = 'example.com/v1alpha1 Sprocket',
  children = { 'v1 Service', 'apps/v1 Deployment' }, -- all that policies make; they go from the last to the first
  crd = {
    spec = {
      image = schema.string { min_len = 1 }:required():doc 'The image that serves.',
      replicas = schema.integer { min = 0, max = 100 }:default(1):doc 'How many pods.',
      port = schema.integer { min = 1, max = 65535 }:default(8080):doc 'Where the image listens.',
    },
    status = { phase = schema.string():doc 'How it is, in one word.' },
    rules = { { "self.image != 'latest'", 'image needs a name' } },
    columns = { 'status.phase', 'spec.image', 'spec.replicas' },
  },
  cases = { parent = { metadata = { name = 'sample' }, spec = { image = 'nginx:1.27', replicas = 1, port = 8080 } } },
}
