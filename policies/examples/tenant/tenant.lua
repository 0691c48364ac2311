--- tenant: a namespace for a team, how much it may hold, who reaches it, and who works in it.
local policy, conditions, json = require 'policy', require 'conditions', require 'json'

local LABEL <const> = 'platform.example.com/tenant'

return policy.define {
  name = 'tenant',
  render = function(tenant, _, plan)
    local name, owners = tenant.metadata.name, json.array {}
    for i, user in ipairs(tenant.spec.owners) do owners[i] = { apiGroup = 'rbac.authorization.k8s.io', kind = 'User', name = user } end
    local function inside(child)
      child.metadata = { name = 'tenant', namespace = name }
      return child
    end
    plan:add('namespace', { apiVersion = 'v1', kind = 'Namespace', metadata = { name = name, labels = { [LABEL] = name } } })
    plan:add('wall', inside { -- pods of other namespaces reach none of its pods
      apiVersion = 'networking.k8s.io/v1', kind = 'NetworkPolicy',
      spec = { podSelector = {}, policyTypes = { 'Ingress' }, ingress = { { from = { { podSelector = {} } } } } },
    }, { after = 'namespace' })
    if tenant.spec.quota then
      plan:add('quota', inside { apiVersion = 'v1', kind = 'ResourceQuota', spec = { hard = tenant.spec.quota } }, { after = 'namespace' })
    end
    plan:add('owners', inside {
      apiVersion = 'rbac.authorization.k8s.io/v1', kind = 'RoleBinding', subjects = owners,
      roleRef = { apiGroup = 'rbac.authorization.k8s.io', kind = 'ClusterRole', name = 'edit' },
    }, { after = 'namespace' })
  end,
  status = function(tenant, ctx, status)
    local wrong = ctx.outcome.errors[1]
    status.conditions = {}
    conditions.set(status.conditions, tenant.status and tenant.status.conditions, {
      type = 'Ready', status = wrong and 'False' or 'True', reason = wrong and 'Failed' or 'Made', message = wrong and wrong.message or '',
    }, ctx.now, tenant.metadata.generation)
  end,
}
