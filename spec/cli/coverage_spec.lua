--- coverage: `check --coverage` says which lines of a policy no case has run; nothing else counts them.
local cli = require 'cli'
local json = require 'json'

local STAMP = [[
local policy = require 'policy'

local function never(actor)
  local name = actor.metadata.name

  -- a line that cannot run parts no range
  return function() return name end
end

return policy.define {
  name = 'stamp',
  after = { 'sidecar' },
  render = function(actor, _, plan)
    local workload = plan:get('workload')
    if actor.metadata.labels then
      workload.metadata.labels = actor.metadata.labels
      plan:event { type = 'Normal', reason = 'Stamped', note = never(actor)() }
    end
    workload.metadata.annotations = { stamp = 'x' }
  end,
  status = function(_, _, status)
    status.stamped = true
  end,
}
]]

local LABELLED = 'title: labels\nactor: {metadata: {labels: {team: a}}}\nexpect: {Deployment: {metadata: {labels: {team: a}}}}\n'
local STATUS = 'title: status\nstatus: {stamped: true}\n'

describe('check --coverage', function()
  local folder

  local function check(arguments, files)
    cli.sh('rm -rf %s/p && mkdir %s/p', folder, folder)
    for name, text in pairs(files) do cli.write(('%s/p/%s'):format(folder, name), text) end
    return cli.run(folder, '%s check --policies p %s', cli.program, arguments)
  end

  setup(function() folder = cli.folder() end)

  it('says which lines of a policy no case has run', function()
    local text, code = check('--coverage', { ['stamp.lua'] = STAMP })
    assert.equal(0, code, text)
    assert.is_truthy(text:find('\nstamp.lua: 10 of 15 lines run; never: 4-7, 16-17, 22\n', 1, true), text)
    assert.is_nil(text:find('workload.lua: ', 1, true), text) -- its cases are not here
    text, code = check('--coverage', { ['stamp.lua'] = STAMP, ['a.case.yaml'] = LABELLED, ['b.case.yaml'] = STATUS })
    assert.equal(0, code, text)
    assert.is_truthy(text:find('\nstamp.lua: 15 of 15 lines run\n', 1, true), text)
  end)

  it('says it when a case fails, too', function()
    local text, code = check('--coverage', { ['stamp.lua'] = STAMP, ['b.case.yaml'] = STATUS:gsub('true', 'false') })
    assert.equal(1, code, text)
    assert.is_truthy(text:find('\nstamp.lua: 11 of 15 lines run; never: 4-7, 16-17\n', 1, true), text)
  end)

  it('counts the lines of a case that has settings of its own', function()
    local settings = 'settings: {transports: {transports: {rabbitmq: {enabled: true, config: {host: h}}}}}\n'
    local text = check('--coverage', { ['stamp.lua'] = STAMP, ['a.case.yaml'] = LABELLED .. settings })
    assert.is_truthy(text:find('\nstamp.lua: 14 of 15 lines run; never: 22\n', 1, true), text)
  end)

  it('says it of the built-in files with -o wide, and to programs', function()
    local text, code = check('--coverage -o wide', { ['stamp.lua'] = STAMP })
    assert.equal(0, code, text)
    assert.is_truthy(text:find '\nworkload.lua: %d+ of %d+ lines run', text)
    text, code = check('--coverage -o json', { ['stamp.lua'] = STAMP })
    assert.equal(0, code, text)
    local files = {}
    for _, row in ipairs(json.decode(text).lines) do files[row.file] = row end
    assert.same({
      file = 'stamp.lua', origin = 'p', lines = 15, run = 10,
      never = { { first = 4, last = 7 }, { first = 16, last = 17 }, { first = 22, last = 22 } },
    }, files['stamp.lua'])
    assert.equal('built-in', files['workload.lua'].origin)
    text = check('--coverage -o yaml', { ['stamp.lua'] = STAMP })
    assert.is_truthy(text:find('\nlines:\n', 1, true), text)
  end)

  it('is asked for: check alone counts no lines', function()
    local text = check('-o json', { ['stamp.lua'] = STAMP })
    assert.is_nil(json.decode(text).lines)
    assert.is_nil(check('', { ['stamp.lua'] = STAMP }):find('lines run', 1, true))
  end)
end)
