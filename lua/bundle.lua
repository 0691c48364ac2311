--- bundle: files in, an ordered set of policies out; then snapshots in, plans and statuses out.
-- The same code runs in the binary, where C calls the entry points with JSON, and under plain Lua.
local cases = require 'cases'
local decorate = require 'decorate'
local explain = require 'explain'
local json = require 'json'
local k8s = require 'k8s'
local kinds = require 'kinds'
local leaving = require 'leaving'
local plain = require 'plain'
local plan = require 'plan'
local policy = require 'policy'
local sandbox = require 'sandbox'
local schema = require 'schema'
local seal = require 'seal'

local error, getmetatable, ipairs, load, next, pcall, rawget, require, setmetatable, type =
  error, getmetatable, ipairs, load, next, pcall, rawget, require, setmetatable, type
local find, match, sub = string.find, string.match, string.sub
local format, text_of = plain.format, plain.text
local concat, insert, sort = table.concat, table.insert, table.sort

---@class Source
---@field name string
---@field source string
---@field origin string

---@class Policy
---@field name string
---@field file string
---@field origin string
---@field def Definition
---@field params table

---@class Profile
---@field name string
---@field list Policy[] in the order they run
---@field kind_of fun(value: any): string?, any

---@class Bundle
---@field profiles table<string, Profile>
---@field usual Profile that of parents that ask for none
local Bundle = {}
Bundle.__index = Bundle

local bundle = {}

local FINALIZE_SECONDS <const> = 600
local PIECE <const> = 64 -- bytes of a file that are compiled at once

--- Modules of the SDK that policies may require; 'policy' is the bundle's own.
local MODULES = { 'json', 'k8s', 'schema', 'text', 'quantity', 'conditions', 'ready', 'times', 'semver', 'cidr' }

local function fail(text, ...)
  error(format(text, ...), 0)
end

--- A copy that shares nothing that can be changed: neither another policy nor the next call sees what a policy does to it.
local function copy(value, copies)
  if type(value) ~= 'table' or copies[value] then
    return copies[value] or value
  end
  local mt = getmetatable(value)
  if mt == false then
    return value -- sealed
  end
  local result = {}
  copies[value] = result
  for key, item in next, value do
    result[key] = type(item) == 'table' and copy(item, copies) or item
  end
  return mt and setmetatable(result, mt) or result
end

local function sorted_keys(t)
  local keys = {}
  for key in next, t do
    keys[#keys + 1] = key
  end
  sort(keys)
  return keys
end

--- Loading --------------------------------------------------------------------------------------------------

---@class Loader
---@field files table<string, Source> by the name that files know each other by; Source.name says which folder one is in
---@field loaded table<string, { kind: string, content: any }|'loading'>
---@field stack string[] the names of the files that are loading; each one is required by the one before

local IN_PROFILE <const> = '^profiles/([^/]+)/([^/]+)$'

--- The files of each profile, by the name that they know each other by: what is in no folder, and over it what is in the folder of the profile.
---@param files Source[]
---@return table<string, Source> base
---@return table<string, table<string, Source>> layered by profile
local function by_profile(files)
  local base, layered = {}, {}
  for _, file in ipairs(files) do
    if not find(file.name, '/', 1, true) then base[file.name] = file end
  end
  for _, file in ipairs(files) do
    local profile, name = match(file.name, IN_PROFILE)
    if profile then
      layered[profile] = layered[profile] or copy(base, {})
      layered[profile][name] = file
    end
  end
  return base, layered
end

--- What went wrong in a file, with its name in front.
local function named(name, wrong)
  if type(wrong) ~= 'string' then
    wrong = format('error value is a %s', type(wrong))
  end
  return sub(wrong, 1, #name + 1) == name .. ':' and wrong or name .. ': ' .. wrong
end

--- Goes back from the file on top to the one that requires it.
local function leave(loader)
  loader.stack[#loader.stack] = nil
  local below = loader.stack[#loader.stack]
  loader.host.enter(below or '', below and 'load' or '')
end

--- After an error that was caught: the files that it ended are not loading any more. The next `require` of one runs it anew and fails, too.
local function unwind(loader, depth)
  while #loader.stack > depth do
    loader.loaded[loader.stack[#loader.stack]] = nil
    leave(loader)
  end
end

--- The loader of one set of files. All files share one environment; they cannot set globals in it.
local function new_loader(files, host)
  local loader = { files = files, loaded = {}, stack = {}, open = true, host = host }
  loader.api, loader.kind_of = policy.new(function(name)
    local file = loader.files[name]
    if not loader.open then
      return nil, format("policy.file('%s'): only while the bundle loads: keep the text in a local at the top of the file", name)
    elseif type(name) ~= 'string' or not file then
      return nil, format("policy.file: there is no file '%s' in the bundle", name)
    end
    return file.source
  end, function() return loader.stack[#loader.stack] end)
  loader.modules = { policy = seal.new(loader.api, "module 'policy'") }
  for _, name in ipairs(MODULES) do
    loader.modules[name] = seal.new(require(name), format("module '%s'", name))
  end
  loader.base = sandbox.new(host, function() return #loader.stack end, function(depth) unwind(loader, depth) end)
  return loader
end

local load_file

--- `require` as one file of the bundle sees it: no other file sees what this file does to the content of a library.
local function require_for(loader)
  local libraries = {}
  return function(module)
    if type(module) ~= 'string' then
      error('require takes the name of a module', 2)
    elseif loader.modules[module] then
      return loader.modules[module]
    end
    local file = module .. '.lua'
    if not loader.files[file] then
      error(format("there is no module '%s' (SDK: policy, %s) and no file '%s' in the bundle", module, concat(MODULES, ', '), file), 2)
    elseif not loader.open and not loader.loaded[loader.files[file].name] then
      error(format("require '%s': only while the bundle loads: put it at the top of the file", module), 2)
    end
    local it = load_file(loader, file)
    if it.kind ~= 'library' then
      error(format("%s is a %s: only what returns policy.library{...} can be required", loader.files[file].name, it.kind), 2)
    end
    libraries[file] = libraries[file] or copy(it.content, {})
    return libraries[file]
  end
end

--- Compiling takes no steps that are counted. So the text is handed over in pieces, by steps that are.
local function pieces(text)
  local at = 1 - PIECE
  return function()
    at = at + PIECE
    return sub(text, at, at + PIECE - 1)
  end
end

--- Runs a file once and returns what it declared.
function load_file(loader, file)
  local name, source = loader.files[file].name, loader.files[file].source
  local it = loader.loaded[name]
  if it == 'loading' then
    local circle = {}
    for i, other in ipairs(loader.stack) do
      if #circle > 0 or other == name then
        circle[#circle + 1] = loader.stack[i]
      end
    end
    fail('%s requires itself: %s', name, concat(circle, ' -> ') .. ' -> ' .. name)
  elseif it then
    return it
  end
  loader.loaded[name] = 'loading'
  loader.stack[#loader.stack + 1] = name
  loader.host.enter(name, 'load')
  local env = sandbox.env_for(loader.base, name, require_for(loader))
  local chunk, wrong = load(pieces(source), '@' .. name, 't', env)
  if not chunk then
    fail('%s', named(name, wrong))
  end
  local kind, content = loader.kind_of(chunk())
  if kind ~= 'policy' and kind ~= 'manifest' and kind ~= 'library' then
    fail('%s: a file must return policy.define{...}, policy.manifest{...} or policy.library{...}', name)
  end
  it = { kind = kind, content = content }
  loader.loaded[name] = it
  leave(loader)
  return it
end

local function lua_files(loader)
  local names = {}
  for _, name in ipairs(sorted_keys(loader.files)) do
    if sub(name, -4) == '.lua' then
      names[#names + 1] = name
    end
  end
  return names
end

--- Puts policies in order: each one behind those that it names in `after`; otherwise by name.
---@param by_name table<string, Policy>
---@return Policy[]
local function in_order(by_name)
  local names, result, placed = sorted_keys(by_name), {}, {}
  for _, name in ipairs(names) do
    for _, first in ipairs(by_name[name].def.after) do
      if not by_name[first] then
        fail("%s: policy '%s' is to run after '%s', which is not in the bundle (policies: %s)", by_name[name].file, name, first,
          concat(names, ', '))
      end
    end
  end
  local function is_ready(name)
    for _, first in ipairs(by_name[name].def.after) do
      if not placed[first] then
        return false
      end
    end
    return not placed[name]
  end
  while #result < #names do
    local chosen
    for _, name in ipairs(names) do
      if not chosen and is_ready(name) then
        chosen = name
      end
    end
    if not chosen then
      local stuck = {}
      for _, name in ipairs(names) do
        if not placed[name] then
          stuck[#stuck + 1] = format('%s (%s, after %s)', name, by_name[name].file, concat(by_name[name].def.after, ', '))
        end
      end
      fail('policies wait for each other in a circle: %s', concat(stuck, '; '))
    end
    placed[chosen] = true
    result[#result + 1] = by_name[chosen]
  end
  return result
end

--- Runs every file; returns the policies by name and the manifest.
local function collect(loader)
  local by_name, manifest, manifest_file = {}, nil, nil
  for _, short in ipairs(lua_files(loader)) do
    local it, file = load_file(loader, short), loader.files[short].name
    if it.kind == 'manifest' then
      if manifest then
        fail('%s: there is a manifest already, in %s', file, manifest_file)
      end
      manifest, manifest_file = it.content, file
    elseif it.kind == 'policy' then
      local other = by_name[it.content.name]
      if other then
        fail("%s: there is a policy '%s' already, in %s", file, it.content.name, other.file)
      end
      by_name[it.content.name] = { name = it.content.name, file = file, origin = loader.files[short].origin, def = it.content }
    end
  end
  if not manifest then
    fail('the bundle has no manifest: one of its *.lua files must return policy.manifest{...}')
  end
  return by_name, manifest, manifest_file
end

--- Checks each policy's parameters against its schema and fills in defaults. Those of an unknown policy are ignored: it may come later.
local function apply_params(list, given, host)
  if type(given) ~= 'table' or given[1] ~= nil then
    fail('params must be a table: policy name to parameters')
  end
  for _, it in ipairs(list) do
    host.enter(it.file, 'load')
    it.params = schema.apply(it.def.params, given[it.name] or {}, format("%s: params of policy '%s'", it.file, it.name))
  end
  host.enter('', '')
end

--- The settings that were given, and the manifest's defaults for the others.
local function settings_with_defaults(manifest, given)
  local settings = {}
  for name, setting in next, manifest.settings do
    settings[name] = copy(setting.default, {})
  end
  for name, value in next, given do
    if name ~= 'params' then
      settings[name] = copy(value, {})
    end
  end
  return settings
end

--- Asks each policy what is wrong with the settings. Returns the answers, in order. Policies must do without settings that they cannot use.
---@param self Bundle
---@return string[]
local function problems_of(self)
  local result = json.array {}
  for _, it in ipairs(self.usual.list) do
    if it.def.settings then
      self.host.enter(it.name, 'settings')
      local found = it.def.settings { params = copy(it.params, {}), settings = copy(self.settings, {}) }
      if found ~= nil and type(found) ~= 'table' then
        fail('%s: the hook settings must return nothing or a list of texts, returned a %s', it.file, type(found))
      end
      for i, text in ipairs(found or {}) do
        if type(text) ~= 'string' then
          fail('%s: the hook settings must return a list of texts, [%d] is a %s', it.file, i, type(text))
        end
        result[#result + 1] = text
      end
    end
  end
  self.host.enter('', '')
  return result
end

--- Loads the files of one profile. What is wrong is said with the name of the profile, because files of the base are in each of them.
---@param name string? nil: the base alone
---@return Profile
---@return table manifest
---@return string file that it is in
local function load_profile(files, name, host)
  local loader = new_loader(files, host)
  local function run()
    local by_name, manifest, file = collect(loader)
    return in_order(by_name), manifest, file
  end
  local ok, list, manifest, manifest_file = pcall(run)
  if not ok then error(name and type(list) == 'string' and format('profile %s: %s', name, list) or list, 0) end
  loader.open = false
  return { name = name, list = list, kind_of = loader.kind_of }, manifest, manifest_file
end

--- Adds the profiles that have files of their own.
---@param profiles table<string, Profile> the base is among them
---@param layered table<string, table<string, Source>>
local function add_profiles(profiles, layered, manifest, host)
  if not manifest.profile and next(layered) then
    fail('profiles/%s: the manifest does not say how a parent asks for a profile', sorted_keys(layered)[1])
  end
  for _, name in ipairs(sorted_keys(layered)) do
    local more, _, file = load_profile(layered[name], name, host)
    if find(file, '/', 1, true) then fail('%s: a profile has the manifest of the base', file) end
    profiles[name] = more
  end
end

--- All policies: those of the base, then those of other profiles.
local function all_policies(profiles, base)
  local all = {}
  for _, it in ipairs(base.list) do all[#all + 1] = it end
  for _, name in ipairs(sorted_keys(profiles)) do
    for _, it in ipairs(profiles[name] ~= base and profiles[name].list or {}) do all[#all + 1] = it end
  end
  return all
end

--- The profile of parents that ask for none: the one that the setting names.
local function usual_profile(profiles, base, manifest, settings)
  local name = manifest.profile and settings[manifest.profile.setting]
  if name == nil then return base end
  return profiles[name] or fail("%s: there is no profile '%s'; use %s", manifest.profile.setting, text_of(name), concat(sorted_keys(profiles), ' or '))
end

--- The setting in which namespaces say which profile the parents in them have: the one that is made of the annotation by which a parent says it.
local function setting_of_namespaces(manifest)
  for name, setting in next, manifest.settings do
    if manifest.profile and setting.namespaces == manifest.profile.annotation then return name end
  end
end

--- Compiles files and makes a bundle of them. Raises "file:line: what is wrong".
---@param files Source[]
---@param settings table? the operator's settings by name; `params` in it holds parameters by policy
---@param host table
---@return Bundle
function bundle.load(files, settings, host)
  local base_files, layered = by_profile(files)
  local base, manifest = load_profile(base_files, nil, host)
  base.name = manifest.profile and manifest.profile.base
  local profiles = { [base.name or ''] = base }
  add_profiles(profiles, layered, manifest, host)
  local all = all_policies(profiles, base)
  for _, it in ipairs(all) do
    if it.def.queues and manifest.decorate then fail('%s: the hook queues is for parents of our own only', it.file) end
    if it.def.finalize and not manifest.finalizer then fail('%s: the hook finalize needs a finalizer in the manifest', it.file) end
  end
  manifest.kinds = kinds.declared(manifest, all)
  settings = settings or {}
  apply_params(all, settings.params or {}, host)
  local self = setmetatable({
    profiles = profiles, all = all, host = host, manifest_ = manifest, kinds = kinds.by_id(manifest.children, manifest.kinds, manifest.decorate ~= nil),
    settings = settings_with_defaults(manifest, settings),
  }, Bundle)
  self.usual = usual_profile(profiles, base, manifest, self.settings)
  self.namespaces_setting = setting_of_namespaces(manifest)
  self.problems_ = problems_of(self)
  return self
end

--- The manifest alone, without loading the other files. It says which settings the bundle needs.
---@param files Source[]
---@param host table
---@return table
function bundle.peek(files, host)
  local loader = new_loader((by_profile(files)), host)
  local names, first_error = {}, nil
  for _, name in ipairs(lua_files(loader)) do
    if find(loader.files[name].source, 'manifest', 1, true) then
      insert(names, name == 'manifest.lua' and 1 or #names + 1, name)
    end
  end
  for _, name in ipairs(names) do
    local ok, it = pcall(load_file, loader, name)
    if ok and it.kind == 'manifest' then
      return it.content
    end
    unwind(loader, 0)
    first_error = first_error or not ok and named(name, it) or nil
  end
  return error(first_error or 'the bundle has no manifest: one of its *.lua files must return policy.manifest{...}', 0)
end

--- Calls --------------------------------------------------------------------------------------------------------

--- Finds observed children by kind and name, and those of one name in several namespaces by their namespace, too.
local function finder(children)
  local by_id
  return function(kind, name, namespace)
    if not by_id then
      by_id = {}
      for _, child in ipairs(children) do
        local metadata = type(child.metadata) == 'table' and child.metadata or {}
        local id = text_of(child.kind) .. ' ' .. text_of(metadata.name)
        by_id[id] = child
        by_id[text_of(metadata.namespace) .. ' ' .. id] = child
      end
    end
    local id = text_of(kind) .. ' ' .. text_of(name)
    if namespace == nil then return by_id[id] end
    return by_id[text_of(namespace) .. ' ' .. id] or by_id['nil ' .. id] -- a case need not say where its children are
  end
end

--- What a plan may depend on beside parent and children. If a hook has read one of these, the plan is made again when it changes.
local WORLD = { 'now', 'related', 'queues', 'absent' }

--- A context that gets a field of `world` when it is read for the first time; the read is noted in `reads`. It gets a copy of `params` then, too.
local function context(fields, world, reads, params)
  local function fill(ctx, key)
    if key == 'params' then
      ctx.params = copy(params, {})
      return ctx.params
    end
    local value = world[key]
    if value ~= nil then
      reads[key] = true
      ctx[key] = value
    end
    return value
  end
  return setmetatable(fields, {
    __index = fill,
    __pairs = function(ctx)
      for _, key in ipairs(WORLD) do fill(ctx, key) end
      if not rawget(ctx, 'params') then fill(ctx, 'params') end
      local keys, i = sorted_keys(ctx), 0
      return function()
        i = i + 1
        return keys[i], ctx[keys[i]]
      end
    end,
  })
end

--- What each policy gets beside the parent: a table of its own, because params differ.
---@param self Bundle
---@param profile Profile
---@param snapshot table
---@return table<Policy, table>
---@return table<string, true> reads which fields of WORLD have been read so far
---@return fun(kind: string, name: string, namespace: string?): table? child finds an observed child
local function contexts(self, profile, snapshot)
  local children = snapshot.children or json.array {}
  local child, settings, result, reads = finder(children), copy(self.settings, {}), {}, {}
  local world = {
    now = snapshot.now, related = snapshot.related or json.array {}, queues = snapshot.queues or {}, absent = snapshot.absent or json.array {},
  }
  for _, it in ipairs(profile.list) do
    local fields = { profile = profile.name, settings = settings, children = children, child = child, outcome = snapshot.outcome }
    result[it] = context(fields, world, reads, it.params)
  end
  return result, reads, child
end

--- The names of what was read; nil when nothing was.
local function names_of(reads)
  return next(reads) and json.array(sorted_keys(reads)) or nil
end

--- The parent, and a copy of its identity, for owner references that no policy can have changed.
local function parent_of(snapshot)
  local parent = snapshot.parent
  if type(parent) ~= 'table' or type(parent.metadata) ~= 'table' then
    fail('the snapshot has no parent')
  end
  local metadata = parent.metadata
  return parent, { metadata = { name = metadata.name, namespace = metadata.namespace, uid = metadata.uid } }
end

--- The name of the profile that a parent asks for, by its annotation, else by that of its namespace; a case may name one, too.
---@param self Bundle
---@param snapshot table
---@return string? name
---@return string? namespace that asks for it
local function asked_profile(self, snapshot)
  local asked, namespace = self.manifest_.profile, snapshot.parent.metadata.namespace
  local own = asked and k8s.get(snapshot.parent, { 'metadata', 'annotations', asked.annotation })
  if not asked or (own ~= nil and own ~= '') then return own end
  local places = self.namespaces_setting and self.settings[self.namespaces_setting]
  local place = type(places) == 'table' and places[namespace]
  if place and place ~= '' then return place, namespace end
  return snapshot.profile
end

--- The profile of a parent: the one that it asks for, else the usual one. The second result says what is wrong with one that nobody knows.
---@param self Bundle
---@param snapshot table
---@return Profile
---@return table? unknown
local function profile_of(self, snapshot)
  local name, namespace = asked_profile(self, snapshot)
  if name == nil or name == '' then return self.usual end
  if self.profiles[name] then return self.profiles[name] end
  local path = 'metadata.annotations.' .. self.manifest_.profile.annotation
  return self.usual, {
    path = path, reason = 'UnknownProfile', condition = 'WorkloadReady',
    message = format("%s%s: there is no profile '%s'; use %s", namespace and format('namespace %s: ', namespace) or '', path, text_of(name),
      concat(sorted_keys(self.profiles), ' or ')),
  }
end

--- Calls one hook of each policy that has it, in order.
---@param self Bundle
---@param profile Profile
---@param hook string
---@param p Plan
---@param call fun(fn: function, it: Policy): any
local function each(self, profile, hook, p, call)
  for _, it in ipairs(profile.list) do
    local fn = it.def[hook]
    if fn then
      self.host.enter(it.name, hook)
      plan.enter(p, it, hook)
      local result = call(fn, it)
      if result ~= nil then
        fail('%s: the hook %s must return nothing, returned a %s', it.file, hook, type(result))
      end
    end
  end
  self.host.enter('', '')
end

--- Asks each policy of the parent's profile whether a parent that is being deleted may go. Once that was answered nobody is asked again: what
-- the hooks would look for is deleted by then.
---@param marked boolean is it noted on the parent that it was answered?
---@return { done: boolean, message: string? }
local function finalize(self, profile, actor, ctx, p, marked)
  local waits = {}
  for _, it in ipairs(profile.list) do
    if it.def.finalize and not marked then
      self.host.enter(it.name, 'finalize')
      plan.enter(p, it, 'finalize')
      local result = it.def.finalize(actor, ctx[it], p)
      if result ~= nil and type(result) ~= 'boolean' and type(result) ~= 'string' then
        fail('%s: the hook finalize must return true when it is done, or what it waits for, returned a %s', it.file, type(result))
      end
      if result ~= true then waits[#waits + 1] = format("policy '%s': %s", it.name, result or 'it is not done yet') end
    end
  end
  self.host.enter('', '')
  return { done = #waits == 0, message = #waits > 0 and concat(waits, '; ') or nil }
end

--- Asks each policy whether the parent is valid. The first refusal wins.
local function validate(self, profile, actor, ctx)
  for _, it in ipairs(profile.list) do
    if it.def.validate then
      self.host.enter(it.name, 'validate')
      local result = it.def.validate(actor, ctx[it])
      local kind, invalid = profile.kind_of(result)
      if kind == 'invalid' then
        invalid.policy = it.name
        self.host.enter('', '')
        return invalid
      elseif result ~= nil then
        fail('%s: the hook validate must return nothing or policy.invalid(...), returned a %s', it.file, type(result))
      end
    end
  end
end

--- What the other profiles would plan for the parent's queues. One that fails does not hold up a parent that has another profile: its queues
-- are left alone until it works again.
---@param self Bundle
---@param reads table<string, true> gets what their policies have read
---@param troubles table[] gets an Event for each that fails
---@return OtherProfile[]
local function queues_of_others(self, profile, snapshot, actor, reads, troubles)
  local others = {}
  for _, name in ipairs(sorted_keys(self.profiles)) do
    local other = self.profiles[name]
    if other ~= profile then
      local ctx, more = contexts(self, other, snapshot)
      local p = plan.new()
      local ok, wrong = pcall(each, self, other, 'queues', p, function(fn, it) return fn(actor, ctx[it], p) end)
      for key in next, more do reads[key] = true end
      if ok then
        others[#others + 1] = { name = name, queues = plan.queues(p) }
      else
        troubles[#troubles + 1] = { type = 'Warning', reason = 'PolicyError',
          note = format('profile %s: %s; the queues that it has under this profile stay as they are', name, text_of(wrong)) }
        self.host.enter('', '')
      end
    end
  end
  return others
end

--- Adds the queues that the parent has or is to have under other profiles. Returns Events about profiles that fail.
local function add_leaving(self, profile, snapshot, actor, queues, reads)
  local troubles = {}
  local asked, path = self.manifest_.profile, self.manifest_.queue_records
  local records = asked and path and k8s.get(snapshot.parent, path)
  local names = asked and asked.names and leaving.names(k8s.get(snapshot.parent, { 'metadata', 'annotations', asked.names })) or {}
  if leaving.concerns(queues, records, names) then
    leaving.add(queues, queues_of_others(self, profile, snapshot, actor, reads, troubles), records, names, actor.metadata.deletionTimestamp ~= nil)
  end
  return troubles
end

--- What is wanted for a parent: { invalid, profile, objects, refused, waits, kept, queues, events, requeue_after, reads }.
-- `reads` says which of these the hooks have read: the time, related objects, queues, absent kinds, and children as plan:observed shows them.
-- For an invalid parent that is being deleted, the queues are planned all the same, so that they are deleted, too.
-- For one that is being deleted the hooks finalize are asked, and `finalize` is { done, message }.
---@param snapshot table { now, parent, children, related, queues, explain, warn }; with explain = true the plan says which policy set each
-- field, with blame = { role, path } which one set that field, and with warn = true which lists were replaced as a whole
---@return table
function Bundle:plan(snapshot)
  local actor, parent = parent_of(snapshot)
  if not decorate.chooses(self.manifest_.decorate, actor) then return decorate.nothing() end
  local mark = k8s.get(actor, { 'metadata', 'annotations', format('%s/finalized', self.manifest_.component) })
  local profile, unknown = profile_of(self, snapshot)
  local ctx, reads, child = contexts(self, profile, snapshot)
  local p = plan.new { parent = parent.metadata, child = child, reads = reads }
  local invalid = unknown or validate(self, profile, actor, ctx)
  if invalid and not actor.metadata.deletionTimestamp then
    return { invalid = invalid, profile = profile.name, objects = json.array {}, queues = json.array {}, events = json.array {}, reads = names_of(reads) }
  end
  local after, by_role, blamed
  if snapshot.explain then after, by_role = explain.new(p) elseif snapshot.blame then after, blamed = explain.watch(p, snapshot.blame) end
  if not invalid then
    each(self, profile, 'render', p, function(fn, it)
      local returned = fn(actor, ctx[it], p)
      if after then after(it.name) end
      return returned
    end)
  end
  local finalized
  if actor.metadata.deletionTimestamp then finalized = finalize(self, profile, actor, ctx, p, mark ~= nil and mark == parent.metadata.uid) end
  each(self, profile, 'queues', p, function(fn, it) return fn(actor, ctx[it], p) end)
  local troubles = add_leaving(self, profile, snapshot, actor, plan.queues(p), reads)
  local done = plan.finish(p, {
    host = self.host, kinds = self.kinds, parent = parent, parent_kind = self.manifest_.parent, warn = snapshot.warn,
    component = self.manifest_.component, decorates = self.manifest_.decorate ~= nil,
  })
  local wrong = decorate.wrong_plan(self.manifest_, done)
  if wrong then fail('%s', wrong) end
  for _, event in ipairs(troubles) do done.events[#done.events + 1] = event end
  if by_role then done.explain = explain.result(done.objects, by_role) end
  done.blame = blamed and blamed()
  done.invalid, done.reads, done.profile, done.finalize = invalid, names_of(reads), profile.name, finalized
  return done
end

--- Which objects the parent wants to see in `related`: { rules }. They are made of the parent's metadata and spec alone.
---@param snapshot table { parent }
---@return table
function Bundle:relate(snapshot)
  local actor, parent = parent_of(snapshot)
  local all = json.array {}
  local chosen = decorate.chooses(self.manifest_.decorate, actor)
  for _, it in ipairs(profile_of(self, snapshot).list) do
    if it.def.relate and chosen then
      self.host.enter(it.name, 'relate')
      local given = it.def.relate(actor, { params = copy(it.params, {}), settings = copy(self.settings, {}) })
      local rules, wrong = policy.rules(given, parent.metadata, self.manifest_.related)
      if not rules then fail('%s: %s', it.file, wrong) end
      for _, rule in ipairs(rules) do all[#all + 1] = rule end
    end
  end
  self.host.enter('', '')
  return { rules = all }
end

--- The parent's status after a pass: { status, events, requeue_after, rolling_out }.
---@param snapshot table as for plan, with `outcome`
---@return table
function Bundle:status(snapshot)
  local actor, parent = parent_of(snapshot)
  if not decorate.chooses(self.manifest_.decorate, actor) then return { status = {}, events = json.array {} } end
  local profile = profile_of(self, snapshot)
  local ctx, p, status = (contexts(self, profile, snapshot)), plan.new(), {}
  each(self, profile, 'status', p, function(fn, it) return fn(actor, ctx[it], status, p) end)
  if self.manifest_.decorate and next(status) ~= nil then
    fail("status.%s: the status is somebody else's; say it with plan:event", text_of((next(status))))
  end
  local done = plan.finish(p, { host = self.host, kinds = self.kinds, parent = parent, parent_kind = self.manifest_.parent })
  return { status = status, events = done.events, requeue_after = done.requeue_after, rolling_out = done.rolling_out }
end

--- Shared objects that exist without any parent: { objects }.
---@return table
function Bundle:shared()
  local ctx, p = (contexts(self, self.usual, {})), plan.new()
  each(self, self.usual, 'shared', p, function(fn, it) return fn(ctx[it], p) end)
  return { objects = plan.finish(p, { host = self.host, kinds = self.kinds }).objects }
end

--- Renders a case in another shape. All that is expected is that this works; the result is returned.
local function in_shape(self, snapshot, blame)
  snapshot.warn, snapshot.blame = true, blame
  local done = self:plan(snapshot)
  return { refusal = done.invalid and done.invalid.message, objects = done.objects, warnings = done.warnings, blame = done.blame }
end

--- Runs a case (see cases.lua). Returns { failure }, where failure is nil when the case holds.
---@param case table with `shape`, one of the manifest's: see in_shape()
---@return { failure: string? }
function Bundle:case(case)
  local snapshot = cases.snapshot(case, self.manifest_)
  if case.shape then return in_shape(self, snapshot, case.blame) end
  local done = self:plan(snapshot)
  local failure = cases.judge_plan(case, done)
  if not failure and case.status then
    snapshot.outcome = snapshot.outcome or cases.outcome(done, snapshot.parent)
    failure = cases.difference(case.status, self:status(snapshot).status, 'status')
  end
  return { failure = failure }
end

--- What a cluster needs to run an operator of this bundle: { objects }.
---@param options table as of deploy.objects
---@return table
function Bundle:objects(options) return { objects = require 'deploy'.objects(self.manifest_, options) } end

--- What the bundle says about itself.
---@return table
function Bundle:manifest()
  return self.manifest_
end

--- What policies find wrong with the settings; they do without it.
---@return string[]
function Bundle:problems()
  return self.problems_
end

--- The policies in the order they run, then those that other profiles have in their place or beside them: { name, file, origin, doc,
-- finalize, relate }: for how long the hook finalize may take, and whether there is a hook relate.
---@return table[]
function Bundle:policies()
  local result, seen = json.array {}, {}
  for _, it in ipairs(self.all) do
    if not seen[it.file] then
      seen[it.file] = true
      result[#result + 1] = { name = it.name, file = it.file, origin = it.origin, doc = it.def.doc,
        finalize = it.def.finalize and (it.def.finalize_seconds or FINALIZE_SECONDS) or nil, relate = it.def.relate and true or nil }
    end
  end
  return result
end

return bundle
