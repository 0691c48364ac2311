--- configmappropagation: the copies are what the source is. Without a source they stay as they are.
local policy, conditions = require 'policy', require 'conditions'

local function source_of(ctx)
  for _, it in ipairs(ctx.related) do
    if it.kind == 'ConfigMap' then return it end
  end
end

return policy.define {
  name = 'configmappropagation',
  relate = function(it) return { { kind = 'ConfigMap', namespace = it.spec.sourceNamespace, name = it.spec.sourceName } } end,
  render = function(it, ctx, plan)
    local source = source_of(ctx)
    for _, child in ipairs(source and {} or ctx.children) do plan:keep(child) end
    for _, namespace in ipairs(source and it.spec.targetNamespaces or {}) do
      plan:add(namespace, {
        apiVersion = 'v1', kind = 'ConfigMap', metadata = { name = source.metadata.name, namespace = namespace },
        data = source.data, binaryData = source.binaryData,
      })
    end
  end,
  status = function(it, ctx, status)
    local wrong, source = ctx.outcome.errors[1], source_of(ctx)
    status.conditions = {}
    conditions.set(status.conditions, it.status and it.status.conditions, {
      type = 'Ready', status = (wrong or not source) and 'False' or 'True', reason = wrong and 'Failed' or source and 'Copied' or 'NoSource',
      message = wrong and wrong.message or source and '' or ('there is no ConfigMap %s/%s'):format(it.spec.sourceNamespace, it.spec.sourceName),
    }, ctx.now, it.metadata.generation)
  end,
}
