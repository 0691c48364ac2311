--- credentials: the copy of what an actor's pods need of the Secrets in the operator's namespace. The operator carries it out: what the Secrets
-- hold is never seen here.
local policy = require 'policy'
local k8s = require 'k8s'
local schema = require 'schema'
local actors = require 'actor'
local names = require 'names'
local transports = require 'transport'

--- What is to be copied, by the key that it gets in the copy: the one it has. The second result is a key that stands for two things, or nil.
local function sources(transport, ctx)
  local found, clash = {}, nil
  for _, ref in pairs(transports.secrets(transport)) do
    local other = found[ref.key]
    if other and other.name ~= ref.name then clash = ref.key end
    found[ref.key] = names.source(ref, ctx)
  end
  return found, clash
end

--- The user, which is configuration: KEDA takes it from beside the password.
local function texts(transport)
  if transport.type ~= 'rabbitmq' then return nil end
  local user = k8s.get(transport.config, 'username')
  return { [names.USER] = user ~= nil and user ~= '' and tostring(user) or 'guest' }
end

local function clash_of(transport, ctx)
  local from, clash = sources(transport, ctx)
  return clash or from[names.USER] and texts(transport) and names.USER or nil
end

return policy.define {
  name = 'credentials',
  after = { 'validate' },
  doc = "Secret <actor>-transport-creds: what the actor needs of the Secrets in the operator's namespace.",

  params = {
    refresh_seconds = schema.integer { min = 10 }:default(600):doc 'Seconds after which the values are copied anew: nobody tells when a Secret is changed.',
  },

  validate = function(actor, ctx)
    local transport = actors.transport(actor, ctx)
    local clash = clash_of(transport, ctx)
    if not clash then return nil end
    return policy.invalid {
      path = 'spec.transport', condition = 'TransportReady', reason = 'InvalidTransport',
      message = ('transports.%s.config: two values would have the key "%s" in the Secret %s of the actor; give one of them another key')
        :format(transport.name, clash, names.copy(actor)),
    }
  end,

  render = function(actor, ctx, plan)
    local transport = actors.transport(actor, ctx)
    local from = sources(transport, ctx)
    if next(from) == nil then return end
    plan:copy_secret('credentials', { metadata = { name = names.copy(actor) }, stringData = texts(transport) }, from)
    plan:requeue_after(ctx.params.refresh_seconds)
  end,
}
