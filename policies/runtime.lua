--- runtime: the script that runs inside every actor, as one ConfigMap per namespace.
-- Shared: the same content for all actors of the namespace, owned by none, never deleted.
local policy = require 'policy'
local actors = require 'actor'

local BUILT_IN = policy.file(actors.SCRIPT)

--- Plans the ConfigMap. While a script was asked for that is not there yet it is not planned: whatever is in the cluster stays, and the
-- built-in script never takes the place of the release that somebody chose.
local function keep(ctx, plan, namespace)
  if ctx.settings.runtimeScript == false then return end
  plan:shared('runtime ConfigMap', {
    apiVersion = 'v1',
    kind = 'ConfigMap',
    metadata = {
      name = actors.RUNTIME,
      namespace = namespace,
      labels = {
        ['app.kubernetes.io/name'] = 'asya-runtime',
        ['app.kubernetes.io/component'] = 'runtime',
        ['app.kubernetes.io/part-of'] = 'asya',
      },
    },
    data = { [actors.SCRIPT] = ctx.settings.runtimeScript or BUILT_IN },
  })
end

return policy.define {
  name = 'runtime',
  doc = 'Keeps the runtime script in every namespace with an actor, and in the runtime namespace.',

  render = function(actor, ctx, plan) keep(ctx, plan, actor.metadata.namespace) end,
  shared = function(ctx, plan) keep(ctx, plan, ctx.settings.runtimeNamespace) end,
}
