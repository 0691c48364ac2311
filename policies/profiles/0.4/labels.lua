--- labels: the labels that say whose an object is, on everything that is made for an actor, and the actor's name on itself.
local policy = require 'policy'
local k8s = require 'k8s'
local names = require 'names'

local COMPONENTS = {
  workload = 'actor', credentials = 'transport-creds', identity = 'serviceaccount', ['trigger-auth'] = 'triggerauthentication', scaler = 'scaledobject',
}

return policy.define {
  name = 'labels',
  after = { 'workload', 'credentials', 'identity', 'scaling' },
  doc = "The actor's labels and app.kubernetes.io/... on what is made for it; asya.sh/actor on the actor.",

  render = function(actor, _, plan)
    local own = k8s.merge(k8s.get(actor, 'metadata.labels') or {}, {
      [names.ACTOR] = names.actor(actor), ['app.kubernetes.io/name'] = actor.metadata.name, ['app.kubernetes.io/part-of'] = 'asya',
      ['app.kubernetes.io/managed-by'] = 'asya-operator',
    })
    for _, role in ipairs(plan:roles()) do
      if COMPONENTS[role] then
        plan:merge(role, { metadata = { labels = own } })
        plan:merge(role, { metadata = { labels = { ['app.kubernetes.io/component'] = COMPONENTS[role] } } })
      end
    end
    plan:label(names.ACTOR, names.actor(actor))
  end,
}
