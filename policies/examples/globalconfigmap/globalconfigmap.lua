--- globalconfigmap: a ConfigMap of its name in each namespace. A namespace that comes later gets one when it comes.
local policy, k8s = require 'policy', require 'k8s'

return policy.define {
  name = 'globalconfigmap',
  relate = function() return { { kind = 'Namespace', namespace = '*' } } end,
  render = function(global, ctx, plan)
    for _, namespace in ipairs(ctx.related) do
      local name = namespace.metadata.name
      if k8s.get(namespace, 'status.phase') ~= 'Terminating' then
        plan:add(name, { apiVersion = 'v1', kind = 'ConfigMap', metadata = { name = global.metadata.name, namespace = name }, data = global.spec.data })
      end
    end
  end,
  status = function(_, ctx, status) status.namespaces = #ctx.children end,
}
