--- loading: files in, the policies of a profile in their order and the manifest out.
local plain = require 'plain'
local policy = require 'policy'
local sandbox = require 'sandbox'
local seal = require 'seal'

local error, ipairs, load, pcall, require, type = error, ipairs, load, pcall, require, type
local find, match, sub = string.find, string.match, string.sub
local fail, format, sorted_keys = plain.fail, plain.format, plain.keys
local concat, insert = table.concat, table.insert
local copy = seal.copy

---@class Source
---@field name string
---@field source string
---@field origin string

---@class Policy
---@field name string
---@field file string
---@field origin string
---@field def Definition
---@field params table

---@class Profile
---@field name string
---@field list Policy[] in the order they run
---@field kind_of fun(value: any): string?, any

local loading = {}

local PIECE <const> = 64 -- bytes of a file that are compiled at once

--- Modules of the SDK that policies may require; 'policy' is the bundle's own.
local MODULES = { 'json', 'k8s', 'schema', 'text', 'quantity', 'conditions', 'ready', 'times', 'semver', 'cidr' }

---@class Loader
---@field files table<string, Source> by the name that files know each other by; Source.name says which folder one is in
---@field loaded table<string, { kind: string, content: any }|'loading'>
---@field stack string[] the names of the files that are loading; each one is required by the one before

local IN_PROFILE <const> = '^profiles/([^/]+)/([^/]+)$'

--- The files of each profile, by the name that they know each other by: what is in no folder, and over it what is in the folder of the profile.
---@param files Source[]
---@return table<string, Source> base
---@return table<string, table<string, Source>> layered by profile
function loading.by_profile(files)
  local base, layered = {}, {}
  for _, file in ipairs(files) do
    if not find(file.name, '/', 1, true) then base[file.name] = file end
  end
  for _, file in ipairs(files) do
    local profile, name = match(file.name, IN_PROFILE)
    if profile then
      layered[profile] = layered[profile] or copy(base, {})
      layered[profile][name] = file
    end
  end
  return base, layered
end

--- What went wrong in a file, with its name in front.
local function named(name, wrong)
  if type(wrong) ~= 'string' then
    wrong = format('error value is a %s', type(wrong))
  end
  return sub(wrong, 1, #name + 1) == name .. ':' and wrong or name .. ': ' .. wrong
end

--- Goes back from the file on top to the one that requires it.
local function leave(loader)
  loader.stack[#loader.stack] = nil
  local below = loader.stack[#loader.stack]
  loader.host.enter(below or '', below and 'load' or '')
end

--- After an error that was caught: the files that it ended are not loading any more. The next `require` of one runs it anew and fails, too.
local function unwind(loader, depth)
  while #loader.stack > depth do
    loader.loaded[loader.stack[#loader.stack]] = nil
    leave(loader)
  end
end

--- The loader of one set of files. All files share one environment; they cannot set globals in it.
local function new_loader(files, host)
  local loader = { files = files, loaded = {}, stack = {}, open = true, host = host }
  loader.api, loader.kind_of = policy.new(function(name)
    local file = loader.files[name]
    if not loader.open then
      return nil, format("policy.file('%s'): only while the bundle loads: keep the text in a local at the top of the file", name)
    elseif type(name) ~= 'string' or not file then
      return nil, format("policy.file: there is no file '%s' in the bundle", name)
    end
    return file.source
  end, function() return loader.stack[#loader.stack] end)
  loader.modules = { policy = seal.new(loader.api, "module 'policy'") }
  for _, name in ipairs(MODULES) do
    loader.modules[name] = seal.new(require(name), format("module '%s'", name))
  end
  loader.base = sandbox.new(host, function() return #loader.stack end, function(depth) unwind(loader, depth) end)
  return loader
end

local load_file

--- `require` as one file of the bundle sees it: no other file sees what this file does to the content of a library.
local function require_for(loader)
  local libraries = {}
  return function(module)
    if type(module) ~= 'string' then
      error('require takes the name of a module', 2)
    elseif loader.modules[module] then
      return loader.modules[module]
    end
    local file = module .. '.lua'
    if not loader.files[file] then
      error(format("there is no module '%s' (SDK: policy, %s) and no file '%s' in the bundle", module, concat(MODULES, ', '), file), 2)
    elseif not loader.open and not loader.loaded[loader.files[file].name] then
      error(format("require '%s': only while the bundle loads: put it at the top of the file", module), 2)
    end
    local it = load_file(loader, file)
    if it.kind ~= 'library' then
      error(format("%s is a %s: only what returns policy.library{...} can be required", loader.files[file].name, it.kind), 2)
    end
    libraries[file] = libraries[file] or copy(it.content, {})
    return libraries[file]
  end
end

--- Compiling takes no steps that are counted. So the text is handed over in pieces, by steps that are.
local function pieces(text)
  local at = 1 - PIECE
  return function()
    at = at + PIECE
    return sub(text, at, at + PIECE - 1)
  end
end

--- Runs a file once and returns what it declared.
function load_file(loader, file)
  local name, source = loader.files[file].name, loader.files[file].source
  local it = loader.loaded[name]
  if it == 'loading' then
    local circle = {}
    for i, other in ipairs(loader.stack) do
      if #circle > 0 or other == name then
        circle[#circle + 1] = loader.stack[i]
      end
    end
    fail('%s requires itself: %s', name, concat(circle, ' -> ') .. ' -> ' .. name)
  elseif it then
    return it
  end
  loader.loaded[name] = 'loading'
  loader.stack[#loader.stack + 1] = name
  loader.host.enter(name, 'load')
  local env = sandbox.env_for(loader.base, name, require_for(loader))
  local chunk, wrong = load(pieces(source), '@' .. name, 't', env)
  if not chunk then
    fail('%s', named(name, wrong))
  end
  local kind, content = loader.kind_of(chunk())
  if kind ~= 'policy' and kind ~= 'manifest' and kind ~= 'library' then
    fail('%s: a file must return policy.define{...}, policy.manifest{...} or policy.library{...}', name)
  end
  it = { kind = kind, content = content }
  loader.loaded[name] = it
  leave(loader)
  return it
end

local function lua_files(loader)
  local names = {}
  for _, name in ipairs(sorted_keys(loader.files)) do
    if sub(name, -4) == '.lua' then
      names[#names + 1] = name
    end
  end
  return names
end

--- Puts policies in order: each one behind those that it names in `after`; otherwise by name.
---@param by_name table<string, Policy>
---@return Policy[]
local function in_order(by_name)
  local names, result, placed = sorted_keys(by_name), {}, {}
  for _, name in ipairs(names) do
    for _, first in ipairs(by_name[name].def.after) do
      if not by_name[first] then
        fail("%s: policy '%s' is to run after '%s', which is not in the bundle (policies: %s)", by_name[name].file, name, first,
          concat(names, ', '))
      end
    end
  end
  local function is_ready(name)
    for _, first in ipairs(by_name[name].def.after) do
      if not placed[first] then
        return false
      end
    end
    return not placed[name]
  end
  while #result < #names do
    local chosen
    for _, name in ipairs(names) do
      if not chosen and is_ready(name) then
        chosen = name
      end
    end
    if not chosen then
      local stuck = {}
      for _, name in ipairs(names) do
        if not placed[name] then
          stuck[#stuck + 1] = format('%s (%s, after %s)', name, by_name[name].file, concat(by_name[name].def.after, ', '))
        end
      end
      fail('policies wait for each other in a circle: %s', concat(stuck, '; '))
    end
    placed[chosen] = true
    result[#result + 1] = by_name[chosen]
  end
  return result
end

--- Runs every file; returns the policies by name and the manifest.
local function collect(loader)
  local by_name, manifest, manifest_file = {}, nil, nil
  for _, short in ipairs(lua_files(loader)) do
    local it, file = load_file(loader, short), loader.files[short].name
    if it.kind == 'manifest' then
      if manifest then
        fail('%s: there is a manifest already, in %s', file, manifest_file)
      end
      manifest, manifest_file = it.content, file
    elseif it.kind == 'policy' then
      local other = by_name[it.content.name]
      if other then
        fail("%s: there is a policy '%s' already, in %s", file, it.content.name, other.file)
      end
      by_name[it.content.name] = { name = it.content.name, file = file, origin = loader.files[short].origin, def = it.content }
    end
  end
  if not manifest then
    fail('the bundle has no manifest: one of its *.lua files must return policy.manifest{...}')
  end
  return by_name, manifest, manifest_file
end

--- Loads the files of one profile. What is wrong is said with the name of the profile, because files of the base are in each of them.
---@param name string? nil: the base alone
---@return Profile
---@return table manifest
---@return string file that it is in
function loading.profile(files, name, host)
  local loader = new_loader(files, host)
  local function run()
    local by_name, manifest, file = collect(loader)
    return in_order(by_name), manifest, file
  end
  local ok, list, manifest, manifest_file = pcall(run)
  if not ok then error(name and type(list) == 'string' and format('profile %s: %s', name, list) or list, 0) end
  loader.open = false
  return { name = name, list = list, kind_of = loader.kind_of }, manifest, manifest_file
end

--- The manifest alone, without loading the other files. It says which settings the bundle needs.
---@param files Source[]
---@param host table
---@return table
function loading.peek(files, host)
  local loader = new_loader((loading.by_profile(files)), host)
  local names, first_error = {}, nil
  for _, name in ipairs(lua_files(loader)) do
    if find(loader.files[name].source, 'manifest', 1, true) then
      insert(names, name == 'manifest.lua' and 1 or #names + 1, name)
    end
  end
  for _, name in ipairs(names) do
    local ok, it = pcall(load_file, loader, name)
    if ok and it.kind == 'manifest' then
      return it.content
    end
    unwind(loader, 0)
    first_error = first_error or not ok and named(name, it) or nil
  end
  return error(first_error or 'the bundle has no manifest: one of its *.lua files must return policy.manifest{...}', 0)
end

return loading
