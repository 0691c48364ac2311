--- log: lines in the operator's log, with the name of the policy. The arguments are those of string.format; %s of a table gives its JSON, cut.
local json = require 'json'
local plain = require 'plain'
local seal = require 'seal'

local error, getmetatable, pcall, select, type = error, getmetatable, pcall, select, type
local pack, unpack, sub = table.pack, table.unpack, string.sub

local log = {}

local MAX_TABLE <const> = 400 -- bytes of the JSON of one table

--- A table as JSON; whatever says itself what it is, or is no JSON, as tostring gives it.
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

  --- What helps to find a mistake; shown with --log-level debug.
  ---@param text any
  function api.debug(text, ...) host.log('debug', policy, line(host, text, ...)) end
  --- What has happened.
  ---@param text any
  function api.info(text, ...) host.log('info', policy, line(host, text, ...)) end
  --- What somebody should look at.
  ---@param text any
  function api.warn(text, ...) host.log('warn', policy, line(host, text, ...)) end
  --- What is broken.
  ---@param text any
  function api.error(text, ...) host.log('error', policy, line(host, text, ...)) end

  return seal.new(api, "library 'log'")
end

return log
