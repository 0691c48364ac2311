--- bundle: files in, an ordered set of policies out; then snapshots in, plans and statuses out.
-- The same code runs in the binary, where C calls the entry points with JSON, and under plain Lua.
local cases = require 'cases'
local decorate = require 'decorate'
local explain = require 'explain'
local json = require 'json'
local k8s = require 'k8s'
local kinds = require 'kinds'
local leaving = require 'leaving'
local loading = require 'loading'
local plain = require 'plain'
local plan = require 'plan'
local policy = require 'policy'
local schema = require 'schema'
local seal = require 'seal'

local ipairs, next, pcall, rawget, require, setmetatable, type = ipairs, next, pcall, rawget, require, setmetatable, type
local find = string.find
local fail, format, sorted_keys, text_of = plain.fail, plain.format, plain.keys, plain.text
local concat = table.concat
local copy = seal.copy

---@class Bundle
---@field profiles table<string, Profile>
---@field usual Profile that of parents that ask for none
local Bundle = {}
Bundle.__index = Bundle

local bundle = {}

local FINALIZE_SECONDS <const> = 600

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

--- Adds the profiles that have files of their own.
---@param profiles table<string, Profile> the base is among them
---@param layered table<string, table<string, Source>>
local function add_profiles(profiles, layered, manifest, host)
  if not manifest.profile and next(layered) then
    fail('profiles/%s: the manifest does not say how a parent asks for a profile', sorted_keys(layered)[1])
  end
  for _, name in ipairs(sorted_keys(layered)) do
    local more, _, file = loading.profile(layered[name], name, host)
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
  local base_files, layered = loading.by_profile(files)
  local base, manifest = loading.profile(base_files, nil, host)
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

bundle.peek = loading.peek

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
