--- chaos: does what a plan says to two replicas, their API server and their brokers, then judges what has become of it.
local api = require 'api'
local audit = require 'audit'
local brokers = require 'brokers'
local children = require 'children'
local cluster = require 'cluster'
local edits = require 'edits'
local herd = require 'herd'
local history = require 'history'
local plan = require 'chaos_plan'
local replicas = require 'replicas'
local json = require 'json'

local sh = cluster.sh

local SETTLE_SECONDS = 60
local AROUND = 200 -- lines that are shown of what led to the first thing that is wrong

local Chaos = {}
Chaos.__index = Chaos

-- ---- what happened, for people ----

local booted
--- Seconds since 1970, of which those after the point are counted by the kernel.
local function now()
  local up = tonumber(cluster.read('/proc/uptime'):match '^[%d.]+')
  booted = booted or tonumber((sh 'date +%%s.%%N')) - up
  return booted + up
end

function Chaos:say(text) self.told[#self.told + 1] = { at = now(), text = '* ' .. text } end

function Chaos:blame(at, name, text) self.wrong[#self.wrong + 1] = { at = at, name = name, text = text } end

--- The lines around a moment, or those that concern a name; whatever was done to replicas, servers and policies concerns all.
local function story(self, wrong)
  local lines, ours = {}, audit.ours(self.mark)
  for _, each in ipairs(self.told) do lines[#lines + 1] = each end
  for _, each in ipairs(ours) do lines[#lines + 1] = { at = each.at, text = audit.shown(each) } end
  table.sort(lines, function(a, b) return a.at < b.at end)
  local kept = {}
  for _, line in ipairs(lines) do
    local about = not wrong.name or line.text:find(wrong.name .. '%f[^%w-]') or line.text:find '^%* ' and not line.text:find 'actor='
    if about and not (wrong.at and line.at > wrong.at + 5) then kept[#kept + 1] = ('%.3f %s'):format(line.at, line.text) end
  end
  return table.concat(kept, '\n', math.max(1, #kept - AROUND + 1))
end

-- ---- actions ----

local DO = {}

function Chaos:name(number) return ('%s-%d'):format(self.prefix, number) end

--- An actor as herd wants it, with the edits that it has got by now.
function Chaos:one(number)
  local actor, state = self.plan.actors[number], self.state[number]
  return { name = self:name(number), transport = actor.transport, retain = actor.retain, labels = actor.canary and { team = 'canary' } or nil,
    max = state.max, mark = state.mark }
end

function DO.scale(self, action)
  self.state[action.actor].max = action.max
  self:later(herd.scale(self.ns, self:name(action.actor), action.max))
end

function DO.stamp(self, action)
  local state = self.state[action.actor]
  state.max, state.mark = math.max(state.max, action.mark), action.mark
  self:later(herd.stamp(self.ns, self:name(action.actor), action.mark))
  self:later(herd.scale(self.ns, self:name(action.actor), state.max))
end

function DO.create(self, action)
  local state = self.state[action.actor]
  state.alive, state.max, state.mark = true, action.max, action.mark
  self.coming[action.actor] = true
end

function DO.delete(self, action)
  self.state[action.actor].alive, self.coming[action.actor] = false, nil
  if not self.plan.actors[action.actor].retain then self.messages[action.actor] = nil end
  self:later(herd.delete(self.ns, self:name(action.actor)))
end

function DO.meddle(self, action)
  local name = self:name(action.actor)
  local kind = action.how:match 'delete (%a+)'
  if kind then
    self:later { 'DELETE', api.path(kind .. 's', self.ns, name) }
  elseif action.how == 'bound' then
    self:later { 'PATCH', api.path('scaledobjects', self.ns, name), { spec = { maxReplicaCount = 9999 } } }
  else
    self:later(herd.meddle(self.ns, name))
  end
end

--- Messages count from when the broker has taken them.
function DO.publish(self, action)
  local number, taken = action.actor, 0
  if self.coming[number] then return end
  for _ = 1, action.count do
    local ok
    if self.plan.actors[number].transport == 'rabbitmq' then
      ok = pcall(brokers.publish, self:name(number), 1)
    else
      local url = brokers.sqs_url(self:name(number))
      ok = url and brokers.sqs('SendMessage', { QueueUrl = url, MessageBody = 'work' }).MessageId
    end
    taken = taken + (ok and 1 or 0)
  end
  self.messages[number] = (self.messages[number] or 0) + taken
  self:say(('%d of %d messages are in the queue of actor=%d'):format(taken, action.count, number))
end

function DO.fault(self, action) self.rules[action.target] = self.faults[action.target].add(action.rule) end
function DO.heal(self, action)
  local hits = 0
  for _, rule in ipairs(self.faults[action.target].list()) do hits = hits + rule.hits end
  self.faults[action.target].clear()
  self:say(('the fault of target=%s met %d'):format(action.target, hits))
end
function DO.recert(self) self.faults.api.recert(true) end

function DO.kill(self, action) self.pair[action.replica].kill() self.down[action.replica] = true end
function DO.stop(self, action) self.pair[action.replica].signal 'TERM' self.down[action.replica] = true end
function DO.start(self, action) self.down[action.replica] = nil end
function DO.pause(self, action) self.pair[action.replica].pause() end
function DO.resume(self, action) self.pair[action.replica].resume() end

function DO.policy(self, action)
  local canary = action.track == 'canary'
  local text = action.good and edits.stamp(action.value, action.pods) or 'return (('
  if action.good then self.stamps[action.track] = action end
  pcall(edits.put, self.own, action.track, { ['stamp.lua'] = text }, canary and 'asya.sh/policies-canary' or nil,
    canary and 'asya.sh/policies-canary-selector: team=canary' or nil)
end

function DO.settings(self, action)
  if action.good then self.gateway = action.value end
  cluster.write(self.config, action.good and ('gatewayURL: %s\n'):format(action.value) or 'gatewayURLL: nonsense\n')
end

local function bed(words) return sh('spec/bed/bed %s', (words:gsub('DIR', cluster.bed_dir))) end

DO['kill broker'] = function() bed 'kill DIR rabbitmq' end
DO['start broker'] = function() bed 'start DIR rabbitmq' end
DO['remove keda'] = function() sh 'kubectl get crd -o name | grep keda.sh | xargs kubectl delete --wait=false' end
DO['restore keda'] = function(self)
  cluster.eventually('the CRDs are gone', 30, function() return not sh('kubectl get crd -o name'):find('keda.sh', 1, true) end)
  sh('kubectl create -f %s', self.crds)
end
function DO.snapshot(self)
  bed 'pause DIR etcd'
  sh('rm -rf %s; cp -a %s/data/etcd %s', self.snapshot, cluster.bed_dir, self.snapshot)
  bed 'resume DIR etcd'
end
--- etcd as it was at the snapshot. Whoever keeps a cache of the cluster is started anew, as one does it; the operator has to help itself.
function DO.rewind(self)
  local upto = assert(api.get(api.path('asyncactors', self.ns) .. '?limit=1')).metadata.resourceVersion
  cluster.sleep(5) -- and each watch has told of it
  self:judge_history(tonumber(upto))
  for _, name in ipairs { 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kwok', 'etcd' } do bed('kill DIR ' .. name) end
  sh('rm -rf %s/data/etcd && cp -a %s %s/data/etcd', cluster.bed_dir, self.snapshot, cluster.bed_dir)
  for _, name in ipairs { 'etcd', 'kube-apiserver', 'kube-controller-manager', 'kube-scheduler', 'kwok' } do bed('start DIR ' .. name) end
  self.rewound = true
  self:put_right()
end

--- After the cluster has forgotten edits their authors make them again.
function Chaos:put_right()
  for number in ipairs(self.plan.actors) do
    local one = self.state[number].alive and self:one(number)
    if one then
      self.coming[number] = true
      self:later(herd.scale(self.ns, one.name, one.max))
      self:later(herd.stamp(self.ns, one.name, one.mark))
    else
      self:later(herd.delete(self.ns, self:name(number)))
    end
  end
end

-- ---- the run ----

--- A request that goes out with the others of this second.
function Chaos:later(request) self.requests[#self.requests + 1] = request end

--- Is it there, and not about to go?
function Chaos:lives(number)
  local actor = api.get(api.path('asyncactors', self.ns, self:name(number)))
  return actor and not actor.metadata.deletionTimestamp
end

--- What is due goes out; actors that could not be made yet, because their namesake was still going, are tried again.
function Chaos:flush()
  local numbers = {}
  for number in pairs(self.coming) do numbers[#numbers + 1] = number end
  table.sort(numbers)
  local requests = self.requests
  local first = #requests
  self.requests = {}
  for i, number in ipairs(numbers) do requests[first + i] = herd.create(self.ns, self:one(number)) end
  local codes = api.send(requests)
  for i, number in ipairs(numbers) do
    self.refusal[number] = codes[first + i]
    if codes[first + i] == 201 then
      self.coming[number] = nil
      self:say(('made actor=%d'):format(number))
    elseif codes[first + i] == 409 and self.rewound and self:lives(number) then
      self.coming[number] = nil -- it was there when etcd was set back
    end
  end
end

--- A replica that has ended by itself, as one does that has lost its lease, is started again.
function Chaos:tend()
  for _, replica in ipairs(self.pair) do
    if not self.down[replica.name] and not replica.alive() then
      self:say('starts replica=' .. replica.name)
      replica.start()
    end
  end
end

function Chaos:play()
  local began = now()
  for _, action in ipairs(self.plan.actions) do
    while now() - began < action.at do
      self:flush()
      self:tend()
      cluster.sleep(0.3)
    end
    self:say(plan.shown(action))
    DO[action.what](self, action)
  end
  self:flush()
end

function Chaos:end_faults()
  for _, each in pairs(self.faults) do each.clear() end
  self.down = {}
  for _, replica in ipairs(self.pair) do replica.resume() end
  self:say 'no fault any more'
  local number
  local ok = pcall(cluster.eventually, 'everybody has come', SETTLE_SECONDS, function()
    self:tend()
    self:flush()
    number = next(self.coming)
    return not number
  end)
  if not ok then self:blame(nil, self:name(number), self:why_not(number)) end
end

--- Why an actor has not come: what its creation was answered, what stands in its way, and what the operators last said of it.
function Chaos:why_not(number)
  local name = self:name(number)
  local meta = (api.get(api.path('asyncactors', self.ns, name)) or {}).metadata
  local lines = { ('%s has not come: %s; there is %s'):format(name, self.refusal[number], meta and json.encode(meta) or 'nobody of this name') }
  for _, replica in ipairs(self.pair) do
    for _, each in ipairs(replica.logs) do
      for line in each.log():gmatch '[^\n]+' do
        if line:find(name .. '%f[^%w-]') then lines[#lines + 1] = replica.name .. ' ' .. line end
      end
    end
  end
  return table.concat(lines, '\n', 1, 1) .. '\n' .. table.concat(lines, '\n', math.max(2, #lines - 30))
end

function Chaos:wanted()
  local wanted = {}
  for number, state in ipairs(self.state) do
    if state.alive then wanted[self:name(number)] = self:one(number) end
  end
  return wanted
end

-- ---- judging ----

local JUDGE = {}

function JUDGE.settled(self)
  local wanted, what = self:wanted(), nil
  local ok = pcall(cluster.eventually, 'all is well', SETTLE_SECONDS, function()
    self:tend()
    what = herd.unsettled(self.ns, wanted)
    return not what
  end)
  if not ok then self:blame(nil, what:match '^%S+', what) end
end

--- An actor whose status names another bundle than that of the others of its track, as a text; nil for nobody.
function Chaos:apart()
  local digests = {}
  for _, actor in ipairs(api.list('asyncactors', self.ns)) do
    local name, digest = actor.metadata.name, (actor.status or {}).bundleDigest
    local track = self.plan.actors[tonumber(name:match '%d+$')].canary and 'canary' or 'stable'
    digests[track] = digests[track] or digest
    if not digest or digest ~= digests[track] then return ('%s has bundle %s, others have %s'):format(name, tostring(digest), digests[track]) end
  end
end

--- Everybody has the newest good bundle of his track.
function JUDGE.bundles(self)
  local late
  local ok = pcall(cluster.eventually, 'bundles', SETTLE_SECONDS, function()
    late = nil
    for _, object in ipairs(api.list('deployments', self.ns)) do
      local number = tonumber(object.metadata.name:match '%d+$')
      local wanted = self.stamps[self.plan.actors[number].canary and 'canary' or 'stable']
      local has = ((wanted.pods and object.spec.template or object).metadata.annotations or {}).stamp
      if has ~= wanted.value then late = ('%s has stamp %s, not %s'):format(object.metadata.name, tostring(has), wanted.value) end
    end
    late = late or self:apart()
    return not late
  end)
  if not ok then self:blame(nil, late:match '^%S+', 'bundle: ' .. late) end
end

function JUDGE.lease(self)
  local ours = audit.ours(self.mark)
  if not self.pair.holder(ours) then self:blame(nil, nil, 'the audit log tells of no leader') end
  for _, each in ipairs(audit.without_lease(ours)) do self:blame(each.at, nil, each.text) end
end

--- Has each status said what was true when it was written, and have policies and settings never restarted more at a time than they may,
-- whoever led? `upto`: as `check` of a record takes it.
function Chaos:judge_history(upto)
  if self.rewound then return end -- was judged until then: versions are no order of events any more
  for _, each in ipairs(self.record.check(upto)) do self:blame(nil, each.name, each.text) end
  local most, names = self.record.restarting()
  self.most = most
  if most > self.bound then self:blame(nil, nil, ('%d restart at one time, not %d: %s'):format(most, self.bound, table.concat(names, ' '))) end
end

function JUDGE.history(self) self:judge_history() end

--- Was its queue made by an operator that died before it wrote that down? It counts as somebody else's then, as
-- chart/docs/configuration.md says; nobody else makes queues here.
function Chaos:is_left_by_the_dead(name)
  local died
  for _, replica in ipairs(self.pair) do died = died or #replica.logs > 1 end
  return died and self.record.disowned(name, 'asya-' .. name)
end

--- What each queue must hold, and that there are no others.
function Chaos:judge_queues()
  local there, had = brokers.queues(), {}
  for number, actor in ipairs(self.plan.actors) do
    local name, alive, want = self:name(number), self.state[number].alive, self.messages[number] or 0
    local found, exists, letters -- `letters`: its dead letter queue
    if actor.transport == 'rabbitmq' then
      exists, letters = there['asya-' .. name], there['asya-' .. name .. '-dlq']
      found = exists and exists.messages or 0
      had['asya-' .. name], had['asya-' .. name .. '-dlq'] = true, true
    else
      exists = brokers.sqs_url(name)
      letters = exists and brokers.sqs_url 'dlq' -- one for all
      found = exists and tonumber(brokers.sqs_attributes(name).ApproximateNumberOfMessages) or 0
    end
    if (alive or actor.retain) and found < want then self:blame(nil, name, ('%s: %d messages of %d are in its queue'):format(name, found, want)) end
    if alive and not (exists and letters) then self:blame(nil, name, name .. ': lives without its queues') end
    if (exists or letters) and not alive and not actor.retain and not self.rewound then
      if self:is_left_by_the_dead(name) then
        self.left = self.left + 1
      else
        self:blame(nil, name, name .. ': is gone and its queues are not')
      end
    end
  end
  for name in pairs(there) do
    if name:find('asya-' .. self.prefix, 1, true) == 1 and not had[name] then self:blame(nil, name, 'queue ' .. name .. ' is nobody\'s') end
  end
end

function JUDGE.queues(self) self:judge_queues() end

function JUDGE.replicas(self)
  for _, replica in ipairs(self.pair) do
    local text = replica.broken()
    if text then self:blame(nil, nil, ('replica %s: %s'):format(replica.name, text)) end
  end
end

--- A fresh operator with the same settings and policies makes the same of the same actors.
function JUDGE.fresh(self)
  for _, replica in ipairs(self.pair) do replica.stop() end
  local fresh, requests, count = cluster.namespace 'fresh', {}, 0
  for number, state in ipairs(self.state) do
    if state.alive then
      requests[#requests + 1] = herd.create(fresh, self:one(number))
      count = count + 1
    end
  end
  api.send(requests)
  local op = cluster.operator { transports = self.transports, binary = cluster.build .. '/asya-operator',
    args = ('--namespace %s --watch-namespaces %s --config %s'):format(self.own, fresh, self.config) }
  local what
  local ok = pcall(cluster.eventually, 'a fresh operator is done', SETTLE_SECONDS + 30, function()
    what = herd.difference(self.ns, children.of(fresh))
    return not what
  end)
  if not ok then self:blame(nil, what:match '^[%w-]+', what) end
  cluster.kubectl('delete asyncactors --all -n %s --timeout=120s', fresh)
  op.stop()
end

local ORDER = { 'settled', 'bundles', 'lease', 'history', 'queues', 'replicas', 'fresh' }

--- For after_each: nothing of a run that failed stands still or goes on recording.
function Chaos.leave()
  local self = Chaos.running
  if not self then return end
  if self.record then self.record.stop() end
  for _, replica in ipairs(self.pair or {}) do replica.resume() end
  Chaos.running = nil
end

--- Runs the plan of a seed. Returns what is wrong as a text that begins with the first of it, or nil; and what was done, as a line.
-- `options`: actors, keda, rewind, binary (of the replicas).
function Chaos.run(seed, seconds, options)
  local self = setmetatable({ plan = plan.make(seed, seconds, options), told = {}, wrong = {}, requests = {}, coming = {}, refusal = {}, left = 0,
    messages = {}, state = {}, down = {}, rules = {}, stamps = {}, prefix = brokers.fresh 'c', bound = math.max(5, options.actors // 10) }, Chaos)
  Chaos.running = self
  self.own, self.ns = cluster.namespace 'lease', brokers.namespace()
  self.faults = { api = cluster.faults(), rabbitmq = cluster.faults 'rabbitmq', sqs = cluster.faults 'sqs' }
  for _, proxy in pairs(self.faults) do proxy.clear() end
  self.config = cluster.write(cluster.temp 'config.yaml', 'gatewayURL: http://gateway-0\n')
  self.snapshot, self.crds = cluster.temp 'etcd', cluster.temp 'crds.json'
  self:save_crds()
  local function change(amqp, aws) amqp.port, aws.endpoint = self.faults.rabbitmq.port, self.faults.sqs.server end
  self.transports = brokers.transports(change)
  self.mark = cluster.audit_mark()
  self.record = history.record(self.ns, options.keda and { 'deployments' } or nil) -- no watch outlives its CRD
  self.pair = replicas.pair(self.own, { server = self.faults.api.server, change = change, binary = options.binary,
    args = ('--watch-namespaces %s --config %s'):format(self.ns, self.config),
    env = ("ASYA_POLICY_ROLLOUT='{\"maxRestarting\": %d, \"maxFailed\": 1, \"readySeconds\": 300}'"):format(self.bound) })
  for number, actor in ipairs(self.plan.actors) do
    self.state[number] = { alive = actor.first, max = 1, mark = 1 }
    self.coming[number] = actor.first or nil
  end
  self:flush()
  self:tend()
  cluster.eventually('all run', 120, function()
    local what = herd.unsettled(self.ns, self:wanted())
    return not what, what
  end)
  self:play()
  self:end_faults()
  for _, each in ipairs(ORDER) do JUDGE[each](self) end
  local line = ('chaos: seed %d, %d s, %d actions, %d requests of ours, at most %s of %d restarting in %d events, '
    .. '%d queues left by who was killed'):format(
    seed, seconds, #self.plan.actions, #audit.ours(self.mark), self.most, self.bound, #self.record.events, self.left)
  if #self.wrong == 0 then return nil, line end
  line = line .. '; logs of the replicas: ' .. self:keep_logs(seed)
  local texts = {}
  for i, each in ipairs(self.wrong) do texts[i] = each.text end
  return ('%s\n%s\n\nbefore the first:\n%s'):format(line, table.concat(texts, '\n', 1, math.min(#texts, 20)), story(self, self.wrong[1])), line
end

--- The logs of a run that failed outlive its bed. Returns where they are.
function Chaos:keep_logs(seed)
  local texts, path = {}, ('%s/log/chaos-%d.log'):format(cluster.build, seed)
  for _, replica in ipairs(self.pair) do
    for number, each in ipairs(replica.logs) do
      texts[#texts + 1] = ('==== replica %s, start %d\n%s'):format(replica.name, number, each.log())
    end
  end
  return cluster.write(path, table.concat(texts, '\n'))
end

--- KEDA's CRDs as they can be made again.
function Chaos:save_crds()
  local items = {}
  for _, crd in ipairs(cluster.list 'crd') do
    if crd.metadata.name:find '%.keda%.sh$' then
      items[#items + 1] = { apiVersion = crd.apiVersion, kind = crd.kind, spec = crd.spec,
        metadata = { name = crd.metadata.name, annotations = crd.metadata.annotations } }
    end
  end
  assert(#items > 0, 'no CRDs of KEDA here')
  cluster.write(self.crds, json.encode { apiVersion = 'v1', kind = 'List', items = json.array(items) })
end

return Chaos
