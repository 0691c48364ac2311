--- conditions: status conditions as the Kubernetes API conventions want them.
local find = string.find

local conditions = {}

--- The condition of a type, or nil.
---@param list table?
---@param kind string
---@return table?
function conditions.get(list, kind)
  for _, condition in ipairs(list or {}) do
    if condition.type == kind then return condition end
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
  if not find(condition.reason, '^[A-Za-z][A-Za-z0-9_,:]*$') then error(("condition reason '%s' is not CamelCase"):format(condition.reason), 2) end
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

return conditions
