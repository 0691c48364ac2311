--- crowd: thousands of objects of somebody else: what they cost an operator that decorates a few of them, or each; what becomes of rules
-- that select too many, and of an edit for more than a record can name.
local api = require 'api'
local cluster = require 'cluster'
local edits = require 'edits'
local json = require 'json'

local AT_ONCE <const> = 24 -- requests to make a crowd
local SHA <const> = ('0123456789abcdef'):rep(4)

local function send(requests)
  local good, other = 0
  for _, code in ipairs(api.send(requests, AT_ONCE)) do
    if code >= 200 and code < 300 then good = good + 1 else other = code end
  end
  assert(good == #requests, ('%d of %d requests for a crowd are well, others were answered %s'):format(good, #requests, tostring(other)))
end

local function bundle(manifest, policy) return cluster.folder('bundle', { ['manifest.lua'] = manifest, ['policy.lua'] = policy }) end

--- The release binary with a bundle, once it has begun. `own`: its namespace; nil: a new one.
local function start(folder, own)
  local op = edits.operator(own or cluster.namespace 'own', { binary = cluster.build .. '/asya-operator', args = '--bundle ' .. folder })
  cluster.eventually('it has begun', 60, function() return op.log():find('caches are filled', 1, true) end)
  return op
end

--- A namespace for a crowd.
local function place()
  local ns = cluster.namespace 'crowd'
  cluster.eventually('it has an account', 20, function() return cluster.get('serviceaccount', 'default', ns) end)
  return ns
end

--- Takes it away again, before others have to live with it.
local function disperse(ns, plural)
  api.send { { 'DELETE', api.path(plural, ns) } }
  cluster.kubectl('delete namespace %s', ns)
end

describe('a crowd of pods', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run histories'
    return
  end

  local ns
  before_each(function() ns = place() end)
  after_each(function()
    cluster.stop_all()
    disperse(ns, 'pods')
  end)

  local PODS <const>, FEW <const>, MOST <const> = 5000, 20, 10 * 1024

  local function container(name)
    return {
      name = name, image = ('registry.example.com/team/%s:1.42.0'):format(name), args = { '--listen=:8080', '--log=json' },
      env = { { name = 'MODE', value = 'production' }, { name = 'POD', valueFrom = { fieldRef = { fieldPath = 'metadata.name' } } } },
      ports = { { name = 'http', containerPort = 8080 } },
      resources = { limits = { cpu = '500m', memory = '256Mi' }, requests = { cpu = '100m', memory = '64Mi' } },
      readinessProbe = { httpGet = { path = '/ready', port = 8080 } },
    }
  end
  local function container_status(name)
    local image = 'registry.example.com/team/' .. name
    return {
      name = name, ready = true, started = true, restartCount = 0, state = { running = { startedAt = '2026-01-01T00:00:00Z' } },
      image = image .. ':1.42.0', imageID = ('%s@sha256:%s'):format(image, SHA), containerID = 'containerd://' .. SHA,
    }
  end
  --- As a Deployment's pods are; neither scheduler nor node have to do with it. `owner` is there for the garbage collector.
  local function pod(i, owner)
    return {
      apiVersion = 'v1', kind = 'Pod',
      metadata = {
        name = ('web-frontend-7c9d8f6b5-%05d'):format(i), namespace = ns, annotations = { ['prometheus.io/scrape'] = 'true' },
        labels = { app = 'web-frontend', ['pod-template-hash'] = '7c9d8f6b5', paint = i <= FEW and 'red' or nil },
        ownerReferences = { { apiVersion = 'v1', kind = 'ConfigMap', name = 'owner', uid = owner.metadata.uid, controller = true } },
      },
      spec = { schedulerName = 'nobody', containers = { container 'app', container 'proxy' } },
    }
  end
  local function status(ip)
    local conditions = {}
    for i, kind in ipairs { 'PodReadyToStartContainers', 'Initialized', 'Ready', 'ContainersReady', 'PodScheduled' } do
      conditions[i] = { type = kind, status = 'True', lastTransitionTime = '2026-01-01T00:00:00Z' }
    end
    return {
      phase = 'Running', conditions = conditions, podIP = ip, podIPs = { { ip = ip } }, startTime = '2026-01-01T00:00:00Z',
      containerStatuses = { container_status 'app', container_status 'proxy' },
    }
  end

  --- Puts an annotation with its name on pods with the label.
  local function painter(component, label)
    local manifest = ([[return require 'policy'.manifest { parent = 'v1 Pod', domain = 'p.example.com', component = '%s',
      decorate = { labels = { %s = true } }, patches = true }]]):format(component, label)
    return start(bundle(manifest, ([[return require 'policy'.define { name = 'paint',
      render = function(pod, _, plan) plan:patch { annotations = { %s = pod.metadata.labels.%s } } end }]]):format(component, label)))
  end
  local function await_painted(component, selector, count)
    cluster.eventually(('%s has painted %d'):format(component, count), 180, function()
      local painted = 0
      for _, each in ipairs(api.list('pods', ns, '?labelSelector=' .. selector)) do
        painted = painted + (each.metadata.annotations[component] and 1 or 0)
      end
      return painted == count, painted
    end)
  end

  it('of 5,000 pods, of which 20 are decorated, costs less than 10 MB', function()
    local op = painter('painter', 'paint')
    local before = cluster.resident_at_rest(op.pid)
    op.stop()
    cluster.kubectl('create configmap owner -n %s', ns)
    local owner, pods, statuses = cluster.get('configmap', 'owner', ns), {}, {}
    for i = 1, PODS do
      local one, ip = pod(i, owner), ('10.%d.%d.7'):format(i // 250, i % 250)
      pods[i] = { 'POST', api.path('pods', ns), one }
      statuses[i] = { 'PATCH', api.path('pods', ns, one.metadata.name) .. '/status', { status = status(ip) } }
    end
    send(pods)
    op = painter('painter', 'paint')
    await_painted('painter', 'paint', FEW)
    local listed = cluster.resident_at_rest(op.pid) - before
    send(statuses)
    local changed = cluster.resident_at_rest(op.pid) - before
    local size = #cluster.sh('kubectl get pod %s -n %s -o json --show-managed-fields | tr -d " \\n"', pods[PODS][3].metadata.name, ns)
    print(('crowd: %d pods of %d bytes, %d decorated: %d KiB beside %d; %d when each has changed; %d at most'):format(PODS, size, FEW,
      listed, before, changed, cluster.resident(op.pid, 'VmHWM') - before))
    assert.is_true(size > 3000, size .. ' bytes are no pod')
    assert.is_true(listed < MOST, listed .. ' KiB more')
    assert.is_true(changed < MOST, changed .. ' KiB more when each has changed')
    op.stop()

    local mark = cluster.audit_mark()
    op = painter('sprayer', 'app')
    local function carried_out() return cluster.requests(mark, 200)['patch pods'] or 0 end -- what a busy server refuses is sent again
    cluster.eventually('each is decorated', 180, function() return carried_out() >= PODS, json.encode(cluster.requests(mark)) end)
    await_painted('sprayer', 'app', PODS)
    assert.equal(PODS, carried_out(), op.log())
    local all = cluster.resident_at_rest(op.pid) - before
    print(('crowd: all %d decorated: %d KiB beside %d; %d at most'):format(PODS, all, before, cluster.resident(op.pid, 'VmHWM') - before))
    assert.is_true(all < 12 * 1024, all .. ' KiB more when all are decorated, whose text is kept')
    op.stop()
  end)
end)

describe('a crowd of maps', function()
  if not cluster.available then return end

  local MAPS <const>, CROWD <const>, SHOWN <const>, LARGE <const> = 18000, 10000, 300, 600

  local ns
  lazy_setup(function()
    ns = place()
    local maps = {}
    for i = 1, MAPS do
      local labels = { many = 'yes', crowd = i <= CROWD and 'yes' or 'no', part = i <= SHOWN and 'few' or 'rest' }
      maps[i] = { 'POST', api.path('configmaps', ns), { metadata = { name = 'map-' .. i, labels = labels }, data = { n = tostring(i) } } }
    end
    for i = 1, LARGE do
      maps[MAPS + i] = { 'POST', api.path('configmaps', ns), {
        metadata = { name = 'large-' .. i, labels = { size = 'large' } }, data = { text = ('%040d'):format(i):rep(1024) },
      } }
    end
    send(maps)
  end)
  after_each(cluster.stop_all)
  lazy_teardown(function() disperse(ns, 'configmaps') end)

  local MANY <const> = [[return require 'policy'.manifest { parent = 'v1 ConfigMap', domain = 'm.example.com', component = 'many',
    decorate = { labels = { many = true } }, patches = true }]]
  local FIRST <const> = "return require 'policy'.define { name = 'mark', render = function() end }"
  local SECOND <const> = [[return require 'policy'.define { name = 'mark', render = function(map, _, plan)
    if map.metadata.labels.part == 'few' then plan:patch { annotations = { mark = 'second' } } end
  end }]]

  it('of 18,000, more than a record can name, gets an edit, though the operator is killed on the way', function()
    local folder, own = bundle(MANY, FIRST), cluster.namespace 'own'
    local op = start(folder, own)
    local function record()
      local map = cluster.get('configmap', 'many-policies-live', own)
      return map and map.data.record or ''
    end
    local function live()
      local text = record()
      return text ~= '' and json.decode(text).main.live.bundle
    end
    local first = cluster.eventually('it is live', 60, live)
    cluster.resident_at_rest(op.pid)
    local mark, longest = cluster.audit_mark(), 0
    local function noted()
      local text = record()
      longest = math.max(longest, #text)
      return text
    end
    cluster.sh('mv %s %s/policy.lua', cluster.write(cluster.temp 'policy.lua', SECOND), folder)
    cluster.eventually('more have the edit than it names', 300, function()
      return noted():find('"others"', 1, true), op.log():sub(-400)
    end)
    op.kill()
    local has = json.decode(record()).has
    local left = #has[first]
    assert.is_true(left > 0 and left < MAPS - 16000, left .. ' are named')
    op = start(folder, own)
    cluster.eventually('the edit is live', 300, function()
      return json.decode(noted()).main.live.bundle ~= first, op.log():sub(-400)
    end)
    assert.is_nil(json.decode(record()).has) -- each has what is live
    for _, map in ipairs(api.list('configmaps', ns, '?labelSelector=part%3Dfew')) do
      assert.equal('second', (map.metadata.annotations or {}).mark, map.metadata.name)
    end
    assert.is_true(longest < 1024 * 1024, longest .. ' bytes')
    local resting, writes = cluster.resident_at_rest(op.pid), cluster.requests(mark)['patch configmaps'] - SHOWN
    print(('crowd: an edit for %d, of whom %d were left at the kill: %d writes of a record of %d bytes at most; %d KiB, %d at most'):format(
      MAPS, left, writes, longest, resting, cluster.resident(op.pid, 'VmHWM')))
    op.stop()
  end)

  local ASKS <const> = [[return require 'policy'.manifest { parent = 'v1 ServiceAccount', domain = 'a.example.com', component = 'asker',
    decorate = { annotations = { ask = true } }, patches = true, related = { { apiVersion = 'v1', kind = 'ConfigMap', rules = true } } }]]
  local COUNTS <const> = [[return require 'policy'.define { name = 'count',
    relate = function(it)
      local key, value = it.metadata.annotations.ask:match '^(%w+)=(%w+)$'
      return { { kind = 'ConfigMap', labels = { [key] = value } } }
    end,
    render = function(_, ctx, plan) plan:patch { annotations = { seen = tostring(#ctx.related) } } end,
  }]]

  it('of 10,000 objects that one rule selects is refused to who asks for it, with the number; others are shown theirs', function()
    for name, ask in pairs { all = 'crowd=yes', few = 'part=few', large = 'size=large' } do
      cluster.kubectl('create serviceaccount %s -n %s', name, ns)
      cluster.kubectl('annotate serviceaccount %s -n %s ask=%s', name, ns, ask)
    end
    local op = start(bundle(ASKS, COUNTS))
    local function seen(name) return cluster.get('serviceaccount', name, ns).metadata.annotations.seen end
    local function await_seen(name, count)
      cluster.eventually(('%s is shown %d'):format(name, count), 30, function() return seen(name) == tostring(count), seen(name) end)
    end
    await_seen('few', SHOWN)
    assert.matches('the rules select 10000 objects, and policies are shown at most 1000', cluster.event(ns, 'all', 'PolicyError', 20))
    assert.matches('heap of 16777216 bytes used up by the objects that policies are shown', cluster.event(ns, 'large', 'PolicyError', 20))
    cluster.kubectl('delete configmap map-1 -n %s', ns)
    await_seen('few', SHOWN - 1)
    print(('crowd: %d maps, and %d of 40 KiB: %d KiB, %d at most'):format(MAPS, LARGE, cluster.resident_at_rest(op.pid), cluster.resident(op.pid, 'VmHWM')))
    assert.same({ nil, nil }, { seen 'all', seen 'large' })
    local _, told = op.log():gsub('the rules select', '')
    assert.equal(1, told)
    local mark = cluster.audit_mark()
    cluster.sleep(3)
    assert.same({}, cluster.requests(mark))

    cluster.eventually('the rest is gone', 120, function()
      api.send { { 'DELETE', api.path('configmaps', ns) .. '?labelSelector=part%3Drest' } }
      return #api.list('configmaps', ns, '?labelSelector=part%3Drest&limit=1') == 0
    end)
    await_seen('all', SHOWN - 1)
    op.stop()
  end)
end)
