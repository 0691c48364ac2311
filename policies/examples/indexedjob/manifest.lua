--- Pods that share a piece of work: each gets an index, and only some of them run at a time.
local policy, schema = require 'policy', require 'schema'

return policy.manifest {
  parent = 'ctl.example.com/v1 IndexedJob',
  children = { { apiVersion = 'v1', kind = 'Pod', update = 'OnDelete' } }, -- another template is for pods that are yet to come
  crd = {
    spec = {
      completions = schema.integer { min = 0, max = 1000 }:default(1):doc 'How many pods must succeed.',
      parallelism = schema.integer { min = 0, max = 1000 }:default(1):doc 'How many may run at the same time.',
      template = schema.any():required():doc 'What they run: a pod template.',
    },
    status = { active = schema.integer(), succeeded = schema.integer() },
    columns = { 'spec.completions', 'status.active', 'status.succeeded' },
  },
  cases = { parent = {
    metadata = { name = 'print' },
    spec = { completions = 3, parallelism = 2, template = { spec = { containers = { { name = 'print', image = 'busybox' } } } } },
  } },
}
