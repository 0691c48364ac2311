--- metrics: each of them moves when its cause happens, the page is what Prometheus reads, and chart/docs/metrics.md lists what is on it.
local brokers = require 'brokers'
local cluster = require 'cluster'
local exposition = require 'exposition'
local json = require 'json'

local eventually, sh = cluster.eventually, cluster.sh
local env = os.getenv

local ADDRESS = '127.0.0.1:18482'
local LISTEN = ('--metrics-bind-address %s --health-probe-bind-address 127.0.0.1:18483'):format(ADDRESS)

local function page() return (sh('curl -s -m 10 http://%s/metrics', ADDRESS)) end
local function metrics() return exposition.read(page()) end
local function value(name, labels) return exposition.value(metrics(), name, labels) end

--- Waits until the series is above `floor` (0 when left out).
local function moves(name, labels, floor)
  return eventually(('%s %s moves'):format(name, json.encode(labels or {})), 30, function()
    local text = page()
    local now = text ~= '' and exposition.value(exposition.read(text), name, labels)
    return now and now > (floor or 0) and now, now
  end)
end

local function leading()
  eventually('it leads', 20, function()
    local text = page()
    return text:find('leader_election_master_status{name="asya-operator.asya.sh"} 1', 1, true)
  end)
end

local function configmap(own, file, text)
  cluster.kubectl('create configmap %s -n %s --from-file=%s.lua=%s', file, own, file, cluster.write(cluster.temp(file), text))
  cluster.kubectl('label configmap %s -n %s asya.sh/policies=true', file, own)
end

describe('metrics', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end
  before_each(cluster.clear)
  after_each(cluster.stop_all)

  it('count writes by kind and result, passes, calls of policies, and actors by status', function()
    local ns = cluster.namespace 'metrics'
    cluster.operator { args = LISTEN }
    leading()
    local before = metrics()
    cluster.apply(cluster.actor('one', ns))
    moves('applies_total', { kind = 'Deployment', result = 'created' })
    moves('asya_actors', { namespace = ns })
    local actor = cluster.get('asyncactor', 'one', ns)
    eventually('the actor is counted by its status', 30, function()
      actor = cluster.get('asyncactor', 'one', ns)
      local status = actor.status and actor.status.status
      return status and value('asya_actors', { namespace = ns, status = status }) == 1, status
    end)
    local after = metrics()
    local function grew(name, labels)
      local a, b = exposition.value(before, name, labels) or 0, exposition.value(after, name, labels) or 0
      assert.is_true(b > a, ('%s %s: %s, then %s'):format(name, json.encode(labels or {}), a, b))
    end
    grew('controller_runtime_reconcile_total', { controller = 'asyncactor', result = 'success' })
    grew('controller_runtime_reconcile_time_seconds_count', { controller = 'asyncactor' })
    grew('workqueue_adds_total', { name = 'asyncactor' })
    grew('workqueue_queue_duration_seconds_count', { name = 'asyncactor' })
    grew('workqueue_work_duration_seconds_sum', { name = 'asyncactor' })
    grew('rest_client_requests_total', { code = '201', method = 'POST' })
    grew('rest_client_request_duration_seconds_count', { verb = 'POST' })
    grew('policy_call_seconds_count', { call = 'plan' })
    grew('policy_call_seconds_count', { call = 'status' })
    grew('policy_hook_seconds_total', { policy = 'workload', hook = 'render' })
    grew('policy_hook_calls_total', { policy = 'workload', hook = 'render' })
    grew('policy_hook_seconds_total', { policy = 'status', hook = 'status' })
    grew('policy_steps_total', { call = 'plan' })
    grew('policy_heap_peak_bytes', { call = 'status' })
    moves('loop_lag_seconds_count') -- once a second
    cluster.kubectl('set image deployment/one asya-runtime=other:1 -n %s', ns)
    moves('applies_total', { kind = 'Deployment', result = 'restored' })
    cluster.kubectl('delete asyncactor one -n %s', ns)
    eventually('nobody is counted any more', 10, function() return not value('asya_actors', { namespace = ns }) end)
  end)

  it('count what the server refuses as errors of that kind', function()
    local ns = cluster.namespace 'metrics'
    cluster.operator { args = LISTEN }
    leading()
    cluster.apply(([[
apiVersion: v1
kind: ResourceQuota
metadata: {name: none, namespace: %s}
spec: {hard: {count/deployments.apps: "0"}}]]):format(ns))
    eventually('the quota is in force', 20, function() return ((cluster.get('resourcequota', 'none', ns) or {}).status or {}).used end)
    cluster.apply(cluster.actor('refused', ns))
    moves('applies_total', { kind = 'Deployment', result = 'error' })
    moves('controller_runtime_reconcile_errors_total', { controller = 'asyncactor' })
    moves('workqueue_retries_total', { name = 'asyncactor' })
    assert.is_nil(value('applies_total', { kind = 'Deployment', result = 'created' }))
  end)

  it('name policy and hook of an error, and count a bundle that is rejected', function()
    local own, ns = cluster.namespace 'operator', cluster.namespace 'metrics'
    configmap(own, 'moody', [[
local policy = require 'policy'
return policy.define { name = 'moody', after = { 'workload' }, render = function(actor)
  if actor.metadata.name == 'cursed' then error 'no' end
end }]])
    cluster.operator { args = LISTEN .. ' --namespace ' .. own }
    leading()
    eventually('the policy is live', 20, function()
      return (cluster.get('configmap', 'moody', own).metadata.annotations or {})['asya.sh/policies-state']
    end)
    cluster.apply(cluster.actor('cursed', ns))
    moves('policy_errors_total', { policy = 'moody', hook = 'render' })
    moves('controller_runtime_terminal_reconcile_errors_total', { controller = 'asyncactor' })
    local digest = page():match 'policy_bundle_info{digest="(%x+)",track="live"} 1'
    assert.is_truthy(digest)
    configmap(own, 'broken', 'return (((')
    moves('policy_reloads_total', { result = 'rejected' })
    assert.equal(1, value 'policy_bundle_degraded')
    assert.equal(1, value('policy_bundle_info', { digest = digest, track = 'live' }))
  end)

  it('count restarts of watches by kind', function()
    sh('spec/bed/bed proxy %s pass', cluster.bed_dir)
    finally(function() sh('spec/bed/bed proxy %s pass', cluster.bed_dir) end)
    cluster.operator { args = LISTEN .. (' --kubeconfig %s/kubeconfig-proxy'):format(cluster.bed_dir) }
    leading()
    eventually('caches are filled', 20, function() return (sh 'curl -s "http://127.0.0.1:18483/readyz?verbose"'):find('caches: filled', 1, true) end)
    for _, kind in ipairs { 'AsyncActor', 'Deployment', 'Pod' } do assert.equal(0, value('watch_restarts_total', { kind = kind })) end
    sh('spec/bed/bed proxy %s cut', cluster.bed_dir)
    sh('spec/bed/bed proxy %s pass', cluster.bed_dir)
    for _, kind in ipairs { 'AsyncActor', 'Deployment', 'Pod' } do moves('watch_restarts_total', { kind = kind }) end
  end)

  it('show what waits in a queue, and whether its broker answers', function()
    local ns = cluster.namespace 'metrics'
    cluster.kubectl('create secret generic rabbitmq-secret -n %s --from-literal=password=guest', ns)
    cluster.operator { args = LISTEN, queues = true, env = 'ASYA_QUEUE_HEALTH_CHECK_INTERVAL=1s', transports = json.encode { transports = { rabbitmq = {
      enabled = true, type = 'rabbitmq', config = { host = '127.0.0.1', port = tonumber(env 'BED_RABBITMQ_PORT'), username = 'guest',
        passwordSecretRef = { name = 'rabbitmq-secret', key = 'password' }, queues = { autoCreate = true } } } } } }
    leading()
    cluster.apply(cluster.actor('loaded', ns))
    eventually('the queue is there and takes messages', 30, function() return pcall(brokers.publish, 'loaded', 1) end)
    brokers.publish('loaded', 2)
    moves('queue_messages', { queue = 'asya-loaded', transport = 'rabbitmq' }, 2)
    assert.equal(1, value('transport_up', { transport = 'rabbitmq' }))
    assert.is_nil(page():find('guest', 1, true))
  end)
end)

describe('the list of metrics', function()
  if not cluster.available then return end
  after_each(cluster.stop_all)

  it('in chart/docs/metrics.md is what is on the page, and dashboard and alerts use nothing else', function()
    cluster.operator { args = LISTEN }
    leading()
    local families, documented = metrics(), {}
    for name, kind, help in cluster.read('chart/docs/metrics.md'):gmatch '\n| `([%l_]+)` | (%l+) | [%l, ]*| ([^\n]*) |' do
      documented[name] = { type = kind, help = help }
    end
    for name, family in pairs(families) do
      assert.same({ type = family.type, help = family.help }, documented[name], name)
    end
    for name in pairs(documented) do assert.is_truthy(families[name], name .. ' is documented, but not on the page') end
    local used = 0
    local function check(expression)
      for _, name in ipairs(exposition.names(expression)) do
        used = used + 1
        local base = name:gsub('_bucket$', ''):gsub('_sum$', ''):gsub('_count$', '')
        local family = families[name] or families[base]
        assert.is_truthy(family and (families[name] or family.type == 'histogram'), expression .. ': ' .. name)
      end
    end
    for _, panel in ipairs(json.decode(cluster.read 'chart/dashboard.json').panels) do
      for _, target in ipairs(panel.targets) do check(target.expr) end
    end
    local rules = cluster.read 'chart/templates/metrics.yaml'
    for expression in rules:gmatch 'expr: ([^\n]*)' do check(expression) end
    local _, alerts = rules:gsub('%- alert:', '')
    assert.is_true(used >= alerts + 16, used .. ' names were found')
  end)

  it('is read strictly', function()
    for text, why in pairs {
      ['a 1\n'] = 'no TYPE', ['# HELP a A.\n# TYPE a gauge\na 1\na 1\n'] = 'series twice', ['# HELP a A.\n# TYPE a gauge\na{b="\\x"} 1\n'] = 'wrong escape',
      ['# HELP a A.\n# TYPE a counter\na 1\n'] = '_total', ['# HELP a A.\n# TYPE a gauge\na{b="c} 1\n'] = 'unfinished value',
      ['# HELP a A.\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n'] = 'buckets',
      ['# HELP a A.\n# TYPE a histogram\na_bucket{le="+Inf"} 1\na_sum 1\na_count 2\n'] = 'count', ['# HELP a A.\n# TYPE a gauge\na 1'] = 'must end',
      ['# HELP a A.\n# TYPE a gauge\n# HELP a A.\n# TYPE a gauge\n'] = 'family twice', ['# HELP a A.\n# TYPE a gauge\na 0x1\n'] = 'number',
    } do
      local ok, message = pcall(exposition.read, text)
      assert.is_false(ok, text)
      assert.is_truthy(tostring(message):find(why, 1, true), text .. tostring(message))
    end
  end)
end)
