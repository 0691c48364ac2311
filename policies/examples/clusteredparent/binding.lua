--- binding: the default ServiceAccount of the namespace that the annotation names has the role there.
local policy = require 'policy'

return policy.define {
  name = 'binding',
  render = function(role, _, plan)
    local namespace = role.metadata.annotations['default-service-account-binding']
    plan:add('binding', {
      apiVersion = 'rbac.authorization.k8s.io/v1', kind = 'RoleBinding', metadata = { name = role.metadata.name, namespace = namespace },
      subjects = { { kind = 'ServiceAccount', name = 'default', namespace = namespace } },
      roleRef = { apiGroup = 'rbac.authorization.k8s.io', kind = 'ClusterRole', name = role.metadata.name },
    })
  end,
  status = function(_, ctx, _, plan)
    local wrong = ctx.outcome.errors[1]
    if wrong then plan:event { type = 'Warning', reason = 'NotBound', note = wrong.message } end
  end,
}
