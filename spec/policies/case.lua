--- case: renders actors with the policies of this checkout, under plain Lua, as the operator would.
local json = require 'json'
local yaml = require 'asya.yaml'
local cases = require 'cases'

local M = {}

local read = dofile 'spec/sdk/read.lua'
M.read = read

local function files_of(folder)
  local files, pipe = json.array {}, assert(io.popen(('cd %s && ls *.* profiles/*/* 2>/dev/null'):format(folder)))
  for name in pipe:lines() do
    if not name:find '%.md$' then
      files[#files + 1] = { name = name, source = read(folder .. '/' .. name), origin = folder }
    end
  end
  pipe:close()
  return files
end

--- A bundle of policies/ plus `extra` files ({name = source}), with these settings. A text as `extra` is the folder of a bundle of its own.
function M.bundle(settings, extra)
  local own = type(extra) == 'string'
  local files = files_of(own and extra or 'policies')
  for name, source in pairs(not own and extra or {}) do files[#files + 1] = { name = name, source = source, origin = 'spec' } end
  local host = require 'host'
  return require('bundle').load(files, settings or (require('bundle').peek(files, host).cases or {}).settings, host)
end

--- What the bundle makes of an actor: its plan.
function M.plan(bundle, actor, children)
  actor.metadata.namespace = actor.metadata.namespace or 'default'
  return bundle:plan { now = '2026-01-02T03:04:05Z', parent = actor, children = children or json.array {}, related = json.array {} }
end

M.find, M.difference = cases.find, cases.difference

function M.load(path) return yaml.load_all(read(path)) end

return M
