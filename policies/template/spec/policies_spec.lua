local testing = require 'asya.testing'

describe('our policies', function()
  local policies = testing.load 'policies'

  for _, case in ipairs(policies:cases()) do it(case.file .. ': ' .. case.title, case.run) end

  it('say in the log who pays', function()
    local plan = policies:plan { metadata = { labels = { ['cost-centre'] = 'ml' } } }
    assert.same({ 'debug cost-centre: ml pays' }, plan.log)
  end)

  it('let the parameter decide for everybody else', function()
    local plan = testing.load('policies', { params = { ['cost-centre'] = { default = 'platform' } } }):plan {}
    assert.equal('platform', plan:find('Deployment').metadata.annotations['example.com/cost-centre'])
  end)
end)
