--- names: what an actor, its queue and its Secrets are called since release 0.2 to 0.4 of the platform: queues and dead letter queues have the
-- namespace in their names, a label says by which name messages find an actor, and pods get a copy of the Secrets of the operator's namespace.
local policy = require 'policy'
local json = require 'json'
local k8s = require 'k8s'

local M = {}

M.ACTOR = 'asya.sh/actor' -- on the actor and on its pods: several actors may have the same
M.USER = 'username' -- the key of the user name in the copy

--- The name by which messages find the actor.
function M.actor(actor)
  local label = k8s.get(actor, { 'metadata', 'labels', M.ACTOR })
  return label ~= '' and label or actor.metadata.name
end

--- The labels that select an actor's pods.
function M.labels(actor, kind) return { [M.ACTOR] = M.actor(actor), ['asya.sh/workload'] = kind:lower() } end

--- The queue an actor reads.
function M.queue(actor) return ('asya-%s-%s'):format(actor.metadata.namespace, M.actor(actor)) end

--- The queue for what actors of the namespace could not process.
function M.dead_letters(actor) return ('asya-%s-dlq'):format(actor.metadata.namespace) end

--- Do all actors of the namespace share it? Then it goes with none of them.
function M.shares_dead_letters() return true end

--- The ServiceAccount with the AWS role: the one that pods of this release name.
function M.service_account(actor) return ('asya-%s-%s'):format(actor.metadata.namespace, actor.metadata.name) end

--- The Secret that holds what the actor's pods need.
function M.copy(actor) return actor.metadata.name .. '-transport-creds' end

--- A reference to a Secret, as the actor's pods and KEDA use it.
function M.secret(actor, ref) return { name = M.copy(actor), key = ref.key } end

--- The same, as the operator uses it: it reaches the broker, too.
function M.source(ref, ctx)
  local source = k8s.copy(ref)
  source.namespace = ctx.settings.credentialsNamespace
  return source
end

--- A reference to the user name beside a password.
function M.user(actor) return { name = M.copy(actor), key = M.USER } end

--- What the sidecar is told, in the order that users know: the namespace behind the name, and RabbitMQ's password behind what is no secret.
function M.sidecar_env(actor, list)
  local _, at = k8s.find(list, 'ASYA_ACTOR_NAME')
  table.insert(list, at + 1, { name = 'ASYA_NAMESPACE', value = actor.metadata.namespace })
  local _, from = k8s.find(list, 'ASYA_RABBITMQ_PASSWORD')
  local password = from and table.remove(list, from)
  local _, last = k8s.find(list, 'ASYA_QUEUE_AUTO_CREATE')
  if password then table.insert(list, last + 1, password) end
  return list
end

--- Why no queue of SQS can have this name, or nil.
local function problem_of_queue(name)
  if #name > 80 then return ("its queue would be called '%s', which has %d characters; SQS takes at most 80"):format(name, #name) end
  if name:find '[^%w_-]' then return ("its queue would be called '%s'; SQS takes letters, digits, '-' and '_' only"):format(name) end
end

--- Is this pod one of the actor's own? Several actors may have one label; the owner of a pod tells whose it is.
function M.owns(actor, pod)
  local owner = (pod.metadata.ownerReferences or {})[1]
  if not owner then return true end
  local hash = k8s.get(pod, { 'metadata', 'labels', 'pod-template-hash' })
  local name = owner.kind == 'ReplicaSet' and hash and owner.name:sub(1, -#hash - 2) or owner.name
  -- Of a long name a Job's holds the beginning: 54 characters where we make it, 58 where KEDA does.
  if owner.kind == 'Job' then return name:find((actor.metadata.name .. '-'):sub(1, 54), 1, true) == 1 end
  return name == actor.metadata.name
end

--- What is wrong with the actor's name: { path, text }, or nil.
function M.problem(actor, kind, transport)
  local name, label, limit = actor.metadata.name, M.actor(actor), kind == 'StatefulSet' and 52 or 63
  if #name > limit then
    return { path = 'metadata.name', text = ("'%s' has %d characters, at most %d fit the labels of its pods; use a shorter one"):format(name, #name, limit) }
  end
  local path = label == name and 'metadata.name' or 'metadata.labels.' .. M.ACTOR
  if label == 'dlq' then return { path = path, text = "'dlq' is the end of the name of the namespace's dead letter queue; use another one" } end
  local problem = transport and transport.type == 'sqs' and problem_of_queue(M.queue(actor))
  return problem and { path = path, text = ("'%s' cannot be used: %s"):format(label, problem) } or nil
end

--- The routing keys under which messages come: publishers still use the actor's name, the operator of this release bound the queue's.
function M.bindings(actor) return json.array { M.actor(actor), M.queue(actor) } end

return policy.library(M)
