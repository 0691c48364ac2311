--- help: each verb says what it does, with examples that work as they stand there.
local case = require 'case'
local cli = require 'cli'

local NOWHERE = 'KUBECONFIG=%s/nowhere ASYA_TRANSPORT_CONFIG=%s PATH=%s:$PATH '
local TRANSPORTS = '{"transports": {"rabbitmq": {"enabled": true, "config": {"host": "rabbitmq"}}}}'

local KUBECONFIG = [[
apiVersion: v1
kind: Config
current-context: dev
contexts: [{name: dev, context: {cluster: dev, user: dev, namespace: asya-system}}]
clusters: [{name: dev, cluster: {server: 'http://127.0.0.1:1'}}]
users: [{name: dev, user: {}}]
]]

local POLICY = "return require('policy').define { name = 'mine', render = function() end }\n"

--- The commands under "Examples:" of a help text.
local function examples(help)
  local commands = {}
  for line in (help:match '\nExamples:\n(.-)\n\nFlags:' or help:match '\nExamples:\n(.*)$' or ''):gmatch '[^\n]+' do
    if not line:find '^  # ' then commands[#commands + 1] = line:match '^  (.*)$' end
  end
  return commands
end

describe('--help', function()
  local folder, env
  setup(function()
    folder = cli.folder()
    cli.sh('mkdir %s/my-policies %s/records', folder, folder)
    cli.write(folder .. '/nowhere', KUBECONFIG)
    cli.sh('%s init %s/my-bundle --kind Tenant', cli.program, folder)
    cli.write(folder .. '/my-policies/mine.lua', POLICY)
    cli.write(folder .. '/actor.yaml', case.read 'crds/examples/minimal.yaml')
    cli.write(folder .. '/operator.yaml', 'sidecarImage: sidecar:1\n')
    cli.write(folder .. '/record.json', '{"snapshot": {"now": "2025-01-01T00:00:00Z", "parent": {"apiVersion": "asya.sh/v1alpha1", "kind": "AsyncActor",\n'
      .. '"metadata": {"name": "a", "namespace": "b"}, "spec": {}}, "children": [], "related": []}, "plan": {}}')
    env = NOWHERE:format(folder, cli.quote(TRANSPORTS), cli.program:match '^(.*)/')
  end)

  it('is there for every verb, with examples', function()
    assert.is_true(#cli.VERBS >= 9)
    for _, verb in ipairs(cli.VERBS) do
      local text, code = cli.run(folder, '%s %s --help', cli.program, verb)
      assert.equal(0, code, text)
      assert.is_truthy(text:find('\nUsage:\n  asya-operator ' .. verb, 1, true), text)
      assert.is_true(#examples(text) > 0, verb .. ' has no examples\n' .. text)
    end
  end)

  it('shows examples whose flags and arguments are understood', function()
    for _, verb in ipairs(cli.VERBS) do
      for _, command in ipairs(examples((cli.run(folder, '%s %s --help', cli.program, verb)))) do
        local text, code = cli.run(folder, env .. command:gsub('^asya%-operator [^>&]*', '%0 --help '))
        assert.equal(0, code, command .. '\n' .. text)
        assert.is_nil(text:find 'error: ', command .. '\n' .. text)
      end
    end
  end)

  -- What an example does without a cluster: it is done, or it gets as far as the cluster.
  it('shows examples that run', function()
    local ENDS = { check = 0, render = 0, completion = 0, version = 0, sdk = 0, init = 0, manifest = 0, replay = 1, diff = 2, rollout = 1, release = 1,
      queue = 1 }
    for _, verb in ipairs(cli.VERBS) do
      for _, command in ipairs(verb == 'run' and {} or examples((cli.run(folder, '%s %s --help', cli.program, verb)))) do
        local text, code = cli.run(folder, 'bash -c ' .. cli.quote(env:gsub('^', 'export '):gsub(' $', '; ') .. command))
        local far = text:find('127.0.0.1:1', 1, true) or text:find 'connect'
        assert.is_true(far ~= nil or code == ENDS[verb] or command:find '%-%-to%-spec' ~= nil, ('%s: exit %d\n%s'):format(command, code, text))
      end
    end
  end)

  it('lists flags of settings in the order of their names', function()
    local text = cli.run(folder, '%s run --help', cli.program)
    local names = {}
    for name in text:gmatch '\n +%-%-(runtime%-[%l-]+)' do names[#names + 1] = name end
    local sorted = table.move(names, 1, #names, 1, {})
    table.sort(sorted)
    assert.same(sorted, names)
    assert.is_true(#names >= 5, text)
  end)
end)
