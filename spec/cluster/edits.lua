--- edits: what the specs of policy ConfigMaps share: a policy that stamps, ConfigMaps of policies, and waiting for what becomes of them.
local cluster = require 'cluster'

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
  local arguments = {}
  for file, text in pairs(files) do
    arguments[#arguments + 1] = ('--from-file=%s=%s'):format(file, cluster.write(cluster.temp(file), text))
  end
  local yaml = cluster.kubectl('create configmap %s -n %s %s --dry-run=client -o yaml', name, own, table.concat(arguments, ' '))
  yaml = yaml:gsub('metadata:\n', ('metadata:\n  labels: {%s: "true"}\n  annotations: {%s}\n'):format(label or 'asya.sh/policies', annotations or ''), 1)
  cluster.apply(yaml, false, '--server-side --force-conflicts')
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

return M
