--- k8s: reading and shaping Kubernetes objects the way Kubernetes itself would.
local json = require 'json'
local merge_keys = require 'merge_keys'
local plain = require 'plain'
local text = require 'text'
local type = type

local host = rawget(_G, 'host') or require 'host' -- C's in the binary

local k8s = {}

-- ---- reading ----

local function steps_of(path)
  if type(path) == 'table' then return path end
  return text.split(path, '.')
end

--- The value at a path, or `default`. The path is dotted, or a list of keys where keys hold dots. null counts as absent.
---@param object table?
---@param path string|string[]
---@param default any
---@return any
function k8s.get(object, path, default)
  local value = object
  if type(path) == 'string' then
    value = host.get(object, path)
  else
    for i = 1, #path do
      if type(value) ~= 'table' then return default end
      value = value[path[i]]
    end
  end
  if value == nil or value == json.null then return default end
  return value
end

--- The value as a positive integer. It may be a number or a text. Zero and anything else give `default`.
---@param value any
---@param default any
---@return any
function k8s.positive(value, default)
  local number = math.tointeger(tonumber(value))
  return number and number > 0 and number or default
end

--- Sets the value at a path. Tables on the way are made when they are missing.
---@param object table
---@param path string|string[]
---@param value any
function k8s.set(object, path, value)
  local steps = steps_of(path)
  for i = 1, #steps - 1 do
    local inner = object[steps[i]]
    if type(inner) ~= 'table' or inner == json.null then
      inner = {}
      object[steps[i]] = inner
    end
    object = inner
  end
  object[steps[#steps]] = value
end

--- A deep copy; arrays stay arrays.
---@generic T
---@param value T
---@return T
function k8s.copy(value)
  if type(value) ~= 'table' or value == json.null then return value end
  local copy = json.is_array(value) and json.array {} or {}
  for key, each in pairs(value) do copy[key] = k8s.copy(each) end
  return copy
end

-- ---- merging ----

local merge

local function same_item(a, b, keys)
  if #keys == 0 then return a == b end
  for _, key in ipairs(keys) do
    if merge_keys.value(a, key) ~= merge_keys.value(b, key) then return false end
  end
  return true
end

local function merge_list(base, overlay, keys, replaced, path)
  local result = json.array {}
  for i, item in ipairs(base) do result[i] = item end
  for _, item in ipairs(overlay) do
    local at = #result + 1
    for i, there in ipairs(result) do
      if same_item(there, item, keys) then at = i end
    end
    result[at] = result[at] and merge(result[at], item, nil, replaced, path and path .. '[]') or k8s.copy(item)
  end
  return result
end

local function is_map(value) return type(value) == 'table' and value ~= json.null and not json.is_array(value) and #value == 0 end

--- A list with an item that the overlay does not hold: this item is lost.
local function loses(base, overlay)
  for i, item in ipairs(base) do
    if not k8s.contains(item, overlay[i]) then return true end
  end
  return false
end

--- `path` and `replaced` go together, or there are none.
function merge(base, overlay, key, replaced, path)
  local is_new = type(base) ~= 'table' or base == json.null -- a null of the overlay stays out of what is new, too
  if is_map(overlay) and (is_new or is_map(base)) then
    local result = {}
    base = is_new and {} or base
    for name, value in pairs(base) do result[name] = value end
    for name, value in pairs(overlay) do
      local at = path and (path == '' and name or path .. '.' .. name)
      if value == json.null then result[name] = nil else result[name] = merge(base[name], value, name, replaced, at) end
    end
    return result
  end
  local lists = type(base) == 'table' and base ~= json.null and type(overlay) == 'table' and overlay ~= json.null
  local keys = lists and merge_keys.of(key, overlay)
  if replaced and lists and not keys and loses(base, overlay) then replaced(path) end
  return keys and merge_list(base, overlay, keys, replaced, path) or k8s.copy(overlay)
end

--- `base` with `overlay` laid over it. Lists are merged by Kubernetes' own keys, and null removes a field. Neither argument is changed.
---@param base table
---@param overlay table
---@param replaced (fun(path: string))? called with the path of each list that has no keys, so that it is replaced, and loses items
---@return table
function k8s.merge(base, overlay, replaced) return merge(base or {}, overlay, nil, replaced, replaced and '') end

--- Does `there` hold everything that `wanted` asks for? Maps may hold more, lists must have the same length. Returns the first path that differs.
---@param wanted any
---@param there any
---@param path string?
---@return boolean, string?
function k8s.contains(wanted, there, path)
  path = path or ''
  if type(wanted) ~= 'table' or wanted == json.null then return wanted == there, path end
  if type(there) ~= 'table' or (#wanted > 0 and #wanted ~= #there) then return false, path end
  for key, value in pairs(wanted) do
    local same, where = k8s.contains(value, there[key], path == '' and plain.text(key) or path .. '.' .. plain.text(key))
    if not same then return false, where end
  end
  return true
end

-- ---- lists of named things ----

--- The item of a list that has this name, and its position.
---@param list table?
---@param name string
---@param key string? the field that names items, `name` by default
---@return table?, integer?
function k8s.find(list, name, key)
  for i, item in ipairs(list or {}) do
    if item[key or 'name'] == name then return item, i end
  end
end

local function list_of(object, field)
  local list = k8s.get(object, { field })
  if not list then
    list = json.array {}
    object[field] = list
  end
  return list
end

--- A container of a pod spec by name.
---@param pod table
---@param name string
---@return table?
function k8s.container(pod, name) return (k8s.find(k8s.get(pod, 'containers'), name)) end

local function add_named(pod, field, item, what)
  local list = list_of(pod, field)
  if k8s.find(list, item.name) then error(("%s '%s' exists already"):format(what, plain.text(item.name)), 3) end
  list[#list + 1] = item
end

--- Appends a container to a pod spec.
function k8s.add_container(pod, container) add_named(pod, 'containers', container, 'container') end
--- Appends an init container to a pod spec.
function k8s.add_init_container(pod, container) add_named(pod, 'initContainers', container, 'init container') end
--- Appends a volume to a pod spec.
function k8s.add_volume(pod, volume) add_named(pod, 'volumes', volume, 'volume') end

--- Appends a mount to a container.
function k8s.add_mount(container, mount)
  local list = list_of(container, 'volumeMounts')
  if k8s.find(list, mount.mountPath, 'mountPath') then
    error(("container '%s' mounts something at %s already"):format(plain.text(container.name), plain.text(mount.mountPath)), 2)
  end
  list[#list + 1] = mount
end

--- Adds variables to a container. A name that is there keeps its place and gets the new value: the last value wins, as at run time, and
-- variables that refer to this one still come after it.
---@param container table
---@param variables table
function k8s.add_env(container, variables)
  local list, at = json.array {}, {}
  for _, source in ipairs { k8s.get(container, 'env') or {}, variables } do
    for _, variable in ipairs(source) do
      local index = at[variable.name] or #list + 1
      at[variable.name], list[index] = index, variable
    end
  end
  container.env = list
end

--- The literal value of a variable of a container, or nil.
---@return string?
function k8s.env_value(container, name)
  local variable = k8s.find(k8s.get(container, 'env'), name)
  return variable and k8s.get(variable, 'value')
end

-- ---- names ----

--- Is this a DNS label: at most 63 of a-z, 0-9 and '-', beginning and ending with a letter or digit?
function k8s.is_dns_label(name)
  return type(name) == 'string' and #name <= 63 and name:find '^[a-z0-9]$' ~= nil
    or type(name) == 'string' and #name <= 63 and name:find '^[a-z0-9][a-z0-9-]*[a-z0-9]$' ~= nil
end

--- A name of at most `max` (63 by default) characters: the parts joined by '-', shortened with a hash when they do not fit.
---@param parts string[]
---@param max integer?
---@return string
function k8s.name(parts, max)
  local whole = plain.concat(parts, '-')
  max = max or 63
  if #whole <= max then return whole end
  return whole:sub(1, max - 9):gsub('[^a-z0-9]+$', '') .. '-' .. text.hash(whole):sub(1, 8)
end

--- The labels of `given`, and those labels of `own` that `given` lacks.
---@param given table?
---@param own table
---@return table
function k8s.with_labels(given, own) return k8s.merge(own, given or {}) end

return k8s
