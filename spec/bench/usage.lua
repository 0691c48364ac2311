--- usage: what somebody asked the API server for, as its audit log tells, and what a process took of the machine, as /proc tells.
local cluster = require 'cluster'
local json = require 'json'

local M = {}

-- Whoever else talks to the API server of a bed. What is left is the operator that is measured.
local OTHERS = { 'kubectl', 'kube%-', 'kwok', 'plain%-client', 'bed', 'etcd', 'curl', 'helm' }

--- "2026-11-23T16:52:32.358877Z" as seconds of its day.
local function seconds(stamp)
  local h, m, s = stamp:match 'T(%d+):(%d+):([%d.]+)'
  return h * 3600 + m * 60 + s
end

local function is_other(agent)
  for _, other in ipairs(OTHERS) do
    if agent:find('^' .. other) then return true end
  end
  return false
end

--- Requests since a mark, oldest first, of the agents that `want` lets through:
-- {agent, verb, resource, subresource, name, namespace, from, to}.
function M.requests(mark, want)
  local file = assert(io.open(os.getenv 'BED_AUDIT_LOG', 'r'))
  file:seek('set', mark)
  local out = {}
  for line in file:lines() do
    local agent = line:find('"stage":"ResponseComplete"', 1, true) and line:match '"userAgent":"([^"]*)"'
    if agent and want(agent) then
      local event = json.decode(line)
      local ref = event.objectRef or {}
      out[#out + 1] = {
        agent = agent, verb = event.verb, resource = tostring(ref.resource), subresource = ref.subresource, name = ref.name,
        namespace = ref.namespace, from = seconds(event.requestReceivedTimestamp), to = seconds(event.stageTimestamp),
      }
    end
  end
  file:close()
  table.sort(out, function(a, b) return a.from < b.from end)
  return out
end

--- Those of the operator, but for watches and the lease.
function M.ours(mark)
  local out = {}
  for _, request in ipairs(M.requests(mark, function(agent) return not is_other(agent) end)) do
    if request.verb ~= 'watch' and request.resource ~= 'leases' then out[#out + 1] = request end
  end
  return out
end

--- {"patch asyncactors/status": how many}.
function M.by_kind(list)
  local counts = {}
  for _, request in ipairs(list) do
    local what = ('%s %s%s'):format(request.verb, request.resource, request.subresource and '/' .. request.subresource or '')
    counts[what] = (counts[what] or 0) + 1
  end
  return counts
end

--- How many of them write what `counts` is true for.
function M.writes(list, counts)
  local count = 0
  for _, request in ipairs(list) do
    if request.verb ~= 'get' and request.verb ~= 'list' and counts(request) then count = count + 1 end
  end
  return count
end

--- The processes of a session: seconds of CPU so far, and MB resident.
function M.session(pid)
  local cpu, resident = 0, 0
  for process in cluster.sh('ps -o pid= -s %s', pid):gmatch '%d+' do
    local fields = cluster.stat(process)
    cpu = cpu + ((fields[12] or 0) + (fields[13] or 0)) / 100 -- utime, stime, in ticks of 10 ms
    resident = resident + (cluster.resident(process) or 0) / 1024
  end
  return cpu, resident
end

return M
