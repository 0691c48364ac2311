--- cases: what policies are expected to do, written as data: a parent, and what must be made of it.
--
-- A case is a table of the form
--   title:    what it shows
--   parent:   the parent (also `actor`); the manifest's cases.parent lies under it
--   profile:  that of a parent that asks for none (default: the setting of that name)
--   settings: the operator's settings (default: the manifest's cases.settings)
--   children, related, absent, outcome: what is observed (default: nothing)
--   expect:   {Kind: fields that must be there}; ABSENT means it must not
--   queues:   with expect: the queues planned, in order, each with the fields that must be there; observed ones are `observed_queues`
--   copies:   with expect: the copied Secrets, in order, each with the fields that must be there
--   patch:    with expect: the labels, annotations and status that a parent of somebody else gets, those that must be there
--   kept:     with expect: the observed objects that must stay as they are, each with the fields that must be there
--   refused:  with expect: {role: texts that its refusal must hold}; no other role may be refused
--   waits:    with expect: {role: texts that must say why it is not ready}; the plan may wait for no other role
--   finalize: with expect, for a parent with metadata.deletionTimestamp: true when it may go, else texts that say what it waits for
--   invalid:  texts that the refusal of the parent must hold, instead of expect
--   status:   fields of the status that must be there
--   shapes:   the names of those of the manifest's cases.shapes in which `check` renders it, too, or false (default: all)
--   snapshot: all of the above at once, as an operator recorded it; with `plan`, which must come out exactly
local json = require 'json'
local k8s = require 'k8s'

local M = {}

local NOW <const> = '2026-01-02T03:04:05Z'

--- The first path where `got` does not hold what `wanted` asks for, or nil. Maps may hold more, lists may not.
---@return string?
function M.difference(wanted, got, path)
  path = path or ''
  if wanted == 'ABSENT' then return got ~= nil and path .. ' is there' or nil end
  if type(wanted) ~= 'table' or type(got) ~= 'table' or wanted == json.null then
    return wanted ~= got and ('%s: wanted %s, got %s'):format(path, tostring(wanted), tostring(got)) or nil
  end
  if json.is_array(wanted) and #wanted ~= #got then return ('%s: wanted %d items, got %d'):format(path, #wanted, #got) end
  for key, value in pairs(wanted) do
    local bad = M.difference(value, got[key], path .. '.' .. tostring(key))
    if bad then return bad end
  end
end

--- The object of a kind in a plan, or nil.
---@return table?
function M.find(plan, kind)
  for _, item in ipairs(plan.objects or {}) do
    if item.object.kind == kind then return item.object end
  end
end

--- `given`, and from `base` whatever `given` lacks, map by map. Lists are taken whole.
local function filled(base, given)
  if given == nil then return k8s.copy(base) end
  local maps = type(base) == 'table' and type(given) == 'table' and not json.is_array(base) and not json.is_array(given)
  if not maps or given == json.null then return given end
  local out = {}
  for key, value in pairs(given) do out[key] = value end
  for key, value in pairs(base) do out[key] = filled(value, given[key]) end
  return out
end

--- The snapshot that a case describes.
---@param case table
---@param manifest table
---@return table
function M.snapshot(case, manifest)
  if case.snapshot then return k8s.copy(case.snapshot) end
  local kind = manifest.parent
  local parent = filled(k8s.get(manifest, 'cases.parent') or {}, case.parent or case.actor or {})
  parent.apiVersion, parent.kind = kind.apiVersion, kind.kind
  parent.metadata = parent.metadata or {}
  parent.metadata.name = parent.metadata.name or 'a'
  if kind.scope ~= 'Cluster' then parent.metadata.namespace = parent.metadata.namespace or 'default' end
  if case.shape then parent = k8s.merge(parent, case.shape.parent) end
  return {
    now = case.now or NOW, parent = parent, children = case.children or json.array {}, related = case.related or json.array {},
    queues = case.observed_queues, absent = case.absent, profile = case.profile,
    outcome = case.outcome,
  }
end

--- The first of the wanted texts (one, or a list) that a message does not hold, or nil.
local function lacking(wanted, message)
  for _, text in ipairs(type(wanted) == 'table' and wanted or { wanted }) do
    if not message:find(text, 1, true) then return text end
  end
end

local function check_refusal(wanted, invalid)
  if not invalid then return 'nothing was refused' end
  local whole = ('%s %s %s'):format(invalid.condition or '', invalid.reason or '', invalid.message)
  local text = lacking(wanted, whole)
  return text and ("refused with '%s', which does not hold '%s'"):format(whole, text)
end

--- Checks what is said of roles: nothing of one that is not expected, and of each that is what `check` asks for.
-- `unexpected`: a format of role and message.
local function check_roles(wanted, said, unexpected, check)
  local by_role = {}
  for _, it in ipairs(said) do
    by_role[it.role] = it
    if not wanted[it.role] then return unexpected:format(it.role, it.message) end
  end
  for role, texts in pairs(wanted) do
    local bad = check(role, texts, by_role[role])
    if bad then return bad end
  end
end

local function check_refused(role, texts, refused)
  local bad = check_refusal(texts, refused)
  return bad and ("role '%s': %s"):format(role, bad)
end

local function check_wait(role, texts, waits)
  if not waits then return ("it does not wait for role '%s'"):format(role) end
  local text = lacking(texts, waits.message)
  return text and ("it waits for role '%s': '%s', which does not hold '%s'"):format(role, waits.message, text)
end

local function check_finalize(wanted, finalize)
  if not finalize then return 'no policy was asked whether it may go' end
  if wanted == true then return not finalize.done and 'it may not go yet: ' .. finalize.message or nil end
  if finalize.done then return 'it may go' end
  local text = lacking(wanted, finalize.message)
  return text and ("it waits for '%s', which does not hold '%s'"):format(finalize.message, text)
end

--- How a plan differs from what a case expects, or nil.
---@return string?
function M.judge_plan(case, plan)
  if case.plan then
    local wanted, got = json.encode(case.plan), json.encode(plan)
    return wanted ~= got and (M.difference(case.plan, plan, 'plan') or 'the plan holds more than was recorded') or nil
  end
  if case.invalid then return check_refusal(case.invalid, plan.invalid) end
  if plan.invalid then return 'refused: ' .. plan.invalid.message end
  local wrong = check_roles(case.refused or {}, plan.refused or {}, "role '%s' is refused: %s", check_refused)
    or check_roles(case.waits or {}, plan.waits or {}, "it waits for role '%s': %s", check_wait)
    or case.kept and M.difference(case.kept, plan.kept, 'kept') or case.finalize ~= nil and check_finalize(case.finalize, plan.finalize)
  if wrong then return wrong end
  for kind, fields in pairs(case.expect or {}) do
    local bad = M.difference(fields, M.find(plan, kind), kind)
    if bad then return bad end
  end
  if case.patch then
    local bad = M.difference(case.patch, plan.patch or {}, 'patch')
    if bad then return bad end
  end
  return case.queues and M.difference(case.queues, plan.queues, 'queues') or case.copies and M.difference(case.copies, plan.copies, 'copies') or nil
end

--- The outcome of a pass over a parent that went well, for status hooks.
---@return table
function M.outcome(plan, parent)
  return {
    errors = json.array {}, changed = json.array {}, invalid = plan.invalid, refused = plan.refused, waits = plan.waits,
    generation = parent.metadata.generation,
  }
end

return M
