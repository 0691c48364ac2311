--- One ConfigMap, copied into the namespaces that the parent names.
local policy, schema = require 'policy', require 'schema'

return policy.manifest {
  parent = { apiVersion = 'ctl.example.com/v1', kind = 'ConfigMapPropagation', scope = 'Cluster' },
  children = { 'v1 ConfigMap' },
  related = { { apiVersion = 'v1', kind = 'ConfigMap', rules = true } },
  crd = {
    spec = {
      sourceNamespace = schema.string():required(), sourceName = schema.string():required(),
      targetNamespaces = schema.array(schema.string()):required(),
    },
  },
  cases = {
    parent = { metadata = { name = 'ca' }, spec = { sourceNamespace = 'ops', sourceName = 'ca', targetNamespaces = { 'lab' } } },
  },
}
