--- bench: what an actor costs, cold, at rest, edited, with other policies, after a failover and when it goes; run by spec/bench/run.
-- Each size is measured from an empty cluster on. What is over a target that binds makes the run fail.
local cluster = require 'cluster'
local json = require 'json'
local report = require 'report'
local usage = require 'usage'

local OUT, SIZES, BASELINE = arg[1], { table.unpack(arg, 2) }, os.getenv 'BASELINE'
local OURS = BASELINE == nil or BASELINE == ''
local PKI, SERVER = os.getenv 'BED_DIR' .. '/pki', os.getenv 'BED_SERVER'
local FINALIZER = '{"metadata":{"finalizers":%s}}'
local PLURALS = { Deployment = 'apis/apps/v1/namespaces/%s/deployments', ScaledObject = 'apis/keda.sh/v1alpha1/namespaces/%s/scaledobjects',
  TriggerAuthentication = 'apis/keda.sh/v1alpha1/namespaces/%s/triggerauthentications' }
local STAMP = [[
local policy = require 'policy'
return policy.define { name = 'stamp', after = { 'sidecar' }, render = function(_, _, plan)
  plan:get('workload').metadata.annotations = { stamp = 'bench' }
end }
]]
local missed, results = 0, { at = os.date '!%Y-%m-%dT%H:%M:%SZ', cores = tonumber((cluster.sh 'nproc')), operator = OURS and 'asya-operator' or BASELINE,
  sizes = json.array {} }

-- The operator that is measured -----------------------------------------------------------------------------------

local own = cluster.namespace 'operator'

local function start()
  local command = BASELINE
  if OURS then
    command = ('ASYA_DISABLE_QUEUE_MANAGEMENT=true ASYA_RUNTIME_NAMESPACE=default ASYA_TRANSPORT_CONFIG=%s exec %s/asya-operator run '
      .. '--leader-elect --namespace %s --metrics-bind-address 0 --health-probe-bind-address 0')
      :format(cluster.quote(cluster.TRANSPORTS), cluster.build, own)
  end
  local log = cluster.temp 'operator.log'
  local pid = cluster.sh('setsid sh -c %s >%s 2>&1 & echo $!', cluster.quote(command), log):match '%d+'
  local handle, sessions = { pid = pid, log_path = log }, assert(io.open(OUT .. '/sessions', 'a'))
  sessions:write(pid, '\n')
  sessions:close()
  function handle.alive() return cluster.sh('ps -o pid= -s %s', pid):find '%d' ~= nil end
  local function signal(name)
    cluster.sh('kill -s %s -- -%s', name, pid)
    cluster.eventually('the operator ends', 20, function() return not handle.alive() end)
  end
  function handle.kill() signal 'KILL' end
  function handle.stop() signal 'TERM' end
  return handle
end

-- The plain client --------------------------------------------------------------------------------------------------

local function apply_actors(prefix, ns, count)
  local list = {}
  for i = 1, count do list[i] = cluster.actor(prefix .. i, ns, '  scaling: {enabled: true, minReplicas: 1, maxReplicas: 10}') end
  local path = cluster.write(cluster.temp 'actors.yaml', table.concat(list, '---\n'))
  cluster.kubectl('create -f %s', path)
  return path
end

--- curl, one HTTP/2 connection, as many requests at once as we: `list` are { method, path, body, type }. Returns seconds from first to last.
local function send(list)
  local dir, config = cluster.temp 'plain', {}
  cluster.sh('mkdir -p %s', dir)
  for i, request in ipairs(list) do
    local file = cluster.write(('%s/%d.json'):format(dir, i), request[3])
    config[i] = ('url = "%s/%s?fieldManager=plain"\nrequest = %s\ndata = "@%s"\noutput = /dev/null\nheader = "Content-Type: application/%s"\n'
      .. 'user-agent = plain-client\ncacert = %s/ca.crt\ncert = %s/admin.crt\nkey = %s/admin.key\nhttp2\n')
      :format(SERVER, request[2], request[1], file, request[4], PKI, PKI, PKI)
  end
  local mark = cluster.audit_mark()
  local said = cluster.sh('curl -sS -Z --parallel-max 16 --fail-early -K %s', cluster.write(dir .. '/curlrc', table.concat(config, 'next\n')))
  local seen, last = usage.requests(mark, function(agent) return agent == 'plain-client' end), 0
  assert(#seen == #list, #seen .. ' requests seen: ' .. said)
  for _, request in ipairs(seen) do last = math.max(last, request.to) end
  return last - seen[1].from
end

--- What a plain client needs for the children and finalizers of that many actors.
local function work_plainly(count)
  local ns, list = cluster.namespace 'plain', {}
  local path = apply_actors('plain-', ns, count)
  local rendered, ok = cluster.sh('ASYA_TRANSPORT_CONFIG=%s %s/asya-operator render -f %s -o json', cluster.quote(cluster.TRANSPORTS), cluster.build, path)
  assert(ok, rendered)
  local function patches(value)
    local out = {}
    for i = 1, count do
      out[i] = { 'PATCH', ('apis/asya.sh/v1alpha1/namespaces/%s/asyncactors/plain-%d'):format(ns, i), FINALIZER:format(value), 'merge-patch+json' }
    end
    return out
  end
  local finalizers = patches '["bench.asya.sh/plain"]'
  for _, child in ipairs(json.decode(rendered).items) do
    if PLURALS[child.kind] then
      child.metadata.namespace, child.metadata.ownerReferences = ns, nil
      list[#list + 1] = { 'POST', PLURALS[child.kind]:format(ns), json.encode(child), 'json' }
    end
  end
  assert(#list == 3 * count, #list .. ' children')
  table.move(finalizers, 1, count, #list + 1, list)
  local took = send(list)
  send(patches 'null')
  cluster.kubectl('delete namespace %s', ns)
  return took
end

-- What is waited for ------------------------------------------------------------------------------------------------

local function count_lines(text, wanted)
  local _, count = text:gsub(wanted, '')
  return count
end

local function await(what, count, command, wanted)
  cluster.eventually(what, 1800, function()
    local found = count_lines(cluster.sh('%s', command), wanted)
    if found < count then cluster.sleep(1) end
    return found >= count, found
  end)
end

--- Waits until each has a pod that is ready; ours say so, too.
local function await_run(ns, count)
  await('all pods are ready', count, ("kubectl get deployments -n %s -o jsonpath='{range .items[*]}{.status.readyReplicas}{\"\\n\"}{end}'"):format(ns), '%d+')
  if OURS then
    await('all run', count, ("kubectl get asyncactors -n %s -o jsonpath='{range .items[*]}{.status.status}{\"\\n\"}{end}'"):format(ns), 'Running')
  end
end

--- Edits actors one after the other; returns the milliseconds from each edit's answer to the end of our write of its child, and those that the
-- server took for the edits themselves; both sorted.
local function edit(ns, prefix, count, image, pause)
  local mark = cluster.audit_mark()
  for i = 1, count do
    cluster.kubectl('patch asyncactor %s%d -n %s --type=merge -p %s', prefix, i, ns, cluster.quote('{"spec":{"sidecar":{"image":"' .. image .. '"}}}'))
    cluster.sleep(pause)
  end
  local waits, own_times
  cluster.eventually('the edits are carried out', 120, function()
    local edited = {}
    waits, own_times = {}, {}
    for _, request in ipairs(usage.requests(mark, function() return true end)) do
      if request.namespace == ns and request.resource == 'asyncactors' and request.verb == 'patch' and request.agent:find '^kubectl' then
        edited[request.name] = request.to
        own_times[#own_times + 1] = (request.to - request.from) * 1000
      elseif request.namespace == ns and request.resource == 'deployments' and not request.subresource and edited[request.name]
        and (request.verb == 'patch' or request.verb == 'update') and not request.agent:find '^kube' then
        waits[#waits + 1] = (request.to - edited[request.name]) * 1000
        edited[request.name] = nil
      end
    end
    return #waits >= count, #waits
  end)
  table.sort(waits)
  table.sort(own_times)
  return waits, own_times
end

local function middle(sorted) return sorted[(#sorted + 1) // 2] end

-- One size ------------------------------------------------------------------------------------------------------------

local function measure(count)
  local size, ns = { actors = count, rows = json.array {}, requests = {} }, cluster.namespace 'bench'
  local function say(what, value, unit, target, bound)
    local row = { what = what, value = value, unit = unit, target = OURS and target or nil, bound = bound }
    size.rows[#size.rows + 1] = row
    if report.line(row) then missed = missed + 1 end
  end
  print(('%d actors, each with a Deployment of one pod, a ScaledObject and a TriggerAuthentication'):format(count))
  local plain = work_plainly(count)
  apply_actors('bench-', ns, count)
  cluster.sleep(5)

  print 'Cold start'
  local mark = cluster.audit_mark()
  local operator = start()
  await_run(ns, count)
  cluster.sleep(8) -- what is told late
  local cold, first, last = usage.ours(mark), nil, 0
  for _, request in ipairs(cold) do
    if request.verb == 'create' and request.namespace == ns and request.resource ~= 'events' then
      first, last = first or request.from, math.max(last, request.to)
    end
  end
  local cpu, resident = usage.session(operator.pid)
  say('requests an actor, Events included', #cold / count, '', 6.5, true)
  for what, number in pairs(usage.by_kind(cold)) do size.requests[what] = number / count end
  local kinds = {}
  for what, number in pairs(size.requests) do
    if number >= 0.05 then kinds[#kinds + 1] = ('    %-56s %10.4g'):format(what, number) end
  end
  table.sort(kinds)
  print(table.concat(kinds, '\n'))
  say('all children made', last - first, 's')
  say('... by a plain client, finalizers included', plain, 's')
  say('... ratio to the plain client', (last - first) / plain, '', 1.4)
  say('CPU an actor', cpu / count * 1000, 'ms')
  say('resident', resident, 'MB', 40, true)

  print 'One edit'
  local alone, alone_itself = edit(ns, 'bench-', math.min(count, 20), 'example/sidecar:first', 0.3)
  say('to the written child, median', middle(alone), 'ms')
  say('to the written child, worst', alone[#alone], 'ms')
  say('the edit itself, median', middle(alone_itself), 'ms')
  await_run(ns, count)
  cluster.sleep(8)

  print 'At rest, 60 s'
  mark, cpu = cluster.audit_mark(), usage.session(operator.pid)
  cluster.sleep(60)
  say('requests but watches and the lease', #usage.ours(mark), '', 0, true)
  say('CPU', usage.session(operator.pid) - cpu, 's', 0.05)

  if OURS then
    print 'Policies that change every actor'
    local file, began = cluster.write(cluster.temp 'stamp.lua', STAMP), os.time()
    mark = cluster.audit_mark()
    cluster.kubectl('create configmap stamp -n %s --from-file=stamp.lua=%s', own, file)
    cluster.kubectl('label configmap stamp -n %s asya.sh/policies=true', own)
    await('all are stamped', count, ("kubectl get deployments -n %s -o jsonpath='{range .items[*]}{.metadata.annotations.stamp}{\"\\n\"}{end}'"):format(ns),
      'bench')
    say('all are changed', os.time() - began, 's')
    cluster.sleep(8)
    say('requests an actor', #usage.ours(mark) / count, '')
  end

  print 'One edit in the middle of a cold start of as many'
  operator.stop()
  local more = cluster.namespace 'more'
  apply_actors('more-', more, count)
  operator = start()
  await('a tenth is made', count // 10, 'kubectl get deployments -n ' .. more .. ' -o name', 'deployment')
  local busy, busy_itself = edit(ns, 'bench-', math.min(count, 10), 'example/sidecar:second', 0.2)
  local made = count_lines(cluster.sh('kubectl get deployments -n %s -o name', more), 'deployment')
  say('children made when the last was written', made / count * 100, '%')
  say('to the written child, median', middle(busy), 'ms')
  say('... ratio to one alone', middle(busy) / middle(alone), '', 10)
  say('the edit itself, median: so busy is the server', middle(busy_itself), 'ms')
  await_run(more, count)
  await_run(ns, count)
  cluster.sleep(8)
  local _, grown = usage.session(operator.pid)
  say('resident for each further actor', (grown - resident) * 1024 / count, 'KiB', 10)

  print 'Failover'
  local heir = OURS and start()
  cluster.sleep(heir and 3 or 0)
  mark = cluster.audit_mark()
  operator.kill()
  heir = heir or start()
  local again = edit(ns, 'bench-', 1, 'example/sidecar:third', 0)
  say('an edit at that moment is carried out after', again[1] / 1000, 's')
  await_run(ns, count)
  cluster.sleep(8)
  say('writes to actors and children that nobody edited', usage.writes(usage.ours(mark), function(request)
    local edited = request.namespace == ns and ((request.name or '') .. '-'):find '^bench%-1%-' -- the actor and its children
    return (request.namespace == ns or request.namespace == more) and request.resource ~= 'events' and not edited
  end), '', 0, true)
  say('CPU an actor of all', usage.session(heir.pid) / (2 * count) * 1000, 'ms')

  print 'Deletion of all'
  mark = cluster.audit_mark()
  local began = os.time()
  cluster.kubectl('delete asyncactors --all -n %s --wait=false', ns)
  cluster.kubectl('delete asyncactors --all -n %s --wait=false', more)
  cluster.eventually('all are gone', 1800, function()
    cluster.sleep(1)
    return not cluster.sh('kubectl get asyncactors -A -o name'):find 'asyncactor'
  end)
  say('all are gone', os.time() - began, 's')
  say('requests an actor', #usage.ours(mark) / (2 * count), '')
  heir.stop()
  cluster.sh('kubectl delete configmap stamp -n %s', own)
  cluster.sh('kubectl delete namespace %s %s', ns, more)
  return size
end

local function lines_of(what)
  local points = {}
  for _, size in ipairs(results.sizes) do
    for _, row in ipairs(size.rows) do
      if row.what == what then
        points[#points + 1] = { size.actors, row.value }
        break
      end
    end
  end
  return { what, points }
end

--- After each size, so that a run that is stopped has told something.
local function write_results()
  results.missed = missed
  cluster.write(OUT .. '/bench.json', json.encode(results) .. '\n')
  cluster.write(OUT .. '/bench.svg', report.svg(('%s, %s, %d cores'):format(results.operator, results.at:sub(1, 10), results.cores),
    { lines_of 'requests an actor, Events included', lines_of 'all children made', lines_of 'CPU an actor', lines_of 'resident' }))
end

local ok, failure = pcall(function()
  for _, count in ipairs(SIZES) do
    own = cluster.namespace 'operator'
    results.sizes[#results.sizes + 1] = measure(assert(math.tointeger(tonumber(count)), 'how many actors'))
    write_results()
  end
end)
print(('written: %s/bench.json, bench.svg'):format(OUT))
if not ok then error(failure, 0) end
if missed > 0 then
  print(missed .. ' over target')
  os.exit(1)
end
