--- probes: what kubelet and Prometheus ask, and what README.md tells users to type.
local cluster = require 'cluster'

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
    assert.is_truthy(get(18481, '/readyz?verbose'):find('[+]policies ok', 1, true))
    assert.is_truthy(get(18481, '/nothing'):find '404$')
    cluster.apply(cluster.actor('counted', ns))
    local text
    eventually('the write is counted', 15, function()
      text = get(18480, '/metrics')
      return text:find('applies_total{kind="Deployment",verb="created"}', 1, true)
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

  it('says in one line that an address is taken', function()
    cluster.operator { args = PORTS }
    eventually('ready', 15, function() return get(18481, '/readyz') == 'ok\n200' end)
    local output, ok = cluster.sh('%s/asya-operator run --metrics-bind-address 0 --health-probe-bind-address 127.0.0.1:18481', cluster.build)
    assert.is_false(ok)
    assert.is_truthy(output:find('error: --health-probe-bind-address', 1, true), output)
  end)
end)

describe('README.md', function()
  if not cluster.available then return end

  teardown(function()
    cluster.sh 'helm uninstall asya-operator -n asya-system --no-hooks; helm uninstall blue -n asya-blue'
    cluster.clear()
    cluster.sh 'kubectl delete namespace asya --wait=false'
  end)

  for block in cluster.read('README.md'):gmatch '```bash\n(.-)```' do
    if not block:find '^make ' then
      it('shows commands that work: ' .. block:match '[^\n]*', function()
        local output, ok = cluster.sh('sh -ec %s', cluster.quote(block))
        assert.is_true(ok, output)
      end)
    end
  end
end)
