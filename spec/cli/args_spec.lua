--- args: what each verb answers without a cluster: wrong usage is refused with exit 2 and the word to mend, and -o gives what it promises.
local case = require 'case'
local cli = require 'cli'
local json = require 'json'
local yaml = require 'asya.yaml'

-- arguments, what is said of them
local WRONG = {
  { 'chekc', "unknown verb 'chekc'" },
  { 'check -o jsno', "--output: expected text, wide, name, json or yaml, got 'jsno'" },
  { 'check --live=maybe', "--live: expected true or false, got 'maybe'" },
  { 'check --polices x', 'unknown flag: --polices; see --help' },
  { 'check --policies', 'flag needs a value: --policies' },
  { 'check that', 'unexpected argument: that; see --help' },
  { 'render', 'render needs -f FILE' },
  { 'render -f x -o text', '--output: text is for --explain only' },
  { 'render -f x --explain -o name', '--output: name is not for --explain' },
  { 'diff -o jsno', "--output: expected text, wide, name, json or yaml, got 'jsno'" },
  { 'diff asya', 'unexpected argument: asya; see --help' },
  { 'replay', 'replay needs one FILE' },
  { 'replay a b', 'replay needs one FILE' },
  { 'rollout', 'name one of status, history, pause, resume, abort, approve, undo' },
  { 'rollout status history', 'name one of status, history' },
  { 'rollout stop', "rollout: expected status, history, pause, resume, abort, approve or undo, got 'stop'" },
  { 'rollout pause --to-revision 2', '--to-revision is for undo' },
  { 'release', 'say which ones' },
  { 'release a -A', 'names cannot be used with -A' },
  { 'release -A -o json', "--output: expected text or name, got 'json'" },
  { 'run --bundle builtin --bundle builtin', 'the bundles builtin and builtin are both for AsyncActor (asya.sh/v1alpha1); one kind has one bundle' },
  { 'run --bundle nowhere', 'nowhere: No such file or directory' },
  { 'run --log-level loud', "--log-level: expected debug, info, warn or error, got 'loud'" },
  { 'run --log-format xml', "--log-format: expected text, json or console, got 'xml'" },
  { 'run --max-concurrent-reconciles many', "--max-concurrent-reconciles: expected an integer, got 'many'" },
  { 'run --record-limit 64', "--record-limit: expected a size in Mi or Gi, such as 64Mi, got '64'" },
  { '--leader-elekt', 'unknown flag: --leader-elekt' },
  { 'version 2', 'unexpected argument: 2' },
  { 'completion', 'completion: name one of bash, zsh, fish' },
  { 'completion tcsh', "completion: expected bash, zsh or fish, got 'tcsh'" },
}

describe('the command line', function()
  local folder
  local function run(arguments) return cli.run(folder, '%s %s', cli.program, arguments) end

  setup(function()
    folder = cli.folder()
    cli.write(folder .. '/actor.yaml', case.read 'crds/examples/minimal.yaml')
    cli.write(folder .. '/operator.yaml', 'transports: {rabbitmq: {enabled: true, config: {host: rabbitmq}}}\n')
  end)

  it('refuses wrong usage with exit 2', function()
    for _, each in ipairs(WRONG) do
      local text, code = run(each[1])
      assert.equal(2, code, each[1] .. '\n' .. text)
      assert.is_truthy(text:find('error: ' .. each[2], 1, true), each[1] .. '\n' .. text)
    end
  end)

  it('takes flags in all of the ways of kubectl, and of Go programs', function()
    for _, flag in ipairs { '-o json', '-o=json', '--output json', '--output=json', '-output=json' } do
      assert.is_truthy(json.decode((run('version ' .. flag))).bundle, flag)
    end
  end)

  it('check -o: names, tables, JSON and YAML of the same policies', function()
    local names = run 'check -o name'
    local policies = json.decode((run 'check -o json')).policies
    local listed = {}
    for _, policy in ipairs(policies) do listed[#listed + 1] = policy.name end
    assert.equal(names, table.concat(listed, '\n') .. '\n')
    assert.same(#policies, #yaml.load_all((run 'check -o yaml'))[1].policies)
    assert.is_nil(run('check'):find(policies[1].doc, 1, true))
    assert.is_truthy(run('check -o wide'):find(policies[1].doc, 1, true))
  end)

  it('render -o: names, JSON and YAML of the same children', function()
    local render = 'render -f actor.yaml --config operator.yaml '
    local items = json.decode((run(render .. '-o json'))).items
    local names, documents = {}, yaml.load_all((run(render)))
    for line in run(render .. '-o name'):gmatch '[^\n]+' do names[#names + 1] = line end
    assert.equal(#items, #documents)
    assert.equal(#items, #names)
    for i, item in ipairs(items) do
      assert.equal(item.metadata.name, documents[i].metadata.name)
      assert.equal(item.kind == 'Deployment' and 'deployment.apps/' .. item.metadata.name or item.kind:lower() .. '/' .. item.metadata.name, names[i])
    end
    local explained = json.decode((run(render .. '--explain -o json')))
    assert.equal(#explained, #yaml.load_all((run(render .. '--explain -o yaml')))[1])
    assert.is_truthy(run(render .. '--explain'):find('workload +spec%.'))
  end)

  it('version -o: version and bundle', function()
    local version = json.decode((run 'version -o json'))
    assert.equal(version.bundle, yaml.load_all((run 'version -o yaml'))[1].bundle)
    assert.is_truthy(run('version'):find(version.version .. ', built-in bundle ' .. version.bundle, 1, true))
  end)

  it('called as kubectl-asya it calls itself kubectl asya, and does nothing without a verb', function()
    cli.run(folder, 'ln -s %s kubectl-asya', cli.program)
    local text, code = cli.run(folder, './kubectl-asya')
    assert.equal(0, code)
    assert.is_truthy(text:find('Usage: kubectl asya VERB', 1, true), text)
    for _, verb in ipairs(cli.VERBS) do
      text = cli.run(folder, './kubectl-asya %s --help', verb)
      assert.is_truthy(text:find('\nUsage:\n  kubectl asya ' .. verb, 1, true), text)
      assert.is_nil(text:find('\n  asya-operator', 1, true), text)
    end
    text, code = cli.run(folder, './kubectl-asya --leader-elect')
    assert.equal(2, code, text)
  end)
end)
