--- One text for every namespace. The parent is in none, and so owns a ConfigMap in each of them.
local policy, schema = require 'policy', require 'schema'

return policy.manifest {
  parent = { apiVersion = 'ctl.example.com/v1', kind = 'GlobalConfigMap', scope = 'Cluster' },
  children = { 'v1 ConfigMap' },
  related = { { apiVersion = 'v1', kind = 'Namespace', rules = true, projection = 'status' } },
  crd = { spec = { data = schema.map(schema.string()):required() }, status = { namespaces = schema.integer() }, columns = { 'status.namespaces' } },
  cases = { parent = { metadata = { name = 'motd' }, spec = { data = { text = 'hello' } } } },
}
