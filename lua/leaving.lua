--- leaving: the queues of a parent beside those that it reads: what it had under another profile, and the names by which it is still to be reached.
-- Both are emptied into the queue that it reads. The former go then; the latter stay as long as the parent asks for them.
local k8s = require 'k8s'
local plain = require 'plain'

local gmatch, ipairs, next, sub, type = string.gmatch, ipairs, next, string.sub, type
local format = plain.format

local leaving = {}

---@class OtherProfile
---@field name string
---@field queues table[] what it would plan for the parent

local function id_of(queue) return format('%s %s', queue.transport or '', queue.name) end

--- The first queue of each transport that the parent reads.
local function targets_of(queues)
  local targets = {}
  for _, queue in ipairs(queues) do
    if not queue.leaving and not targets[queue.transport or ''] then targets[queue.transport or ''] = queue end
  end
  return targets
end

local function without_instead(want)
  local copy = k8s.copy(want or {})
  copy.instead = nil
  return copy
end

--- Says of two queues at one broker which of them gets what senders send that name none: the one that is read, once pods read it.
local function take_turns(target, queue)
  local theirs, ours = without_instead(queue.want), without_instead(target.want)
  target.want, queue.want = k8s.copy(target.want or {}), k8s.copy(queue.want or {})
  target.want.instead = target.want.instead or theirs
  queue.want.instead = ours
end

--- A dead letter queue that is named after its queue goes with it; another has other queues to serve, and stays.
local function spare_dead_letters(queue)
  local dead, own = k8s.get(queue, { 'want', 'deadLetter', 'name' }), queue.name .. '-'
  if type(dead) ~= 'string' or sub(dead, 1, #own) == own then return end
  queue.want = k8s.copy(queue.want)
  queue.want.deadLetter = nil
end

--- Turns a queue of another profile into one that is emptied.
local function empty_into(target, queue, lasting, record)
  queue.into = target.name
  if lasting then queue.lasting = true else queue.leaving = true end
  if lasting or record.owner == 'Actor' then take_turns(target, queue) end
end

--- Does a parent have queues that its plan does not, or ask for more?
---@param queues table[]
---@param records table[]?
---@param names table<string, true>
function leaving.concerns(queues, records, names)
  if next(names) then return true end
  local known = {}
  for _, queue in ipairs(queues) do known[id_of(queue)] = true end
  for _, record in ipairs(type(records) == 'table' and records or {}) do
    if not known[id_of(record)] then return true end
  end
  return false
end

--- Adds the queues that a plan must not forget.
---@param queues table[] of the profile that the parent has; gets more
---@param others OtherProfile[]
---@param records table[]? what the parent's status says of its queues
---@param names table<string, true> profiles by whose names it is still to be reached
---@param deleting boolean? the parent goes: so do they, as its own
function leaving.add(queues, others, records, names, deleting)
  local targets, known, recorded = targets_of(queues), {}, {}
  for _, queue in ipairs(queues) do known[id_of(queue)] = true end
  for _, record in ipairs(type(records) == 'table' and records or {}) do recorded[id_of(record)] = recorded[id_of(record)] or record end
  for _, other in ipairs(others) do
    for _, found in ipairs(other.queues) do
      local id = id_of(found)
      local record, target = recorded[id], targets[found.transport or '']
      local lasting = names[other.name] and target ~= nil and not found.leaving
      if not known[id] and (record or lasting) then
        known[id] = true
        local queue = {}
        for key, value in next, found do queue[key] = value end
        if not deleting and target then
          empty_into(target, queue, lasting, record)
        elseif not deleting then
          queue.leaving = true
        else
          queue.lasting = lasting or nil
        end
        if queue.leaving then spare_dead_letters(queue) end
        if queue.leaving and queue.deletion == 'Delete' then queue.deletion = 'DeleteIfEmpty' end
        queues[#queues + 1] = queue
      end
    end
  end
end

--- The profiles that a text names: "0.1, 0.4".
---@param text any
---@return table<string, true>
function leaving.names(text)
  local names = {}
  for name in gmatch(type(text) == 'string' and text or '', '[^%s,]+') do names[name] = true end
  return names
end

return leaving
