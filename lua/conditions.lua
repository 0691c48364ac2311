--- conditions: status conditions as the Kubernetes API conventions want them.
local error, ipairs, next, type = error, ipairs, next, type
local find, sub = string.find, string.sub
local concat, min = table.concat, math.min

local CAMEL <const> = '^[A-Za-z][A-Za-z0-9_,:]*$' -- what the server takes as a reason
local MAX_TOLD <const> = 3 -- conditions that a summary's message names

local conditions = {}

--- The condition of a type, or nil.
---@param list table?
---@param kind string
---@return table?
function conditions.get(list, kind)
  for _, condition in ipairs(list or {}) do
    if type(condition) == 'table' and condition.type == kind then return condition end
  end
end

--- The condition of a type that an object has, or nil.
---@param object table?
---@param kind string
---@return table?
function conditions.of(object, kind)
  local status = object and object.status
  return conditions.get(type(status) == 'table' and status.conditions or nil, kind)
end

--- Puts a condition into `list`, where it replaces one of its type. While its status is that of `before`, so is its lastTransitionTime.
---@param list table the conditions being built
---@param before table? the conditions of the stored status
---@param condition { type: string, status: string, reason: string, message: string }
---@param now string RFC 3339
---@param generation integer?
function conditions.set(list, before, condition, now, generation)
  if not find(condition.reason, CAMEL) then error(("condition reason '%s' is not CamelCase"):format(condition.reason), 2) end
  local old = conditions.get(before, condition.type)
  local entry = {
    type = condition.type, status = condition.status, reason = condition.reason, message = condition.message:sub(1, 32768),
    observedGeneration = generation,
    lastTransitionTime = old and old.status == condition.status and old.lastTransitionTime or now,
  }
  for i, there in ipairs(list) do
    if there.type == condition.type then
      list[i] = entry
      return
    end
  end
  list[#list + 1] = entry
end

--- The status of a condition and what it says, whatever an observed object may hold there.
local function read(list, kind)
  local it = conditions.get(list, kind) or {}
  local status = (it.status == 'True' or it.status == 'False') and it.status or 'Unknown'
  local reason = type(it.reason) == 'string' and find(it.reason, CAMEL) and it.reason or nil
  return status, reason, type(it.message) == 'string' and it.message or ''
end

--- The types that a summary is made of when none are given: all that are there.
local function types_of(list, own)
  local types = {}
  for _, it in ipairs(list or {}) do
    if type(it) == 'table' and type(it.type) == 'string' and it.type ~= own then types[#types + 1] = it.type end
  end
  return types
end

--- The reason of a summary and its message: the first condition gives the reason, and the first few are told.
local function told(found, otherwise)
  local parts = {}
  for i = 1, min(#found, MAX_TOLD) do
    local message = sub(found[i].message, 1, 1024)
    parts[i] = found[i].type .. (message ~= '' and ': ' .. message or '')
  end
  if #found > MAX_TOLD then parts[#parts + 1] = ('and %d more'):format(#found - MAX_TOLD) end
  local reason = found[1].reason or found[1].type .. otherwise
  return find(reason, CAMEL) and reason or otherwise, concat(parts, '; ')
end

--- One condition that says how all is, for conditions.set: False when one of the others is False, Unknown when one is neither, otherwise True.
-- `of` names the conditions that count (otherwise all that are there), of `negative` ones (Degraded, Stalled) True is bad and absence is good.
---@param list table? of conditions
---@param rules { type: string?, of: string[]?, negative: string[]?, reason: string?, message: string? }? type is Ready, when it is not given
---@return { type: string, status: string, reason: string, message: string }
function conditions.summary(list, rules)
  rules = rules or {}
  local own, negative, bad, open = rules.type or 'Ready', {}, {}, {}
  local types = rules.of or types_of(list, own)
  for _, kind in ipairs(rules.negative or {}) do negative[kind] = true end
  for _, kind in ipairs(types) do
    local status, reason, message = read(list, kind)
    if negative[kind] and not conditions.get(list, kind) then status = 'False' end
    if status == 'Unknown' then
      open[#open + 1] = { type = kind, reason = reason, message = message }
    elseif (status == 'True') == (negative[kind] == true) then
      bad[#bad + 1] = { type = kind, reason = reason, message = message }
    end
  end
  local result = { type = own, status = 'True', reason = rules.reason or 'AllTrue', message = rules.message or '' }
  if #bad > 0 then
    result.status, result.reason, result.message = 'False', told(bad, 'False')
  elseif #open > 0 then
    result.status, result.reason, result.message = 'Unknown', told(open, 'Unknown')
  elseif #types == 0 then
    result.status, result.reason, result.message = 'Unknown', 'NoConditions', ''
  end
  return result
end

--- Does a condition fit what a row wants of it?
local function fits(list, kind, wanted)
  local status, reason = read(list, kind)
  if type(wanted) == 'string' then return status == wanted end
  return (wanted.status == nil or status == wanted.status) and (wanted.reason == nil or reason == wanted.reason)
end

--- The phase of the first row whose conditions all hold, or nil: a word for status.phase.
-- A row is { phase, { Ready = 'True', Stalled = { status = 'False', reason = 'Waiting' } } }, or { phase } for all that is left.
-- An absent condition is Unknown.
---@param list table? of conditions
---@param rows table[]
---@return string?
function conditions.phase(list, rows)
  for i, row in ipairs(rows) do
    if type(row) ~= 'table' or type(row[1]) ~= 'string' then error(('conditions.phase: row %d must be { phase, { Type = status } }'):format(i), 2) end
    local all = true
    for kind, wanted in next, row[2] or {} do
      if type(wanted) ~= 'string' and type(wanted) ~= 'table' then
        error(('conditions.phase: row %d: what is wanted of a condition must be a status or { status, reason }'):format(i), 2)
      end
      all = all and fits(list, kind, wanted)
    end
    if all then return row[1] end
  end
end

return conditions
