--- yaml: YAML text to the tables that policies see; lists are tagged, so that an empty one stays a list.
local json = require 'json'

local found, events = pcall(require, 'yaml')
if not found then error('cases are YAML, and the Lua module `yaml` is not there: `apt install lua-yaml`, or `luarocks install lyaml`', 0) end

local M = {}

local WORDS = { ['true'] = true, ['false'] = false }

local function scalar(event)
  local text = event.value
  if event.style ~= 'PLAIN' then return text end
  if text == 'null' or text == '~' or text == '' then return json.null end
  if WORDS[text] ~= nil then return WORDS[text] end
  return math.tointeger(text) or tonumber(text) or text
end

local build

local function sequence(next_event)
  local list = json.array {}
  for event in next_event do
    if event.type == 'SEQUENCE_END' then return list end
    list[#list + 1] = build(event, next_event)
  end
end

local function mapping(next_event)
  local map = {}
  for event in next_event do
    if event.type == 'MAPPING_END' then return map end
    map[event.value] = build(next_event(), next_event)
  end
end

function build(event, next_event)
  if event.type == 'SCALAR' then return scalar(event) end
  if event.type == 'SEQUENCE_START' then return sequence(next_event) end
  if event.type == 'MAPPING_START' then return mapping(next_event) end
  error('YAML: ' .. event.type .. ' is not for test cases')
end

--- All documents of a text, as a list.
function M.load_all(text)
  local documents, next_event = {}, events.parser(text)
  for event in next_event do
    if event.type == 'DOCUMENT_START' then documents[#documents + 1] = build(next_event(), next_event) end
  end
  return documents
end

return M
