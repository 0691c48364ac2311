--- node: what the specs of this folder use: helm, the images, real pods and their messages, on the bed that spec/run has started.
package.path = 'spec/cluster/?.lua;' .. package.path
local cluster = require 'cluster'
local json = require 'json'

local M = {}

M.available = cluster.available and os.getenv 'BED_NODE' ~= nil
M.SYSTEM = 'asya-system'
M.images = cluster.build .. '/images'

--- Waits for the images, which spec/run builds meanwhile, and gives them to the node, unless a spec before this one has.
function M.load_images()
  M.await_file 'images'
  local output, ok = cluster.sh('[ %s/loaded -nt %s/images ] || { spec/bed/bed load %s %s/operator.tar %s/actor.tar && touch %s/loaded; }',
    cluster.bed_dir, M.images, cluster.bed_dir, M.images, M.images, cluster.bed_dir)
  assert(ok, output)
end

--- All that is in the operator's image, as a folder.
function M.unpack_image()
  M.await_file 'first.json' -- which comes after the image
  local folder = cluster.temp 'image'
  local output, ok = cluster.sh('mkdir -p %s/root && tar -C %s -xf %s/operator.tar && find %s -name layer.tar -exec tar -C %s/root -xf {} ";"',
    folder, folder, M.images, folder, folder)
  assert(ok, output)
  return folder .. '/root'
end

function M.await_file(name)
  cluster.eventually(name .. ' is built', 900, function()
    local log = cluster.read(cluster.build .. '/log/images.log')
    if log:find('images: ended with', 1, true) then error('the images were not built:\n' .. log:sub(-2000)) end
    return select(2, cluster.sh('test -e %s/%s', M.images, name))
  end)
  return M.images .. '/' .. name
end

--- helm with its arguments as one line; fails the test when it fails.
function M.helm(arguments, ...)
  local output, ok = cluster.sh('helm ' .. arguments, ...)
  if not ok then error('helm ' .. arguments:format(...) .. '\n' .. output .. '\n' .. M.tell(), 2) end
  return output
end

--- What went on in the operator's namespace, or that of another operator, for messages of failed tests.
function M.tell(namespace, name)
  namespace = namespace or M.SYSTEM
  return cluster.sh('(kubectl get pods,events -n %s; kubectl logs -n %s -l app.kubernetes.io/name=%s --tail=30)', namespace, namespace,
    name or 'asya-operator')
end

--- Pods of a selector that are not on their way out.
function M.pods(namespace, selector)
  local found = {}
  for _, pod in ipairs(cluster.list('pods', namespace, selector and ('-l ' .. selector) or '')) do
    if not pod.metadata.deletionTimestamp then found[#found + 1] = pod end
  end
  return found
end

function M.operators()
  return M.pods(M.SYSTEM, 'app.kubernetes.io/name=asya-operator')
end

function M.ready(pod)
  return (cluster.condition(pod, 'Ready') or {}).status == 'True'
end

--- Which pods of a namespace there are and how often their containers started: equal means that nothing was restarted.
function M.lives(namespace)
  local lives = {}
  for _, pod in ipairs(M.pods(namespace)) do
    local starts = {}
    for _, container in ipairs(pod.status.containerStatuses or {}) do
      starts[container.name] = ('%s, restarted %d times'):format(container.containerID, container.restartCount)
    end
    lives[pod.metadata.uid] = starts
  end
  return lives
end

--- The process of a pod on this machine: its id, and a function that reads a file of its /proc.
function M.process(pod, name)
  local pid = cluster.sh('grep -lF %s /proc/[0-9]*/cgroup 2>/dev/null | cut -d/ -f3 | while read -r pid; do '
    .. '[ "$(cat /proc/$pid/comm)" = %s ] && echo $pid; done', pod.metadata.uid, name):match '%d+'
  assert(pid, 'no process ' .. name .. ' of pod ' .. pod.metadata.name)
  return pid, function(file) return cluster.read(('/proc/%s/%s'):format(pid, file)) end
end

--- The memory limit that the kernel enforces on a process.
function M.memory_limit(cgroups)
  local v1 = cgroups:match '%d+:memory:([^\n]+)'
  local path = v1 and ('/sys/fs/cgroup/memory%s/memory.limit_in_bytes'):format(v1)
    or ('/sys/fs/cgroup%s/memory.max'):format(cgroups:match '0::([^\n]+)')
  return tonumber(cluster.read(path):match '%d+')
end

--- One request to the broker in Python, with the classes of the test sidecar.
local function broker(code, ...)
  local env = ('ASYA_RABBITMQ_HOST=%s ASYA_RABBITMQ_USERNAME=%s ASYA_RABBITMQ_PASSWORD=%s ASYA_RABBITMQ_EXCHANGE=asya'):format(
    os.getenv 'BED_RABBITMQ_HOST', os.getenv 'BED_RABBITMQ_USER', os.getenv 'BED_RABBITMQ_PASSWORD')
  local script = ('import sys; sys.path.insert(0, "spec/cluster"); import sidecar; ' .. code):format(...)
  local output, ok = cluster.sh('spec/bed/bed enter %s env %s python3 -c %s', cluster.bed_dir, env, cluster.quote(script))
  assert(ok, output)
  return (output:gsub('%s+$', ''))
end

--- Sends a number to the actor; returns the number that comes out at happy-end.
function M.ask(actor, value)
  local text = json.encode { id = 'm1', payload = { value = value }, route = { actors = json.array { actor }, current = 0 } }
  broker('sidecar.RabbitMQ().send("%s", %q)', actor, text)
  local answer = cluster.eventually('the answer is in the queue of happy-end', 30, function()
    local got = broker 'print(sidecar.RabbitMQ().receive("happy-end")[0] or "")'
    return got:find '^{' and got, got
  end)
  return json.decode(answer).payload.value
end

--- An actor that runs Python; scaling is off, as there is no KEDA here.
function M.actor(name, namespace, replicas)
  return cluster.actor(name, namespace, '  sidecar: {image: asya-test-actor:1}', [[
        - name: asya-runtime
          image: asya-test-actor:1
          env: [{name: ASYA_HANDLER, value: handlers.double}]
]]):gsub('  workload:\n', ('  workload:\n    replicas: %d\n'):format(replicas or 1), 1)
end

function M.await_actor(name, namespace, status)
  cluster.eventually(('%s is %s'):format(name, status), 60, function()
    local actor = cluster.get('asyncactor', name, namespace)
    local now = actor and actor.status and actor.status.status
    return now == status, json.encode(actor and actor.status or {})
  end)
end

--- Who holds the lease.
function M.leader()
  local lease = cluster.get('lease', 'asya-operator.asya.sh', M.SYSTEM)
  return lease and lease.spec.holderIdentity or ''
end

return M
