--- A Job on every node, those that come later too.
local policy, schema = require 'policy', require 'schema'

return policy.manifest {
  parent = 'ctl.example.com/v1 DaemonJob',
  children = { { apiVersion = 'batch/v1', kind = 'Job', update = 'Recreate' } }, -- another template runs anew everywhere
  related = { { apiVersion = 'v1', kind = 'Node', rules = true, projection = 'status' } },
  crd = {
    spec = {
      nodes = schema.map(schema.string {}):doc 'Labels of the nodes; without any, all nodes.',
      template = schema.any():required():doc 'What runs there: a pod template.',
    },
    status = { nodes = schema.integer(), succeeded = schema.integer() },
    columns = { 'status.nodes', 'status.succeeded' },
  },
  cases = { parent = {
    metadata = { name = 'pull' }, spec = { template = { spec = { containers = { { name = 'pull', image = 'busybox' } } } } },
  } },
}
