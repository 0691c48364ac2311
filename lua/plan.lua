--- plan: what policies want to exist, while they put it together.
-- Objects stand under roles, so that a later policy finds them without knowing names. Nothing is checked against a cluster here.
local complete = require 'complete'
local json = require 'json'
local k8s = require 'k8s'
local plain = require 'plain'
local policies = require 'policy'
local ready = require 'ready'
local seal = require 'seal'
local texts = require 'text'

local error, ipairs, next, pairs, select, setmetatable, type = error, ipairs, next, pairs, select, setmetatable, type
local format = plain.format
local remove = table.remove

local STATES = setmetatable({}, { __mode = 'k' }) -- plan -> its data, which lies beside it, out of the reach of policies

---@class Plan
local Plan = {}

local plan = {}

--- What each hook may do with a plan.
local ALLOWED = {
  render = {
    add = true, copy_secret = true, label = true, shared = true, keep = true, merge = true, append = true, remove = true, refuse = true,
    optional = true, queue = true, event = true, requeue_after = true, observed = true, ready = true, after = true, patch = true,
  },
  finalize = {
    add = true, keep = true, merge = true, append = true, remove = true, event = true, requeue_after = true, observed = true, ready = true, after = true,
  },
  queues = { merge = true, append = true, queue = true, event = true, requeue_after = true, observed = true, ready = true },
  status = { event = true, requeue_after = true, rolling_out = true },
  shared = { shared = true, merge = true, append = true, remove = true },
}

---@class PlanAbout what a plan is for
---@field parent table? its metadata
---@field child (fun(kind: string, name: string, namespace: string?): table?)? finds an observed child
---@field reads table<string, true>? where it is noted what policies have read

--- An empty plan.
---@param about PlanAbout?
---@return Plan
function plan.new(about)
  local p = seal.new(Plan, 'the plan')
  STATES[p] = {
    about = about or {}, objects = {}, by_role = {}, kept = {}, queues = {}, events = {}, warnings = {}, labels = {}, patch = {}, waits = {}, awaited = {},
  }
  return p
end

--- Sets the policy and the hook that work on the plan from now on.
---@param p Plan
---@param policy { name: string, file: string }
---@param hook string
function plan.enter(p, policy, hook)
  local state = STATES[p]
  state.policy, state.hook = policy, hook
end

--- The plan's data, for method `name` called by a policy. Raises at the caller's caller.
local function state_of(p, name)
  local state = STATES[p]
  if not state then
    error(format('call it as plan:%s(...), with a colon', name), 3)
  end
  local allowed = ALLOWED[state.hook]
  if allowed and not allowed[name] and name ~= 'get' and name ~= 'pod' and name ~= 'roles' then
    error(format('plan:%s is not for the hook %s', name, state.hook), 3)
  end
  return state
end

local function check_role(role)
  if type(role) ~= 'string' or role == '' then
    error('a role must be a non-empty string', 3)
  end
end

local function put(state, role, object, options)
  local entry = { role = role, object = object, after = options.after, ready = options.ready, shared = options.shared, policy = state.policy }
  state.objects[#state.objects + 1] = entry
  state.by_role[role] = entry
end

local function check_new(state, role, object)
  if type(role) ~= 'string' or role == '' then
    return 'a role must be a non-empty string'
  elseif type(object) ~= 'table' then
    return format("role '%s': the object must be a table, not a %s", role, type(object))
  elseif state.by_role[role] then
    return format("role '%s' is already in the plan, put there by policy '%s'", role, state.by_role[role].policy.name)
  end
end

--- Gives an object that has metadata.generateName a name, which is the same in every pass: it stands for the parent and the role.
local function name_object(state, role, object)
  local metadata, parent = object.metadata, state.about.parent
  if type(metadata) ~= 'table' or metadata.name ~= nil or type(metadata.generateName) ~= 'string' or not parent then
    return
  end
  local id = texts.hash(plain.concat({ plain.text(parent.namespace), plain.text(parent.name), role }, '/'))
  metadata.name, metadata.generateName = metadata.generateName .. id:sub(1, 8), nil
end

--- Plans a child that the parent owns. Namespace and owner reference are filled in later. The name of another parent's child is refused.
-- An object with metadata.generateName gets a name that stands for parent and role: the same in every pass.
-- When several parents need the same object, use plan:shared.
---@param role string what the object is for, unique in the plan
---@param object table
---@param options { after: string?, ready: (fun(child: table): boolean, string?)? }? `after` names a role that must exist first, `ready` says
-- when the observed child is ready; without it, ready.of does
function Plan:add(role, object, options)
  local state = state_of(self, 'add')
  local wrong = check_new(state, role, object)
  if wrong then
    error(wrong, 2)
  end
  for key in pairs(options or {}) do
    if key ~= 'after' and key ~= 'ready' then
      error(format("role '%s': unknown option '%s' (known: after, ready)", role, key), 2)
    end
  end
  local after, check = options and options.after, options and options.ready
  if after ~= nil and type(after) ~= 'string' then
    error(format("role '%s': after must name a role", role), 2)
  elseif check ~= nil and type(check) ~= 'function' then
    error(format("role '%s': ready must be a function", role), 2)
  end
  name_object(state, role, object)
  put(state, role, object, { after = after, ready = check, shared = false })
end

local SOURCE = { namespace = 'string', name = 'string', key = 'string', optional = 'boolean' }

--- What is wrong with one of the sources of a copy, or nil.
local function check_source(key, source)
  if type(key) ~= 'string' or type(source) ~= 'table' then
    return 'a source must be { namespace, name, key, optional }, by the key in the copy'
  end
  for field, kind in pairs(SOURCE) do
    local value = source[field]
    if (value == nil and field ~= 'optional') or value ~= nil and type(value) ~= kind or value == '' then
      return format("source '%s': %s must be a non-empty %s", key, field, kind)
    end
  end
end

--- Plans a Secret that the parent owns, with values of other Secrets. The operator reads and writes them: no policy, snapshot or record holds them.
-- Values that are no secret may stand in the object's stringData.
---@param role string
---@param object table metadata, and stringData if there is any
---@param sources table<string, { namespace: string, name: string, key: string, optional: boolean? }> by the key in the copy
function Plan:copy_secret(role, object, sources)
  local state = state_of(self, 'copy_secret')
  local wrong = check_new(state, role, object)
  if not wrong and (type(sources) ~= 'table' or next(sources) == nil) then
    wrong = format("role '%s': copy_secret takes a role, an object, and sources by key", role)
  end
  local from = {}
  for key, source in pairs(not wrong and sources or {}) do
    wrong = wrong or check_source(key, source)
    from[key] = not wrong and { namespace = source.namespace, name = source.name, key = source.key, optional = source.optional } or nil
    if not wrong and type(object.stringData) == 'table' and object.stringData[key] ~= nil then
      wrong = format("role '%s': stringData has the key '%s' of a source", role, key)
    end
  end
  if wrong then
    error(wrong, 2)
  end
  object.apiVersion, object.kind, object.type = 'v1', 'Secret', 'Opaque'
  put(state, role, object, { shared = false })
  state.by_role[role].sources = from
end

--- Asks for a label on the parent itself. Other labels of it stay as they are.
---@param name string
---@param value string
function Plan:label(name, value)
  local state = state_of(self, 'label')
  if type(name) ~= 'string' or name == '' or type(value) ~= 'string' then
    error('label takes a name and a value', 2)
  end
  state.labels[name] = value
end

local PATCHED = { labels = true, annotations = true, status = true }

--- Adds fields to those of the status that policies have said already. Returns the path of one that is said otherwise.
local function patch_status(all, status)
  local merged = k8s.merge(all.status, status)
  local same, path = k8s.contains(k8s.merge(merged, all.status or {}), merged)
  all.status = next(merged) and merged or nil
  return not same and path or nil
end

--- Puts labels, annotations and fields of the status on a parent that is somebody else's. Those of other managers are never taken over, and what
-- is not put there any more goes. The manifest must say patches = true, and patches_status = true for the status.
---@param patch { labels: table<string, string>?, annotations: table<string, string>?, status: table? }
function Plan:patch(patch)
  local state = state_of(self, 'patch')
  if type(patch) ~= 'table' then
    error('patch takes { labels =, annotations =, status = }', 2)
  end
  for part, values in pairs(patch) do
    if not PATCHED[part] or type(values) ~= 'table' then
      error('patch takes { labels =, annotations =, status = }', 2)
    end
    local said = part == 'status' and patch_status(state.patch, values)
    if said then
      error(format('patch: status.%s is said otherwise already', said), 2)
    end
    for name, value in pairs(part ~= 'status' and values or {}) do
      if type(name) ~= 'string' or name == '' or type(value) ~= 'string' then
        error(format('patch: %s must be texts by name', part), 2)
      end
      local all = state.patch[part] or {}
      if all[name] and all[name] ~= value then
        error(format("patch: %s['%s'] is '%s' already", part, name, all[name]), 2)
      end
      all[name], state.patch[part] = value, all
    end
  end
end

--- Plans an object that several parents need with the same content. It has no owner, and it is never deleted.
---@param role string
---@param object table
function Plan:shared(role, object)
  local state = state_of(self, 'shared')
  local wrong = check_new(state, role, object)
  if wrong then
    error(wrong, 2)
  end
  put(state, role, object, { shared = true })
end

--- Leaves an observed child alone although it is not in the plan: it is neither changed nor deleted.
---@param child table as ctx.children has it
function Plan:keep(child)
  local state = state_of(self, 'keep')
  if type(child) ~= 'table' or type(child.kind) ~= 'string' or type(child.metadata) ~= 'table' then
    error('keep takes an observed child', 2)
  end
  state.kept[#state.kept + 1] = { kind = child.kind, namespace = child.metadata.namespace, name = child.metadata.name }
end

--- Refuses the object under a role: it is neither made, changed nor deleted, and the rest of the plan is carried out. Roles that must come
-- after it are refused with it. The first refusal of a role counts; status hooks find it in ctx.outcome.refused.
---@param role string
---@param why Invalid { path, message, reason, condition }
function Plan:refuse(role, why)
  local state = state_of(self, 'refuse')
  check_role(role)
  local entry = state.by_role[role]
  if not entry then
    error(format("role '%s' is not in the plan", role), 2)
  end
  local refusal, wrong = policies.refusal(why, 'the refusal')
  if not refusal then
    error(wrong, 2)
  end
  refusal.policy = state.policy.name
  entry.refusal = entry.refusal or refusal
end

--- Lets a field of the object under a role be left out where the server's schema does not have it, or does not know the value: the rest of the
-- object is carried out, and ctx.outcome.refused says why, with the `field`. Otherwise such a field is an error of the policy.
---@param role string
---@param field string dotted, as in 'spec.fallback.behavior'
---@param why Invalid { path, message, reason, condition }
function Plan:optional(role, field, why)
  local state = state_of(self, 'optional')
  check_role(role)
  local entry = state.by_role[role]
  if not entry then
    error(format("role '%s' is not in the plan", role), 2)
  elseif type(field) ~= 'string' or field == '' then
    error('optional takes a role, the path of a field, and what to say without it', 2)
  end
  local refusal, wrong = policies.refusal(why, 'the refusal')
  if not refusal then
    error(wrong, 2)
  end
  refusal.policy, refusal.role, refusal.field = state.policy.name, role, field
  entry.optional = entry.optional or {}
  entry.optional[field] = refusal
end

--- The object under a role, to be read or changed in place. nil when there is no such role.
---@param role string
---@return table?
function Plan:get(role)
  local state = state_of(self, 'get')
  check_role(role)
  local entry = state.by_role[role]
  return entry and entry.object
end

--- The observed child that the object under a role stands for.
local function observed_of(state, role)
  local entry = state.by_role[role]
  if not entry then
    error(format("role '%s' is not in the plan", role), 3)
  elseif entry.shared or entry.sources then
    error(format("role '%s': %s are not observed, so nobody can wait for them", role, entry.shared and 'shared objects' or 'copied Secrets'), 3)
  end
  local object, about = entry.object, state.about
  if about.reads then
    about.reads.children = true
  end
  local metadata = type(object.metadata) == 'table' and object.metadata or {}
  return about.child and about.child(object.kind, metadata.name, metadata.namespace or about.parent and about.parent.namespace) or nil, entry
end

--- Is the object under a role observed, and ready? Returns that, why not, and the object.
local function readiness_of(state, role, check, method)
  check_role(role)
  local child, entry = observed_of(state, role)
  check = check == nil and entry.ready or check
  if check ~= nil and type(check) ~= 'function' then
    error(format('%s takes a role, and a function that says whether its object is ready', method), 3)
  elseif entry.refusal then
    return false, 'it is refused: ' .. entry.refusal.message
  elseif not child or not check then
    local is, why = ready.of(child)
    return is, why, child
  end
  local is, why = check(child)
  if why ~= nil and type(why) ~= 'string' then
    error(format("role '%s': why it is not ready must be a string, not a %s", role, type(why)), 3)
  end
  return is and true or false, why or not is and 'it is not ready yet' or nil, child
end

--- The observed child that the object under a role stands for, with what the cluster has filled in: its clusterIP, its status. nil while it
-- does not exist. The plan is made again when it changes.
---@param role string
---@return table?
function Plan:observed(role)
  local state = state_of(self, 'observed')
  check_role(role)
  return (observed_of(state, role))
end

--- Is the object under a role there, and ready? If not, the second result says why. The plan is made again when that changes.
---@param role string
---@param check (fun(child: table): boolean, string?)? says when it is ready; without one, ready.of does
---@return boolean
---@return string?
function Plan:ready(role, check)
  local is, why = readiness_of(state_of(self, 'ready'), role, check, 'plan:ready')
  return is, why
end

--- What comes next waits until the object under a role is ready. Returns that object as it is observed, or nil when it is not ready yet: then
-- plan nothing that needs it. The plan is made again when it is. As long as a plan waits, nothing that it lacks is deleted, and
-- ctx.outcome.waits says what for.
---@param role string
---@param check (fun(child: table): boolean, string?)? says when it is ready; without one, ready.of does
---@return table?
function Plan:after(role, check)
  local state = state_of(self, 'after')
  local is, why, child = readiness_of(state, role, check, 'plan:after')
  state.awaited[role] = true
  if is then
    return child
  end
  state.waits[role] = state.waits[role] or { policy = state.policy.name, message = why }
end

--- Where objects of different kinds keep the template of their pods.
local POD_PLACES = { { 'spec', 'template' }, { 'spec', 'jobTargetRef', 'template' }, { 'spec', 'jobTemplate', 'spec', 'template' } }

--- The template of the pods that the object under a role makes, with `metadata` and `spec`, to be read or changed in place. It works for every
-- kind of workload. nil when there is no such role, or when its object makes no pods.
---@param role string? 'workload' by default
---@return table?
function Plan:pod(role)
  local state = state_of(self, 'pod')
  role = role or 'workload'
  check_role(role)
  local entry = state.by_role[role]
  if entry and entry.object.kind == 'Pod' then
    return entry.object
  end
  for _, place in ipairs(entry and POD_PLACES or {}) do
    local template = k8s.get(entry.object, place)
    if type(template) == 'table' and type(template.spec) == 'table' then
      template.metadata = k8s.get(template, 'metadata') or {}
      return template
    end
  end
end

--- The roles in the order they were added.
---@return string[]
function Plan:roles()
  local roles = {}
  for i, entry in ipairs(state_of(self, 'roles').objects) do
    roles[i] = entry.role
  end
  return roles
end

--- Merges fields into the object under a role. Lists are merged by Kubernetes' own keys. A list whose items have no keys (tolerations) is
-- replaced, and `check` warns of that; plan:append adds to such a list.
---@param role string
---@param overlay table
function Plan:merge(role, overlay)
  local state = state_of(self, 'merge')
  check_role(role)
  local entry = state.by_role[role]
  if not entry then
    error(format("role '%s' is not in the plan", role), 2)
  end
  entry.object = k8s.merge(entry.object, overlay, function(path)
    state.warnings[#state.warnings + 1] = { policy = state.policy.name, role = role, path = path }
  end)
end

--- Adds items to a list in the object under a role. The list is made when it is not there.
---@param role string
---@param path string|string[] dotted, or a list of keys where keys hold dots
---@param ... any the items
function Plan:append(role, path, ...)
  local state = state_of(self, 'append')
  check_role(role)
  local entry = state.by_role[role]
  if not entry then
    error(format("role '%s' is not in the plan", role), 2)
  elseif type(path) ~= 'string' and type(path) ~= 'table' then
    error('append takes a role, the path of a list, and items', 2)
  end
  local there, list = k8s.get(entry.object, path), json.array {}
  if there ~= nil and (type(there) ~= 'table' or not json.is_array(there) and next(there) ~= nil and #there == 0) then
    error(format("role '%s': what is at '%s' is no list", role, type(path) == 'table' and plain.concat(path, '.') or path), 2)
  end
  for i, item in ipairs(there or {}) do list[i] = item end
  for i = 1, select('#', ...) do list[#list + 1] = (select(i, ...)) end
  k8s.set(entry.object, path, list)
end

--- Takes an object out of the plan and returns it. Nothing happens when it is not there.
---@param role string
---@return table?
function Plan:remove(role)
  local state = state_of(self, 'remove')
  check_role(role)
  local entry = state.by_role[role]
  if not entry then
    return nil
  end
  for i, other in ipairs(state.objects) do
    if other == entry then
      remove(state.objects, i)
    end
  end
  state.by_role[role] = nil
  return entry.object
end

--- Asks for a queue. It needs a `name`; which other fields it may have depends on the transport.
---@param queue { name: string }
function Plan:queue(queue)
  local state = state_of(self, 'queue')
  if type(queue) ~= 'table' or type(queue.name) ~= 'string' or queue.name == '' then
    error('a queue must be a table with a name', 2)
  end
  state.queues[#state.queues + 1] = queue
end

local EVENT = { type = true, reason = true, note = true, action = true }

--- Asks for a Kubernetes Event about the parent: { type, reason, note, action }.
---@param event { type: 'Normal'|'Warning'|nil, reason: string, note: string, action: string? }
function Plan:event(event)
  local state = state_of(self, 'event')
  if type(event) ~= 'table' then
    error('an event must be a table', 2)
  end
  for key, value in pairs(event) do
    if not EVENT[key] then
      error(format("event: unknown field '%s' (known: action, note, reason, type)", key), 2)
    elseif type(value) ~= 'string' then
      error(format('event.%s must be a string', key), 2)
    end
  end
  local kind = event.type or 'Normal'
  if kind ~= 'Normal' and kind ~= 'Warning' then
    error("event.type must be 'Normal' or 'Warning'", 2)
  elseif not event.reason or event.reason == '' or not event.note then
    error('event.reason and event.note are missing', 2)
  end
  state.events[#state.events + 1] = { type = kind, reason = event.reason, note = event.note, action = event.action, policy = state.policy.name }
end

--- Asks for another pass after this many seconds. The smallest number that a policy gives counts.
---@param seconds number
function Plan:requeue_after(seconds)
  local state = state_of(self, 'requeue_after')
  if type(seconds) ~= 'number' or not (seconds > 0 and seconds < 1e9) then
    error('requeue_after takes a positive number of seconds', 2)
  end
  if not state.requeue_after or seconds < state.requeue_after then
    state.requeue_after = seconds
  end
end

--- Says that pods are still being replaced. A rollout of policies waits as long as a policy says so.
function Plan:rolling_out()
  state_of(self, 'rolling_out').rolling_out = true
end

--- The queues that were asked for; more may be added.
---@param p Plan
---@return table[]
function plan.queues(p) return STATES[p].queues end

--- Completes and checks what was planned.
---@param p Plan
---@param around { host: table, kinds: table, parent: table?, parent_kind: table, component: string?, decorates: boolean?, warn: boolean? } `parent` nil:
-- shared objects only
---@return Finished
function plan.finish(p, around) return complete(STATES[p], around, readiness_of) end

return plan
