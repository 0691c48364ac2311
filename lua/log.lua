--- log: lines in the operator's log, with the name of the policy. Arguments are as for string.format; %s of a table is its JSON, shortened.
local json = require 'json'
local plain = require 'plain'
local seal = require 'seal'

local error, getmetatable, pcall, select, type = error, getmetatable, pcall, select, type
local pack, unpack, sub = table.pack, table.unpack, string.sub

local log = {}

local MAX_TABLE <const> = 400 -- bytes of the JSON of one table

--- A table as JSON. A value that cannot be JSON, or that says itself what it is, as tostring gives it.
local function shown(host, value)
  local mt = type(value) == 'table' and getmetatable(value)
  if type(value) ~= 'table' or value == json.null or mt == false or (mt and not json.is_array(value)) then return value end
  local ok, text = pcall(json.encode, value)
  if not ok then return host.spent() and error(text, 0) or plain.text(value) end
  return #text > MAX_TABLE and sub(text, 1, MAX_TABLE) .. '...' or text
end

local function line(host, text, ...)
  if select('#', ...) == 0 then return plain.text(shown(host, text)) end
  local arguments = pack(...)
  for i = 1, arguments.n do arguments[i] = shown(host, arguments[i]) end
  return plain.format(text, unpack(arguments, 1, arguments.n))
end

--- The log of one file of a bundle.
---@param host table
---@param file string
---@return Log
function log.new(host, file)
  local policy = sub(file, -4) == '.lua' and sub(file, 1, -5) or file
  ---@class Log
  local api = {}

  --- Writes what helps to find a mistake. Shown with --log-level debug.
  ---@param text any
  function api.debug(text, ...) host.log('debug', policy, line(host, text, ...)) end
  --- Writes what has happened.
  ---@param text any
  function api.info(text, ...) host.log('info', policy, line(host, text, ...)) end
  --- Writes what a person should look at.
  ---@param text any
  function api.warn(text, ...) host.log('warn', policy, line(host, text, ...)) end
  --- Writes what is broken.
  ---@param text any
  function api.error(text, ...) host.log('error', policy, line(host, text, ...)) end

  return seal.new(api, "library 'log'")
end

return log
