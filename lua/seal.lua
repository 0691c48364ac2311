--- seal: protects what policies get and must not change: libraries, modules, the log, the plan, null, their globals.
-- A sealed table is empty. What it shows lies behind it, where assignment, rawset, table.sort and the rest do not reach. Its metatable is
-- protected, so that neither policies nor the SDK's own setmetatable can take it or put another one in its place.
local plain = require 'plain'

local error, getmetatable, next, setmetatable, type = error, getmetatable, next, setmetatable, type
local format = plain.format

local seal = {}

local CONTENT = setmetatable({}, { __mode = 'k' }) -- sealed table -> what it shows

--- A table that shows `content` and cannot be changed.
---@param content table
---@param name string what it is, for messages
---@param refusal string? the message when somebody sets field %s, instead of "... cannot be changed"
---@return table
function seal.new(content, name, refusal)
  local sealed = setmetatable({}, {
    __index = content,
    __newindex = function(sealed, key) error(refusal and format(refusal, key) or seal.refusal(sealed, key), 2) end,
    __len = function() return #content end,
    __pairs = function() return next, content end,
    __tostring = function() return name end,
    __metatable = false,
  })
  CONTENT[sealed] = content
  return sealed
end

--- What a sealed table shows; nil for any other value.
---@param value any
---@return table?
function seal.content(value) return CONTENT[value] end

--- The message when somebody wants to set a field.
---@param sealed table
---@param key any
---@return string
function seal.refusal(sealed, key) return format("%s cannot be changed (field '%s')", sealed, key) end

--- A copy that shares nothing that can be changed: neither another policy nor the next call sees what a policy does to it.
---@param value any
---@param copies table what was copied already; begin with {}
---@return any
function seal.copy(value, copies)
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
    result[key] = type(item) == 'table' and seal.copy(item, copies) or item
  end
  return mt and setmetatable(result, mt) or result
end

return seal
