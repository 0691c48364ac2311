--- decorate: bundles whose parents are somebody else's: which of them they are for, and what such a bundle cannot do.
local json = require 'json'
local k8s = require 'k8s'
local plain = require 'plain'

local ipairs, next, type = ipairs, next, type
local find, gmatch = string.find, string.gmatch
local format = plain.format
local sort = table.sort

local decorate = {}

--- Where each kind of trait is looked for; a field is looked for by its own path.
local PLACES = { labels = { 'metadata', 'labels' }, annotations = { 'metadata', 'annotations' }, fields = {} }

local function path_of(place, name)
  local path = json.array {}
  for i, step in ipairs(PLACES[place]) do path[i] = step end
  if place ~= 'fields' then
    path[#path + 1] = name
  else
    for step in gmatch(name, '[^.]+') do path[#path + 1] = step end
  end
  return path
end

--- The traits that a manifest asks for, { labels = { name = text or true }, annotations = ..., fields = { ['spec.type'] = ... } }, as the engine
-- wants them. Returns nil and what is wrong.
---@param given any
---@return { path: string[], value: string? }[]?
---@return string?
function decorate.traits(given)
  local traits, where = json.array {}, 'policy.manifest.decorate'
  if type(given) ~= 'table' then return nil, where .. ' must be a table' end
  for place, wanted in next, given do
    if type(place) ~= 'string' or not PLACES[place] then
      return nil, format("%s: unknown field '%s' (known: annotations, fields, labels)", where, plain.text(place))
    elseif type(wanted) ~= 'table' then
      return nil, format('%s.%s must be a table', where, place)
    end
    for name, value in next, wanted do
      if type(name) ~= 'string' or not find(name, '[^.]') then return nil, format('%s.%s must be by name', where, place) end
      if value ~= true and type(value) ~= 'string' then
        return nil, format("%s.%s['%s'] must be a text, or true for any", where, place, name)
      end
      traits[#traits + 1] = { path = path_of(place, name), value = value ~= true and value or nil }
    end
  end
  sort(traits, function(a, b) return plain.concat(a.path, '.') < plain.concat(b.path, '.') end)
  return traits
end

--- Is the bundle for this object? One that is for parents of its own is for all of them.
---@param traits { path: string[], value: string? }[]?
---@param object table
---@return boolean
function decorate.chooses(traits, object)
  for _, trait in ipairs(traits or {}) do
    local is = k8s.get(object, trait.path)
    if is == nil or trait.value and is ~= trait.value then return false end
  end
  return true
end

local NEEDS <const> = 'the parents of a bundle with `decorate` are not ours'

--- What a manifest must not say with `decorate`, or without it, or nil.
---@param manifest table
---@return string?
function decorate.wrong(manifest)
  for _, field in ipairs { 'patches', 'patches_status' } do
    if manifest[field] and not manifest.decorate then return format('policy.manifest.%s is for objects of somebody else: it goes with decorate', field) end
  end
  if not manifest.decorate then return nil end
  for _, field in ipairs { 'finalizer', 'rendered_digest', 'bundle_digest', 'settled_digest', 'queue_records', 'claim', 'crd' } do
    if manifest[field] then return format('policy.manifest.%s: %s', field, NEEDS) end
  end
end

--- What is wrong with a plan, or nil. For somebody else's parent there is nowhere to keep whose queues are, and no owner of a copied Secret.
---@param manifest table
---@param done Finished
---@return string?
function decorate.wrong_plan(manifest, done)
  local patch = done.patch or {}
  if (patch.labels or patch.annotations) and not manifest.patches then
    return 'plan:patch is for objects of somebody else: write decorate = {...} and patches = true into the manifest'
  elseif patch.status and not manifest.patches_status then
    return 'plan:patch: the status is for objects of somebody else: write decorate = {...} and patches_status = true into the manifest'
  elseif not manifest.decorate then
    return nil
  end
  if #done.queues > 0 then return 'plan:queue: ' .. NEEDS .. ', so that nothing tells whose a queue is' end
  if done.labels then return 'plan:label: ' .. NEEDS .. ': use plan:patch' end
  if done.copies then return 'plan:copy_secret: a Secret is copied for parents of our own only' end
end

--- The plan for an object that the bundle is not for (any more): nothing.
---@return table
function decorate.nothing() return { objects = json.array {}, kept = json.array {}, queues = json.array {}, events = json.array {} } end

return decorate
