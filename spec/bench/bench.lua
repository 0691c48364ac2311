--- bench: what an actor costs, cold, at rest, edited, with other policies, after a failover and when it goes; run by spec/bench/run.
-- EXAMPLE names an example whose parents are measured in place of actors.
-- SECTIONS, words of `SECTIONS` below, narrows what is measured after the cold start, of which a plain client is one word more.
-- Each size is measured from an empty cluster on. What is over a target that binds makes the run fail.
local cluster = require 'cluster'
local json = require 'json'
local report = require 'report'
local subject = require 'subject'
local usage = require 'usage'

local OUT, SIZES, BASELINE = arg[1], { table.unpack(arg, 2) }, os.getenv 'BASELINE'
local OURS = BASELINE == nil or BASELINE == ''
local REQUESTS, CPU = ('requests %s, Events included'):format(subject.each), 'CPU ' .. subject.each
local PKI, SERVER = os.getenv 'BED_DIR' .. '/pki', os.getenv 'BED_SERVER'
local FINALIZER = '{"metadata":{"finalizers":%s}}'
local STAMP = [[
local policy = require 'policy'
return policy.define { name = 'stamp', after = { 'sidecar' }, render = function(_, _, plan)
  plan:get('workload').metadata.annotations = { stamp = 'bench' }
end }
]]
--- Seconds to wait for what is told late, and those at rest.
local LATE, REST = tonumber(os.getenv 'LATE') or 8, tonumber(os.getenv 'REST') or 60
local RESIDENT <const>, EACH_FURTHER <const> = 40, 10 -- targets: MB with 2,000, and KiB
local WANTED = { cold = true } -- section -> true
for word in (os.getenv 'SECTIONS' or 'plain edit rest policies amid failover deletion'):gmatch '%a+' do WANTED[word] = true end
if not OURS or subject.resource ~= 'asyncactors' then WANTED.policies = nil end -- these are ours, and for actors
local missed, results = 0, { at = os.date '!%Y-%m-%dT%H:%M:%SZ', cores = tonumber((cluster.sh 'nproc')), operator = OURS and 'asya-operator' or BASELINE,
  measured = subject.resource,
  sizes = json.array {} }

-- The operator that is measured -----------------------------------------------------------------------------------

local own = cluster.namespace 'operator'

local function start()
  local command = BASELINE
  if OURS then
    command = ('%s exec %s/asya-operator run --leader-elect --namespace %s --metrics-bind-address 0 --health-probe-bind-address 0 %s')
      :format(subject.env, cluster.build, own, subject.flags)
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

--- What a plain client needs for the children and finalizers of that many parents.
local function work_plainly(count)
  local ns, list = cluster.namespace 'plain', {}
  local rendered, ok = cluster.sh('%s %s/asya-operator render %s -f %s -o json', subject.env, cluster.build, subject.flags,
    subject.write('plain-', ns, count))
  assert(ok, rendered)
  for _, child in ipairs(json.decode(rendered).items) do
    if subject.children[child.kind] then
      child.metadata.namespace, child.metadata.ownerReferences = ns, nil
      list[#list + 1] = { 'POST', subject.children[child.kind]:format(ns), json.encode(child), 'json' }
    end
  end
  assert(#list == subject.made * count, #list .. ' children')
  local function patches(value)
    local out = {}
    for i = 1, subject.finalizer and count or 0 do
      out[i] = { 'PATCH', ('%s/plain-%d'):format(subject.path:format(ns), i), FINALIZER:format(value), 'merge-patch+json' }
    end
    return out
  end
  if subject.finalizer then subject.create('plain-', ns, count) end
  local finalizers = patches '["bench.asya.sh/plain"]'
  table.move(finalizers, 1, #finalizers, #list + 1, list)
  local took = send(list)
  if subject.finalizer then send(patches 'null') end
  cluster.kubectl('delete namespace %s', ns)
  return took
end

-- What is waited for ------------------------------------------------------------------------------------------------

--- Edits parents for the nth time, one after the other; returns the milliseconds from each edit's answer to the end of our write of its child,
-- and those that the server took for the edits themselves; both sorted.
local function edit(ns, prefix, count, nth, pause)
  local mark = cluster.audit_mark()
  for i = 1, count do
    cluster.kubectl('patch %s %s%d -n %s --type=merge -p %s', subject.resource, prefix, i, ns, cluster.quote(subject.edit(nth)))
    cluster.sleep(pause)
  end
  local waits, own_times
  cluster.eventually('the edits are carried out', 120, function()
    local edited = {}
    waits, own_times = {}, {}
    for _, request in ipairs(usage.requests(mark, function() return true end)) do
      if request.namespace == ns and request.resource == subject.resource and request.verb == 'patch' and request.agent:find '^kubectl' then
        edited[request.name] = request.to
        own_times[#own_times + 1] = (request.to - request.from) * 1000
      elseif request.namespace == ns and request.resource == subject.edited and not request.subresource and request.name
        and request.verb ~= 'get' and request.verb ~= 'delete' and not request.agent:find '^kube' then
        local parent = prefix .. request.name:sub(#prefix + 1):match '^%d*' -- a child's name begins with its parent's
        if edited[parent] then
          waits[#waits + 1] = (request.to - edited[parent]) * 1000
          edited[parent] = nil
        end
      end
    end
    return #waits >= count, #waits
  end)
  table.sort(waits)
  table.sort(own_times)
  return waits, own_times
end

local function middle(sorted) return sorted[(#sorted + 1) // 2] end

-- One size, section by section --------------------------------------------------------------------------------------
-- `run` is { count, ns (where they are), all (how many there are by now), say, operator, requests }; what a section leaves there is for those
-- that come after it.

local function cold_start(run)
  local count, ns, say = run.count, run.ns, run.say
  local plain = WANTED.plain and work_plainly(count)
  subject.create('bench-', ns, count)
  cluster.sleep(LATE)
  local mark = cluster.audit_mark()
  run.operator = start()
  subject.await_made(ns, count, OURS)
  cluster.sleep(LATE)
  local cold, first, last = usage.ours(mark), nil, 0
  for _, request in ipairs(cold) do
    if request.verb == 'create' and request.namespace == ns and request.resource ~= 'events' then
      first, last = first or request.from, math.max(last, request.to)
    end
  end
  local cpu, resident = usage.session(run.operator.pid)
  say(REQUESTS, #cold / count, '', subject.requests, true)
  for what, number in pairs(usage.by_kind(cold)) do run.requests[what] = number / count end
  local kinds = {}
  for what, number in pairs(run.requests) do
    if number >= 0.05 then kinds[#kinds + 1] = ('    %-56s %10.4g'):format(what, number) end
  end
  table.sort(kinds)
  print(table.concat(kinds, '\n'))
  say('all children made', last - first, 's')
  if plain then
    say('... by a plain client' .. (subject.finalizer and ', finalizers included' or ''), plain, 's')
    say('... ratio to the plain client', (last - first) / plain, '', 1.4)
  end
  say(CPU, cpu / count * 1000, 'ms')
  say('resident', resident, 'MB', RESIDENT + math.max(0, count - 2000) * EACH_FURTHER / 1024, true)
end

local function one_edit(run)
  local alone, itself = edit(run.ns, 'bench-', math.min(run.count, 20), 1, 0.3)
  run.alone = middle(alone)
  run.say('to the written child, median', run.alone, 'ms')
  run.say('to the written child, worst', alone[#alone], 'ms')
  run.say('the edit itself, median', middle(itself), 'ms')
  subject.await_made(run.ns, run.count, OURS)
  cluster.sleep(LATE)
end

local function at_rest(run)
  local mark, cpu = cluster.audit_mark(), usage.session(run.operator.pid)
  cluster.sleep(REST)
  run.say('requests but watches and the lease', #usage.ours(mark), '', 0, true)
  run.say('CPU', usage.session(run.operator.pid) - cpu, 's', 0.05)
end

local function other_policies(run)
  local file, began, mark = cluster.write(cluster.temp 'stamp.lua', STAMP), os.time(), cluster.audit_mark()
  cluster.kubectl('create configmap stamp -n %s --from-file=stamp.lua=%s', own, file)
  cluster.kubectl('label configmap stamp -n %s asya.sh/policies=true', own)
  subject.await({ 'all are stamped', subject.query('deployments', '.metadata.annotations.stamp'), 'bench', 1 }, run.ns, run.count)
  run.say('all are changed', os.time() - began, 's')
  cluster.sleep(LATE)
  run.say('requests ' .. subject.each, #usage.ours(mark) / run.count, '')
end

local function edit_amid_cold_start(run)
  local count, ns, say = run.count, run.ns, run.say
  local _, before = usage.session(run.operator.pid) -- with the policies that were added: they take as much in both
  run.operator.stop()
  run.more = cluster.namespace 'more'
  subject.create('more-', run.more, count)
  run.all = 2 * count
  run.operator = start()
  local some = { 'a tenth is made', ('kubectl get %s -n %%s -o name'):format(subject.edited), '/', subject.done[4] }
  subject.await(some, run.more, count // 10)
  local busy, itself = edit(ns, 'bench-', math.min(count, 10), 2, 0.2)
  say('children made when the last was written', subject.count(some, run.more) / (count * subject.done[4]) * 100, '%')
  say('to the written child, median', middle(busy), 'ms')
  if run.alone then say('... ratio to one alone', middle(busy) / run.alone, '', 10) end
  say('the edit itself, median: so busy is the server', middle(itself), 'ms')
  subject.await_made(run.more, count, OURS)
  subject.await_made(ns, count, OURS)
  cluster.sleep(LATE)
  local _, grown = usage.session(run.operator.pid)
  say('resident for each further one', (grown - before) * 1024 / count, 'KiB', EACH_FURTHER)
end

local function failover(run)
  local heir = OURS and start()
  cluster.sleep(heir and 3 or 0)
  local mark = cluster.audit_mark()
  run.operator.kill()
  run.operator = heir or start()
  local again = edit(run.ns, 'bench-', 1, 3, 0)
  run.say('an edit at that moment is carried out after', again[1] / 1000, 's')
  subject.await_made(run.ns, run.count, OURS)
  cluster.sleep(LATE)
  run.say('writes to parents and children that nobody edited', usage.writes(usage.ours(mark), function(request)
    local edited = request.namespace == run.ns and ((request.name or '') .. '-'):find '^bench%-1%-' -- the parent and its children
    return (request.namespace == run.ns or request.namespace == run.more) and request.resource ~= 'events' and not edited
  end), '', 0, true)
  run.say(CPU .. ' of all', usage.session(run.operator.pid) / run.all * 1000, 'ms')
end

local function deletion(run)
  local mark, began, namespaces = cluster.audit_mark(), os.time(), { run.ns, run.more }
  for _, each in ipairs(namespaces) do cluster.kubectl('delete %s --all -n %s --wait=false', subject.resource, each) end
  for _, each in ipairs(namespaces) do
    cluster.eventually('all are gone', 1800, function()
      cluster.sleep(1)
      return not cluster.sh('kubectl get %s -n %s -o name', subject.resource, each):find '/'
    end)
  end
  run.say('all are gone', os.time() - began, 's')
  run.say('requests ' .. subject.each, #usage.ours(mark) / run.all, '')
end

local SECTIONS <const> = {
  { 'cold', 'Cold start', cold_start }, -- always: it starts what the others look at
  { 'edit', 'One edit', one_edit },
  { 'rest', ('At rest, %d s'):format(REST), at_rest },
  { 'policies', 'Policies that change every actor', other_policies },
  { 'amid', 'One edit in the middle of a cold start of as many', edit_amid_cold_start },
  { 'failover', 'Failover', failover },
  { 'deletion', 'Deletion of all', deletion },
}

local function measure(count)
  local size = { actors = count, rows = json.array {}, requests = {} }
  local run = { count = count, all = count, ns = cluster.namespace 'bench', requests = size.requests }
  function run.say(what, value, unit, target, bound)
    local row = { what = what, value = value, unit = unit, target = OURS and target or nil, bound = bound }
    size.rows[#size.rows + 1] = row
    if report.line(row) then missed = missed + 1 end
  end
  print(('%d %s'):format(count, subject.title))
  for _, section in ipairs(SECTIONS) do
    if WANTED[section[1]] then
      print(section[2])
      section[3](run)
    end
  end
  run.operator.stop()
  cluster.sh('kubectl delete configmap stamp -n %s', own)
  for _, each in ipairs { run.ns, run.more } do subject.discard(each) end
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
    { lines_of(REQUESTS), lines_of 'all children made', lines_of(CPU), lines_of 'resident' }))
end

subject.install()
local ok, failure = pcall(function()
  for _, count in ipairs(SIZES) do
    own = cluster.namespace 'operator'
    results.sizes[#results.sizes + 1] = measure(assert(math.tointeger(tonumber(count)), 'how many actors'))
    write_results()
  end
end)
print(('written: %s/bench.json, bench.svg'):format(OUT))
subject.remove()
if not ok then error(failure, 0) end
if missed > 0 then
  print(missed .. ' over target')
  os.exit(1)
end
