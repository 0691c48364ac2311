--- replicas: two operators that elect their leader, each with an account of its own, by which the audit log tells them apart.
local api = require 'api'
local brokers = require 'brokers'
local cluster = require 'cluster'

local M = {}

local LEASE = 'asya-operator.asya.sh'
local TICK = 100 -- of /proc/PID/stat, a second

--- Seconds of CPU of a process so far; 0 of one that is gone.
local function cpu(pid)
  local fields = cluster.stat(pid)
  return ((tonumber(fields[12]) or 0) + (tonumber(fields[13]) or 0)) / TICK
end

--- How many of a process: {rss (KiB), fds, threads}; nil of one that is gone.
local function handles(pid)
  local status, rss = cluster.read('/proc/' .. pid .. '/status'), cluster.resident(pid)
  return rss and { rss = rss, threads = tonumber(status:match 'Threads:%s*(%d+)'), fds = tonumber((cluster.sh('ls /proc/%s/fd | wc -l', pid))) }
end

local function account(own, name, server)
  cluster.kubectl('create serviceaccount %s -n %s', name, own)
  cluster.kubectl('create clusterrolebinding %s-%s --clusterrole=cluster-admin --serviceaccount=%s:%s', own, name, own, name)
  return cluster.account(name, own, server)
end

--- Two of them in namespace `own`. `options`: server, change (of brokers.transports), binary, args, env.
-- Each has `start`, `kill` (SIGKILL), `stop` (SIGTERM), `pause`, `resume`, `alive`, `cpu`, `handles`.
function M.pair(own, options)
  local pair = {}
  for _, name in ipairs { 'a', 'b' } do
    local replica = { name = name, user = ('system:serviceaccount:%s:%s'):format(own, name), logs = {} }
    local kubeconfig = account(own, name, options.server)
    local process

    function replica.start()
      if replica.alive() then return end
      process = brokers.operator {
        binary = options.binary, change = options.change, interval = '5s', env = options.env,
        args = ('--leader-elect --namespace %s --kubeconfig %s %s'):format(own, kubeconfig, options.args or ''),
      }
      table.insert(replica.logs, process)
    end
    function replica.alive() return process and not process.ended and process.alive() end
    function replica.kill() if process then process.kill() end end
    function replica.stop() if process then process.stop() end end
    function replica.signal(which) if process then process.signal(which) end end
    function replica.pause() replica.signal 'STOP' end
    function replica.resume() replica.signal 'CONT' end
    function replica.cpu() return cpu(process.pid) end
    function replica.handles() return handles(process.pid) end
    --- What is wrong with any of its processes, as cluster.operator tells it; nil for nothing.
    function replica.broken()
      for _, each in ipairs(replica.logs) do
        local wrong = each.broken()
        if wrong then return wrong end
      end
    end
    pair[#pair + 1] = replica
    pair[name] = replica
  end

  --- The one whose lease it is by the audit log, among `requests` of audit.ours.
  function pair.holder(requests)
    for i = #requests, 1, -1 do
      local each = requests[i]
      if each.resource == 'leases' and (each.verb == 'update' or each.verb == 'create') and each.code < 300 then
        return pair[each.user:match '[^:]*$']
      end
    end
  end
  --- The identity in the lease, or nil.
  function pair.identity()
    local lease = api.get(api.path('leases', own, LEASE))
    local holder = lease and lease.spec.holderIdentity
    return holder ~= '' and holder or nil
  end
  return pair
end

return M
