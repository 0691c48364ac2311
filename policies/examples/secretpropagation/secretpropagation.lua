--- secretpropagation: the operator copies values that no policy sees. Without a source the copies stay as they are.
local policy, conditions = require 'policy', require 'conditions'

--- Where each value comes from, by its key.
local function sources(spec)
  local from = {}
  for _, key in ipairs(spec.keys) do from[key] = { namespace = spec.sourceNamespace, name = spec.sourceName, key = key } end
  return from
end

return policy.define {
  name = 'secretpropagation',
  relate = function(it) return { { kind = 'Secret', namespace = it.spec.sourceNamespace, name = it.spec.sourceName } } end,
  render = function(it, ctx, plan)
    local source = ctx.related[1]
    for _, child in ipairs(source and {} or ctx.children) do plan:keep(child) end
    for _, namespace in ipairs(source and it.spec.targetNamespaces or {}) do
      plan:copy_secret(namespace, { metadata = { name = it.spec.sourceName, namespace = namespace } }, sources(it.spec))
    end
  end,
  status = function(it, ctx, status)
    local wrong, source = ctx.outcome.errors[1], ctx.related[1]
    status.conditions = {}
    conditions.set(status.conditions, it.status and it.status.conditions, {
      type = 'Ready', status = (wrong or not source) and 'False' or 'True', reason = wrong and 'Failed' or source and 'Copied' or 'NoSource',
      message = wrong and wrong.message or source and '' or ('there is no Secret %s/%s'):format(it.spec.sourceNamespace, it.spec.sourceName),
    }, ctx.now, it.metadata.generation)
  end,
}
