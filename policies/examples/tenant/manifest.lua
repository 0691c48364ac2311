--- A tenant is in no namespace: it is one. What is in the namespace goes before it, so it comes first here.
return require 'policy'.manifest {
  parent = { apiVersion = 'platform.example.com/v1', kind = 'Tenant', scope = 'Cluster' },
  children = {
    'v1 Namespace',
    'v1 ResourceQuota',
    'networking.k8s.io/v1 NetworkPolicy',
    'rbac.authorization.k8s.io/v1 RoleBinding',
  },
  -- Kubernetes lets nobody give away rights that he does not have, unless he may bind that very role
  rights = { { apiGroups = { 'rbac.authorization.k8s.io' }, resources = { 'clusterroles' }, verbs = { 'bind' }, resourceNames = { 'edit' } } },
  cases = { parent = { metadata = { name = 'ants' }, spec = { owners = { 'ada' } } } },
}
