--- bench: what an actor costs, cold, at rest and when it is edited; run by spec/bench/run.
-- The audit log of the API server says who asked for what and when, /proc what the operator needed for it.
local cluster = require 'cluster'
local exposition = require 'exposition'
local json = require 'json'

local N = assert(tonumber(arg[1]), 'how many actors')
local PKI = os.getenv 'BED_DIR' .. '/pki'
local METRICS = '127.0.0.1:18485'
local ns, plain = cluster.namespace 'bench', cluster.namespace 'plain'
local over = 0

--- A line of the report. `budget` (optional) is an upper bound; one that is `held` makes the run fail when it is broken.
local function say(what, value, unit, budget, held)
  local verdict = ''
  if budget then
    verdict = ('budget %g%s'):format(budget, value <= budget and '' or held and '  OVER' or '  over')
    if held and value > budget then over = over + 1 end
  end
  print(('  %-58s %9.4g %-4s %s'):format(what, value, unit, verdict))
end

--- Seconds of CPU of a process so far.
local function cpu(pid)
  local fields = {}
  for field in cluster.read('/proc/' .. pid .. '/stat'):match '%) (.*)':gmatch '%S+' do fields[#fields + 1] = field end
  return (fields[12] + fields[13]) / 100 -- utime, stime, in ticks of 10 ms
end

local function resident(pid, what)
  return tonumber(cluster.read('/proc/' .. pid .. '/status'):match(what .. ':%s*(%d+)')) / 1024
end

--- "2026-11-23T16:52:32.358877Z" as seconds of its day.
local function seconds(stamp)
  local h, m, s = stamp:match 'T(%d+):(%d+):([%d.]+)'
  return h * 3600 + m * 60 + s
end

--- Requests since a mark, oldest first, that `want` lets through: {agent, verb, resource, name, from, to}.
local function requests(mark, want)
  local file = assert(io.open(os.getenv 'BED_AUDIT_LOG', 'r'))
  file:seek('set', mark)
  local out = {}
  for line in file:lines() do
    if line:find('"stage":"ResponseComplete"', 1, true) and line:find(want, 1, true) then
      local event = json.decode(line)
      local ref = event.objectRef or {}
      out[#out + 1] = {
        agent = event.userAgent, verb = event.verb, resource = tostring(ref.resource), name = ref.name, subresource = ref.subresource,
        from = seconds(event.requestReceivedTimestamp), to = seconds(event.stageTimestamp),
      }
    end
  end
  file:close()
  table.sort(out, function(a, b) return a.from < b.from end)
  return out
end

local function ours(mark)
  local out = {}
  for _, request in ipairs(requests(mark, 'asya-operator')) do
    if request.agent:find '^asya%-operator' and request.verb ~= 'watch' and request.resource ~= 'leases' then out[#out + 1] = request end
  end
  return out
end

--- What was asked for most, a line each.
local function by_kind(list)
  local counts, lines = {}, {}
  for _, request in ipairs(list) do
    local what = ('%s %s%s'):format(request.verb, request.resource, request.subresource and '/' .. request.subresource or '')
    counts[what] = (counts[what] or 0) + 1
  end
  for what, count in pairs(counts) do
    if count >= N / 10 then lines[#lines + 1] = ('    %-56s %9.4g'):format(what, count / N) end
  end
  table.sort(lines)
  return lines
end

local PLURALS = { Deployment = 'apis/apps/v1/namespaces/%s/deployments', ScaledObject = 'apis/keda.sh/v1alpha1/namespaces/%s/scaledobjects',
  TriggerAuthentication = 'apis/keda.sh/v1alpha1/namespaces/%s/triggerauthentications' }

local function actors()
  local list = {}
  for i = 1, N do
    list[i] = cluster.actor('bench-' .. i, ns, '  scaling: {enabled: true, minReplicas: 1, maxReplicas: 10}')
  end
  return cluster.write(cluster.temp 'actors.yaml', table.concat(list, '---\n'))
end

--- What a plain client needs to POST the children of all actors: curl, one HTTP/2 connection, as many requests at once as we.
local function post_plainly(path)
  local dir = cluster.temp 'plain'
  cluster.sh('mkdir -p %s', dir)
  local rendered, ok = cluster.sh('ASYA_TRANSPORT_CONFIG=%s %s/asya-operator render -f %s -o json', cluster.quote(cluster.TRANSPORTS), cluster.build, path)
  assert(ok, rendered)
  local config, posts = {}, 0
  for _, child in ipairs(json.decode(rendered).items) do
    if PLURALS[child.kind] then
      posts = posts + 1
      child.metadata.namespace, child.metadata.ownerReferences = plain, nil
      local file = cluster.write(('%s/%d.json'):format(dir, posts), json.encode(child))
      config[#config + 1] = ('url = "%s/%s?fieldManager=plain"\ndata = "@%s"\noutput = /dev/null\nheader = "Content-Type: application/json"\n'
        .. 'user-agent = plain-client\ncacert = %s/ca.crt\ncert = %s/admin.crt\nkey = %s/admin.key\nhttp2\n')
        :format(os.getenv 'BED_SERVER', PLURALS[child.kind]:format(plain), file, PKI, PKI, PKI)
    end
  end
  assert(posts == 3 * N, posts .. ' children')
  local curlrc = cluster.write(dir .. '/curlrc', table.concat(config, 'next\n'))
  local mark = cluster.audit_mark()
  local said = cluster.sh('curl -sS -Z --parallel-max 16 --fail-early -K %s', curlrc)
  local seen = requests(mark, 'plain-client')
  assert(#seen == posts, #seen .. ' posts seen: ' .. said)
  local last = 0
  for _, request in ipairs(seen) do last = math.max(last, request.to) end
  return last - seen[1].from
end

local function count_running()
  local _, count = cluster.sh("kubectl get asyncactors -n %s -o jsonpath='{range .items[*]}{.status.status}{\"\\n\"}{end}'", ns):gsub('Running', '')
  return count
end

local function metric(name, labels)
  local page = exposition.read((cluster.sh('curl -sS http://%s/metrics', METRICS)))
  return exposition.value(page, name, labels)
end

print(('%d actors, each with a Deployment of one pod, a ScaledObject and a TriggerAuthentication'):format(N))
local path = actors()

local plain_seconds = post_plainly(path)
cluster.kubectl('delete namespace %s', plain)
cluster.kubectl('create -f %s', path)
cluster.sleep(5)

local mark = cluster.audit_mark()
local operator = cluster.operator { binary = cluster.build .. '/asya-operator', args = '--leader-elect --metrics-bind-address ' .. METRICS }
cluster.eventually('all run', 600, function()
  local running = count_running()
  cluster.sleep(1)
  return running == N, running
end)
cluster.sleep(3)
local cold, made = ours(mark), 0
local first, last = nil, 0
for _, request in ipairs(cold) do
  if request.verb == 'create' and request.resource ~= 'events' then
    first, last, made = first or request.from, math.max(last, request.to), made + 1
  end
end
print 'Cold start'
say('plain client: all children made', plain_seconds, 's')
say('operator: all children made', last - first, 's')
say('operator / plain client', (last - first) / plain_seconds, '', 1.25)
local told = 0
for _, request in ipairs(cold) do told = told + (request.resource == 'events' and 1 or 0) end
say('requests an actor but for Events', (#cold - told) / N, '', 7, true)
say('Events an actor', told / N, '')
for _, line in ipairs(by_kind(cold)) do print(line) end
say('CPU an actor', cpu(operator.pid) / N * 1000, 'ms', 3)
say('resident', resident(operator.pid, 'VmRSS'), 'MB', 40, true)
say('most resident', resident(operator.pid, 'VmHWM'), 'MB')

print 'At rest, 60 s'
mark = cluster.audit_mark()
local before = cpu(operator.pid)
cluster.sleep(60)
say('requests but watches and the lease', #ours(mark), '', 0, true)
say('CPU', cpu(operator.pid) - before, 's', 0.05)

--- Edits one actor after the other; returns requests an edit and the times from the edit's answer to our write of the child, sorted.
local function edit(image)
  mark = cluster.audit_mark()
  for i = 1, 20 do
    cluster.kubectl('patch asyncactor bench-%d -n %s --type=merge -p %s', i, ns, cluster.quote('{"spec":{"sidecar":{"image":"' .. image .. '"}}}'))
    cluster.sleep(0.3)
  end
  cluster.sleep(5)
  local edited, waits = {}, {}
  for _, request in ipairs(requests(mark, 'ResponseComplete')) do
    if request.resource == 'asyncactors' and request.agent:find '^kubectl' and request.verb == 'patch' then
      edited[request.name] = request.to
    elseif request.agent:find '^asya%-operator' and request.resource == 'deployments' and request.verb ~= 'watch' and edited[request.name] then
      waits[#waits + 1] = (request.from - edited[request.name]) * 1000
      edited[request.name] = nil
    end
  end
  local sent = #ours(mark)
  assert(#waits == 20, #waits .. ' edits were carried out')
  table.sort(waits)
  return sent / 20, waits
end

print 'One edit'
for _, which in ipairs { 'first', 'second' } do
  local each, waits = edit('example/sidecar:' .. which)
  say(('requests, events and later statuses too (%s)'):format(which), each, '')
  say(('edit to our write of the child (%s), median'):format(which), waits[10], 'ms', 20)
  say(('edit to our write of the child (%s), worst'):format(which), waits[20], 'ms')
end

print 'Policies'
for _, hook in ipairs { 'plan', 'status' } do
  local calls = metric('policy_call_seconds_count', { call = hook })
  say(hook .. ': mean of a call', metric('policy_call_seconds_sum', { call = hook }) / calls * 1000, 'ms')
  say(hook .. ': calls of 1 ms or longer', 100 - 100 * metric('policy_call_seconds_bucket', { call = hook, le = '0.001' }) / calls, '%', 1)
end
operator.stop()
if over > 0 then
  print(over .. ' over budget')
  os.exit(1)
end
