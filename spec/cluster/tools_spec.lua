--- tools: check, render --explain, diff, record and replay, as somebody at a terminal uses them.
local cluster = require 'cluster'
local json = require 'json'

local eventually = cluster.eventually

local function run(arguments, ...)
  local command = 'ASYA_TRANSPORT_CONFIG=%s ASYA_DISABLE_QUEUE_MANAGEMENT=true %s/asya-operator %s; echo " exit $?"'
  command = command:format(cluster.quote(cluster.TRANSPORTS), cluster.build, arguments)
  local output = cluster.sh('sh -c %s', cluster.quote(command:format(...)))
  local text, code = output:match '^(.*) exit (%d+)\n$'
  return text, tonumber(code)
end

local function folder(files) return cluster.folder('policies', files) end

local STAMP = [[
local policy = require 'policy'
return policy.define { name = 'stamp', after = { 'sidecar' }, render = function(actor, ctx, plan)
  plan:get('workload').metadata.annotations = { stamp = 'tools' }
  log.info('stamped %s', actor.metadata.name)
end }
]]

local CASE = [[
title: stamps
expect: {Deployment: {metadata: {annotations: {stamp: %s}}}}
]]

describe('the tools', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  local ns
  before_each(function()
    cluster.clear()
    ns = cluster.namespace 'tools'
  end)
  after_each(function()
    cluster.sh('kubectl delete asyncactors --all -n %s --timeout=20s', ns)
    cluster.stop_all()
  end)

  local function running(name)
    eventually(name .. ' is Running', 30, function()
      local actor = cluster.get('asyncactor', name, ns)
      return actor and actor.status and actor.status.status == 'Running'
    end)
  end

  it('check runs the cases that lie beside policies', function()
    local text, code = run('check --policies %s', folder { ['stamp.lua'] = STAMP, ['stamp.case.yaml'] = CASE:format 'tools' })
    assert.equal(0, code, text)
    assert.is_truthy(text:find('1 cases hold', 1, true), text)
    text, code = run('check --policies %s', folder { ['stamp.lua'] = STAMP, ['stamp.case.yaml'] = CASE:format 'other' })
    assert.equal(1, code)
    assert.is_truthy(text:find("stamp.case.yaml: case 'stamps': Deployment.metadata.annotations.stamp: wanted other, got tools", 1, true), text)
    text = run('check -o json --policies %s', folder { ['stamp.lua'] = STAMP })
    local names = {}
    for _, policy in ipairs(json.decode(text).policies) do names[policy.name] = policy.file end
    assert.equal('stamp.lua', names.stamp)
    assert.equal('workload.lua', names.workload)
  end)

  it('check renders each case as every kind of workload, and says which were never tried', function()
    local function shipper(where)
      return ("return require('policy').define { name = 'ship', after = { 'sidecar', 'scaling' }, render = function(_, _, plan)\n  %s\nend }\n"):format(where)
    end
    local text, code = run('check --policies %s', folder { ['ship.lua'] = shipper "plan:get('workload').spec.template.spec.hostNetwork = true" })
    assert.equal(1, code, text)
    assert.is_truthy(text:find("as Job with scaling: policy 'ship', render: ship.lua:2: attempt to index a nil value (field 'template')", 1, true), text)
    text, code = run('check --coverage --policies %s', folder { ['ship.lua'] = shipper 'plan:pod().spec.hostNetwork = true' })
    assert.equal(0, code, text)
    assert.is_truthy(text:find('Job with scaling +1 +0\n'), text)
    text, code = run('check --policies %s', folder { ['ship.lua'] = shipper "plan:pod().spec.hostNetwork = 'yes'" })
    assert.equal(1, code, text)
    assert.is_truthy(text:find("policy 'ship', role 'workload': Deployment: spec.template.spec.hostNetwork: must be a boolean", 1, true), text)
    local case = 'title: only there\nactor: {spec: {workload: {template: {spec: {tolerations: [{key: a}]}}}}}\nshapes: [Deployment]\n'
    local own = shipper [[if plan:pod().spec.tolerations then
      plan:merge('workload', { spec = { template = { spec = { tolerations = { { key = 'b' } } } } } })
    end]]
    text, code = run('check --policies %s', folder { ['ship.lua'] = own, ['ship.case.yaml'] = case })
    assert.equal(0, code, text)
    local warning = "warning: policy 'ship': plan:merge replaces the list spec.template.spec.tolerations of role 'workload'; plan:append adds to it"
    assert.is_truthy(text:find(warning, 1, true), text)
    text, code = run 'check -o jsno'
    assert.equal(2, code, text)
  end)

  it('check --live shows what the cluster has, and what became of it', function()
    local own = cluster.namespace 'operator'
    cluster.kubectl('create configmap team -n %s --from-file=stamp.lua=%s', own, cluster.write(cluster.temp 'stamp.lua', STAMP))
    cluster.kubectl('label configmap team -n %s asya.sh/policies=true', own)
    assert.is_truthy(run('check --live --operator-namespace %s', own):find('no operator has looked at it yet', 1, true))
    cluster.operator { args = '--namespace ' .. own }
    eventually('it is live', 20, function()
      local text = run('check --live --operator-namespace %s', own)
      return text:find('configmap team: live: bundle', 1, true) and text:find('stamp.lua +configmap ' .. own:gsub('%-', '%%-') .. '/team'), text
    end)
  end)

  it('render --explain names the policy of each field', function()
    local text, code = run('render --explain -f crds/examples/minimal.yaml --policies %s', folder { ['stamp.lua'] = STAMP })
    assert.equal(0, code, text)
    for _, line in ipairs {
      'stamp        metadata.annotations.stamp', 'sidecar      spec.template.spec.containers[asya-sidecar].image',
      'workload     spec.template.spec.containers[asya-runtime].image',
    } do
      assert.is_truthy(text:find(line, 1, true), line .. '\n' .. text)
    end
    text = run('render --explain -o json -f crds/examples/minimal.yaml')
    assert.equal('ConfigMap', json.decode(text)[1].kind)
  end)

  it('render and diff show what policies refuse, and the rest', function()
    cluster.operator()
    local text = cluster.actor('half', ns, '  scaling: {enabled: true, advanced: {formula: queue, target: "1", metricType: Utilization}}')
    cluster.apply(text)
    eventually('its workload', 30, function() return cluster.get('deployment', 'half', ns) end)
    for command, wanted in pairs {
      ['render -f ' .. cluster.write(cluster.temp 'half.yaml', text)] = { 1, 'kind: Deployment' }, ['diff -n ' .. ns] = { 2, '0 children differ' },
    } do
      local output, code = run('%s 2>&1', command)
      assert.equal(wanted[1], code, output)
      assert.is_truthy(output:find(wanted[2], 1, true), output)
      assert.is_truthy(output:find("half: role 'scaler': spec.scaling.advanced.metricType", 1, true), output)
      assert.is_nil(output:find('kind: ScaledObject', 1, true))
    end
  end)

  it('diff says per field what a bundle would change, and changes nothing', function()
    cluster.operator()
    cluster.apply(cluster.actor('same', ns))
    running 'same'
    local text, code = run('diff -n %s', ns)
    assert.equal(0, code, text)
    local stamped = folder { ['stamp.lua'] = STAMP }
    text, code = run('diff -n %s --policies %s', ns, stamped)
    assert.equal(1, code, text)
    assert.is_truthy(text:find('Deployment ' .. ns .. '/same', 1, true), text)
    assert.is_truthy(text:find('+ metadata.annotations.stamp: "tools"', 1, true), text)
    text = run('diff -n %s --policies %s -o json 2>/dev/null', ns, stamped)
    assert.same({ 'changed', 'metadata.annotations.stamp' }, { json.decode(text)[1].action, json.decode(text)[1].fields[1].path })
    assert.is_nil((cluster.get('deployment', 'same', ns).metadata.annotations or {}).stamp)
    text, code = run('diff -n %s --policies %s', ns, folder { ['stamp.lua'] = 'return ((' })
    assert.equal(2, code)
    assert.is_truthy(text:find('stamp.lua:1', 1, true), text)
    text, code = run('diff -n %s --policies %s', ns, folder { ['stamp.lua'] = STAMP:gsub("stamp = 'tools'", 'stamp = 7') })
    assert.equal(2, code)
    assert.is_truthy(text:find('metadata.annotations.stamp: must be a string', 1, true), text)
  end)

  it('replay gives the recorded plan byte for byte, and makes a case of a failure', function()
    local records = cluster.folder 'records'
    local broken = STAMP:gsub('log.info', "if actor.metadata.name == 'bad' then error('no luck') end\n  log.info")
    local own = cluster.namespace 'operator' -- where nothing was live before, so that these policies serve from the start
    local arguments = '--metrics-bind-address 127.0.0.1:18485 --namespace %s --record %s --policies %s'
    local op = cluster.operator { args = arguments:format(own, records, folder { ['stamp.lua'] = broken }) }
    cluster.apply(cluster.actor('good', ns, '  sidecar: {env: [{name: MY_PASSWORD, value: hush}]}'))
    running 'good'
    eventually('these policies serve', 20, function() -- they would be refused if they failed on an actor that is there
      return (cluster.get('deployment', 'good', ns).metadata.annotations or {}).stamp == 'tools'
    end)
    cluster.apply(cluster.actor('bad', ns))
    local good, bad = ('%s/%s_good.json'):format(records, ns), ('%s/%s_bad.failed.json'):format(records, ns)
    eventually('both are recorded', 10, function() return cluster.read(good) ~= '' and cluster.read(bad) ~= '' end)
    assert.is_nil(cluster.read(good):find('hush', 1, true))
    assert.is_truthy(op.log():find('stamped good', 1, true), 'log.info of policies is in the log')
    eventually('its status says so', 10, function() -- it is written after the record
      local ready = cluster.condition(cluster.get('asyncactor', 'bad', ns), 'WorkloadReady')
      return ready and ready.message:find('stamp.lua:4: no luck', 1, true)
    end)

    local policies = folder { ['stamp.lua'] = broken }
    local text, code = run('replay %s --policies %s', good, policies)
    assert.equal(0, code, text)
    assert.is_truthy(text:find('byte for byte', 1, true))
    text, code = run('replay %s', good)
    assert.equal(1, code)
    assert.is_truthy(text:find('annotations', 1, true) and text:find('these are not the policies that were recorded', 1, true), text)
    assert.is_nil(text:find('"objects"', 1, true), 'only what differs is told')
    assert.is_truthy(run('replay %s --full', good):find('"objects"', 1, true))
    cluster.kubectl('create configmap team -n %s --from-file=%s/stamp.lua', own, policies)
    cluster.kubectl('label configmap team -n %s asya.sh/policies=true', own)
    text, code = run('replay %s --live --operator-namespace %s', good, own)
    assert.equal(0, code, text)
    text, code = run('replay %s --policies %s', bad, policies)
    assert.equal(0, code)
    assert.is_truthy(text:find('the error is the recorded one', 1, true), text)

    -- the guide, as typed, behind the port that kubectl would forward
    local page = cluster.read('policies/README.md'):match '\n### Records\n(.-)\n## '
    local typed = page:match '```\n(kubectl [^\n]*port%-forward.-)```':gsub('^[^\n]*\n', 'cd "$WORK"\n'):gsub('localhost:8080', '127.0.0.1:18485')
      :gsub('default_resize', ns .. '_bad'):gsub('asya%-system', own):gsub('asya%-operator replay', '"$BIN"/asya-operator replay')
    text, code = cluster.sh('BIN=$(realpath %s/san) WORK=%s bash -e %s', cluster.build, records, cluster.write(cluster.temp 'guide.sh', typed))
    assert.is_true(code, text)
    for _, name in ipairs { 'good', 'bad.failed' } do assert.is_truthy(text:find(('/debug/records/%s_%s.json\n'):format(ns, name), 1, true), text) end
    assert.is_truthy(text:find('the error is the recorded one', 1, true), text)
    text = cluster.sh("curl -s -w '\\n%%{http_code}' --path-as-is http://127.0.0.1:18485/debug/records/../records.json")
    assert.equal('no such record; /debug/records/ lists all\n\n404', text)

    local case = run('replay --to-spec %s', bad)
    text, code = run('check --policies %s', folder { ['stamp.lua'] = broken, ['bad.case.yaml'] = case })
    assert.equal(1, code)
    assert.is_truthy(text:find('no luck', 1, true), text)
    text, code = run('check --policies %s', folder { ['stamp.lua'] = STAMP, ['bad.case.yaml'] = case })
    assert.equal(0, code, text)
    text, code = run('check --policies %s', folder { ['stamp.lua'] = broken, ['good.case.yaml'] = run('replay --to-spec %s', good) })
    assert.equal(0, code, text)
  end)
end)
