--- probes: what kubelet and Prometheus ask.
local cluster = require 'cluster'
local json = require 'json'

local eventually = cluster.eventually

describe('probes and metrics', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end
  after_each(cluster.stop_all)

  local PORTS = '--metrics-bind-address 127.0.0.1:18480 --health-probe-bind-address 127.0.0.1:18481'

  local function get(port, path)
    return (cluster.sh("curl -s -m 5 -w '\\n%%{http_code}' http://127.0.0.1:%d%s", port, path))
  end

  it('answers /healthz, /readyz and /metrics', function()
    local ns = cluster.namespace 'probes'
    cluster.operator { args = PORTS }
    eventually('ready', 15, function() return get(18481, '/readyz') == 'ok\n200' end)
    assert.equal('ok\n200', get(18481, '/healthz'))
    assert.equal('ok\n200', get(18481, '/healthz/healthz'))
    assert.equal('ok\n200', get(18481, '/livez'))
    assert.is_truthy(get(18481, '/readyz?verbose'):find('^%[%+%]ping ok\n%[%+%]policies ok\n.*\nreadyz check passed\n\n200$'))
    assert.equal('ok\n200', get(18481, '/readyz/policies'))
    assert.is_truthy(get(18481, '/readyz/policy'):find '404$')
    assert.is_truthy(get(18481, "'/readyz?verbose&exclude=policies'"):find('[+]policies excluded: ok', 1, true))
    assert.is_truthy(get(18481, '/healthz?verbose'):find('[+]loop ok\n[+]lease ok\nhealthz check passed', 1, true))
    assert.is_truthy(get(18481, '/nothing'):find '404$')
    cluster.apply(cluster.actor('counted', ns))
    local text
    eventually('the write is counted', 15, function()
      text = get(18480, '/metrics')
      return text:find('applies_total{kind="Deployment",result="created"}', 1, true)
    end)
    for _, series in ipairs {
      'controller_runtime_reconcile_total{controller="asyncactor",result="success"}',
      'workqueue_depth{name="asyncactor"}', 'rest_client_requests_total{code="201",method="POST"',
      'leader_election_master_status{name="asya-operator.asya.sh"} 1', 'process_resident_memory_bytes', 'policy_bundle_info{digest=',
      'controller_runtime_reconcile_time_seconds_count',
    } do
      assert.is_truthy(text:find(series, 1, true), series .. '\n' .. text)
    end
  end)

  it('says that it is degraded while the built-in bundle serves', function()
    local own = cluster.namespace 'operator'
    cluster.kubectl("create configmap broken -n %s --from-literal=x.lua='return ((('", own)
    cluster.kubectl('label configmap broken -n %s asya.sh/policies=true', own)
    cluster.operator { args = PORTS .. ' --namespace ' .. own }
    eventually('ready', 15, function() return get(18481, '/readyz') == 'ok\n200' end)
    eventually('degraded', 15, function()
      local text = get(18481, '/readyz?verbose')
      return text:find 'degraded.*x%.lua:1', text
    end)
    assert.is_truthy(get(18480, '/metrics'):find('policy_bundle_degraded 1', 1, true))
  end)

  it('is unhealthy after its loop stood still, and healthy again after the next heartbeat', function()
    local op = cluster.operator { args = PORTS }
    eventually('ready', 15, function() return get(18481, '/readyz') == 'ok\n200' end)
    op.signal 'STOP'
    finally(function() op.signal 'CONT' end)
    assert.is_truthy(get(18481, '/healthz'):find '000$') -- nobody answers
    cluster.sleep(3) -- 8 s in all: more than a heartbeat and the limit
    local out = cluster.temp 'healthz'
    cluster.sh("curl -s -m 20 -w '\\n%%{http_code}' http://127.0.0.1:18481/healthz >%s & sleep 0.3; kill -CONT %s; wait", out, op.pid)
    local answer = cluster.read(out)
    assert.is_truthy(answer:find '%[%-%]loop failed: the last heartbeat came %d+ ms late' and answer:find '500$', answer)
    eventually('healthy again', 10, function() return get(18481, '/healthz') == 'ok\n200' end)
  end)

  it('stays healthy and ready while the API server is away', function()
    cluster.sh('spec/bed/bed proxy %s pass', cluster.bed_dir)
    finally(function() cluster.sh('spec/bed/bed proxy %s pass', cluster.bed_dir) end)
    local op = cluster.operator { args = PORTS .. (' --kubeconfig %s/kubeconfig-proxy'):format(cluster.bed_dir) }
    eventually('caches are filled', 15, function() return get(18481, '/readyz?verbose'):find('caches: filled', 1, true) end)
    cluster.sh('spec/bed/bed proxy %s cut', cluster.bed_dir)
    cluster.sh('spec/bed/bed proxy %s refuse', cluster.bed_dir)
    eventually('it cannot reach the server', 30, function() return get(18480, '/metrics'):find('code="<error>"', 1, true) end)
    assert.equal('ok\n200', get(18481, '/healthz'))
    assert.equal('ok\n200', get(18481, '/readyz'))
    assert.is_true(op.alive())
  end)

  it('says what is wrong with one entry of the transport registry, and works with the others', function()
    local ns, registry = cluster.namespace 'registry', json.decode(cluster.TRANSPORTS)
    registry.transports.sqs = { enabled = true, config = { regoin = 'us-east-1' } }
    registry.transports.later = { enabld = true, type = 'sqs' }
    local text = json.encode(registry)
    local op = cluster.operator { args = PORTS, transports = text }
    cluster.apply(cluster.actor('works', ns))
    cluster.apply((cluster.actor('waits', ns):gsub('transport: rabbitmq', 'transport: later')))
    eventually('one actor runs', 30, function() return (cluster.get('asyncactor', 'works', ns).status or {}).status == 'Running' end)
    local told = { "transports.later: unknown parameter 'enabld'", "transports.sqs.config: unknown parameter 'regoin'" }
    local actor = eventually('the other is told', 10, function()
      local it = cluster.get('asyncactor', 'waits', ns)
      return it.status and it
    end)
    assert.is_truthy(cluster.condition(actor, 'TransportReady').message:find(told[1], 1, true))
    local said, ok = cluster.sh('ASYA_TRANSPORT_CONFIG=%s %s/asya-operator check 2>&1', cluster.quote(text), cluster.build)
    assert.is_false(ok)
    for _, each in ipairs(told) do
      eventually('it is degraded', 10, function()
        local ready = get(18481, "'/readyz?verbose'")
        return ready:find('note: policies: degraded.*' .. each:gsub('%p', '%%%0')), ready
      end)
      assert.is_truthy(op.log():find(each, 1, true))
      assert.is_truthy(said:find(each, 1, true), said)
    end
    assert.is_truthy(get(18480, '/metrics'):find('policy_bundle_degraded 1', 1, true))
  end)

  it('waits for a kind that is not installed, and says with which command it comes', function()
    local folder = cluster.folder 'policies'
    cluster.write(folder .. '/manifest.lua', (cluster.read('policies/manifest.lua'):gsub("'AsyncActor', plural = 'asyncactors'", "'Ghost', plural = 'ghosts'")))
    local op = cluster.operator { args = ('%s --namespace %s --policies %s'):format(PORTS, cluster.namespace 'ghosts', folder) }
    local command = 'kubectl apply --server-side -f chart/crds/'
    eventually('/readyz says so', 15, function()
      local text = get(18481, "'/readyz?verbose'")
      return text:find('note: caches: waiting for the kind Ghost, which is not installed: ' .. command, 1, true), text
    end)
    assert.is_truthy(op.log():find('Ghost (asya.sh/v1alpha1) is not installed in this cluster; waiting for it. Install it: ' .. command, 1, true), op.log())
    assert.is_true(op.alive())
  end)

  it('shows one actor under /debug/, without its secrets', function()
    local ns = cluster.namespace 'debug'
    cluster.operator { args = PORTS }
    cluster.apply(cluster.actor('shown', ns, nil, [[
        - name: asya-runtime
          image: example/app:1.0
          env:
            - {name: ASYA_HANDLER, value: handlers.process}
            - {name: MY_TOKEN, value: do-not-tell}
]]))
    eventually('its child is there', 20, function() return cluster.get('deployment', 'shown', ns) end)
    local path, text, code = '/debug/actors/' .. ns .. '/shown', nil, nil
    local shown = eventually('its passes are counted', 15, function()
      text, code = get(18480, path):match '^(.*)\n(%d+)$'
      local answer = code == '200' and json.decode(text)
      return answer and answer.times.passes > 0 and answer
    end)
    assert.equal('shown', shown.snapshot.parent.metadata.name)
    local kinds = {}
    for _, item in ipairs(shown.plan.objects) do kinds[item.object.kind] = true end
    assert.is_true(kinds.Deployment)
    assert.is_truthy(shown.bundle and shown.times.last_plan_ms and shown.times.last_pass_ended)
    assert.is_nil(text:find('do-not-tell', 1, true))
    assert.is_truthy(text:find('handlers.process', 1, true))
    local record = cluster.write(cluster.temp 'record.json', (text:gsub('\n%d+$', '')))
    local replayed, good = cluster.sh('%s/san/asya-operator replay %s', cluster.build, record)
    assert.is_true(good, 'what it shows is a record: ' .. replayed)
    assert.is_truthy(get(18480, '/debug/'):find('/debug/actors/NAMESPACE/NAME', 1, true))
    assert.is_truthy(get(18480, '/debug/actors/'):find(path, 1, true))
    assert.equal('no such object; /debug/actors/ lists all as NAMESPACE/NAME\n\n404', get(18480, '/debug/actors/' .. ns .. '/nobody'))
    assert.equal('nothing is recorded: the operator runs without --record DIR\n\n404', get(18480, '/debug/records/'))
    assert.is_truthy(get(18480, '/debug/nonsense'):find('there is /debug/actors/NAMESPACE/NAME\n\n404', 1, true))
  end)

  it('shows /debug/ to other hosts only when told to', function()
    local address = cluster.sh('hostname -I'):match '%d+%.%d+%.%d+%.%d+'
    if not address then pending 'this machine has no address but loopback' return end
    local function ask() return (cluster.sh("curl -s -m 5 -w '\\n%%{http_code}' http://%s:18484/debug/", address)) end
    local arguments = '--metrics-bind-address 0.0.0.0:18484 --health-probe-bind-address 0 '
    local op = cluster.operator { args = arguments }
    eventually('it is refused', 15, function() return ask():find 'kubectl port%-forward.*403$' end)
    op.stop()
    cluster.operator { args = arguments .. '--debug' }
    eventually('it is answered', 15, function() return ask():find 'NAMESPACE/NAME.*200$' end)
  end)

  it('says in one line that an address is taken', function()
    cluster.operator { args = PORTS }
    eventually('ready', 15, function() return get(18481, '/readyz') == 'ok\n200' end)
    local output, ok = cluster.sh('%s/asya-operator run --metrics-bind-address 0 --health-probe-bind-address 127.0.0.1:18481', cluster.build)
    assert.is_false(ok)
    assert.is_truthy(output:find('error: --health-probe-bind-address', 1, true), output)
  end)
end)
