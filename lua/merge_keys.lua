--- merge_keys: how Kubernetes tells the items of a list apart, by the name of the list.
-- This is the only table of it: k8s.merge reads it here, the engine's comparison is generated from it, and a spec compares it with the
-- schemas of the API server. A list that is not here is one value, compared and replaced as a whole.
local merge_keys = {}

--- Rows of a list's name and the members that tell its items apart. A row without members is a set of plain values. When a name has more
-- than one row, the first one that fits every item counts.
merge_keys.ROWS = {
  { 'claims', 'name' },
  { 'conditions', 'type' },
  { 'containers', 'name' },
  { 'env', 'name' },
  { 'ephemeralContainers', 'name' },
  { 'finalizers' },
  { 'hostAliases', 'ip' },
  { 'imagePullSecrets', 'name' },
  { 'initContainers', 'name' },
  { 'ownerReferences', 'uid' },
  { 'ports', 'containerPort', 'protocol' }, -- of a container
  { 'ports', 'port', 'protocol' }, -- of a Service
  { 'resourceClaims', 'name' },
  { 'schedulingGates', 'name' },
  { 'secrets', 'name' },
  { 'topologySpreadConstraints', 'topologyKey', 'whenUnsatisfiable' },
  { 'volumeDevices', 'devicePath' },
  { 'volumeMounts', 'mountPath' },
  { 'volumes', 'name' },
}

--- The value of a member that was left out.
merge_keys.DEFAULTS = { protocol = 'TCP' }

local by_list = {}
for _, row in ipairs(merge_keys.ROWS) do
  by_list[row[1]] = by_list[row[1]] or {}
  table.insert(by_list[row[1]], { table.unpack(row, 2) })
end

--- The value of an item that tells it apart, by one of its keys.
function merge_keys.value(item, key)
  local value = item[key]
  if value == nil then return merge_keys.DEFAULTS[key] end
  return value
end

local function fits(keys, list)
  for _, item in ipairs(list) do
    if #keys == 0 and type(item) ~= 'string' then return false end
    if #keys > 0 and (type(item) ~= 'table' or item[keys[1]] == nil) then return false end
  end
  return true
end

--- The keys of a list with that name; nil when the list is one value. Each of our items must have the first key.
function merge_keys.of(name, list)
  for _, keys in ipairs(by_list[name] or {}) do
    if fits(keys, list) then return keys end
  end
end

return merge_keys
