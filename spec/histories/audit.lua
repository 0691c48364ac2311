--- audit: who wrote what when, from the audit log of the API server, and whether its author held the lease.
local cluster = require 'cluster'

local M = {}

local WRITES = { create = true, update = true, patch = true, delete = true, deletecollection = true }
-- What a replica may ask without leading: reviews change nothing, and the lease is what is judged by.
local FREE = { tokenreviews = true, subjectaccessreviews = true, selfsubjectaccessreviews = true, leases = true }

--- A field of a line of the log; the log is too long to be decoded.
local function field(line, name) return line:match('"' .. name .. '":"([^"]*)"') end

--- "2026-11-23T16:52:32.358877Z" as seconds; times of one log are compared with each other only.
local function seconds(stamp)
  local y, mo, d, h, m, s = stamp:match '(%d+)-(%d+)-(%d+)T(%d+):(%d+):([%d.]+)'
  return os.time { year = y, month = mo, day = d, hour = h, min = m, sec = 0 } + s
end

--- The requests of the operator since a mark, in the order in which they arrived: {at, to, user, verb, resource, name, code}.
function M.ours(mark)
  local file = assert(io.open(cluster.bed_dir .. '/audit.log', 'r'))
  file:seek('set', mark)
  local out = {}
  for line in file:lines() do
    if line:find('"userAgent":"asya-operator', 1, true) and line:find('"stage":"ResponseComplete"', 1, true) then
      local object = line:match '"objectRef":(%b{})' or ''
      out[#out + 1] = {
        at = seconds(field(line, 'requestReceivedTimestamp')), to = seconds(field(line, 'stageTimestamp')), user = field(line, 'username'),
        verb = field(line, 'verb'), resource = field(object, 'resource') or field(line, 'requestURI'), name = field(object, 'name') or '',
        subresource = field(object, 'subresource'), namespace = field(object, 'namespace') or '',
        code = tonumber(line:match '"responseStatus":{.-"code":(%d+)') or 0,
      }
    end
  end
  file:close()
  table.sort(out, function(a, b) return a.at < b.at end)
  return out
end

function M.shown(request)
  return ('%.3f %s %s %s%s %s/%s -> %d'):format(request.at, request.user:match '[^:]*$', request.verb, request.resource,
    request.subresource and '/' .. request.subresource or '', request.namespace, request.name, request.code)
end

--- Writes whose author had not written the lease last, as {at, text}. One that came in while the lease changed hands may be either's.
-- `holder` is who held it before the first request.
function M.without_lease(requests, holder)
  local wrong, before, since = {}, nil, 0
  for _, request in ipairs(requests) do
    if request.resource == 'leases' then
      if (request.verb == 'update' or request.verb == 'create') and request.code < 300 and request.user ~= holder then
        before, holder, since = holder, request.user, request.to
      end
    elseif WRITES[request.verb] and not FREE[request.resource] and request.user ~= holder
      and not (request.user == before and request.at <= since) then
      wrong[#wrong + 1] = { at = request.at, text = ('%s, while %s held the lease'):format(M.shown(request), tostring(holder)) }
    end
  end
  return wrong
end

--- How many requests of each kind, without watches and the lease.
function M.count(requests)
  local total, by = 0, {}
  for _, request in ipairs(requests) do
    if request.verb ~= 'watch' and request.resource ~= 'leases' then
      local what = ('%s %s%s'):format(request.verb, request.resource, request.subresource and '/' .. request.subresource or '')
      by[what], total = (by[what] or 0) + 1, total + 1
    end
  end
  return total, by
end

return M
