--- testing: loads a folder of policies as the operator does, and shows what they make of an actor. `asya-operator sdk export` writes it, and
-- the rock `asya` has it. A spec runs under busted or plain Lua, without the operator's binary.
--
--    local testing = require 'asya.testing'
--    local policies = testing.load 'policies'
--    local plan = policies:plan { metadata = { labels = { team = 'ml' } } }
--    assert.equal('ml', plan:find('Deployment').metadata.annotations.team)

-- This file is valid Lua 5.1: only so it can say that it must not run there.
if _VERSION ~= 'Lua 5.4' then
  error('asya.testing needs Lua 5.4, and this is ' .. _VERSION .. '. For busted: `busted --lua=lua5.4`, or a file .busted that holds '
    .. "`return { _all = { lua = 'lua5.4' } }` (on Debian it runs Lua 5.1 otherwise)", 0)
end

local testing = {}

local HERE = debug.getinfo(1, 'S').source:match '^@(.*/)' or './'

local function read(path)
  local file, wrong = io.open(path, 'rb')
  if not file then error('asya.testing: ' .. wrong, 0) end
  local text = file:read 'a'
  file:close()
  return text
end

-- The modules of the SDK have names such as `json`. They require each other here, and nobody else's.
local modules, sdk_env = {}, nil
local function sdk(name)
  if modules[name] == nil then
    local chunk = assert(load(read(HERE .. 'sdk/' .. name .. '.lua'), '@' .. HERE .. 'sdk/' .. name .. '.lua', 't', sdk_env))
    modules[name] = chunk(name)
  end
  return modules[name]
end
sdk_env = setmetatable({ require = sdk }, { __index = _G })

local json, cases = sdk 'json', sdk 'cases'

--- A list that may be empty. An empty `{}` is an object: only this tells them apart.
testing.array = json.array
--- JSON's null.
testing.null = json.null

-- ---- the machine ----

local usual_methods, safe_methods = getmetatable('').__index, nil

--- Policies have methods of strings of their own; a spec keeps Lua's.
local function inside(fn, ...)
  local strings = getmetatable ''
  strings.__index = safe_methods or usual_methods
  local result = table.pack(pcall(fn, ...))
  safe_methods, strings.__index = strings.__index, usual_methods
  if not result[1] then error(result[2], 0) end
  return table.unpack(result, 2, result.n)
end

--- A host that keeps what policies log.
local function new_host(lines)
  local host = {}
  for name, value in pairs(sdk 'host') do host[name] = value end
  function host.log(level, policy, text) lines[#lines + 1] = ('%s %s: %s'):format(level, policy, text) end
  return host
end

--- Lists as the operator gets them from JSON: marked. What has numbers as keys is a list.
local function marked(value, path)
  if type(value) ~= 'table' or value == json.null then return value end
  local copy, texts, numbers, count = {}, false, false, 0
  for key, item in next, value do
    texts, numbers, count = texts or type(key) == 'string', numbers or type(key) == 'number', count + 1
    copy[key] = marked(item, path .. '.' .. tostring(key))
  end
  if texts and numbers then error(path .. ': a table is a list or an object, and this one has keys of both', 0) end
  if numbers and count ~= #value then error(path .. ': a list begins at 1 and has no holes', 0) end
  return (numbers or json.is_array(value)) and json.array(copy) or copy
end

-- ---- lists that were not marked ----

local schemas
local function schema_of(object)
  if not schemas then schemas = json.decode(read(HERE .. 'schemas.json')).components.schemas end
  local group, version = tostring(object.apiVersion):match '^(.-)/?([^/]+)$'
  for _, schema in pairs(schemas) do
    for _, id in ipairs(schema['x-kubernetes-group-version-kind'] or {}) do
      if id.group == group and id.version == version and id.kind == object.kind then return schema end
    end
  end
end

local function resolved(schema)
  while schema and (schema['$ref'] or schema.allOf) do
    local ref = schema['$ref'] or schema.allOf[1]['$ref']
    schema = ref and schemas[ref:match '([^/]+)$']
  end
  return schema or {}
end

local function check_lists(value, schema, path)
  schema = resolved(schema)
  if type(value) ~= 'table' or value == json.null then return end
  if schema.type == 'array' and next(value) == nil and not json.is_array(value) then
    error(path .. ': here is an empty object {}, and Kubernetes wants a list. An empty list is json.array {} in a policy, and testing.array {} in a '
      .. 'spec; a list with items needs no mark', 0)
  end
  for key, item in next, value do
    local at = type(key) == 'number' and schema.items or schema.properties and schema.properties[key] or schema.additionalProperties
    if type(at) == 'table' then check_lists(item, at, path .. (type(key) == 'number' and '[' .. key .. ']' or '.' .. key)) end
  end
end

-- ---- what a plan holds ----

---@class Planned what policies plan for one actor
---@field objects table[] { role, policy, shared, object, after }
---@field queues table[]
---@field events table[]
---@field kept table[] { kind, namespace, name }
---@field refused table[]? { role, kind, name, policy, path, message, reason, condition }
---@field invalid table? why the actor is refused: { path, message, reason, condition }
---@field warnings table[]? { policy, role, path }: lists that plan:merge has replaced
---@field log string[] what policies logged: 'info cost-centre: ml pays'
local Planned = {}
Planned.__index = Planned

--- The object of a kind, or nil.
---@param kind string
---@return table?
function Planned:find(kind) return cases.find(self, kind) end

--- The object under a role, or nil.
---@param role string
---@return table?
function Planned:role(role)
  for _, item in ipairs(self.objects) do
    if item.role == role then return item.object end
  end
end

-- ---- the policies of a folder ----

---@class PolicyFolder a folder of policies over the built-in ones
---@field private bundle Bundle
---@field private lines string[]
---@field private folder string
---@field private with table
local PolicyFolder = {}
PolicyFolder.__index = PolicyFolder

local function names_in(folder)
  local names, pipe = {}, assert(io.popen("ls -- '" .. folder:gsub("'", "'\\''") .. "' 2>&1"))
  for name in pipe:lines() do names[#names + 1] = name end
  if not pipe:close() then error('asya.testing: ' .. table.concat(names, ' '), 0) end
  return names
end

--- Lays a file over `files`: one that is for all profiles takes away those that profiles have of its name.
local function lay(files, name, path)
  for i = #files, 1, -1 do
    local other = files[i].name
    if other == name or not name:find('/', 1, true) and other:find('/', 1, true) and other:match '[^/]+$' == name then table.remove(files, i) end
  end
  files[#files + 1] = { name = name, source = read(path), origin = path:match '^(.*)/' }
end

local function is_file(name) return name:find '%.%a[%w_]*$' and not name:find '%.md$' end

--- Lays the files of the profile in a folder below `profiles`. Where a rock was installed, 0.4 is the folder 4 in the folder 0.
local function lay_profile(files, folder, below)
  local at = folder .. '/profiles/' .. below
  for _, name in ipairs(names_in(at)) do
    if is_file(name) then
      lay(files, ('profiles/%s/%s'):format(below:gsub('/', '.'), name), at .. '/' .. name)
    elseif name:find '^%w+$' then
      lay_profile(files, folder, below .. '/' .. name)
    end
  end
end

local function files_of(folder, files)
  local all, profiles = names_in(folder), {}
  for _, name in ipairs(all) do
    if is_file(name) then lay(files, name, folder .. '/' .. name) end
    if name == 'profiles' then profiles = names_in(folder .. '/profiles') end
  end
  for _, profile in ipairs(profiles) do lay_profile(files, folder, profile) end
  return files
end

--- Loads the policies of a folder, over the built-in ones, in the sandbox that the operator has. Raises what is wrong, with file and line.
---@param folder string
---@param options { settings: table?, params: table?, profile: string? }? the operator's settings (default: those of cases), parameters by policy,
-- and the profile of actors that ask for none
---@return PolicyFolder
function testing.load(folder, options)
  options = options or {}
  local lines = {}
  local host = new_host(lines)
  local files = files_of(folder, files_of(HERE .. 'policies', {}))
  local bundle = inside(function()
    local settings = marked(options.settings, 'settings') or sdk('bundle').peek(files, host).cases.settings
    local all = {}
    for name, value in pairs(settings) do all[name] = value end
    all.params = marked(options.params, 'params') or all.params
    all.profile = options.profile or all.profile
    return sdk('bundle').load(files, all, host)
  end)
  return setmetatable({ bundle = bundle, lines = lines, folder = folder, with = options }, PolicyFolder)
end

--- What is observed beside the actor, as cases have it.
---@class Observed
---@field children table[]?
---@field related table[]?
---@field queues table?
---@field outcome table?
---@field now string?

local function snapshot_of(self, actor, observed)
  observed = marked(observed or {}, 'observed')
  local snapshot = cases.snapshot({
    parent = marked(actor or {}, 'actor'), children = observed.children, related = observed.related, observed_queues = observed.queues,
    outcome = observed.outcome, now = observed.now,
  }, self.bundle:manifest())
  return snapshot
end

--- What the policies plan for an actor. It may be written in part: the rest is that of an actor that works. Lists are plain Lua lists.
---@param actor AsyncActor|table
---@param observed Observed?
---@return Planned
function PolicyFolder:plan(actor, observed)
  for i = #self.lines, 1, -1 do self.lines[i] = nil end
  local done = inside(function() return self.bundle:plan(snapshot_of(self, actor, observed)) end)
  for _, item in ipairs(done.objects or {}) do
    local schema = schema_of(item.object)
    if schema then check_lists(item.object, schema, ("role '%s': %s"):format(item.role, item.object.kind)) end
  end
  local invalid = done.invalid
  if invalid and invalid.message:find('must be a list', 1, true) then
    invalid.message = invalid.message .. ' (in a spec, an empty list is written testing.array {})'
  end
  done.log = self.lines
  return setmetatable(done, Planned)
end

--- The status of an actor after a pass that carried its plan out.
---@param actor AsyncActor|table
---@param observed Observed?
---@return table
function PolicyFolder:status(actor, observed)
  return inside(function()
    local snapshot = snapshot_of(self, actor, observed)
    snapshot.outcome = snapshot.outcome or cases.outcome(self.bundle:plan(snapshot_of(self, actor, observed)), snapshot.parent)
    return self.bundle:status(snapshot).status
  end)
end

local function in_shape(case, name)
  if type(case.shapes) ~= 'table' then return case.shapes ~= false end
  for _, each in ipairs(case.shapes) do
    if each == name then return true end
  end
  return false
end

--- Runs a case, and renders it in each shape that it does not exclude, as `check` does.
local function run_case(self, case)
  local bundle = self.bundle
  if case.settings then bundle = testing.load(self.folder, { settings = case.settings, params = self.with.params, profile = self.with.profile }).bundle end
  inside(function()
    local failure = bundle:case(case).failure
    if failure then error(failure, 0) end
    if case.snapshot or case.invalid then return end
    for _, shape in ipairs(bundle:manifest().cases.shapes or {}) do
      if in_shape(case, shape.name) then
        local copy = {}
        for key, value in pairs(case) do copy[key] = value end
        copy.shape = shape
        local ok, wrong = pcall(bundle.case, bundle, copy)
        if not ok then error('as ' .. shape.name .. ': ' .. wrong, 0) end
      end
    end
  end)
end

--- The cases beside the policies (*.case.yaml): for each { title, file, run }, where run() raises when the case does not hold.
---@return { title: string, file: string, run: fun() }[]
function PolicyFolder:cases()
  local list, yaml = {}, nil
  for _, name in ipairs(names_in(self.folder)) do
    if name:find '%.case%.ya?ml$' then
      yaml = yaml or assert(load(read(HERE .. 'yaml.lua'), '@' .. HERE .. 'yaml.lua', 't', setmetatable({
        require = function(module) return module == 'json' and json or require(module) end }, { __index = _G })))()
      for i, case in ipairs(yaml.load_all(read(self.folder .. '/' .. name))) do
        list[#list + 1] = { title = case.title or 'case ' .. i, file = name, run = function() run_case(self, case) end }
      end
    end
  end
  return list
end

return testing
