--- explain: which policy set each field of a plan.
local json = require 'json'

local M = {}

local function step(path, key, item)
  if type(key) == 'number' then
    local name = type(item) == 'table' and item.name
    return ('%s[%s]'):format(path, type(name) == 'string' and name or tostring(key - 1))
  end
  local plain = key:find '^[%w_-]+$' and key or '"' .. key .. '"'
  return path == '' and plain or path .. '.' .. plain
end

--- Every scalar (and empty table) inside a value, by path.
local function leaves(value, path, out)
  if type(value) ~= 'table' or value == json.null or next(value) == nil then
    out[path] = type(value) == 'table' and value ~= json.null and 'empty' or value
    return out
  end
  for key, each in pairs(value) do leaves(each, step(path, key, each), out) end
  return out
end

--- Starts to watch a plan. Returns a function that must be called after each policy, with its name.
---@param plan Plan
---@return fun(policy: string)
---@return table<string, table> by role: path -> policy
function M.new(plan)
  local seen, by_role = {}, {}
  return function(policy)
    for _, role in ipairs(plan:roles()) do
      local now, before, who = leaves(plan:get(role), '', {}), seen[role] or {}, by_role[role] or {}
      for path, value in pairs(now) do
        if before[path] ~= value then who[path] = policy end
      end
      seen[role], by_role[role] = now, who
    end
  end, by_role
end

--- The value at a path in the engine's form, "spec.containers[0].image". Keys may hold dots.
local function value_at(value, path)
  while path ~= '' and type(value) == 'table' and value ~= json.null do
    local index, behind = path:match '^%[(%d+)%]%.?(.*)$'
    local found
    if index then
      found, path = value[tonumber(index) + 1], behind
    else
      local longest = ''
      for key in pairs(value) do
        local fits = type(key) == 'string' and #key > #longest and path:sub(1, #key) == key and path:sub(#key + 1):find '^[.[]'
        if fits or path == key then longest = key end
      end
      found, path = value[longest], path:sub(#longest + 1):gsub('^%.', '')
    end
    value = found
  end
  return path == '' and value or nil
end

--- Starts to watch one field: which policy gave it the value that it has in the end?
---@param plan Plan
---@param field { role: string, path: string }
---@return fun(policy: string) after must be called after each policy
---@return fun(): string? who
function M.watch(plan, field)
  local before, who
  return function(policy)
    local ok, now = pcall(json.encode, value_at(plan:get(field.role), field.path))
    if not ok or now ~= before then before, who = ok and now or nil, policy end
  end, function() return who end
end

--- The result: { { kind, name, fields = { { path, policy } } } }, in the order of the plan.
---@param objects table[] of the finished plan
---@param by_role table<string, table>
---@return table[]
function M.result(objects, by_role)
  local out = json.array {}
  for i, item in ipairs(objects) do
    local fields = json.array {}
    for path in pairs(leaves(item.object, '', {})) do
      fields[#fields + 1] = { path = path, policy = (by_role[item.role] or {})[path] or 'engine' }
    end
    table.sort(fields, function(a, b) return a.path < b.path end)
    out[i] = { kind = item.object.kind, name = item.object.metadata.name, fields = fields }
  end
  return out
end

return M
