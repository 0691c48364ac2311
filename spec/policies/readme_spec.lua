--- readme: the policies shown in policies/README.md load, and do what is said of them.
local case = require 'case'
local json = require 'json'

local function shown()
  local blocks = {}
  for source in case.read('policies/README.md'):gmatch '```lua\n(.-)```' do
    blocks[source:match "name = '([%w-]+)'" or 'a spec'] = source
  end
  return blocks
end

local function actor(labels, scaling)
  return {
    apiVersion = 'asya.sh/v1alpha1', kind = 'AsyncActor', metadata = { name = 'a', labels = labels },
    spec = {
      transport = 'rabbitmq', scaling = scaling,
      workload = { template = { spec = { containers = json.array { { name = 'asya-runtime', image = 'x' } } } } },
    },
  }
end

describe('the policies of the README', function()
  it('have at most 25 lines', function()
    for name, source in pairs(shown()) do
      local _, lines = source:gsub('\n', '')
      assert.is_true(lines <= 25, name)
    end
  end)

  it('log-shipper adds a second sidecar to the actors of one label only', function()
    local bundle = case.bundle(nil, { ['log-shipper.lua'] = shown()['log-shipper'] })
    local function containers(labels)
      return #case.find(case.plan(bundle, actor(labels)), 'Deployment').spec.template.spec.containers
    end
    assert.equal(3, containers { logs = 'shipped' })
    assert.equal(2, containers { logs = 'kept' })
    assert.equal(2, containers())
  end)

  it('half-as-many changes the scaling formula of scaled actors', function()
    local bundle = case.bundle(nil, { ['half-as-many.lua'] = shown()['half-as-many'] })
    local scaler = case.find(case.plan(bundle, actor(nil, { enabled = true })), 'ScaledObject')
    assert.equal('queue / 2', scaler.spec.advanced.scalingModifiers.formula)
    assert.equal('queue', scaler.spec.triggers[1].name)
    assert.is_nil(case.find(case.plan(bundle, actor()), 'ScaledObject'))
  end)

  it('budget makes a kind that it declares itself', function()
    local bundle = case.bundle(nil, { ['budget.lua'] = shown()['budget'] })
    assert.equal('poddisruptionbudgets', bundle:manifest().kinds[1].plural)
    local plan = case.plan(bundle, actor())
    local budget, pod = case.find(plan, 'PodDisruptionBudget'), case.find(plan, 'Deployment').spec.template
    assert.equal('a', pod.metadata.labels['asya.sh/asya'])
    assert.same({ ['asya.sh/asya'] = 'a' }, budget.spec.selector.matchLabels)
  end)

  it('has a row for each file', function()
    local rows = case.read('policies/README.md'):match '| file | does |\n(.-)\n\n'
    for name in io.popen('ls policies'):lines() do
      assert.is_truthy(name == 'README.md' or rows:find('`' .. name .. '`', 1, true), name)
    end
  end)
end)
