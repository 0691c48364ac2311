--- names: what an actor, its queue and its Secrets are called, and what a sidecar is told. All in which releases of the platform differ
-- stands here, or in policies of its own: profiles/ has this file once more for each other release.
local policy = require 'policy'
local json = require 'json'

local M = {}

--- The name by which messages find the actor.
function M.actor(actor) return actor.metadata.name end

--- The labels that select an actor's pods.
function M.labels(actor, kind)
  local name = actor.metadata.name
  return { app = name, ['asya.sh/asya'] = name, ['asya.sh/workload'] = kind:lower() }
end

--- The queue an actor reads.
function M.queue(actor) return 'asya-' .. actor.metadata.name end

--- The queue for what it could not process. RabbitMQ has one for each actor, which goes with it.
function M.dead_letters(actor, type) return type == 'sqs' and 'asya-dlq' or M.queue(actor) .. '-dlq' end

--- Do all actors of the namespace share it? Then it goes with none of them.
function M.shares_dead_letters() return false end

--- The ServiceAccount with the AWS role.
function M.service_account(actor) return 'asya-' .. actor.metadata.name end

--- A reference to a Secret, as the actor's pods and KEDA use it.
function M.secret(_, ref) return ref end

--- The same, as the operator uses it: it reaches the broker, too.
function M.source(ref) return ref end

--- A reference to the user name beside a password, or nil: the sidecar's own variable has it.
function M.user() return nil end

--- What the sidecar is told, in the order that users know.
function M.sidecar_env(_, list) return list end

--- Is this pod one of the actor's own? No other actor has the labels that lead to it.
function M.owns() return true end

--- What is wrong with the actor's name: { path, text }, or nil. Names become label values, and a StatefulSet adds a revision to its own.
function M.problem(actor, kind)
  local name, limit = actor.metadata.name, kind == 'StatefulSet' and 52 or 63
  if #name <= limit then return nil end
  return { path = 'metadata.name', text = ("'%s' has %d characters, at most %d fit the labels of its pods; use a shorter one"):format(name, #name, limit) }
end

--- The routing keys under which messages come: publishers use the actor's name, the operator before this one bound the queue's.
function M.bindings(actor) return json.array { M.actor(actor), M.queue(actor) } end

return policy.library(M)
