--- leaving: which queues of other profiles a plan keeps in mind.
local leaving = require 'leaving'

local function queue(name, fields)
  local it = { name = name, transport = 'rabbitmq', deletion = 'Delete', want = { name = name, bindings = { 'resize', name } } }
  for key, value in pairs(fields or {}) do it[key] = value end
  return it
end

local function record(name, fields)
  local it = { name = name, transport = 'rabbitmq', owner = 'Actor' }
  for key, value in pairs(fields or {}) do it[key] = value end
  return it
end

--- What becomes of the queue of profile 0.1 of an actor that has 0.4: the queues of its plan.
local function plan(options)
  local queues = { queue('asya-ns-resize', options.own) }
  leaving.add(queues, { { name = '0.1', queues = { queue('asya-resize', options.other) } } }, options.records,
    leaving.names(options.names), options.deleting)
  return queues
end

describe('the queues of another profile', function()
  it('are nothing to a parent that never had them', function()
    assert.equal(1, #plan { records = { record 'asya-ns-resize' } })
    assert.equal(1, #plan {})
  end)

  it('are emptied into the one that is read, and go, when the parent had them', function()
    local queues = plan { records = { record 'asya-resize' } }
    local read, left = queues[1], queues[2]
    assert.is_true(left.leaving)
    assert.equal('asya-ns-resize', left.into)
    assert.equal('DeleteIfEmpty', left.deletion)
    assert.is_nil(left.lasting)
    assert.equal('asya-resize', read.want.instead.name)
    assert.same({ 'resize', 'asya-resize' }, read.want.instead.bindings)
    assert.equal('asya-ns-resize', left.want.instead.name)
  end)

  it('keep what is sent to them when they are somebody else\'s', function()
    local queues = plan { records = { record('asya-resize', { owner = 'Other' }) } }
    assert.equal('asya-ns-resize', queues[2].into)
    assert.is_nil(queues[1].want.instead)
    queues = plan { records = { record('asya-resize', { owner = 'Other', place = 'today' }), record('asya-resize', { place = 'before' }) } }
    assert.equal(2, #queues)
    assert.is_nil(queues[1].want.instead)
  end)

  it('stay as further names as long as the parent asks for them', function()
    local queues = plan { names = '0.1, 0.5' }
    assert.is_true(queues[2].lasting)
    assert.is_nil(queues[2].leaving)
    assert.equal('Delete', queues[2].deletion)
    assert.is_nil(queues[2].want.instead.instead)
    assert.is_nil(queues[1].want.instead.instead)
  end)

  it('wait until they are empty at a broker that the parent has left', function()
    local left = plan { records = { record('asya-resize', { transport = 'sqs' }) }, other = { transport = 'sqs' } }[2]
    assert.is_true(left.leaving)
    assert.is_nil(left.into)
  end)

  it('go with the parent', function()
    local left = plan { records = { record 'asya-resize' }, deleting = true }[2]
    assert.is_nil(left.leaving)
    assert.is_nil(left.into)
    assert.equal('Delete', left.deletion)
  end)

  it('are known to be further names when the parent goes, so that none is taken for what an older operator made', function()
    local named = plan { names = '0.1', deleting = true }[2]
    assert.is_true(named.lasting)
    assert.is_nil(named.into)
    assert.equal('Delete', named.deletion)
    assert.is_nil(plan { records = { record 'asya-resize' }, deleting = true }[2].lasting)
  end)

  it('are the same ones under the same name', function()
    local queues = { queue 'asya-resize' }
    leaving.add(queues, { { name = '0.1', queues = { queue 'asya-resize' } } }, { record 'asya-resize' }, leaving.names '0.1')
    assert.equal(1, #queues)
  end)
end)
