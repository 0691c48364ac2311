--- history: every version of actors and of their children, as watches have told them, and whether each status said what was true then.
local api = require 'api'
local cluster = require 'cluster'
local herd = require 'herd'
local json = require 'json'

local M = {}

local CHILDREN = { 'deployments', 'scaledobjects' }

--- What policies and settings, not the actor's author, have put into a pod template.
local function made(template)
  local words = { (template.metadata.annotations or {}).stamp or '' }
  for _, container in ipairs(template.spec.containers) do
    for _, each in ipairs(container.name ~= 'asya-runtime' and container.env or {}) do
      if each.name == 'ASYA_GATEWAY_URL' then words[2] = each.value end
    end
  end
  return table.concat(words, ' ')
end

--- What a version of an object says that is compared: the marks of its edits, and of an actor its status.
local READ = {}
function READ.asyncactors(object, event)
  local spec, status = object.spec, object.status or {}
  event.generation, event.observed, event.status = object.metadata.generation, status.observedGeneration or 0, status.status
  event.max, event.mark = spec.scaling and spec.scaling.maxReplicas, herd.mark(spec.workload.template.spec)
  event.conditions = {}
  for _, each in ipairs(status.conditions or {}) do event.conditions[each.type] = each end
  event.disowned = {}
  for _, each in ipairs(status.queues or {}) do event.disowned[each.name] = each.owner == 'Other' end
end
function READ.deployments(object, event)
  local template, status = object.spec.template, object.status or {}
  event.mark, event.uid, event.made = herd.mark(template.spec), object.metadata.uid, made(template)
  event.rolled_out = status.observedGeneration == object.metadata.generation and (status.updatedReplicas or 0) == (status.replicas or 0)
    and (status.unavailableReplicas or 0) == 0
end
function READ.scaledobjects(object, event) event.max = object.spec.maxReplicaCount end

local function owner_of(object)
  local owner = object.metadata.ownerReferences and object.metadata.ownerReferences[1]
  return owner and owner.uid
end

--- Appends what a watch has written since we last looked.
local function read(watch, plural, events)
  local file = assert(io.open(watch.path, 'a+'))
  file:seek('set', watch.read or 0)
  for line in file:lines 'L' do
    if line:sub(-1) ~= '\n' then break end
    watch.read = (watch.read or 0) + #line
    local ok, told = pcall(json.decode, line)
    local object = ok and told.object
    if not object or told.type == 'ERROR' then error(('the watch of %s does not tell all: %s'):format(plural, line)) end
    if told.type ~= 'BOOKMARK' then
      local metadata = object.metadata
      local event = {
        kind = plural, type = told.type, name = metadata.name, version = tonumber(metadata.resourceVersion),
        actor = plural == 'asyncactors' and metadata.uid or owner_of(object), deleting = metadata.deletionTimestamp,
      }
      READ[plural](object, event)
      events[#events + 1] = event
    end
  end
  file:close()
  if not watch.read then error(('the watch of %s has told nothing'):format(plural)) end
end

local EDITS = { deployments = 'mark', scaledobjects = 'max' } -- which of an actor's edits its children of a kind show
local ACCEPTS = {}

--- The newest versions of an actor's children must have seen the edits of the generation that it says is Ready.
function ACCEPTS.children(event, actor)
  local spec, ready = actor.specs[event.observed], event.conditions.Ready
  if not spec or event.deleting or not (ready and ready.status == 'True') then return end
  for kind, key in pairs(actor.recorded) do
    local child = actor[kind]
    if not child then return ('is Ready at generation %d, but there never was one of its %s'):format(event.observed, kind) end
    if child[key] < spec[key] then
      return ('is Ready at generation %d with %s %d, but its %s have %d'):format(event.observed, key, spec[key], kind, child[key])
    end
  end
end

function ACCEPTS.generations(event, actor)
  if event.observed > event.generation then return ('observes generation %d of %d'):format(event.observed, event.generation) end
  if event.observed < actor.observed then return ('observes generation %d after %d'):format(event.observed, actor.observed) end
end

function ACCEPTS.words(event)
  if (event.status == 'Terminating') and not event.deleting then return 'is Terminating, and nobody has deleted it' end
  for kind, condition in pairs(event.conditions) do
    if condition.reason == 'PolicyError' then return ('%s: %s'):format(kind, condition.message) end
  end
end

--- Begins to record the actors of a namespace and their children of these kinds; all of them unless given.
-- `check` returns what was false since the last call, as a list of {version, name, text}; `events` is all that it looked at. `upto`: the last
-- version to look at, of which each watch has told by now. It is an error when a watch has not told all, or nothing yet.
function M.record(ns, kinds)
  local watches, handle, actors, recorded = { asyncactors = api.watch('asyncactors', ns) }, { events = {} }, {}, {}
  for _, plural in ipairs(kinds or CHILDREN) do watches[plural], recorded[plural] = api.watch(plural, ns), EDITS[plural] end

  local function judge(event, wrong)
    local actor = actors[event.actor]
    if not actor then
      actor = { specs = {}, observed = 0, recorded = recorded }
      actors[event.actor] = actor
    end
    if event.kind ~= 'asyncactors' then
      actor[event.kind] = event -- also one that somebody has deleted since: the operator may not know yet
      return
    end
    actor.specs[event.generation] = { mark = event.mark, max = event.max }
    for _, accept in pairs(ACCEPTS) do
      local what = event.type ~= 'DELETED' and accept(event, actor)
      if what then
        wrong[#wrong + 1] = { version = event.version, name = event.name, text = ('%s %s (version %d)'):format(event.name, what, event.version) }
      end
    end
    actor.observed = math.max(actor.observed, event.observed)
  end

  function handle.check(upto)
    local events, wrong = handle.events, {}
    local fresh = {}
    for plural, watch in pairs(watches) do read(watch, plural, fresh) end
    table.sort(fresh, function(a, b) return a.version < b.version end)
    for _, event in ipairs(fresh) do
      if upto and event.version > upto then break end
      events[#events + 1] = event
      if event.actor then judge(event, wrong) end
    end
    return wrong
  end

  --- The most Deployments that policies and settings restarted at one time, of all that `check` has read, and their names then.
  function handle.restarting()
    local before, most, names = {}, 0, {}
    local restarting = {}
    for _, event in ipairs(handle.events) do
      local last = event.kind == 'deployments' and before[event.uid]
      if event.kind == 'deployments' then before[event.uid] = event.type ~= 'DELETED' and event or nil end
      if last and event.type ~= 'DELETED' and event.made ~= last.made and event.mark == last.mark then
        restarting[event.uid] = event.name
      elseif last and (event.type == 'DELETED' or event.rolled_out) then
        restarting[event.uid] = nil
      end
      local now = {}
      for _, name in pairs(restarting) do now[#now + 1] = name end
      if #now > most then most, names = #now, now end
    end
    return most, names
  end
  --- Did the last status of the actor of this name say that the queue is somebody else's?
  function handle.disowned(name, queue)
    for i = #handle.events, 1, -1 do
      local event = handle.events[i]
      if event.kind == 'asyncactors' and event.name == name then return event.disowned[queue] end
    end
  end
  function handle.stop()
    for _, watch in pairs(watches) do watch.stop() end
  end
  cluster.sleep(0.5)
  return handle
end

return M
