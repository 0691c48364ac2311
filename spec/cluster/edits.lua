--- edits: what the specs of policy ConfigMaps share: a policy that stamps, ConfigMaps of policies, and waiting for what becomes of them.
local cluster = require 'cluster'
local json = require 'json'

local eventually = cluster.eventually
local M = {}

--- A policy that stamps Deployments (which restarts no pod) or their pods (which does).
function M.stamp(value, pods)
  return ([[
local policy = require 'policy'
return policy.define { name = 'stamp', after = { 'sidecar' }, render = function(actor, ctx, plan)
  local object = plan:get('workload')%s
  object.metadata.annotations = { stamp = '%s' }
end }
]]):format(pods and '.spec.template' or '', value)
end

--- Makes a ConfigMap of these files, or changes it. `label` is asya.sh/policies unless given, `annotations` the inside of a YAML mapping.
function M.put(own, name, files, label, annotations)
  cluster.apply(('{apiVersion: v1, kind: ConfigMap, metadata: {name: %s, namespace: %s, labels: {%s: "true"}, annotations: {%s}}, data: %s}')
    :format(name, own, label or 'asya.sh/policies', annotations or '', json.encode(files)))
end

--- What the policy above has left on a Deployment, or on its pods; nil for nothing.
function M.stamp_of(name, ns, pods)
  local object = cluster.get('deployment', name, ns)
  local at = object and (pods and object.spec.template or object).metadata
  return at and at.annotations and at.annotations.stamp
end

function M.await_stamp(name, ns, value, pods)
  eventually(('%s is stamped %s'):format(name, tostring(value)), 20, function()
    local now = M.stamp_of(name, ns, pods)
    return now == value, now
  end)
end

function M.await_running(ns, ...)
  for _, name in ipairs { ... } do
    eventually(name .. ' is Running', 30, function()
      local actor = cluster.get('asyncactor', name, ns)
      return actor and actor.status and actor.status.status == 'Running', actor and actor.status and actor.status.status
    end)
  end
end

--- Waits until the ConfigMap says this about itself, and returns it.
function M.await_state(own, name, text)
  return eventually(('ConfigMap %s says %s'):format(name, text), 20, function()
    local map = cluster.get('configmap', name, own)
    local state = map and (map.metadata.annotations or {})['asya.sh/policies-state'] or ''
    return state:find(text, 1, true) and state, state
  end)
end

--- What each test begins with: no actors, and a namespace for actors and one for the operator.
function M.begin()
  cluster.clear()
  return cluster.namespace 'actors', cluster.namespace 'operator'
end

--- What it ends with: the actors go while an operator is there to release them.
function M.finish(ns)
  cluster.sh('kubectl delete asyncactors --all -n %s --timeout=20s', ns)
  cluster.stop_all()
end

--- An operator whose own namespace is this one.
function M.operator(own, options)
  options = options or {}
  options.args = '--namespace ' .. own .. ' ' .. (options.args or '')
  return cluster.operator(options)
end

--- An actor with labels, written as the inside of a YAML mapping.
function M.labelled(name, ns, labels)
  return (cluster.actor(name, ns):gsub('namespace: [^}]*', ('%%0, labels: {%s}'):format(labels)))
end

--- How often somebody has changed the spec of a Deployment.
function M.generation(name, ns) return cluster.get('deployment', name, ns).metadata.generation end

--- An actor `one` that runs, with a stamp `kept` from a ConfigMap `team` that is live.
function M.keep_one(ns, own)
  cluster.apply(cluster.actor('one', ns))
  M.await_running(ns, 'one')
  M.put(own, 'team', { ['stamp.lua'] = M.stamp 'kept' })
  M.await_stamp('one', ns, 'kept')
  M.await_state(own, 'team', 'live: bundle')
end

return M
