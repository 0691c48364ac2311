--- crd: the CustomResourceDefinition of a bundle's parent, from fields that are described as parameters of policies are.
local json = require 'json'
local plain = require 'plain'

local error, getmetatable, ipairs, next, type = error, getmetatable, ipairs, next, type
local find, gmatch, gsub, lower, match, sub, upper = string.find, string.gmatch, string.gsub, string.lower, string.match, string.sub, string.upper
local format, sort = plain.format, table.sort

local crd = {}

local MAX_DEPTH <const> = 16 -- of fields in fields
local MAX_PATTERN <const> = 256 -- bytes

local function fail(path, text, ...) error(format('%s: ' .. text, path, ...), 0) end

local function sorted_keys(t, path)
  local keys = {}
  for key in next, t do
    if type(key) ~= 'string' or not find(key, '^%a[%w_]*$') then fail(path, "'%s' is no name of a field", plain.text(key)) end
    keys[#keys + 1] = key
  end
  sort(keys)
  return keys
end

--- Patterns -----------------------------------------------------------------------------------------------------

local CLASSES = {
  a = 'A-Za-z', c = '\\x00-\\x1f\\x7f', d = '0-9', g = '!-~', l = 'a-z', p = '!-/:-@\\[-`{-~', s = ' \\t-\\r', u = 'A-Z', w = '0-9A-Za-z', x = '0-9A-Fa-f',
}

--- A character that stands for itself, outside of a set or in one.
local function literal(c) return find(c, '^[%w _/:;,<>=!@#&\'"`~%%]$') and c or '\\' .. c end

--- What stands behind '%', or nil when a regular expression has nothing like it. Returns it as one item of a set, and whether it is what the set lacks.
local function escaped(c)
  local class = CLASSES[lower(c)]
  if class then return class, c ~= lower(c) end
  if find(c, '^%p$') then return literal(c), false end
end

--- The set that begins at `at`, behind its '['. Returns its text and where it ends, or nil.
local function set(pattern, at)
  local out, first = '[', true
  if sub(pattern, at, at) == '^' then out, at = '[^', at + 1 end
  while true do
    local c = sub(pattern, at, at)
    if c == '' then return nil end
    if c == ']' and not first then return out .. ']', at end
    local last = match(pattern, '^%-([^%]])', at + 1)
    if c == '%' then
      local item, negative = escaped(sub(pattern, at + 1, at + 1))
      if not item or negative then return nil end
      out, at = out .. item, at + 2
    elseif last and last ~= '%' then
      out, at = out .. literal(c) .. '-' .. literal(last), at + 3
    else
      out, at = out .. literal(c), at + 1
    end
    first = false
  end
end

local REPEATS = { ['*'] = '*', ['+'] = '+', ['-'] = '*', ['?'] = '?' }

--- One character class that begins at `at`. Returns its text and where it ends, or nil.
local function class_at(pattern, at)
  local c = sub(pattern, at, at)
  if c == '.' then return '(?s:.)', at end
  if c == '[' then return set(pattern, at + 1) end
  if c ~= '%' then return literal(c), at end
  local next_c = sub(pattern, at + 1, at + 1)
  local item, negative = escaped(next_c)
  if not item then return nil end
  if CLASSES[lower(next_c)] then item = (negative and '[^' or '[') .. item .. ']' end
  return item, at + 1
end

--- The regular expression that finds what a Lua pattern finds, or nil when there is none (%b, %f, %1).
---@param pattern string
---@return string?
function crd.regex(pattern)
  if type(pattern) ~= 'string' or #pattern > MAX_PATTERN then return nil end
  local out, at = '', 1
  if sub(pattern, 1, 1) == '^' then out, at = '^', 2 end
  while at <= #pattern do
    local c = sub(pattern, at, at)
    if c == '$' and at == #pattern then return out .. '$' end
    if c == '(' or c == ')' then -- captures change nothing about whether it is found, and cannot be repeated
      out, at = out .. (c == '(' and '(?:' or ')'), at + 1
    else
      local item, last = class_at(pattern, at)
      if not item then return nil end
      local again = REPEATS[sub(pattern, last + 1, last + 1)]
      out, at = out .. item .. (again or ''), last + (again and 2 or 1)
    end
  end
  return out
end

--- Schemas ------------------------------------------------------------------------------------------------------

local of -- (rule, path, depth)

--- The schema of a mapping of these fields.
local function object(fields, path, depth)
  local properties, required = {}, json.array {}
  for _, name in ipairs(sorted_keys(fields, path)) do
    properties[name] = of(fields[name], path .. '.' .. name, depth + 1)
    if fields[name].needed then required[#required + 1] = name end
  end
  return { type = 'object', properties = properties, required = #required > 0 and required or nil }
end

local KINDS = {}

function KINDS.string(rule, path)
  local regex = rule.pattern and crd.regex(rule.pattern)
  if rule.pattern and not regex then fail(path, "the pattern '%s' has no counterpart in a CRD: write a rule", plain.text(rule.pattern)) end
  local enum = rule.enum and json.array {} or nil
  for i, value in ipairs(rule.enum or {}) do enum[i] = value end
  return { type = 'string', minLength = rule.min_len, maxLength = rule.max_len, pattern = regex, enum = enum }
end

function KINDS.integer(rule) return { type = 'integer', minimum = rule.min, maximum = rule.max } end
function KINDS.number(rule) return { type = 'number', minimum = rule.min, maximum = rule.max } end
function KINDS.boolean() return { type = 'boolean' } end
function KINDS.scalar() return { ['x-kubernetes-int-or-string'] = true } end
function KINDS.any() return { ['x-kubernetes-preserve-unknown-fields'] = true } end
function KINDS.array(rule, path, depth) return { type = 'array', items = of(rule.item, path .. '[]', depth + 1) } end
function KINDS.map(rule, path, depth) return { type = 'object', additionalProperties = of(rule.item, path .. '.*', depth + 1) } end

--- A mapping whose fields have defaults gets them when it is absent, too, as schema.apply() does it.
local function with_defaults(it)
  for _, property in next, it.properties do
    if property.default ~= nil and not it.required then it.default = {} end
  end
  return it
end

function KINDS.table(rule, path, depth) return with_defaults(object(rule.fields, path, depth)) end

--- A default as JSON has it: lists of a rule for lists are lists, even empty ones.
local function value_of(rule, value)
  return rule.kind == 'array' and type(value) == 'table' and #value == 0 and next(value) == nil and json.array {} or value
end

local function validations(rules, path)
  local list = json.array {}
  for i, each in ipairs(rules or {}) do
    if type(each) ~= 'table' or type(each[1]) ~= 'string' or type(each[2]) ~= 'string' then fail(path, 'rule %d must be { expression, message }', i) end
    list[i] = { rule = each[1], message = each[2] }
  end
  return #list > 0 and list or nil
end

function of(rule, path, depth)
  if depth > MAX_DEPTH then fail(path, 'more than %d fields in each other', MAX_DEPTH) end
  local make = type(rule) == 'table' and getmetatable(rule) ~= false and type(rule.kind) == 'string' and KINDS[rule.kind]
  if not make then fail(path, 'must be what a function of schema returns, such as schema.string()') end
  local it = make(rule, path, depth)
  it.description = rule.text
  if rule.fallback ~= nil then it.default = value_of(rule, rule.fallback) end
  it['x-kubernetes-validations'] = validations(rule.rules, path)
  return it
end

--- The openAPIV3Schema of fields that are described as the parameters of a policy are. Raises "path: what is wrong".
---@param fields table<string, Schema>
---@param path string what errors call it
---@return table
function crd.schema(fields, path)
  if type(fields) ~= 'table' then fail(path, 'must be a mapping of fields') end
  return object(fields, path, 0)
end

--- The definition -----------------------------------------------------------------------------------------------

local function text(doc) return { type = 'string', description = doc } end

--- Conditions as the API conventions want them.
local function conditions()
  return {
    type = 'array', ['x-kubernetes-list-type'] = 'map', ['x-kubernetes-list-map-keys'] = json.array { 'type' },
    items = {
      type = 'object', required = json.array { 'type', 'status', 'lastTransitionTime', 'reason', 'message' },
      properties = {
        type = { type = 'string', maxLength = 316 }, status = { type = 'string', enum = json.array { 'True', 'False', 'Unknown' } },
        reason = { type = 'string', maxLength = 1024 }, message = { type = 'string', maxLength = 32768 },
        lastTransitionTime = { type = 'string', format = 'date-time' }, observedGeneration = { type = 'integer', minimum = 0 },
      },
    },
  }
end

--- What the engine writes into the status: field of the manifest -> schema. A server prunes what its schema does not know.
local OURS = {
  rendered_digest = function() return text 'Digest of what the policies made of it.' end,
  bundle_digest = function() return text 'Digest of the policies that made the children as they are.' end,
  queue_records = function()
    return { type = 'array', description = 'Whose its queues are.', items = { type = 'object', ['x-kubernetes-preserve-unknown-fields'] = true } }
  end,
  claim = function() return { type = 'object', description = 'Who works on it.', ['x-kubernetes-preserve-unknown-fields'] = true } end,
}

--- Puts the schema of a field at a path like "status.a.b" below `root`, whose first step is taken. What is described there already stays.
local function place(root, path, made)
  local at, steps = root, {}
  for step in gmatch(path, '[^.]+') do steps[#steps + 1] = step end
  for i = 2, #steps do
    at.properties = at.properties or {}
    if not at.properties[steps[i]] then at.properties[steps[i]] = i == #steps and made or { type = 'object' } end
    at = at.properties[steps[i]]
  end
end

local function status(manifest, fields)
  local it = crd.schema(fields or {}, 'policy.manifest.crd.status')
  if not fields then it['x-kubernetes-preserve-unknown-fields'] = true end
  place(it, 'status.conditions', conditions())
  for field, make in next, OURS do
    if type(manifest[field]) == 'string' then place(it, manifest[field], make()) end
  end
  return it
end

local COLUMN_TYPES = { string = 'string', integer = 'integer', number = 'number', boolean = 'boolean' }

--- A column: the path of a field, or { name, path, type, priority, doc }.
local function column(given, where, root)
  local it = type(given) == 'string' and { path = given } or given
  if type(it) ~= 'table' or type(it.path) ~= 'string' then fail(where, 'must be a path, or { name =, path = }') end
  local at = root
  for step in gmatch(it.path, '[^.]+') do at = type(at) == 'table' and type(at.properties) == 'table' and at.properties[step] or nil end
  local last = match(it.path, '([%a][%w_]*)$')
  local name = it.name or (last and gsub(last, '^%l', upper))
  if type(name) ~= 'string' then fail(where, 'needs a name') end
  return {
    name = name, jsonPath = sub(it.path, 1, 1) == '.' and it.path or '.' .. it.path, priority = it.priority, description = it.doc,
    type = it.type or (at and COLUMN_TYPES[at.type]) or 'string',
  }
end

local function columns(list, root)
  local out, has_age = json.array {}, false
  for i, each in ipairs(list or {}) do
    out[i] = column(each, format('policy.manifest.crd.columns[%d]', i), root)
    has_age = has_age or out[i].name == 'Age'
  end
  if not has_age then out[#out + 1] = { name = 'Age', type = 'date', jsonPath = '.metadata.creationTimestamp' } end
  return out
end

local FIELDS = { spec = 'table', status = 'table', columns = 'table', rules = 'table', short_names = 'table', doc = 'string' }

local function check(given)
  if type(given) ~= 'table' then fail('policy.manifest.crd', 'must be a table') end
  for key, value in next, given do
    if type(key) ~= 'string' or not FIELDS[key] then
      fail('policy.manifest.crd', "unknown field '%s' (known: columns, doc, rules, short_names, spec, status)", plain.text(key))
    elseif type(value) ~= FIELDS[key] then
      fail('policy.manifest.crd', '%s must be a %s, not a %s', key, FIELDS[key], type(value))
    end
  end
end

--- The CustomResourceDefinition of a manifest's parent. Raises what is wrong with the description.
-- Without a description of spec or status they may hold anything.
---@param manifest table with parent, and where the engine writes in the status
---@param given { spec: table?, status: table?, columns: table?, rules: table?, short_names: string[]?, doc: string? }?
---@return table
function crd.definition(manifest, given)
  given = given or {}
  check(given)
  local parent = manifest.parent
  local group, version = match(parent.apiVersion, '^(.+)/(.+)$')
  if not group then fail('policy.manifest.crd', '%s is a kind of the core group, which has no CRD', parent.kind) end
  local spec = given.spec and with_defaults(crd.schema(given.spec, 'policy.manifest.crd.spec')) or { type = 'object',
    ['x-kubernetes-preserve-unknown-fields'] = true }
  spec['x-kubernetes-validations'] = validations(given.rules, 'policy.manifest.crd.rules')
  local root = {
    type = 'object', description = given.doc, required = spec.required and json.array { 'spec' } or nil,
    properties = {
      apiVersion = { type = 'string' }, kind = { type = 'string' }, metadata = { type = 'object' }, spec = spec, status = status(manifest, given.status),
    },
  }
  local short = json.array {}
  for i, name in ipairs(given.short_names or {}) do short[i] = name end
  return {
    apiVersion = 'apiextensions.k8s.io/v1', kind = 'CustomResourceDefinition', metadata = { name = parent.plural .. '.' .. group },
    spec = {
      group = group, scope = parent.scope or 'Namespaced',
      names = { kind = parent.kind, listKind = parent.kind .. 'List', plural = parent.plural, singular = lower(parent.kind),
        shortNames = #short > 0 and short or nil },
      versions = json.array { {
        name = version, served = true, storage = true, subresources = { status = {} }, additionalPrinterColumns = columns(given.columns, root),
        schema = { openAPIV3Schema = root },
      } },
    },
  }
end

return crd
