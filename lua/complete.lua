--- complete: what policies have planned, checked as a whole and put into the form that C takes.
local json = require 'json'
local kinds_of = require 'kinds'
local plain = require 'plain'

local error, ipairs, next, type = error, ipairs, next, type
local format = plain.format

--- Why the observed child of an entry is not ready, for kinds that are updated one by one; nil when it is.
local function unready(state, host, entry, readiness_of)
  host.enter(entry.policy.name, 'plan')
  local is, why = readiness_of(state, entry.role, nil, 'plan:add')
  host.enter('', '')
  return not is and why or nil
end

--- Raises an error about an entry, in the name of the policy that added it.
local function blame(host, entry, text, ...)
  host.enter(entry.policy.name, 'plan')
  error(format("%s: role '%s': %s", entry.policy.file, entry.role, format(text, ...)), 0)
end

local function check_object(host, entry, kinds)
  local object = entry.object
  local metadata = object.metadata
  if type(object.apiVersion) ~= 'string' or object.apiVersion == '' then
    blame(host, entry, 'apiVersion must be a non-empty string')
  elseif type(object.kind) ~= 'string' or object.kind == '' then
    blame(host, entry, 'kind must be a non-empty string')
  elseif type(metadata) ~= 'table' or type(metadata.name) ~= 'string' or metadata.name == '' then
    blame(host, entry, 'metadata.name must be a non-empty string')
  elseif metadata.namespace ~= nil and type(metadata.namespace) ~= 'string' then
    blame(host, entry, 'metadata.namespace must be a string')
  end
  if entry.sources then
    if object.data ~= nil or object.kind ~= 'Secret' then blame(host, entry, 'a copied Secret has stringData and sources only') end
    return
  end
  local declared = kinds[object.apiVersion .. ' ' .. object.kind]
  if not declared then
    blame(host, entry, '%s', kinds_of.advice(object.apiVersion, object.kind, entry.shared))
  elseif entry.shared and not declared.shared then
    blame(host, entry, '%s is planned as shared: the manifest, or `kinds` of the policy, must say shared = true', object.kind)
  elseif not entry.shared and not declared.owned then
    blame(host, entry, '%s is declared with shared = true: plan it with plan:shared', object.kind)
  elseif declared.unseen then
    blame(host, entry, "only metadata of each %s is seen (projection = 'metadata'): it can be kept, and a Secret copied, but not compared", object.kind)
  end
end

--- Gives an object its namespace, which is the parent's unless it names one. An object of a kind that is in none must not.
local function place(host, entry, parent, is_cluster)
  local metadata = entry.object.metadata
  if is_cluster and metadata.namespace ~= nil then
    blame(host, entry, '%s is in no namespace: leave metadata.namespace out', entry.object.kind)
  elseif is_cluster then
    return
  elseif metadata.namespace == nil and parent.metadata.namespace == nil then
    blame(host, entry, '%s is in a namespace, and its parent in none: name it in metadata.namespace', entry.object.kind)
  end
  metadata.namespace = metadata.namespace or parent.metadata.namespace
end

--- Marks a child by labels as that of a parent which no owner reference may name there.
local function mark_owner(entry, parent, component)
  local metadata, at = entry.object.metadata, parent.metadata
  metadata.labels, metadata.annotations = metadata.labels or {}, metadata.annotations or {}
  metadata.labels[component .. '/owner-uid'] = at.uid
  metadata.annotations[component .. '/owner'] = at.namespace and at.namespace .. '/' .. at.name or at.name
end

--- Makes an object a child of the parent: by an owner reference, which Kubernetes knows in the parent's namespace only, and everywhere for a parent
-- that is in none; or by a label, where the row of the kind says so.
local function own(host, entry, parent, reference, around)
  local metadata, row = entry.object.metadata, around.kinds[entry.object.apiVersion .. ' ' .. entry.object.kind] or {}
  place(host, entry, parent, row.cluster)
  local inside = parent.metadata.namespace == nil or metadata.namespace == parent.metadata.namespace
  if not inside and (entry.sources or around.decorates or not row.by_label) then
    blame(host, entry, "%s%s",
      row.cluster and format('%s is in no namespace, and Kubernetes lets no owner have it that is in one', entry.object.kind)
        or format("namespace '%s' is not the parent's: Kubernetes knows no owner in another namespace", metadata.namespace),
      (entry.sources or around.decorates) and '' or format("; with owned_by = 'label' in the row of %s a label says whose it is", entry.object.kind))
  end
  if not reference then
    return
  end
  if row.by_label then
    mark_owner(entry, parent, around.component)
    if not (around.decorates or entry.sources) then return end -- a copy is where a reference may be, and has both
  end
  local owners = json.array {}
  for _, owner in ipairs(metadata.ownerReferences or {}) do
    if owner.uid ~= reference.uid then
      owners[#owners + 1] = owner
    end
  end
  owners[#owners + 1] = reference
  metadata.ownerReferences = owners
end

--- The entries in the order in which they are applied: as added, but each one behind the role that it waits for.
local function ordered(host, state)
  local result, mark = {}, {}
  local function visit(entry, from)
    if mark[entry] == 'done' then
      return
    elseif mark[entry] then
      blame(host, from, "waits for role '%s', which waits for it", entry.role)
    end
    mark[entry] = 'open'
    if entry.after then
      local first = state.by_role[entry.after]
      if not first then
        blame(host, entry, "waits for role '%s', which is not in the plan", entry.after)
      end
      visit(first, entry)
    end
    mark[entry] = 'done'
    result[#result + 1] = entry
  end
  for _, entry in ipairs(state.objects) do
    visit(entry, entry)
  end
  return result
end

--- @param controls boolean others control what they make of a parent of their own
local function owner_reference(parent, kind, controls)
  local uid = parent.metadata.uid
  if type(uid) ~= 'string' or uid == '' then
    return nil -- rendered offline
  end
  return {
    apiVersion = kind.apiVersion, kind = kind.kind, name = parent.metadata.name, uid = uid, controller = controls or nil,
    blockOwnerDeletion = controls or nil,
  }
end

---@class Finished
---@field objects table[] { role, policy, shared, object, after, optional }; optional: field -> what to say where the server does not have it
---@field copies table[]? { role, policy, object, sources } of Secrets, which are made before the objects
---@field labels table<string, string>? of the parent
---@field patch table? { labels, annotations, status } of a parent that is somebody else's
---@field kept table[] { kind, namespace, name }
---@field refused table[]? { role, kind, name, policy, path, message, reason, condition }
---@field waits table[]? { role, kind, name, policy, message }: what must be ready before there is more
---@field queues table[]
---@field events table[]
---@field requeue_after number?
---@field rolling_out true?
---@field warnings table[]? { policy, role, path } of lists that were replaced as a whole

--- Leaves the object of an entry out of the plan. If the object exists, it stays as it is.
local function refuse(state, entry, refused)
  local object, why = entry.object, entry.refusal
  local metadata = object.metadata
  state.kept[#state.kept + 1] = { kind = object.kind, namespace = metadata.namespace, name = metadata.name }
  refused[#refused + 1] = {
    role = entry.role, kind = object.kind, name = metadata.name,
    policy = why.policy, path = why.path, message = why.message, reason = why.reason, condition = why.condition,
  }
end

--- What the plan waits for, in the order of its objects.
local function waits_of(state, entries)
  local result = json.array {}
  for _, entry in ipairs(entries) do
    local wait = state.waits[entry.role]
    if wait then
      local object = entry.object
      result[#result + 1] = { role = entry.role, kind = object.kind, name = object.metadata.name, policy = wait.policy, message = wait.message }
    end
  end
  return #result > 0 and result or nil
end

--- Completes and checks a plan.
---@param state table the plan's data, see plan.lua
---@param around table see plan.finish
---@param readiness_of fun(state: table, role: string, check: nil, method: string): boolean, string?
---@return Finished
return function(state, around, readiness_of)
  local host = around.host
  local parent = around.parent
  local reference = parent and owner_reference(parent, around.parent_kind, not around.decorates)
  local objects, copies, refused, seen, entries = json.array {}, json.array {}, json.array {}, {}, ordered(host, state)
  for _, entry in ipairs(entries) do
    check_object(host, entry, around.kinds)
    if not entry.shared then
      own(host, entry, parent, reference, around)
    elseif parent then
      place(host, entry, parent, (around.kinds[entry.object.apiVersion .. ' ' .. entry.object.kind] or {}).cluster)
    end
    local metadata = entry.object.metadata
    local id = entry.object.kind .. ' ' .. (metadata.namespace or '') .. '/' .. metadata.name
    if seen[id] then
      blame(host, entry, "%s is in the plan already, as role '%s' of policy '%s'", id, seen[id].role, seen[id].policy.name)
    end
    seen[id] = entry
    entry.refusal = entry.refusal or entry.after and state.by_role[entry.after].refusal
    if entry.refusal then
      refuse(state, entry, refused)
    elseif entry.sources then
      copies[#copies + 1] = { role = entry.role, policy = entry.policy.name, object = entry.object, sources = entry.sources }
    else
      local update = not entry.shared and around.kinds[entry.object.apiVersion .. ' ' .. entry.object.kind].update
      objects[#objects + 1] = {
        update = update or nil, unready = update and update:find '^Rolling' and unready(state, host, entry, readiness_of) or nil,
        role = entry.role, policy = entry.policy.name, shared = entry.shared, object = entry.object, after = entry.after, optional = entry.optional,
        awaited = state.awaited[entry.role],
      }
    end
  end
  return {
    objects = objects, copies = #copies > 0 and copies or nil, kept = json.array(state.kept), queues = json.array(state.queues),
    events = json.array(state.events), labels = next(state.labels) and state.labels or nil,
    patch = next(state.patch) and state.patch or nil, refused = #refused > 0 and refused or nil,
    requeue_after = state.requeue_after, rolling_out = state.rolling_out, warnings = around.warn and json.array(state.warnings) or nil,
    waits = waits_of(state, entries),
  }
end
