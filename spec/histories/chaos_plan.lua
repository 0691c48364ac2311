--- chaos_plan: what chaos does, second by second. It depends on the seed only: a seed that failed does the same again, however fast the machine is.
local M = {}

local US = 'asya-operator'
local WRITES, WATCH = 'POST|PUT|PATCH|DELETE', 'watch=1'
local OBJECTS = '/(asyncactors|deployments|scaledobjects|triggerauthentications|serviceaccounts|configmaps)'

-- Faults by the proxy they are for; `share` and `seed` are added.
local FAULTS = {
  api = {
    { act = 'status', status = 429, retry_after = 1, method = WRITES, path = OBJECTS }, { act = 'status', status = 500, method = WRITES, path = OBJECTS },
    { act = 'status', status = 503, path = OBJECTS }, { act = 'status', status = 409, method = 'PUT|PATCH', path = OBJECTS },
    { act = 'status', status = 403, method = WRITES, path = '/(deployments|scaledobjects)' },
    { act = 'status', status = 404, body = '<html>gone</html>', method = WRITES, path = OBJECTS },
    { act = 'delay', ms = 1500, method = WRITES }, { act = 'delay', ms = 1500, method = WRITES, after = true }, { act = 'drip', ms = 1, method = WRITES },
    { act = 'drop', method = WRITES, path = OBJECTS }, { act = 'replace', status = 500, method = WRITES, path = OBJECTS },
    { act = 'reset' }, { act = 'cut', bytes = 200, method = WRITES }, { act = 'cut', bytes = 200, clean = true, method = WRITES, path = OBJECTS },
    { act = 'cut', bytes = 700, path = WATCH }, { act = 'event', code = 410, path = WATCH, times = 20 },
    { act = 'event', code = 500, path = WATCH, times = 20 }, { act = 'hold', ms = 3000, path = WATCH }, { act = 'duplicate', path = WATCH },
    { act = 'goaway' }, { act = 'refuse' },
  },
  rabbitmq = {
    { act = 'cut', bytes = 9, method = 'queue[.].*' }, { act = 'status', status = 504, method = 'queue[.].*' },
    { act = 'drop', method = 'queue[.].*-ok' }, { act = 'drop', method = 'exchange[.].*' }, { act = 'delay', ms = 200 }, { act = 'refuse' },
  },
  sqs = {
    { act = 'status', status = 400, body = '{"__type":"com.amazonaws.sqs#RequestThrottled","message":"slow down"}' },
    { act = 'status', status = 403, body = '{"__type":"AccessDeniedException","message":"no"}' }, { act = 'status', status = 500 },
    { act = 'drop' }, { act = 'delay', ms = 1000 }, { act = 'refuse' },
  },
}
local TARGETS = { 'api', 'api', 'api', 'rabbitmq', 'sqs' }
local WHOLE = { refuse = true } -- what has no share

--- Dice of a seed, apart from those of anything else that draws numbers in this process.
local function dice(seed)
  local state = seed & 0xffffffff
  local function next_number() -- splitmix, of which 31 bits are kept
    state = (state + 0x9e3779b97f4a7c15) & -1
    local z = state
    z = (z ~ (z >> 30)) * 0xbf58476d1ce4e5b9
    z = (z ~ (z >> 27)) * 0x94d049bb133111eb
    return (z ~ (z >> 31)) >> 33
  end
  local roll = {}
  --- One of 1 to n.
  function roll.of(n) return next_number() % n + 1 end
  function roll.between(low, high) return low + next_number() % (high - low + 1) end
  function roll.chance(percent) return next_number() % 100 < percent end
  function roll.pick(list) return list[roll.of(#list)] end
  return roll
end

local function copy(rule)
  local out = {}
  for key, value in pairs(rule) do out[key] = value end
  return out
end

local Maker = {}
Maker.__index = Maker

function Maker:add(at, what, fields)
  fields = fields or {}
  fields.at, fields.what, fields.order = at, what, #self.actions
  self.actions[#self.actions + 1] = fields
end

--- A living actor that nothing else happens to for a while, or nil.
function Maker:someone(at)
  for _ = 1, 10 do
    local one = self.roll.pick(self.actors)
    if one.alive and one.busy <= at then return one end
  end
end

function Maker:edit(at)
  local one = self:someone(at)
  if not one then return end
  self.edits = self.edits + 1
  one.max = self.edits
  if self.roll.chance(20) then
    one.mark = self.edits
    self:add(at, 'stamp', { actor = one.number, mark = one.mark })
  else
    self:add(at, 'scale', { actor = one.number, max = one.max })
  end
end

--- An actor goes; some of those come back under their name at once, the others when it pleases the dice.
function Maker:go(at)
  local one = self:someone(at)
  if not one then return end
  self:add(at, 'delete', { actor = one.number })
  one.alive = false
  if self.roll.chance(60) then self:come(at, one) end
end

function Maker:come(at, one)
  if not one then
    one = self.roll.pick(self.actors)
    if one.alive or one.busy > at then return end
  end
  self.edits = self.edits + 1
  one.alive, one.max, one.mark, one.busy = true, self.edits, self.edits, at + 2
  self:add(at, 'create', { actor = one.number, max = one.max, mark = one.mark })
end

--- Somebody else's hand in our objects.
function Maker:meddle(at)
  local one = self:someone(at)
  if one then self:add(at, 'meddle', { actor = one.number, how = self.roll.pick { 'delete deployment', 'delete scaledobject', 'bound', 'image' } }) end
end

function Maker:publish(at)
  local one = self:someone(at)
  if one and at >= self.broker_until then self:add(at, 'publish', { actor = one.number, count = self.roll.between(1, 3) }) end
end

function Maker:fault(at)
  local target = self.roll.pick(TARGETS)
  local rule, lasts = copy(self.roll.pick(FAULTS[target])), self.roll.between(2, 8)
  if self.faulty[target] > at then return end -- one at a time and target: what it did can be told
  if target == 'api' then rule.agent = US end
  if not WHOLE[rule.act] then rule.share, rule.seed = self.roll.between(2, 8) / 10, self.roll.of(1000000) end
  self.faulty[target] = at + lasts + 1
  self:add(at, 'fault', { target = target, rule = rule })
  self:add(at + lasts, 'heal', { target = target })
end

--- What happens to one replica; the other is left alone meanwhile.
function Maker:replica(at)
  if self.replica_until > at then return end
  local name, how, lasts = self.roll.pick { 'a', 'b' }, self.roll.pick { 'kill', 'stop', 'pause', 'pause' }, self.roll.between(2, 6)
  if how == 'pause' then lasts = self.roll.pick { 3, 8, 18 } end
  self:add(at, how, { replica = name })
  self:add(at + lasts, how == 'pause' and 'resume' or 'start', { replica = name })
  self.replica_until = at + lasts + 4
end

--- A ConfigMap of policies, good or broken, on either track.
function Maker:policy(at, track, good)
  self.edits = self.edits + 1
  self:add(at, 'policy', { track = track or self.roll.pick { 'stable', 'canary' }, value = 'v' .. self.edits,
    good = good or self.roll.chance(60), pods = self.roll.chance(30) })
end

--- Settings that cannot be used are put right soon: meanwhile what was live goes on, also in an operator that starts.
function Maker:settings(at)
  local good = self.roll.chance(70)
  for _, each in ipairs(good and { { at, true } } or { { at, false }, { at + 3, true } }) do
    self.edits = self.edits + 1
    self:add(each[1], 'settings', { value = 'http://gateway-' .. self.edits, good = each[2] })
  end
end

function Maker:broker(at)
  if self.broker_until > at then return end
  local lasts = self.roll.between(4, 8)
  self:add(at + 3, 'kill broker') -- what was published before has come to rest
  self:add(at + 3 + lasts, 'start broker')
  self.broker_until = at + lasts + 20
end

-- Per second, in percent: how often each of these happens; and once in a run what is rare.
local OFTEN = { { 'go', 30 }, { 'come', 20 }, { 'meddle', 15 }, { 'publish', 15 }, { 'fault', 20 }, { 'replica', 6 }, { 'policy', 4 }, { 'settings', 1 } }

local function once(maker, seconds, options)
  local middle = seconds // 2
  maker:broker(middle)
  maker:add(middle // 2, 'recert')
  if options.keda then
    maker:add(middle + middle // 2, 'remove keda')
    maker:add(middle + middle // 2 + 6, 'restore keda')
  end
  if options.rewind then
    maker:add(middle - 10, 'snapshot')
    maker:add(middle + middle // 3, 'rewind')
  end
end

--- The plan of a seed: {actors, actions}. `options`: actors (how many), keda (its CRDs go and come back), rewind (etcd is set back).
-- Each action has `at`, in seconds from the start, and `what`; they are in the order in which they are to be done. `actors` are as they
-- should be in the end; what one was to begin with, `first` says.
function M.make(seed, seconds, options)
  local maker = setmetatable({ actions = {}, actors = {}, edits = 1, roll = dice(seed), faulty = { api = 0, rabbitmq = 0, sqs = 0 },
    replica_until = 5, broker_until = 0 }, Maker)
  for i = 1, options.actors do
    maker.actors[i] = { number = i, transport = i % 2 == 0 and 'rabbitmq' or 'sqs', retain = i % 3 == 0, canary = i % 10 == 0,
      alive = i <= options.actors * 0.9, max = 1, mark = 1, busy = 0 }
    maker.actors[i].first = maker.actors[i].alive
  end
  once(maker, seconds, options)
  for at = 1, seconds do
    for _ = 1, maker.roll.between(1, 4) do maker:edit(at) end
    for _, each in ipairs(OFTEN) do
      if maker.roll.chance(each[2]) then maker[each[1]](maker, at) end
    end
  end
  maker:policy(seconds, 'stable', true)
  maker:policy(seconds, 'canary', true)
  table.sort(maker.actions, function(a, b)
    if a.at ~= b.at then return a.at < b.at end
    return a.order < b.order
  end)
  return maker
end

--- An action as a line of text.
function M.shown(action)
  local words, keys = { action.what }, {}
  for key in pairs(action) do
    if key ~= 'what' and key ~= 'order' and key ~= 'at' then keys[#keys + 1] = key end
  end
  table.sort(keys)
  for _, key in ipairs(keys) do
    local value = action[key]
    if type(value) == 'table' then
      local inner = {}
      for k, v in pairs(value) do inner[#inner + 1] = ('%s=%s'):format(k, v) end
      table.sort(inner)
      value = '{' .. table.concat(inner, ' ') .. '}'
    end
    words[#words + 1] = ('%s=%s'):format(key, tostring(value))
  end
  return table.concat(words, ' ')
end

return M
