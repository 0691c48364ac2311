--- Roles to read and to write the objects of each CRD that asks for them, in the namespace of the parent.
local policy, schema = require 'policy', require 'schema'

return policy.manifest {
  parent = { apiVersion = 'ctl.example.com/v1', kind = 'CrdRoles', plural = 'crdroles' },
  children = { 'rbac.authorization.k8s.io/v1 Role' },
  related = { { apiVersion = 'apiextensions.k8s.io/v1', kind = 'CustomResourceDefinition', rules = true, projection = 'status' } },
  crd = { status = { crds = schema.integer() }, columns = { 'status.crds' } },
  cases = { parent = { metadata = { name = 'team' } } },
}
