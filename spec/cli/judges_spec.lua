--- judges: what judges a chaos and a table of faults notices each thing that it is there for. Histories are told here, not played.
local api = require 'api'
local audit = require 'audit'
local brokers = require 'brokers'
local chaos = require 'chaos'
local cli = require 'cli'
local cluster = require 'cluster'
local herd = require 'herd'
local history = require 'history'
local json = require 'json'

local folder, version = nil, 100

local function append(plural, text)
  local file = assert(io.open(folder .. '/' .. plural, 'a'))
  file:write(text, '\n')
  file:close()
end

local function tell(plural, kind, object)
  version = version + 1
  object.metadata.resourceVersion = tostring(version)
  append(plural, json.encode { type = kind, object = object })
end

--- An actor at this generation, whose status is of another.
local function actor(generation, observed, max, mark, change)
  local object = herd.object('ns', { name = 'a', max = max, mark = mark, transport = 'rabbitmq' })
  object.metadata.uid, object.metadata.generation = 'u', generation
  object.status = { observedGeneration = observed, status = 'Running', conditions = json.array { { type = 'Ready', status = 'True' } } }
  if change then change(object.status) end
  tell('asyncactors', 'MODIFIED', object)
end

local function deployment(name, mark, stamp, ready)
  tell('deployments', 'MODIFIED', { metadata = { name = name, uid = 'd-' .. name, generation = 1, ownerReferences = json.array { { uid = 'u' } } },
    spec = { template = { metadata = { annotations = { stamp = stamp } }, spec = { containers = json.array {
      { name = 'asya-runtime', env = json.array { { name = 'MARK', value = tostring(mark) } } } } } } },
    status = { observedGeneration = 1, replicas = 1, updatedReplicas = 1, unavailableReplicas = ready and 0 or 1 } })
end

local function scaler(max)
  tell('scaledobjects', 'MODIFIED', { metadata = { name = 'a', uid = 's', ownerReferences = json.array { { uid = 'u' } } }, spec = { maxReplicaCount = max } })
end

describe('the history', function()
  local record
  before_each(function()
    folder = cli.folder()
    api.watch = function(plural)
      cli.write(folder .. '/' .. plural, '')
      return { path = folder .. '/' .. plural, stop = function() end }
    end
    cluster.sleep = function() end
    record = history.record 'ns'
  end)

  --- An actor that is made, then edited.
  local function made()
    deployment('a', 1, 'v1', true)
    scaler(1)
    actor(1, 1, 1, 1)
    actor(2, 1, 2, 2)
  end

  it('that is true is', function()
    made()
    deployment('a', 2, 'v1', true)
    scaler(2)
    actor(2, 2, 2, 2)
    assert.same({}, record.check())
    assert.equal(7, #record.events)
  end)

  for what, row in pairs {
    ['a Deployment without the edit'] = { 'Ready at generation 2 with mark 2, but its deployments have 1', function() scaler(2) actor(2, 2, 2, 2) end },
    ['a ScaledObject without the edit'] = { 'Ready at generation 2 with max 2, but its scaledobjects have 1', function()
      deployment('a', 2, 'v1', true)
      actor(2, 2, 2, 2)
    end },
    ['a generation that is not there yet'] = { 'observes generation 3 of 2', function() actor(2, 3, 2, 2) end },
    ['a generation that was left'] = { 'observes generation 0 after 1', function() actor(2, 0, 2, 2) end },
    ['an end that nobody wants'] = { 'nobody has deleted it', function() actor(2, 1, 2, 2, function(status) status.status = 'Terminating' end) end },
    ['an error of a policy'] = { 'broken: oh', function()
      actor(2, 1, 2, 2, function(status) status.conditions[2] = { type = 'broken', reason = 'PolicyError', message = 'oh' } end)
    end },
  } do
    it('of ' .. what .. ' is wrong', function()
      made()
      row[2]()
      assert.matches(row[1], record.check()[1].text, 1, true)
    end)
  end

  it('of which a watch does not tell all is none', function()
    assert.has_error(function() record.check() end)
    made()
    assert.same({}, record.check())
    append('deployments', '{"type":"ERROR","object":{"kind":"Status","code":410}}')
    assert.has_error(function() record.check() end)
  end)

  it('knows which queues the last status calls somebody else\'s', function()
    local function queues(owner) return function(status) status.queues = json.array { { name = 'asya-a', owner = owner } } end end
    made()
    actor(2, 2, 2, 2, queues 'Other')
    record.check()
    assert.is_true(record.disowned('a', 'asya-a'))
    assert.is_falsy(record.disowned('a', 'asya-b') or record.disowned('b', 'asya-a'))
    actor(2, 2, 2, 2, queues 'Actor')
    record.check()
    assert.is_false(record.disowned('a', 'asya-a'))
  end)

  it('counts who restarts at one time', function()
    for i = 1, 4 do deployment('d-' .. i, 1, 'v1', true) end
    deployment('d-1', 1, 'v2')
    deployment('d-1', 1, 'v2', true)
    for i = 2, 4 do deployment('d-' .. i, 1, 'v2') end
    made()
    record.check()
    assert.equal(3, (record.restarting()))
  end)
end)

it('the lease is held by whoever writes', function()
  local function judge(...)
    local requests = { { at = 1, to = 1.1, user = 'a', verb = 'create', resource = 'leases', code = 201 } }
    for at, each in ipairs { ... } do
      local user, verb, resource, code = each:match '(%l) (%l+) (%l+) ?(%d*)'
      requests[at + 1] = { at = at + 1, to = at + 1.1, user = user, verb = verb, resource = resource, code = tonumber(code) or 200,
        name = 'n', namespace = 'ns' }
    end
    return #audit.without_lease(requests)
  end
  assert.equal(0, judge('a patch deployments', 'b update leases', 'b patch deployments', 'a get deployments'))
  assert.equal(1, judge 'b create events')
  assert.equal(1, judge 'b deletecollection deployments')
  assert.equal(1, judge('b update leases 409', 'b patch deployments'))
  assert.equal(1, judge('b update leases', 'a patch deployments'))
end)

describe('queues', function()
  --- Of six actors, of which the last three are gone and every third leaves its queue: what is wrong with the first of them.
  -- `starts`: of the operator; `disowned`: what the last status of an actor had called somebody else's.
  local function judge(change, starts, disowned)
    local rabbitmq, sqs = {}, { dlq = 0 }
    local run = setmetatable({ prefix = 'c', wrong = {}, messages = {}, state = {}, plan = { actors = {} }, left = 0 }, chaos)
    run.pair = { { logs = { 'first' } }, { logs = starts == 2 and { 'first', 'second' } or { 'first' } } }
    run.record = { disowned = function(name, queue) return disowned == ('%s %s'):format(name, queue) end }
    for i = 1, 6 do
      run.plan.actors[i] = { transport = i % 2 == 0 and 'rabbitmq' or 'sqs', retain = i % 3 == 0 }
      run.state[i], run.messages[i] = { alive = i <= 3 }, (i <= 3 or i == 6) and 2 or nil
      if run.messages[i] then
        local queue = 'asya-c-' .. i
        if i % 2 == 0 then rabbitmq[queue], rabbitmq[queue .. '-dlq'] = { messages = 2 }, { messages = 0 } else sqs['c-' .. i] = 2 end
      end
    end
    change(rabbitmq, sqs)
    brokers.queues = function() return rabbitmq end
    brokers.sqs_url = function(name) return sqs[name] and name end
    brokers.sqs_attributes = function(name) return { ApproximateNumberOfMessages = sqs[name] } end
    run:judge_queues()
    return run.wrong[1] and run.wrong[1].text
  end

  for what, row in pairs {
    ['as they should be are right'] = { nil, function() end },
    ['that have lost a message are not'] = { 'c-2: 1 messages of 2 are in its queue', function(mq) mq['asya-c-2'].messages = 1 end },
    ['of SQS that have lost one are not'] = { 'c-1: 1 messages of 2 are in its queue', function(_, sqs) sqs['c-1'] = 1 end },
    ['that were to stay do'] = { 'c-6: 0 messages of 2 are in its queue', function(mq) mq['asya-c-6'] = nil end },
    ['of the dead go'] = { 'c-4: is gone and its queues are not', function(mq) mq['asya-c-4'] = { messages = 0 } end },
    ['of dead letters go, too'] = { 'c-4: is gone and its queues are not', function(mq) mq['asya-c-4-dlq'] = { messages = 0 } end },
    ['have a place for dead letters'] = { 'c-2: lives without its queues', function(mq) mq['asya-c-2-dlq'] = nil end },
    ['of SQS have one'] = { 'c-1: lives without its queues', function(_, sqs) sqs.dlq = nil end },
    ['belong to somebody'] = { "queue asya-c-7 is nobody's", function(mq) mq['asya-c-7'] = { messages = 0 } end },
    ['of the dead stay that somebody else has made'] = { nil, function(mq) mq['asya-c-4'] = { messages = 0 } end, 2, 'c-4 asya-c-4' },
    ['are nobody else\'s where no operator died'] =
      { 'c-4: is gone and its queues are not', function(mq) mq['asya-c-4'] = { messages = 0 } end, 1, 'c-4 asya-c-4' },
    ['of SQS go, too'] = { 'c-5: is gone and its queues are not', function(_, sqs) sqs['c-5'] = 0 end, 2, 'c-4 asya-c-4' },
  } do
    it(what, function() assert.equal(row[1], judge(table.unpack(row, 2, 4))) end)
  end
end)
