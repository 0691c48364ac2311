--- crdroles: CRDs with the label get roles by themselves.
local policy = require 'policy'

local LABEL <const> = 'ctl.example.com/default-roles'
local VERBS <const> = { reader = { 'get', 'list', 'watch' }, writer = { 'create', 'delete', 'deletecollection', 'get', 'list', 'patch', 'update', 'watch' } }

return policy.define {
  name = 'crdroles',
  doc = 'Roles PLURAL.GROUP-reader and PLURAL.GROUP-writer for each CRD with the label ' .. LABEL .. '=yes.',
  relate = function() return { { kind = 'CustomResourceDefinition', namespace = '*', labels = { [LABEL] = 'yes' } } } end,
  render = function(_, ctx, plan)
    for _, crd in ipairs(ctx.related) do
      local plural, group = crd.metadata.name:match '^([^.]+)%.(.+)$'
      for who, verbs in pairs(VERBS) do
        local name = ('%s-%s'):format(crd.metadata.name, who)
        plan:add(name, {
          apiVersion = 'rbac.authorization.k8s.io/v1', kind = 'Role', metadata = { name = name },
          rules = { { apiGroups = { group }, resources = { plural }, verbs = verbs } },
        })
      end
    end
  end,
  status = function(_, ctx, status) status.crds = #ctx.related end,
}
