--- defaults: what a manifest leaves unsaid, and where in its file something is said.
local ipairs, next, tonumber, type = ipairs, next, tonumber, type
local find, gmatch, gsub, lower, match, sub = string.find, string.gmatch, string.gsub, string.lower, string.match, string.sub
local plain = require 'plain'
local format = plain.format

local defaults = {}

--- The plural of a kind, as the API server's own kinds have it: Policy policies, Ingress ingresses, Endpoints endpoints.
---@param kind string
---@return string
function defaults.plural(kind)
  local word = lower(kind)
  if word == 'endpoints' then return word end
  if find(word, '[sxz]$') or find(word, '[cs]h$') then return word .. 'es' end
  if find(word, '[^aeiou]y$') then return sub(word, 1, -2) .. 'ies' end
  return word .. 's'
end

--- Kubernetes' own kinds that are in no namespace, by their group.
local CLUSTER = {
  [''] = 'Namespace Node PersistentVolume', ['rbac.authorization.k8s.io'] = 'ClusterRole ClusterRoleBinding',
  ['storage.k8s.io'] = 'StorageClass CSIDriver CSINode VolumeAttachment', ['networking.k8s.io'] = 'IngressClass',
  ['scheduling.k8s.io'] = 'PriorityClass', ['node.k8s.io'] = 'RuntimeClass', ['apiextensions.k8s.io'] = 'CustomResourceDefinition',
  ['apiregistration.k8s.io'] = 'APIService', ['certificates.k8s.io'] = 'CertificateSigningRequest',
  ['admissionregistration.k8s.io'] = 'ValidatingWebhookConfiguration MutatingWebhookConfiguration ValidatingAdmissionPolicy '
    .. 'ValidatingAdmissionPolicyBinding', ['flowcontrol.apiserver.k8s.io'] = 'FlowSchema PriorityLevelConfiguration',
}

--- The scope of a row: 'Cluster', or nil for a kind whose objects are in namespaces. What is neither is left to those who check it.
---@param row table
---@return any
function defaults.scope(row)
  if row.scope == 'Namespaced' then return nil end
  if row.scope ~= nil or type(row.apiVersion) ~= 'string' or type(row.kind) ~= 'string' then return row.scope end
  local known = CLUSTER[match(row.apiVersion, '^(.+)/') or '']
  return known and find(' ' .. known .. ' ', ' ' .. row.kind .. ' ', 1, true) and 'Cluster' or nil
end

--- A row of a kind: a copy with its plural and scope. The text 'apps/v1 Deployment' stands for a row that says no more than that.
local function row_of(value)
  if type(value) == 'string' then
    local api_version, kind = match(value, '^(%S+)%s+(%S+)$')
    if not kind then return value end
    value = { apiVersion = api_version, kind = kind }
  end
  if type(value) ~= 'table' then return value end
  local row = {}
  for key, field in next, value do row[key] = field end
  if row.plural == nil and type(row.kind) == 'string' then row.plural = defaults.plural(row.kind) end
  row.scope = defaults.scope(row)
  return row
end

local function rows_of(list)
  if type(list) ~= 'table' then return list end
  local rows = {}
  for key, item in next, list do rows[key] = row_of(item) end
  return rows
end

--- What each field is when the manifest does not name it: a text, in which {component}, {domain} and {kind} stand for those of the manifest.
local TEXTS = {
  lease = '{component}.{domain}', field_manager = '{component}', finalizer = '{domain}/finalizer',
  policies_label = '{domain}/{kind}-policies', bundle_label = 'asya.sh/bundle', class_annotation = '{domain}/operator-class',
  rendered_digest = 'status.renderedDigest', bundle_digest = 'status.bundleDigest', queue_records = 'status.queues', claim = 'status.operator',
}
--- Fields that have no default where parents are somebody else's.
local OWN = { 'finalizer', 'rendered_digest', 'bundle_digest', 'queue_records', 'claim' }
--- Fields that may be false: there is none then.
local NONE = { 'finalizer', 'policies_label', 'bundle_label', 'class_annotation', 'rendered_digest', 'bundle_digest', 'queue_records', 'claim' }

--- Settings that the engine itself reads, of every bundle.
local ENGINE = {
  rollout = { env = 'ASYA_POLICY_ROLLOUT', type = 'json', engine = true,
    doc = 'How a new bundle reaches parents: {maxRestarting: 5, maxFailed: 1, readySeconds: 300}.' },
  healthCheckInterval = { env = 'ASYA_QUEUE_HEALTH_CHECK_INTERVAL', type = 'string', engine = true,
    doc = 'How often queues are looked at, as "5m" or "30s"; 5m. "0": only when something else happens.' },
  resyncInterval = { env = 'ASYA_RESYNC_INTERVAL', type = 'string', engine = true,
    doc = 'How often each parent is compared with what is known of it though nothing happened, as "10h"; 10h. "0": never.' },
}

local function settings_of(given)
  if given ~= nil and type(given) ~= 'table' then return given end
  local settings = {}
  for name, setting in next, given or {} do settings[name] = setting end
  for name, setting in next, ENGINE do
    if settings[name] == nil then
      settings[name] = {}
      for key, value in next, setting do settings[name][key] = value end
    end
  end
  return settings
end

--- A copy of what policy.manifest() was given, with what it leaves unsaid. What is malformed stays as it is, for those who check it.
---@param spec any
---@return any
function defaults.manifest(spec)
  if type(spec) ~= 'table' then return spec end
  local copy = {}
  for key, value in next, spec do copy[key] = value end
  copy.settings = settings_of(spec.settings)
  copy.parent, copy.children, copy.related = row_of(spec.parent), rows_of(spec.children or {}), rows_of(spec.related)
  local parent = type(copy.parent) == 'table' and copy.parent or {}
  if type(parent.kind) ~= 'string' or type(parent.apiVersion) ~= 'string' then return copy end
  if copy.domain == nil and not copy.decorate then copy.domain = match(parent.apiVersion, '^(.+)/') end
  if copy.component == nil then copy.component = lower(parent.kind) .. (copy.decorate and '-decorator' or '-operator') end
  for _, field in ipairs(copy.decorate and OWN or {}) do
    if copy[field] == nil then copy[field] = false end
  end
  local named = copy.field_manager ~= nil
  local words = { component = copy.component, domain = copy.domain, kind = lower(parent.kind) }
  for field, text in next, TEXTS do
    if copy[field] == nil and type(words.component) == 'string' and (type(words.domain) == 'string' or not find(text, '{domain}', 1, true)) then
      copy[field] = gsub(text, '{(%l+)}', words)
    end
  end
  if copy.decorate and not named then copy.field_manager = copy.lease end -- others may decorate the same objects, and this tells who wrote what
  for _, field in ipairs(NONE) do
    if copy[field] == false then copy[field] = nil end
  end
  return copy
end

--- What is wrong with what a manifest must say itself, its parent and for some its domain, or nil. Types are checked elsewhere.
---@param manifest any
---@return string?
function defaults.wrong_parent(manifest)
  if type(manifest) ~= 'table' then return nil end
  local parent = manifest.parent
  if parent == nil then return "policy.manifest.parent is missing: write parent = 'GROUP/VERSION KIND'" end
  if type(parent) == 'string' then
    return format("policy.manifest.parent '%s' must be 'GROUP/VERSION KIND', such as 'demo.example.com/v1 Greeting'", parent)
  end
  local api_version, kind = type(parent) == 'table' and parent.apiVersion, type(parent) == 'table' and parent.kind
  if type(api_version) ~= 'string' or type(kind) ~= 'string' then return nil end
  if not find(api_version, '^[%l%d.-]+/v%d%w*$') and not find(api_version, '^v%d%w*$') then
    return format("policy.manifest.parent.apiVersion '%s' must be GROUP/VERSION, such as 'demo.example.com/v1'", api_version)
  elseif not find(kind, '^%u%w*$') then
    return format("policy.manifest.parent.kind '%s' must be as the CRD spells it, such as 'Greeting'", kind)
  elseif manifest.lease == nil and manifest.domain == nil then
    return format("policy.manifest.domain is missing: a kind %s gives none; write domain = 'example.com'",
      manifest.decorate and 'of somebody else' or 'of the core group')
  end
end

local CLASS <const> = "of a-z, 0-9 and '-' between them, at most 63, such as 'blue'"
local NAME <const> = '^[%l%d][%l%d.-]*/[%w][%w._-]*$'
--- What names must look like: field, pattern, greatest length, and how to say it.
local LOOKS = {
  { 'domain', '^[%l%d][%l%d.-]*$', 200, "a domain, such as 'demo.example.com'" },
  { 'component', '^%l[%l%d-]*$', 40, "of a-z, 0-9 and '-', at most 40, such as 'greeting-operator'" },
  { 'lease', '^[%l%d][%l%d.-]*$', 180, "of a-z, 0-9, '-' and '.', such as 'greeting-operator.demo.example.com'" },
  { 'field_manager', '^%g+$', 128, 'at most 128 characters: the API server takes no longer one' },
  { 'finalizer', NAME, 250, "DOMAIN/NAME, such as 'demo.example.com/finalizer'" },
  { 'policies_label', NAME, 250, "DOMAIN/NAME, such as 'demo.example.com/policies'" },
  { 'bundle_label', NAME, 250, "DOMAIN/NAME, such as 'asya.sh/bundle'" },
  { 'bundle_label', '%w$', 250, "DOMAIN/NAME, such as 'asya.sh/bundle'" },
  { 'class_annotation', NAME, 250, "DOMAIN/NAME, such as 'demo.example.com/operator-class'" },
  { 'class', '^[%l%d][%l%d-]*$', 63, CLASS }, { 'class', '[%l%d]$', 63, CLASS },
  { 'rendered_digest', '^status%.%a', 200, "a field of the status, such as 'status.renderedDigest'" },
  { 'bundle_digest', '^status%.%a', 200, "a field of the status, such as 'status.bundleDigest'" },
  { 'queue_records', '^status%.%a', 200, "a field of the status, such as 'status.queues'" },
  { 'claim', '^status%.%a', 200, "a field of the status, such as 'status.operator'" },
}

--- What is wrong with the names of a manifest whose fields have the right types, or nil.
---@param manifest table
---@return string?
function defaults.check(manifest)
  for _, look in ipairs(LOOKS) do
    local field, value = look[1], manifest[look[1]]
    if value and not (find(value, look[2]) and #value <= look[3]) then
      return format("policy.manifest.%s '%s' must be %s", field, value, look[4])
    end
  end
  if manifest.class and not manifest.class_annotation then
    return 'policy.manifest.class: without class_annotation nothing says which objects are of that class'
  end
  for field, most in next, { policies_label = 40, bundle_label = 63 } do -- a server lists nothing by a name that cannot be one
    if manifest[field] and #match(manifest[field], '/(.*)') > most then
      return format("policy.manifest.%s '%s': what follows the / must have at most %d characters", field, manifest[field], most)
    end
  end
end

--- Where the n-th item of the list begins that begins behind `at`.
local function item_at(text, at, n)
  local inside = find(text, '{', at, true)
  local place = inside
  for i = 1, inside and n or 0 do
    local begin = find(text, '[{\'"]', place + 1)
    if not begin then return place end
    place = begin
    if i < n then
      local mark = sub(text, begin, begin)
      local _, last = find(text, mark == '{' and '%b{}' or mark .. '[^\n]-' .. mark, begin)
      place = last or begin
    end
  end
  return place
end

--- The line of a file that the complaint about its manifest is about, as far as searching for the names in the text tells; nil: nobody knows.
---@param text string
---@param wrong string "policy.manifest.children[2].shared must be ..."
---@return integer?
function defaults.line(text, wrong)
  local at = find(text, 'manifest', 1, true)
  local path = at and match(wrong, '^policy%.manifest([%w_.%[%]]*)')
  if not path then return nil end
  if find(wrong, ' is missing', 1, true) then path = gsub(path, '%.[%w_]+$', '') end
  path = path .. '.' .. (match(wrong, "unknown field '([%w_]+)'") or '')
  for name, index in gmatch(path, '([%a_][%w_]*)%[?(%d*)') do
    local there = find(text, '%f[%w_]' .. name .. '%s*=', at)
    if not there then break end
    at = there
    if index ~= '' then at = item_at(text, there, tonumber(index)) or there end
  end
  local _, breaks = gsub(sub(text, 1, at), '\n', '')
  return breaks + 1
end

return defaults
