--- queue: the queue an actor reads, and the one for what it could not process.
local policy = require 'policy'
local schema = require 'schema'
local k8s = require 'k8s'
local actors = require 'actor'
local names = require 'names'
local transports = require 'transport'

local SKIP = 'asya.sh/skip-queue-cleanup'

local function dead_letters(config) return k8s.get(config, 'queues.dlq.enabled') == true end
local function retries(config) return k8s.positive(k8s.get(config, 'queues.dlq.maxRetryCount'), 3) end

-- What a queue of each type must be, in the words of rabbitmq.h and sqs.h.
local WANT = {}

--- Arguments of a queue cannot be changed later, so those of a classic one are what they always have been.
function WANT.rabbitmq(actor, config)
  local exchange, arguments = k8s.get(config, 'exchange'), {}
  if exchange == nil or exchange == '' then exchange = 'asya' end
  if k8s.get(config, 'queues.type') == 'quorum' then
    arguments['x-queue-type'] = 'quorum'
    arguments['x-delivery-limit'] = retries(config)
  end
  local want = { durable = true, exchange = { name = exchange, type = 'topic' } }
  want.bindings = names.bindings(actor)
  if dead_letters(config) then
    arguments['x-dead-letter-exchange'] = ''
    want.deadLetter = { name = names.dead_letters(actor, 'rabbitmq') }
    arguments['x-dead-letter-routing-key'] = want.deadLetter.name
    if arguments['x-queue-type'] then want.deadLetter.arguments = { ['x-queue-type'] = 'quorum' } end
  end
  if next(arguments) then want.arguments = arguments end
  return want
end

local function with_tags(tags, config)
  for key, value in pairs(k8s.get(config, 'tags') or {}) do tags[key] = tostring(value) end
  return tags
end

function WANT.sqs(actor, config)
  local visibility = k8s.positive(k8s.get(config, 'visibilityTimeout'))
  local want = {
    attributes = { VisibilityTimeout = visibility and tostring(visibility), MessageRetentionPeriod = '345600' },
    tags = with_tags({ ['asya.sh/actor'] = actor.metadata.name, ['asya.sh/namespace'] = actor.metadata.namespace }, config),
  }
  if dead_letters(config) then
    local days = k8s.positive(k8s.get(config, 'queues.dlq.retentionDays'), 14)
    want.deadLetter = {
      name = names.dead_letters(actor, 'sqs'), maxReceiveCount = retries(config), attributes = { MessageRetentionPeriod = tostring(days * 86400) },
      tags = with_tags({ ['asya.sh/type'] = 'dlq' }, config),
    }
  end
  return want
end

--- The Secrets with which the operator reaches the broker.
local function secrets(transport, ctx)
  local found = {}
  for name, ref in pairs(transports.secrets(transport)) do found[name] = names.source(ref, ctx) end
  return found
end

--- What becomes of the queue when the actor goes.
local function deletion(actor, config)
  if k8s.get(actor, { 'metadata', 'annotations', SKIP }) == 'true' then return 'Retain' end
  local asked = k8s.get(config, 'queues.deletionPolicy')
  if asked ~= nil and asked ~= '' then return asked end
  return transports.auto_create(config) and 'Delete' or 'Retain'
end

--- A transport that can be asked, or nil.
local function usable(transport)
  return transport and transport.enabled and not transports.problem(transport) and transport or nil
end

-- Seconds without a message after which an old queue is empty. SQS knows its counts only about a minute later.
local QUIET = { rabbitmq = 5, sqs = 60 }

--- The actor's queue at a transport, as a plan has it. A dead letter queue that others share is not there for one that goes.
local function queue_at(transport, actor, ctx, goes)
  local config, want = transport.config, WANT[transport.type](actor, transport.config)
  if goes and names.shares_dead_letters() then want.deadLetter = nil end
  want.name, want.create = names.queue(actor), transports.auto_create(config)
  want.forceRecreate = k8s.get(config, 'queues.forceRecreate') == true or nil
  return {
    name = want.name, transport = transport.name, type = transport.type, config = config, secrets = secrets(transport, ctx), want = want,
    deletion = deletion(actor, config), quiet = ctx.params.quiet_seconds or QUIET[transport.type], patience = ctx.params.drain_seconds,
  }
end

--- Plans the queues that were made for the actor at transports that it has left: each goes when it is empty, or with the actor.
local function leave_others(actor, ctx, plan)
  for _, record in ipairs(k8s.get(actor, 'status.queues') or {}) do
    local mine = record.owner == 'Actor' and record.name == names.queue(actor) -- one of another profile is in the plan of that profile
    local transport = mine and record.transport ~= actor.spec.transport and usable(actors.transport_named(record.transport, ctx))
    if transport then
      local queue = queue_at(transport, actor, ctx, true)
      if not actor.metadata.deletionTimestamp then
        queue.leaving = true
        if queue.deletion == 'Delete' then queue.deletion = 'DeleteIfEmpty' end
      end
      plan:queue(queue)
    end
  end
end

return policy.define {
  name = 'queue',
  after = { 'validate' },
  doc = 'The queue asya-<actor> with its dead letter queue and bindings.',
  params = {
    quiet_seconds = schema.integer { min = 1 }:doc 'How long a queue that is not read any more must be without a message before it goes; 5, for SQS 60.',
    drain_seconds = schema.integer { min = 1 }:default(300):doc 'How long it may take to be emptied before that is called trouble.',
  },

  queues = function(actor, ctx, plan)
    if ctx.settings.disableQueueManagement == 'true' then return end
    local transport = usable(actors.transport(actor, ctx))
    if transport then plan:queue(queue_at(transport, actor, ctx, actor.metadata.deletionTimestamp)) end
    leave_others(actor, ctx, plan)
  end,
}
