--- cluster: what the specs of this folder use to talk to the control plane that spec/run has started.
local api = require 'api'
local json = require 'json'
local shell = require 'shell'

local M = {}
for name, each in pairs(shell) do M[name] = each end

local BED, quote = shell.bed_dir, shell.quote
M.build = os.getenv 'BUILD' or 'build'
M.available = BED ~= nil
--- What `make chart` has made, and README.md installs.
M.PACKAGE = M.build .. '/asya-operator.tgz'

local KLOG <const> = '%u%d%d%d%d %d%d:%d%d:[%d.]+ +%d+ [%w_]+%.go:%d+%][^\n]*\n'
--- What kubectl says and whether it worked; without what it logs of itself, as that it throttles its discovery on a busy machine.
local function kubectl(arguments, ...)
  local output, ok = M.sh('kubectl ' .. arguments, ...)
  return (output:gsub(KLOG, '')), ok
end

--- kubectl with its arguments as one line; fails the test when it fails.
function M.kubectl(arguments, ...)
  local output, ok = kubectl(arguments, ...)
  if not ok then error('kubectl ' .. arguments:format(...) .. '\n' .. output, 2) end
  return output
end

--- Applies YAML text, by kubectl where its flags or its words are wanted. Returns output and success instead of failing when `may_fail`.
function M.apply(yaml, may_fail, flags)
  if not may_fail and (flags or '--server-side') == '--server-side' then
    local taken, said = api.apply(yaml)
    if taken then return said, true end
    if taken == false then error('apply:\n' .. said .. '\n' .. yaml, 2) end
  end
  local path = M.write(M.temp 'apply.yaml', yaml)
  local output, ok = M.sh('kubectl apply %s -f %s', flags or '', path)
  if not ok and not may_fail then error('kubectl apply:\n' .. output .. '\n' .. yaml, 2) end
  return output, ok
end

--- An object as kubectl shows it, as a table; or nil. What specs wait for they ask for again and again, so where it can be the server is asked
-- without kubectl, which takes much of a machine's CPU.
function M.get(kind, name, namespace)
  local path = api.path(kind, namespace or 'default', name)
  if path then
    local object = api.get(path)
    if object then object.metadata.managedFields = nil end
    return object
  end
  local output, ok = kubectl('get %s %s %s -o json', kind, name, namespace and ('-n ' .. namespace) or '')
  return ok and json.decode(output) or nil
end

--- The objects of a kind; the test fails when the server does not tell.
function M.list(kind, namespace, flags)
  if flags or not api.path(kind, namespace) then
    return json.decode(M.kubectl('get %s %s %s -o json', kind, namespace and ('-n ' .. namespace) or '-A', flags or '')).items
  end
  local items = api.list(kind, namespace)
  for _, each in ipairs(items) do each.metadata.managedFields = nil end
  return items
end

local PATIENCE = tonumber(os.getenv 'PATIENCE') or 1 -- how much slower than a quiet machine this one may be
--- Calls fn until it returns something true; fails with what it returned last as second value.
function M.eventually(what, seconds, fn)
  local deadline = os.time() + seconds * PATIENCE
  local ok, detail
  repeat
    ok, detail = fn()
    if ok then return ok end
    M.sleep(0.2)
  until os.time() > deadline
  error(('not within %d s: %s (%s)'):format(seconds * PATIENCE, what, tostring(detail)), 2)
end

--- Waits for an Event of this reason about the actor; returns its text.
function M.event(namespace, name, reason, seconds)
  return M.eventually(('an Event %s of %s'):format(reason, name), seconds, function()
    for _, each in ipairs(M.list('events.events.k8s.io', namespace)) do
      if each.regarding.name == name and each.reason == reason then return each.note end
    end
  end)
end

local minor
--- The minor version of the server: 37.
function M.minor()
  minor = minor or tonumber(M.kubectl('get --raw /version'):match '"minor":%s*"(%d+)')
  return minor
end

--- How many KiB of a process are in memory, or were at most (`what`: 'VmHWM'); nil of one that is gone.
function M.resident(pid, what)
  return tonumber(M.read('/proc/' .. pid .. '/status'):match((what or 'VmRSS') .. ':%s*(%d+)'))
end

--- What of a process is in memory, in KiB, once that has not changed for three seconds.
function M.resident_at_rest(pid)
  local last, same = 0, 0
  M.eventually('it is at rest', 60, function()
    local now = M.resident(pid)
    same = math.abs(now - last) < 64 and same + 1 or 0
    last = now
    return same >= 15, now
  end)
  return last
end

local counter = 0
--- A namespace that is new in this run.
function M.namespace(prefix)
  counter = counter + 1
  local name = ('%s-%d-%d'):format(prefix, os.time() % 100000, counter)
  local code = api.send({ { 'POST', '/api/v1/namespaces', { metadata = { name = name } } } })[1]
  assert(code == 201, ('namespace %s: the server says %s'):format(name, code))
  return name
end

M.TRANSPORTS = [[{"transports":{"rabbitmq":{"enabled":true,"type":"rabbitmq","config":{"host":"127.0.0.1","port":5672,"username":"guest",
"exchange":"asya","passwordSecretRef":{"name":"rabbitmq-secret","key":"password"},"queues":{"autoCreate":true,"dlq":{"enabled":true,"maxRetryCount":3}}}}}}]]

--- What a failed test left running would work on what later files make: it ends with the file that started it.
local subscribe = require 'busted'.subscribe -- which the bench, that is no spec, has not
if subscribe then
  subscribe({ 'suite', 'end' }, function()
    for _, handle in ipairs(M.started or {}) do -- M.stop_all empties it when all have ended
      handle.kill()
    end
  end)
end

--- Starts the operator. `options`: args (text), env (text of assignments), binary, transports (JSON), queues (true: it manages queues;
-- the brokers of TRANSPORTS do not exist). The result stops or kills it and reads its log.
function M.operator(options)
  options = options or {}
  counter = counter + 1
  local log = ('%s/operator-%d.log'):format(BED, counter)
  local binary = options.binary or (M.build .. '/san/asya-operator')
  local queues = options.queues and '' or 'ASYA_DISABLE_QUEUE_MANAGEMENT=true '
  local command = (queues .. '%s ASYA_TRANSPORT_CONFIG=%s ASYA_RUNTIME_NAMESPACE=%s exec %s run --metrics-bind-address 0 --health-probe-bind-address 0 %s')
    :format(options.env or '', quote(options.transports or M.TRANSPORTS), options.runtime_namespace or 'default', binary, options.args or '')
  local handle = M.background('sh -c %s >%s 2>&1', quote(command), log)
  handle.log_path = log

  function handle.log() return M.read(log) end
  function handle.kill() handle.signal 'KILL'; handle.ended = true end
  --- What is wrong by the log: a sanitizer's report, an invariant that did not hold, or an end that nobody asked for and that it gave no
  -- reason for; nil for nothing.
  function handle.broken()
    local text = handle.log()
    local at = text:find('Sanitizer', 1, true) or text:find('runtime error', 1, true) or text:find('broken invariant', 1, true)
    if at then return text:sub(math.max(1, at - 500), at + 4000) end
    local said = handle.asked or handle.alive() or ('\n' .. text):find('\nerror: ', 1, true)
    return not said and 'it has ended without a word:\n' .. text:sub(-2000) or nil
  end
  --- SIGTERM; waits for the end and fails when it was not clean (a sanitizer report is an unclean end).
  function handle.stop()
    if handle.ended then return end
    handle.ended = true
    handle.signal 'TERM'
    M.eventually('operator ends', 15, function() return not handle.alive() end)
    local wrong = handle.broken()
    if wrong then error('the operator did not end clean:\n' .. wrong .. '\nin\n' .. handle.log(), 2) end
  end
  M.started = M.started or {}
  table.insert(M.started, handle)
  return handle
end

--- A kubeconfig for a ServiceAccount: only what it may, the operator may. It goes to `server`, such as that of M.faults, or the real one.
function M.account(name, namespace, server)
  local token = M.kubectl('create token %s -n %s', name, namespace):gsub('%s+$', '')
  return M.write(M.temp 'kubeconfig', ([[
apiVersion: v1
kind: Config
current-context: c
contexts: [{name: c, context: {cluster: c, user: u, namespace: "%s"}}]
clusters: [{name: c, cluster: {server: "%s", certificate-authority: "%s"}}]
users: [{name: u, user: {token: "%s"}}]
]]):format(namespace, server or os.getenv 'BED_SERVER', os.getenv 'BED_CA', token))
end

--- What helm makes of the chart, as a file; fails the test when it fails.
function M.chart(release, namespace, arguments)
  local path = M.temp 'chart.yaml'
  local output, ok = M.sh('(helm template %s %s --no-hooks -n %s %s >%s)', release, M.PACKAGE, namespace, arguments or '', path)
  if not ok then error('helm template:\n' .. output, 2) end
  return path
end

--- Deletes every actor that earlier specs left, since an operator would work on them, too, and what operators remember of their policies.
function M.clear()
  local requests = {}
  for _, actor in ipairs(M.list 'asyncactors') do
    local path = api.path('asyncactors', actor.metadata.namespace, actor.metadata.name)
    requests[#requests + 1] = { 'DELETE', path }
    requests[#requests + 1] = { 'PATCH', path, { metadata = { finalizers = json.null } } }
  end
  for _, label in ipairs { 'record', 'kept' } do
    for _, map in ipairs(api.list('configmaps', nil, ('?labelSelector=asya.sh/policies-%s=true'):format(label))) do
      requests[#requests + 1] = { 'DELETE', api.path('configmaps', map.metadata.namespace, map.metadata.name) }
    end
  end
  api.send(requests)
end

local faulty = {}
--- The proxy that answers wrongly, before the API server or before `target` ('rabbitmq', 'sqs'); spec/bed/README.md tells what a rule may say.
function M.faults(target)
  local handle = { kubeconfig = BED .. '/kubeconfig-faults' }

  local begun, ok = M.sh('spec/bed/bed faults %s %s list', BED, target and ('--for ' .. target) or '') -- starts it when it does not run yet
  if not ok then error('bed faults\n' .. begun, 2) end
  local control = M.read(BED .. '/env'):match(('BED_FAULTS%s_CONTROL_PORT=[\'"]?(%%d+)'):format(target and '_' .. target:upper() or ''))

  local function ask(verb, fields)
    fields = fields or {}
    fields['do'] = verb
    local line = quote(json.encode(fields))
    local output = M.sh('bash -c %s', quote(('exec 3<>/dev/tcp/127.0.0.1/%d && echo %s >&3 && head -n 1 <&3'):format(control, line)))
    local answer = json.decode(output:match '{.*}' or '{"error": "no answer"}')
    if answer.error then error(('faults: %s %s: %s'):format(verb, line, answer.error), 3) end
    return answer
  end

  --- Adds a rule and returns its id.
  function handle.add(rule)
    faulty[handle] = true
    local fields = {}
    for key, value in pairs(rule) do fields[key] = value end
    return ask('add', fields).id
  end
  function handle.clear() ask 'clear'; faulty[handle] = nil end
  function handle.remove(id) ask('remove', { id = id }) end
  --- The rules in force, each with its `id` and how often it did something, `hits`.
  function handle.list() return ask('list').rules end
  --- A new certificate for new connections; `close`: the old connections are reset. Returns its serial number.
  function handle.recert(close) return ask('recert', { close = close or nil }).serial end

  handle.port = json.decode(begun:match '{.*}').port
  handle.server = ('%s://127.0.0.1:%d'):format(target and 'http' or 'https', handle.port)
  return handle
end

--- For after_each: nothing of a failed test keeps running, and no fault stays.
function M.stop_all()
  for handle in pairs(faulty) do handle.clear() end
  for _, handle in ipairs(M.started or {}) do
    if not handle.ended then handle.stop() end
  end
  M.started = {}
end

--- A minimal actor as YAML; `fields` adds lines to spec, `template` replaces the pod template's containers.
function M.actor(name, namespace, fields, containers)
  return ([[
apiVersion: asya.sh/v1alpha1
kind: AsyncActor
metadata: {name: %s, namespace: %s}
spec:
  transport: rabbitmq
%s
  workload:
    template:
      spec:
        containers:
%s]]):format(name, namespace, fields or '', containers or [[
        - name: asya-runtime
          image: example/app:1.0
          env: [{name: ASYA_HANDLER, value: handlers.process}]
]])
end

--- The condition of an object, or nil.
function M.condition(object, kind)
  for _, c in ipairs(object and object.status and object.status.conditions or {}) do
    if c.type == kind then return c end
  end
end

--- How many requests of an operator the API server has seen since `mark` (from M.audit_mark): {"verb resource": n}.
-- Watches and lease renewals are left out: they are what an operator at rest may send. With `code`: those that were answered with it.
function M.requests(mark, code)
  local all = json.decode(M.sh('spec/bed/bed requests %s --agent asya-operator --since-byte %d -o json', BED, mark))
  local rest = {}
  for _, each in ipairs(all.requests) do
    local what = each.verb .. ' ' .. each.resource -- one row for each code
    local counts = each.verb ~= 'watch' and not each.resource:find '^leases' and (not code or each.code == code)
    if counts then rest[what] = (rest[what] or 0) + each.count end
  end
  return rest
end

function M.audit_mark()
  local file = assert(io.open(BED .. '/audit.log', 'r'))
  local size = file:seek 'end'
  file:close()
  return size
end

-- Each file of specs is a process of its own, and begins with nothing; on the real node the CRD comes with the chart.
if M.available and select(2, M.sh 'kubectl get crd asyncactors.asya.sh') then M.clear() end

return M
