--- soak: the release build under churn for half an hour. What it holds after its first fifth, it holds in the end.
local api = require 'api'
local brokers = require 'brokers'
local cluster = require 'cluster'
local edits = require 'edits'
local herd = require 'herd'
local replicas = require 'replicas'

local MINUTES, ACTORS = tonumber(os.getenv 'MINUTES') or 30, tonumber(os.getenv 'ACTORS') or 60
-- What may be more in the end than it was once warm: memory in parts of what it was and in KiB, open files.
local MORE_RSS, MORE_RSS_KIB, MORE_FDS = 1.1, 2048, 4

describe('a soak', function()
  if not cluster.available then
    pending 'needs a control plane: make soak'
    return
  end
  local pair
  after_each(cluster.stop_all)

  --- The most of each kind among samples.
  local function most(samples, first, last)
    local top = { rss = 0, fds = 0, threads = 0 }
    for i = first, last do
      for key, value in pairs(samples[i]) do top[key] = math.max(top[key], value) end
    end
    return top
  end

  local function one(i, number)
    return { name = 'soak-' .. i, transport = i % 2 == 0 and 'rabbitmq' or 'sqs', max = number, mark = number }
  end

  --- One turn: everybody is scaled, some get new pods, some go and come back, and now and then the policies change.
  local function turn(own, ns, number)
    local requests = {}
    for i = 1, ACTORS do
      local actor = one(i, number)
      if (i + number) % 10 == 0 then requests[#requests + 1] = herd.delete(ns, actor.name) end
      requests[#requests + 1] = herd.create(ns, actor)
      requests[#requests + 1] = herd.scale(ns, actor.name, number)
      if (i + number) % 7 == 0 then requests[#requests + 1] = herd.stamp(ns, actor.name, number) end
    end
    api.send(requests)
    if number % 10 == 0 then edits.put(own, 'team', { ['stamp.lua'] = number % 20 == 0 and 'return ((' or edits.stamp(tostring(number)) }) end
  end

  it(('of %g minutes finds memory, open files and threads where they were'):format(MINUTES), function()
    cluster.clear()
    local own, ns = cluster.namespace 'lease', brokers.namespace()
    pair = replicas.pair(own, { server = os.getenv 'BED_SERVER', binary = cluster.build .. '/asya-operator', args = '--watch-namespaces ' .. ns })
    pair.a.start()
    cluster.eventually('it leads', 20, pair.identity)
    local samples, began, number = {}, os.time(), 1
    while os.time() - began < MINUTES * 60 do
      number = number + 1
      turn(own, ns, number)
      cluster.sleep(3)
      samples[#samples + 1] = assert(pair.a.handles(), 'it has ended')
    end
    local warm, fifth = #samples // 5 + 1, #samples // 5
    local before, after = most(samples, warm, warm + fifth), most(samples, #samples - fifth, #samples)
    print(('soak: %d turns of %d actors; then and now: %d and %d KiB, %d and %d files, %d and %d threads'):format(number, ACTORS,
      before.rss, after.rss, before.fds, after.fds, before.threads, after.threads))
    local all, requests = {}, {}
    for i = 1, ACTORS do all['soak-' .. i], requests[i] = true, herd.create(ns, one(i, number)) end
    cluster.eventually('it has done its work', 120, function() -- one that does nothing holds nothing
      api.send(requests) -- who was still going in the last turn comes now
      local what = herd.unsettled(ns, all)
      return not what, what
    end)
    assert.is_true(after.rss <= before.rss * MORE_RSS + MORE_RSS_KIB, after.rss .. ' KiB after ' .. before.rss)
    assert.is_true(after.fds <= before.fds + MORE_FDS, after.fds .. ' files after ' .. before.fds)
    assert.is_true(after.threads <= before.threads, after.threads .. ' threads after ' .. before.threads)
    cluster.kubectl('delete asyncactors --all -n %s --timeout=120s', ns)
  end)
end)
