--- policy: what the files of a bundle return. It is checked in the file that returns it.
-- Each bundle has its own copy of these functions, made by policy.new(), because policy.file() reads that bundle's files.
local decorate = require 'decorate'
local defaults = require 'defaults'
local json = require 'json'
local plain = require 'plain'

local error, ipairs, next, pairs, pcall, rawget, require, select, setmetatable, type =
  error, ipairs, next, pairs, pcall, rawget, require, select, setmetatable, type
local find, format = string.find, plain.format
local concat, sort = table.concat, table.sort

---@class Definition
---@field name string
---@field after string[]? the policies that run before it
---@field params table<string, Schema>?
---@field kinds Kind[]? what it renders beside the kinds of the manifest
---@field doc string?
---@field settings (fun(ctx: Context): string[]?)?
---@field validate (fun(actor: AsyncActor, ctx: Context): table?)?
---@field render fun(actor: AsyncActor, ctx: Context, plan: Plan)?
---@field queues fun(actor: AsyncActor, ctx: Context, plan: Plan)?
---@field status fun(actor: AsyncActor, ctx: Context, status: AsyncActorStatus, plan: Plan)?
---@field finalize (fun(actor: AsyncActor, ctx: Context, plan: Plan): boolean|string|nil)?
---@field finalize_seconds integer? for how long it may hold an actor that is being deleted; 600 by default
---@field relate (fun(actor: AsyncActor, ctx: Context): RelateRule[]?)? which objects it wants to see in ctx.related
---@field shared fun(ctx: Context, plan: Plan)?

---@class Kind
---@field apiVersion string
---@field kind string
---@field plural string
---@field shared boolean? planned with plan:shared
---@field update 'InPlace'|'Recreate'|'OnDelete'|'RollingInPlace'|'RollingRecreate'|nil what is done with one that differs from the plan
---@field selector string? of labels: only objects that have them are watched
---@field scope 'Namespaced'|'Cluster'|nil 'Cluster' for kinds that are in no namespace; those of Kubernetes itself are known
---@field owned_by 'reference'|'label'|nil 'label' for children that are where no owner reference to the parent may be
---@field projection 'metadata'|nil only the metadata of children is seen: they are copies of Secrets, or kept as they are

---@class RelateRule
---@field kind string one that the manifest lists in `related` with rules = true
---@field name string? without name and labels: all objects
---@field labels table<string, string>?
---@field namespace string? the parent's by default, and all for a parent that is in none; '*' for all, and for kinds that are in none

---@class Invalid
---@field path string?
---@field message string
---@field reason string?
---@field condition string?

--- In the file of a policy `require 'policy'` gives what new() makes.
---@class PolicyModule: Policies
local policy = {}

--- The keys of a table, sorted, for messages.
local function known(fields)
  local names = {}
  for name in pairs(fields) do
    names[#names + 1] = name
  end
  sort(names)
  return concat(names, ', ')
end

--- A value that must be a list of `kind`; an absent one is empty. Returns a tagged copy, or nil and what is wrong.
local function list(value, where, kind)
  local copy, count = {}, 0
  if value ~= nil and type(value) ~= 'table' then
    return nil, format('%s must be a list', where)
  end
  for _ in next, value or copy do
    count = count + 1
  end
  for i, item in ipairs(value or {}) do
    if type(item) ~= kind then
      return nil, format('%s[%d] must be a %s', where, i, kind)
    end
    copy[i] = item
  end
  if #copy ~= count then
    return nil, format('%s must be a list', where)
  end
  return json.array(copy)
end

--- Checks a table against { field = 'type' or 'type?' }. Returns what is wrong, or nil.
local function shape(value, where, fields)
  if type(value) ~= 'table' then
    return format('%s must be a table', where)
  end
  for key in pairs(value) do
    if type(key) ~= 'string' or not fields[key] then
      return format("%s: unknown field '%s' (known: %s)", where, key, known(fields))
    end
  end
  local names = {}
  for name in pairs(fields) do
    names[#names + 1] = name
  end
  sort(names)
  for _, name in ipairs(names) do
    local want, optional = fields[name], false
    if want:sub(-1) == '?' then
      want, optional = want:sub(1, -2), true
    end
    local got = value[name]
    if got == nil and not optional then
      return format('%s.%s is missing', where, name)
    elseif got ~= nil and want ~= 'any' and type(got) ~= want then
      return format('%s.%s must be a %s, not a %s', where, name, want, type(got))
    elseif got == '' and not optional then
      return format('%s.%s must not be empty', where, name)
    end
  end
end

local DEFINE = {
  name = 'string', after = 'table?', params = 'table?', kinds = 'table?', doc = 'string?', settings = 'function?',
  validate = 'function?', render = 'function?', queues = 'function?', status = 'function?', shared = 'function?',
  relate = 'function?', finalize = 'function?', finalize_seconds = 'number?',
}

local MAX_FINALIZE <const> = 7 * 86400

local PARENT = { apiVersion = 'string', kind = 'string', plural = 'string', scope = 'string?' }
local CHILD = {
  apiVersion = 'string', kind = 'string', plural = 'string', selector = 'string?', shared = 'boolean?', update = 'string?', scope = 'string?',
  owned_by = 'string?', projection = 'string?',
}
local UPDATES = { InPlace = true, OnDelete = true, Recreate = true, RollingInPlace = true, RollingRecreate = true }
local RELATED = {
  apiVersion = 'string', kind = 'string', plural = 'string', label = 'string?', same_label = 'string?', owner = 'string?', selector = 'string?',
  projection = 'string?', rules = 'boolean?', scope = 'string?',
}
local SETTING = {
  env = 'any?', flag = 'string?', type = 'string?', default = 'any?', values = 'table?', label = 'string?', remote = 'table?',
  engine = 'boolean?', namespaces = 'string?', doc = 'string?',
}
local REMOTE = {
  when = 'table', url = 'string', release = 'string?', sha256 = 'string?', token_file = 'string?', token_env = 'string?', ca_file = 'string?',
}
local PROFILE = { setting = 'string', annotation = 'string', base = 'string', names = 'string?' }
local COUNTS = { waiting = 'string', in_flight = 'string' }
local RIGHT = { apiGroups = 'table', resources = 'table', verbs = 'table', resourceNames = 'table?' }
local SETTING_TYPES = { string = true, integer = true, boolean = true, json = true, file = true }
local MANIFEST = {
  domain = 'string?', parent = 'table', children = 'table', related = 'table?', finalizer = 'string?', field_manager = 'string', legacy_managers = 'table?',
  lease = 'string', component = 'string', rendered_digest = 'string?', bundle_digest = 'string?', settled_digest = 'string?',
  queue_records = 'string?', claim = 'string?',
  policies_label = 'string?', bundle_label = 'string?', class = 'string?',
  gauge = 'table?', debug_path = 'string?', public_env = 'table?',
  class_annotation = 'string?', install = 'string?', profile = 'table?', queue_counts = 'table?',
  settings = 'table?', cases = 'table?', crd = 'table?', rights = 'table?',
  decorate = 'table?', patches = 'boolean?', patches_status = 'boolean?',
}

--- What is wrong with the scope of a row, or nil. 'Namespaced' is what is meant when nothing is said.
local function check_scope(row, where)
  row.scope = defaults.scope(row)
  return row.scope and row.scope ~= 'Cluster' and format("%s.scope '%s' is not one of Cluster, Namespaced", where, row.scope) or nil
end

--- What is wrong with how a row says that its objects are owned, or nil.
local function check_owned_by(row, where)
  if row.owned_by == 'reference' then row.owned_by = nil end
  if row.owned_by and row.owned_by ~= 'label' then return format("%s.owned_by '%s' is not one of label, reference", where, row.owned_by) end
  return row.owned_by and row.shared and format('%s.owned_by: nobody owns shared objects', where) or nil
end

local function kinds(value, where, fields)
  local copy, wrong = list(value, where, 'table')
  for i, item in ipairs(copy or {}) do
    wrong = wrong or shape(item, format('%s[%d]', where, i), fields) or check_scope(item, format('%s[%d]', where, i))
      or check_owned_by(item, format('%s[%d]', where, i))
    if not wrong and item.update and not UPDATES[item.update] then
      wrong = format("%s[%d].update '%s' is not one of %s", where, i, item.update, known(UPDATES))
    elseif not wrong and item.update and item.shared then
      wrong = format('%s[%d].update: shared objects are changed in place', where, i)
    end
  end
  return copy, wrong
end

--- Returns a checked copy of what policy.define() was given, or nil and what is wrong.
local function definition(spec)
  local wrong = shape(spec, 'policy.define', DEFINE)
  if wrong then
    return nil, wrong
  end
  if not find(spec.name, '^[a-z0-9][a-z0-9-]*$') or #spec.name > 63 then
    return nil, format("policy.define.name '%s' must be of a-z, 0-9 and '-', at most 63", spec.name)
  end
  local seconds = spec.finalize_seconds
  if seconds and not (spec.finalize and seconds >= 1 and seconds <= MAX_FINALIZE and seconds % 1 == 0) then
    return nil, format('policy.define.finalize_seconds must be a whole number from 1 to %d, beside the hook finalize', MAX_FINALIZE)
  end
  local copy = {}
  for key, value in pairs(spec) do
    copy[key] = value
  end
  local more
  copy.after, wrong = list(spec.after, 'policy.define.after', 'string')
  copy.kinds, more = kinds(spec.kinds, 'policy.define.kinds', CHILD)
  copy.params = spec.params or {}
  wrong = wrong or more
  return not wrong and copy or nil, wrong
end

--- Returns what is wrong with `remote` of a file, or nil. It may name only settings that exist.
local function check_remote(remote, where, settings)
  local wrong = shape(remote, where, REMOTE)
  if wrong then
    return wrong
  end
  local function stranger(name)
    return name and not settings[name] and format("%s: there is no setting '%s'", where, name) or nil
  end
  wrong = stranger(remote.sha256) or stranger(remote.token_file) or stranger(remote.ca_file)
  for name in pairs(remote.when) do
    wrong = wrong or stranger(name)
  end
  for name in (remote.url .. (remote.release or '')):gmatch '{(.-)}' do
    wrong = wrong or stranger(name)
  end
  return wrong
end

--- Checks one setting, and turns its lists into lists that JSON knows.
local function check_setting(setting, where, settings)
  local wrong = shape(setting, where, SETTING)
  if not wrong and setting.type and not SETTING_TYPES[setting.type] then
    wrong = format("%s.type '%s' is not one of %s", where, setting.type, known(SETTING_TYPES))
  elseif not wrong and setting.remote then
    wrong = setting.type ~= 'file' and where .. '.remote is for settings of type file' or check_remote(setting.remote, where .. '.remote', settings)
  end
  if not wrong and setting.namespaces and (setting.type ~= 'json' or setting.env or setting.flag or setting.default ~= nil) then
    wrong = where .. '.namespaces: such a setting is of type json, and has no other source'
  end
  if not wrong and setting.values then
    setting.values, wrong = list(setting.values, where .. '.values', 'string')
  end
  if not wrong and type(setting.env) == 'table' then
    setting.env, wrong = list(setting.env, where .. '.env', 'string')
  elseif not wrong and setting.env ~= nil and type(setting.env) ~= 'string' then
    wrong = where .. '.env must be a string or a list of strings'
  end
  return wrong
end

local function check_settings(settings)
  for name, setting in pairs(settings) do
    local where = format('policy.manifest.settings.%s', name)
    local wrong = type(name) ~= 'string' and where .. ': a name must be a string'
      or name == 'params' and where .. ': the name is taken by the parameters of policies'
      or check_setting(setting, where, settings)
    if wrong then
      return wrong
    end
  end
end

--- A related object belongs to the parent that its label names, to those that have the same value of a label, to the parent of the child
-- that owns it, or to those that ask for it. Parents are found by one label.
local function check_related(related, parent)
  local same
  for i, kind in ipairs(related) do
    local ways = (kind.label and 1 or 0) + (kind.same_label and 1 or 0) + (kind.owner and 1 or 0) + (kind.rules and 1 or 0)
    if ways ~= 1 then
      return format('policy.manifest.related[%d] needs one of label, same_label, owner and rules, which say whose it is', i)
    elseif kind.same_label and same and same ~= kind.same_label then
      return format("policy.manifest.related[%d].same_label must be '%s', as above", i, same)
    elseif parent.scope == 'Cluster' and (kind.label or kind.same_label) then
      return format('policy.manifest.related[%d].%s finds objects in the namespace of the parent, and %s is in none: use rules', i,
        kind.label and 'label' or 'same_label', parent.kind)
    end
    same = same or kind.same_label
  end
end

--- Rules for the operator's role, beside those of the kinds that the bundle names. Returns a checked copy, or nil and what is wrong.
local function rights(given)
  local copy, wrong = list(given, 'policy.manifest.rights', 'table')
  for i, right in ipairs(copy or {}) do
    local where, one = format('policy.manifest.rights[%d]', i), {}
    wrong = wrong or shape(right, where, RIGHT)
    for field, value in pairs(not wrong and right or {}) do
      one[field], wrong = list(value, where .. '.' .. field, 'string')
      if wrong then break end
    end
    copy[i] = one
  end
  return copy, wrong
end

--- Returns a checked copy of what policy.manifest() was given, or nil and what is wrong.
local function manifest(spec)
  spec = defaults.manifest(spec)
  local wrong = defaults.wrong_parent(spec) or shape(spec, 'policy.manifest', MANIFEST) or shape(spec.parent, 'policy.manifest.parent', PARENT)
    or check_scope(spec.parent, 'policy.manifest.parent')
    or spec.profile and shape(spec.profile, 'policy.manifest.profile', PROFILE)
    or spec.queue_counts and shape(spec.queue_counts, 'policy.manifest.queue_counts', COUNTS)
  if wrong then
    return nil, wrong
  end
  local copy, more = {}
  for key, value in pairs(spec) do
    copy[key] = value
  end
  copy.children, wrong = kinds(spec.children, 'policy.manifest.children', CHILD)
  copy.related, more = kinds(spec.related, 'policy.manifest.related', RELATED)
  wrong = wrong or more or check_related(copy.related or {}, copy.parent)
  copy.legacy_managers, more = list(spec.legacy_managers, 'policy.manifest.legacy_managers', 'string')
  wrong = wrong or more
  copy.public_env, more = list(spec.public_env, 'policy.manifest.public_env', 'string')
  wrong = wrong or more
  copy.rights, more = rights(spec.rights)
  wrong = wrong or more or check_settings(spec.settings or {})
  if spec.decorate and not wrong then copy.decorate, wrong = decorate.traits(spec.decorate) end
  wrong = wrong or decorate.wrong(copy)
  wrong = wrong or defaults.check(copy)
  if not wrong and spec.profile and not (spec.settings or {})[spec.profile.setting] then
    wrong = format("policy.manifest.profile.setting: there is no setting '%s'", spec.profile.setting)
  end
  if spec.crd and not wrong then
    local ok, made = pcall(require 'crd'.definition, copy, spec.crd) -- loaded by those who describe one: each machine is copied at each call
    if not ok then return nil, made end
    copy.crd = made
  end
  copy.settings = spec.settings or {}
  copy.kinds = json.array {} -- those of policies, once they are loaded
  return not wrong and copy or nil, wrong
end

local RULE = { kind = 'string', name = 'string?', labels = 'table?', namespace = 'string?' }
local MAX_RULES <const> = 100

--- Checks what the hook relate has returned. Returns rules as the engine wants them, or nil and what is wrong.
---@param rules any
---@param parent table its metadata
---@param related table[] of the manifest
---@return table[]?
---@return string?
function policy.rules(rules, parent, related)
  local copy, wrong = list(rules, 'what the hook relate returned', 'table')
  local known_kinds = {}
  for _, row in ipairs(related) do
    if row.rules then known_kinds[row.kind] = row end
  end
  for i, rule in ipairs(copy or {}) do
    local where = format('relate: rule %d', i)
    wrong = wrong or shape(rule, where, RULE)
    local row = not wrong and known_kinds[rule.kind]
    if not wrong and not row then
      wrong = format("%s: the manifest does not list %s in `related` with rules = true (known: %s)", where, rule.kind, known(known_kinds))
    elseif not wrong and i > MAX_RULES then
      wrong = format('relate: at most %d rules', MAX_RULES)
    end
    for key, value in pairs(not wrong and rule.labels or {}) do
      if type(key) ~= 'string' or type(value) ~= 'string' then wrong = format('%s.labels must be a mapping of strings', where) end
    end
    if wrong then return nil, wrong end
    local namespace = rule.namespace or parent.namespace
    copy[i] = {
      apiVersion = row.apiVersion, kind = row.kind, name = rule.name, labels = rule.labels, namespace = namespace ~= '*' and namespace or nil,
    }
  end
  return copy, wrong
end

local INVALID = { path = 'string?', message = 'string', reason = 'string?', condition = 'string?' }

--- Returns a checked copy of why something is refused, or nil and what is wrong with it.
---@param spec Invalid
---@param where string
---@return Invalid?
---@return string?
function policy.refusal(spec, where)
  local wrong = shape(spec, where, INVALID)
  if wrong then
    return nil, wrong
  end
  return { path = spec.path, message = spec.message, reason = spec.reason, condition = spec.condition }
end

--- The functions for the files of one bundle.
---@param read fun(name: string): string?, string? the text of a data file, or nil and why not
---@param file fun(): string the file being loaded: `return policy.define {...}` is a tail call, so no line can be told
---@return Policies api what `require 'policy'` gives a policy
---@return fun(value: any): string?, any kind_of tells 'policy', 'manifest', 'library' or 'invalid' and what was given, or nil
function policy.new(read, file)
  local made = setmetatable({}, { __mode = 'k' })
  ---@class Policies
  local api = {}

  local function make(kind, content)
    local token = {}
    made[token] = { kind = kind, content = content }
    return token
  end

  local function refuse(wrong)
    local name = file() or '?'
    local line = find(wrong, '^policy%.manifest') and defaults.line(read(name) or '', wrong)
    error(format('%s:%s %s', name, line and format('%d:', line) or '', wrong), 0)
  end

  --- Defines a policy: its name, its hooks, the policies that run before it, and the kinds that it makes beside those of the manifest.
  ---@param spec Definition
  function api.define(spec)
    local content, wrong = definition(spec)
    return content and make('policy', content) or refuse(wrong)
  end

  --- Says what the bundle is about: kinds, names, settings. Exactly one file returns it.
  function api.manifest(spec)
    local content, wrong = manifest(spec)
    return content and make('manifest', content) or refuse(wrong)
  end

  --- Offers `content` to other files: `require` of the file's name without .lua gives it to them.
  ---@generic T: table
  ---@param content T
  ---@return T
  function api.library(content)
    return type(content) == 'table' and make('library', content) or refuse('policy.library must be given a table')
  end

  --- What the hook validate returns to refuse a parent. Takes (path, format, ...) or { path, message, reason, condition }.
  ---@param spec string|Invalid
  ---@param text string?
  function api.invalid(spec, text, ...)
    if type(spec) == 'string' then
      if type(text) ~= 'string' then
        error('policy.invalid(path, format, ...): the format must be a string', 2)
      end
      return make('invalid', { path = spec, message = select('#', ...) > 0 and text:format(...) or text })
    end
    local refusal, wrong = policy.refusal(spec, 'policy.invalid')
    return refusal and make('invalid', refusal) or error(wrong, 2)
  end

  --- The text of a data file of this bundle. Works only while the bundle loads.
  ---@param name string
  ---@return string
  function api.file(name)
    local text, wrong = read(name)
    if not text then
      error(wrong, 2)
    end
    return text
  end

  return api, function(value)
    local it = type(value) == 'table' and rawget(made, value) or nil
    if it then
      return it.kind, it.content
    end
  end
end

return policy
