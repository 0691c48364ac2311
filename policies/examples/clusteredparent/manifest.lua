--- ClusterRoles that ask for it are bound in a namespace. They are in none themselves, and somebody else's.
return require 'policy'.manifest {
  parent = 'rbac.authorization.k8s.io/v1 ClusterRole',
  domain = 'ctl.example.com',
  component = 'clusteredparent',
  decorate = { annotations = { ['default-service-account-binding'] = true } },
  children = { 'rbac.authorization.k8s.io/v1 RoleBinding' },
  -- the operator may bind the roles that are named here; for another one, name it
  rights = { { apiGroups = { 'rbac.authorization.k8s.io' }, resources = { 'clusterroles' }, verbs = { 'bind' }, resourceNames = { 'view' } } },
  cases = { parent = { metadata = { name = 'reader', annotations = { ['default-service-account-binding'] = 'lab' } } } },
}
