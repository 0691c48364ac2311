--- children: what actors have become, as it is compared between namespaces.
local cluster = require 'cluster'
local json = require 'json'

local M = {}

M.KINDS = { 'deployments', 'statefulsets', 'scaledobjects', 'scaledjobs', 'triggerauthentications', 'serviceaccounts' }

--- The children of a namespace by actor, kind and name, without what the server says of them.
function M.of(namespace)
  local found = {}
  for _, kind in ipairs(M.KINDS) do
    for _, object in ipairs(cluster.list(kind, namespace)) do
      local owner = object.metadata.ownerReferences and object.metadata.ownerReferences[1]
      if owner then
        local metadata = object.metadata
        local annotations = metadata.annotations or {}
        annotations['deployment.kubernetes.io/revision'] = nil
        found[owner.name] = found[owner.name] or {}
        found[owner.name][object.kind .. ' ' .. metadata.name] = {
          spec = object.spec, labels = metadata.labels, annotations = next(annotations) and annotations or nil, finalizers = metadata.finalizers,
        }
      end
    end
  end
  return found
end

--- An empty object says as much as an absent one, but for a volume's source.
local function is_nothing(value, path)
  return value == nil or type(value) == 'table' and next(value) == nil and not path:find '%.emptyDir$'
end

--- The first path at which two values differ.
function M.difference(a, b, path)
  if is_nothing(a, path) and is_nothing(b, path) then return nil end
  if type(a) ~= 'table' or type(b) ~= 'table' then
    local function shown(value) return value == nil and 'absent' or json.encode(value) end
    if a ~= b then return ('%s: %s, fresh: %s'):format(path, shown(a), shown(b)) end
    return nil
  end
  local keys = {}
  for key in pairs(a) do keys[key] = true end
  for key in pairs(b) do keys[key] = true end
  for key in pairs(keys) do
    local found = M.difference(a[key], b[key], path .. '.' .. tostring(key))
    if found then return found end
  end
end

return M
