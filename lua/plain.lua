--- plain: tostring, string.format and table.concat for policies, and for the SDK where it handles their values.
-- The texts show no addresses, and they are made by steps that are counted.
local error, getmetatable, next, rawget, tostring, type = error, getmetatable, next, rawget, tostring, type
local find, format, gsub = string.find, string.format, string.gsub
local concat, pack, sort, unpack = table.concat, table.pack, table.sort, table.unpack

local plain = {}

local ADDRESSED = { table = true, ['function'] = true, userdata = true, thread = true }

--- As tostring, but one table looks like another, and one function like another.
---@param value any
---@return string
function plain.text(value)
  local kind = type(value)
  local mt = kind == 'table' and getmetatable(value)
  if kind == 'table' and mt == false then return tostring(value) end -- sealed: it says its name
  local own = mt and rawget(mt, '__tostring')
  if own then
    local text = own(value)
    if type(text) ~= 'string' then error("'__tostring' must return a string", 2) end
    return text
  end
  return ADDRESSED[kind] and kind or tostring(value)
end

--- As string.format, without %p; widths have two digits at most, as in stock Lua.
---@param text string
---@return string
function plain.format(text, ...)
  if type(text) ~= 'string' then error("bad argument #1 to 'format' (string expected)", 2) end
  if find(gsub(text, '%%%%', ''), '%%[-+ #0%d.]*p') then error("'%p' is not allowed in format", 2) end
  local arguments = pack(...)
  for i = 1, arguments.n do
    if ADDRESSED[type(arguments[i])] then arguments[i] = plain.text(arguments[i]) end
  end
  return format(text, unpack(arguments, 1, arguments.n))
end

--- As table.concat, which would read the list in C, however many items it claims to have.
---@param list table
---@param separator string?
---@param first integer?
---@param last integer?
---@return string
function plain.concat(list, separator, first, last)
  if type(list) ~= 'table' then error(("bad argument #1 to 'concat' (table expected, got %s)"):format(type(list)), 2) end
  local items, count = {}, 0
  for i = first or 1, last or #list do
    local item = list[i]
    local kind = type(item)
    if kind ~= 'string' and kind ~= 'number' then error(("invalid value (at index %d) in table for 'concat'"):format(i), 2) end
    count = count + 1
    items[count] = item
  end
  return concat(items, separator)
end

--- The keys of a table whose keys are of one sort, in order.
---@param t table
---@return any[]
function plain.keys(t)
  local keys = {}
  for key in next, t do
    keys[#keys + 1] = key
  end
  sort(keys)
  return keys
end

--- Raises an error without a position: the text says where.
---@param text string as for plain.format
function plain.fail(text, ...) error(plain.format(text, ...), 0) end

return plain
