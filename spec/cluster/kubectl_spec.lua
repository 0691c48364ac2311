--- kubectl: as kubectl-asya in $PATH we are a plugin of the real kubectl, which also asks us what Tab may complete; and what -o of each verb gives.
local cluster = require 'cluster'
local json = require 'json'
local yaml = require 'asya.yaml'

local STAMP = [[
return require('policy').define { name = 'stamp', after = { 'sidecar' }, render = function(_, _, plan)
  plan:get('workload').metadata.annotations = { stamp = 'kubectl', long = ('x'):rep(400) }
end }
]]

local PAGE = cluster.read 'chart/docs/command-line.md'

describe('kubectl asya', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  local bin, ns, own, policies
  local function run(arguments, ...)
    local command = 'PATH=%s:$PATH ASYA_TRANSPORT_CONFIG=%s ASYA_DISABLE_QUEUE_MANAGEMENT=true ASYA_RUNTIME_NAMESPACE=default kubectl %s; printf " exit %%d" $?'
    local output = cluster.sh('{ %s; }', command:format(bin, cluster.quote(cluster.TRANSPORTS), arguments:format(...)))
    local text, code = output:match '^(.*) exit (%d+)$'
    return text, tonumber(code)
  end
  --- The standard output alone.
  local function out(arguments, ...) return (run(arguments:format(...) .. ' 2>/dev/null')) end

  setup(function()
    cluster.clear()
    bin, ns, own, policies = cluster.temp 'bin', cluster.namespace 'kubectl', cluster.namespace 'operator', cluster.temp 'policies'
    cluster.sh('rm -rf %s; mkdir -p %s %s', bin, bin, policies)
    for _, line in ipairs { 'install build/asya%-operator [^\n]*', 'ln %-s kubectl%-asya [^\n]*' } do -- as typed on the page
      local said, ok = cluster.sh((PAGE:match(line):gsub('/usr/local/bin', bin):gsub('^(install )build', '%1' .. cluster.build)))
      assert(ok, said)
    end
    cluster.write(policies .. '/stamp.lua', STAMP)
    cluster.operator { args = '--namespace ' .. own }
    cluster.apply(cluster.actor('one', ns))
    cluster.eventually('it is Running', 30, function()
      local actor = cluster.get('asyncactor', 'one', ns)
      return actor and actor.status and actor.status.status == 'Running'
    end)
  end)
  teardown(function()
    cluster.sh('kubectl delete asyncactors --all -n %s --timeout=20s', ns)
    cluster.stop_all()
  end)

  it('is found, and calls itself so', function()
    local listed, code = run 'plugin list'
    assert.is_truthy(code == 0 and listed:find('/kubectl-asya', 1, true), listed)
    for _, each in ipairs {
      { '', 0, 'Usage: kubectl asya VERB' }, { 'diff --help', 0, 'kubectl asya diff [flags]' }, { 'dfif', 2, "unknown verb 'dfif'" },
    } do
      local text, ended = run('asya ' .. each[1])
      assert.equal(each[2], ended, text)
      assert.is_truthy(text:find(each[3], 1, true), text)
    end
  end)

  it('is asked what Tab may complete', function()
    for words, wanted in pairs {
      ['asya roll'] = 'rollout\tshow and steer', ['asya rollout und'] = 'undo\n', ['asya check --pol'] = '--policies\tpolicy files',
      ["asya diff -o ''"] = 'yaml\n', ['asya release --take'] = '--take-lease\t', ['asya completion z'] = 'zsh\n',
    } do
      local text = out('__complete %s', words)
      assert.is_truthy(text:find(wanted, 1, true) and text:find '\n:4\n', words .. '\n' .. text)
    end
    assert.is_truthy(out("__complete asya render -f ''"):find '^:0\n')
    assert.is_truthy(out("__complete asya check --policies ''"):find '^:16\n')
    assert.is_nil(out("__complete asya '-'"):find '%-%-leader%-elect')
  end)

  it('reaches the cluster as kubectl does', function()
    local text, code = run('asya check --live --operator-namespace %s', own)
    assert.equal(0, code, text)
    text, code = run('asya diff -n %s --operator-namespace %s', ns, own)
    assert.equal(0, code, text)
    text, code = run('asya diff --context nowhere')
    assert.equal(2, code, text)
    for line in PAGE:gmatch '\nkubectl (asya [^\n]*)' do
      text, code = run(line:gsub('asya%-system', own))
      assert.equal(0, code, line .. '\n' .. text)
    end
  end)

  it('diff -o: names, whole values, JSON and YAML of the same changes', function()
    local diff = ('asya diff -n %s --operator-namespace %s --policies %s -o '):format(ns, own, policies)
    assert.equal('deployment/one\n', out(diff .. 'name'))
    local wide, text = out(diff .. 'wide'), out(diff .. 'text')
    assert.is_truthy(wide:find(('Deployment %s/one of %s/one changed\n'):format(ns, ns), 1, true), wide)
    assert.is_truthy(wide:find(('x'):rep(400), 1, true), 'the whole value')
    assert.is_nil(text:find(('x'):rep(400), 1, true), text)
    assert.same(json.decode(out(diff .. 'json'))[1].fields[1].path, yaml.load_all(out(diff .. 'yaml'))[1][1].fields[1].path)
  end)

  it('rollout -o: what the record says, for people and for scripts', function()
    local rollout = ('asya rollout %%s --operator-namespace %s -o %%s'):format(own)
    local live = json.decode(out(rollout, 'status', 'json')).main.live.bundle
    for _, verb in ipairs { 'status', 'history' } do
      assert.is_truthy(out(rollout, verb, 'yaml'):find(live, 1, true), verb)
      assert.is_truthy(out(rollout, verb, 'wide'):find(live, 1, true), verb)
      assert.is_truthy(out(rollout, verb, 'text'):find(live, 1, true), verb)
    end
    assert.equal('1\n', out(rollout, 'history', 'name'))
    assert.equal('', out(rollout, 'status', 'name'), 'nothing is under way')
    assert.is_truthy(out(rollout, 'history', 'wide'):find('live +asya%-operator%-policies%-kept%-0'), out(rollout, 'history', 'wide'))
    assert.is_nil(out(rollout, 'history', 'text'):find 'kept')
    assert.equal('configmap/asya-operator-policies-live\n', out(rollout, 'pause', 'name'))
    assert.equal('asya-operator-policies-live', json.decode(out(rollout, 'resume', 'json')).metadata.name)
  end)

  it('release -o name', function()
    assert.equal('asyncactor.asya.sh/one\n', out('asya release one -n %s --dry-run --operator-namespace %s -o name', ns, own))
  end)
end)
