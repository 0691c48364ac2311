--- situation: what the specs of an actor's status build it from: the actor, its children, its pods.
local case = require 'case'
local json = require 'json'

local M = {}

local bundle = case.bundle()
local NOW = '2026-01-02T03:04:05Z'

function M.actor(before, scaling, annotations)
  return {
    apiVersion = 'asya.sh/v1alpha1', kind = 'AsyncActor',
    metadata = { name = 'a', namespace = 'ns', generation = 3, annotations = annotations },
    spec = { transport = 'rabbitmq', scaling = scaling, workload = { template = {} } }, status = before,
  }
end

function M.deployment(replicas, status, generation)
  return {
    apiVersion = 'apps/v1', kind = 'Deployment',
    metadata = { name = 'a', namespace = 'ns', creationTimestamp = '2026-01-01T00:00:00Z', generation = generation },
    spec = { replicas = replicas }, status = status,
  }
end

function M.pod(name, status)
  return { apiVersion = 'v1', kind = 'Pod', metadata = { name = name, namespace = 'ns' }, status = status }
end

--- A status of a Deployment all of whose pods are ready.
M.full = { replicas = 2, readyReplicas = 2, updatedReplicas = 2 }

--- The status of a situation: { children, pods, outcome, actor, queues, bundle }.
function M.judge(s)
  local outcome = s.outcome or {}
  outcome.errors, outcome.changed = outcome.errors or json.array {}, outcome.changed or json.array {}
  if not outcome.generation and not outcome.policy_error then outcome.generation = 3 end
  local result = (s.bundle or bundle):status {
    now = NOW, parent = s.actor or M.actor(s.before, s.scaling), children = json.array(s.children or {}),
    related = json.array(s.pods or {}), queues = s.queues and json.array(s.queues), outcome = outcome,
  }
  return result.status, result.events, result.requeue_after, result.rolling_out
end

function M.condition(status, kind)
  for _, c in ipairs(status.conditions) do
    if c.type == kind then return c end
  end
end

return M
