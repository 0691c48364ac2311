--- kinds: what a bundle may make: the children of its manifest, and the kinds that policies declare beside them.
local json = require 'json'
local plain = require 'plain'

local error, ipairs, next, type = error, ipairs, next, type
local find, lower, match, sub = string.find, string.lower, string.match, string.sub
local format = plain.format

local kinds = {}

local MAX <const> = 32 -- each is a watch; the manifest's own are not counted
local VERBS <const> = 'get, list, watch, create, patch, delete'

local function id_of(row) return row.apiVersion .. ' ' .. row.kind end

--- The first field in which two rows differ, or nil.
local function difference(a, b)
  for _, field in ipairs { 'plural', 'shared', 'selector', 'update', 'scope', 'owned_by', 'projection' } do
    if (a[field] or false) ~= (b[field] or false) then return field end
  end
end

local function shown(value) return value == nil and 'nothing' or type(value) == 'string' and "'" .. value .. "'" or plain.text(value) end

--- Kubernetes deletes what has an owner reference when the owner goes. What has none is ours to delete, so the parent must wait for us.
local function check_owner(manifest, row, file)
  if row.owned_by and not manifest.finalizer then
    error(format("%s: %s with owned_by = 'label' needs a finalizer in the manifest: without one nobody deletes it when its %s goes", file, id_of(row),
      manifest.parent.kind), 0)
  end
end

--- The rows that policies declare and the manifest does not list, each once. Raises when two do not agree on a kind.
---@param manifest table
---@param list Policy[]
---@return Kind[]
function kinds.declared(manifest, list)
  local known, rows = {}, json.array {}
  local function take(row, file)
    local id = id_of(row)
    local other = known[id]
    if id == id_of(manifest.parent) then error(format('%s: %s is the parent, which no policy makes', file, id), 0) end
    local field = other and difference(other.row, row)
    if field then
      error(format('%s: %s is declared with %s = %s, and in %s with %s', file, id, field, shown(row[field]), other.file, shown(other.row[field])), 0)
    end
    check_owner(manifest, row, file)
    known[id] = other or { row = row, file = file }
    return not other
  end
  for _, row in ipairs(manifest.children) do
    check_owner(manifest, row, 'the manifest')
    known[id_of(row)] = { row = row, file = 'the manifest' }
  end
  for _, it in ipairs(list) do
    for _, row in ipairs(it.def.kinds) do
      if take(row, it.file) then
        local copy = {}
        for key, value in next, row do copy[key] = value end
        rows[#rows + 1] = copy
      end
    end
  end
  if #rows > MAX then error(format('policies declare %d kinds: at most %d can be watched beside those of the manifest', #rows, MAX), 0) end
  return rows
end

--- How the objects of a kind can be planned: by its apiVersion and name, { owned, shared, update, cluster, by_label, unseen }.
---@param rows Kind[]
---@param more Kind[]
---@param decorates boolean parents are somebody else's: their children are known by a label beside the owner reference
---@return table<string, { owned: true?, shared: true?, update: string?, cluster: true?, by_label: true?, unseen: true? }>
function kinds.by_id(rows, more, decorates)
  local result = {}
  for _, list in ipairs { rows, more } do
    for _, row in ipairs(list) do
      local id = id_of(row)
      result[id] = result[id] or {}
      result[id][row.shared and 'shared' or 'owned'] = true
      if row.scope == 'Cluster' then result[id].cluster = true end
      if row.projection then result[id].unseen = true end
      if row.owned_by or decorates and not row.shared then result[id].by_label = true end
      if row.update ~= 'InPlace' then result[id].update = result[id].update or row.update end
    end
  end
  return result
end

--- The plural that most kinds have.
local function plural_of(kind)
  local word = lower(kind)
  if find(word, '[^aeiou]y$') then return sub(word, 1, -2) .. 'ies' end
  return word .. (find(word, '[sxz]$') and 'es' or find(word, '[cs]h$') and 'es' or 's')
end

--- What to do about an object of a kind that neither the manifest nor a policy lists: the line to write, and the rights to give.
---@param api_version string
---@param kind string
---@param shared boolean
---@return string
function kinds.advice(api_version, kind, shared)
  local group, plural = match(api_version, '^(.*)/') or '""', plural_of(kind)
  return format("neither the manifest nor a policy lists %s %s. Write into policy.define: kinds = { { apiVersion = '%s', kind = '%s', plural = '%s'%s } }. "
    .. 'Give the right to it, in the values of the chart: rbac: {extraRules: [{apiGroups: [%s], resources: [%s], verbs: [%s]}]}',
    api_version, kind, api_version, kind, plural, shared and ', shared = true' or '', group, plural, VERBS)
end

return kinds
