--- One Secret, of which some keys are copied into the namespaces that the parent names. Of Secrets only metadata is asked for and kept.
local policy, schema = require 'policy', require 'schema'

return policy.manifest {
  parent = { apiVersion = 'ctl.example.com/v1', kind = 'SecretPropagation', scope = 'Cluster' },
  children = { { apiVersion = 'v1', kind = 'Secret', projection = 'metadata' } },
  related = { { apiVersion = 'v1', kind = 'Secret', projection = 'metadata', rules = true } },
  crd = {
    spec = {
      sourceNamespace = schema.string():required(), sourceName = schema.string():required(),
      keys = schema.array(schema.string()):required():doc 'Which of its values are copied.',
      targetNamespaces = schema.array(schema.string()):required(),
    },
  },
  cases = {
    parent = { metadata = { name = 'pull' }, spec = { sourceNamespace = 'ops', sourceName = 'pull', keys = { 'token' }, targetNamespaces = { 'lab' } } },
  },
}
