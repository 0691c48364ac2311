--- source: where the runtime script comes from: a release that is there, comes later, is another than wanted; a file on the machine.
local cluster = require 'cluster'
local eventually, quote = cluster.eventually, cluster.quote

-- spec/releases.py, a real HTTPS server with a CA of its own, for as long as these specs run.
local releases = {}

local function start_releases()
  releases.dir = cluster.temp 'releases'
  releases.server = cluster.background('tail --pid=$PPID -f /dev/null 2>/dev/null | python3 spec/releases.py %s >/dev/null 2>&1', releases.dir)
  local ports = eventually('the release server', 20, function() return cluster.read(releases.dir .. '/ports'):match '(%d+) ' end)
  releases.url = 'https://127.0.0.1:' .. ports
end

local function release(version, text)
  cluster.sh('mkdir -p %s/releases/%s', releases.dir, version)
  cluster.write(('%s/releases/%s/asya_runtime.py'):format(releases.dir, version), text)
end

--- How often the server was asked for a version.
local function downloads(version)
  return select(2, cluster.read(releases.dir .. '/log'):gsub('server /deliveryhero/asya/releases/download/' .. version .. '/', ''))
end

local function sha256(text)
  return cluster.sh('printf %%s %s | sha256sum', quote(text)):match '%x+'
end

describe('the source of the runtime script', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  local ns, other, own, runtime, config
  setup(function()
    cluster.clear()
    start_releases()
  end)
  teardown(function() releases.server.stop() end)
  before_each(function()
    ns, other, own, runtime = cluster.namespace 'actors', cluster.namespace 'others', cluster.namespace 'operator', cluster.namespace 'runtime'
    config = cluster.temp 'config.yaml'
  end)
  after_each(function()
    cluster.sh('kubectl delete asyncactors --all -A --timeout=20s') -- while somebody is there to release them
    cluster.stop_all()
  end)

  --- Writes the operator's configuration file.
  local function configure(version, more, url)
    cluster.write(config, ('runtimeSource: github\nruntimeGitHub: %s\nruntimeVersion: %s\nruntimeCAFile: %s/ca.crt\n%s'):format(
      url or releases.url, version, releases.dir, more or ''))
  end

  local function operator(options)
    options = options or {}
    options.args = ('--namespace %s %s'):format(own, options.args or '--config ' .. config)
    options.runtime_namespace = runtime
    return cluster.operator(options)
  end

  local function script(namespace)
    local map = cluster.get('configmap', 'asya-runtime', namespace)
    return map and map.data['asya_runtime.py']
  end

  local function await_script(text, ...)
    for _, namespace in ipairs { ... } do
      eventually('the script is in ' .. namespace, 20, function() return script(namespace) == text, script(namespace) end)
    end
  end

  local function await_running(namespace, name)
    eventually(name .. ' is Running', 30, function()
      local actor = cluster.get('asyncactor', name, namespace)
      return actor and actor.status and actor.status.status == 'Running', actor and actor.status and actor.status.status
    end)
  end

  local function await_log(op, text)
    return eventually('the log says ' .. text, 20, function() return op.log():find(text, 1, true), op.log():sub(-2000) end)
  end

  local function events(reason)
    return cluster.kubectl('get events -n %s -o jsonpath=%s', own,
      quote(('{range .items[?(@.reason=="%s")]}{.type} {.note}{.message}{"\\n"}{end}'):format(reason)))
  end

  local function pods(namespace)
    return cluster.kubectl('get pods -n %s -o jsonpath=%s', namespace, quote '{.items[*].metadata.uid}')
  end

  it('is a release that may come later: actors do not wait for it, and then it is everywhere', function()
    configure 'v1.0.0'
    local op = operator()
    cluster.apply(cluster.actor('one', ns))
    cluster.apply(cluster.actor('two', other))
    await_running(ns, 'one')
    await_running(other, 'two')
    local line = 'runtime ConfigMap: ' .. releases.url .. '/deliveryhero/asya/releases/download/v1.0.0/asya_runtime.py: HTTP 404: Not Found; '
      .. 'check runtimeRepo (deliveryhero/asya), runtimeVersion (v1.0.0); what is there stays as it is'
    await_log(op, line)
    eventually('an Event says so, too', 20, function() return events('FileMissing'):find('Warning ' .. line, 1, true), events 'FileMissing' end)
    for _, namespace in ipairs { ns, other, runtime } do assert.is_nil(script(namespace)) end
    local before = pods(ns)
    release('v1.0.0', 'print(1)\n')
    await_script('print(1)\n', ns, other, runtime)
    eventually('an Event says so', 20, function() return events('FileRead'):find('Normal runtime ConfigMap: read https://', 1, true) end)
    assert.equal(before, pods(ns))
    local labels = cluster.get('configmap', 'asya-runtime', ns).metadata.labels
    assert.equal('asya-runtime', labels['app.kubernetes.io/name'])
  end)

  it('is fetched once a version, and another version is live from the configuration file without a restart of pod or operator', function()
    release('v1.1.0', 'print(11)\n')
    configure 'v1.1.0'
    local op = operator()
    cluster.apply(cluster.actor('one', ns))
    await_script('print(11)\n', ns, runtime)
    await_running(ns, 'one')
    local before = pods(ns)
    configure 'v1.2.0'
    await_log(op, 'v1.2.0/asya_runtime.py: HTTP 404')
    assert.equal('print(11)\n', script(ns))
    assert.equal('print(11)\n', script(runtime))
    cluster.kubectl('delete configmap asya-runtime -n %s', runtime)
    await_script('print(11)\n', runtime) -- waiting for another is no reason to lose the one that there was
    release('v1.2.0', 'print(12)\n')
    await_script('print(12)\n', ns, runtime)
    cluster.apply(cluster.actor('later', other))
    await_script('print(12)\n', other)
    await_running(ns, 'one')
    assert.equal(before, pods(ns))
    assert.equal(1, downloads 'v1%.1%.0')
    local fetched = downloads 'v1%.2%.0'
    cluster.kubectl('annotate asyncactor one -n %s a=b', ns)
    cluster.sleep(3)
    assert.equal(fetched, downloads 'v1%.2%.0')
    assert.is_true(op.alive())
  end)

  it('that cannot be reached leaves what is there to an operator that starts anew', function()
    release('v2.0.0', 'print(2)\n')
    configure 'v2.0.0'
    local first = operator()
    cluster.apply(cluster.actor('one', ns))
    await_script('print(2)\n', ns, runtime)
    await_running(ns, 'one')
    first.stop()
    configure('v2.0.0', '', 'https://127.0.0.1:1')
    local second = operator()
    await_log(second, 'runtime ConfigMap: https://127.0.0.1:1/deliveryhero/')
    await_log(second, 'policies live: bundle') -- with another address it is another bundle
    cluster.apply(cluster.actor('two', other))
    await_running(other, 'two')
    cluster.kubectl('annotate asyncactor one -n %s a=b', ns)
    cluster.sleep(2)
    assert.equal('print(2)\n', script(ns))
    assert.equal('print(2)\n', script(runtime))
    assert.is_nil(script(other))
    configure 'v2.0.0'
    await_script('print(2)\n', other)
  end)

  it('is refused when it has another checksum than the pin', function()
    local right, wrong = sha256 'print(3)\n', ('0'):rep(64)
    release('v3.0.0', 'print(3)\n')
    configure('v3.0.0', 'runtimeChecksum: "' .. wrong .. '"\n')
    local op = operator()
    await_log(op, ('the file is not the wanted one: wanted SHA-256 %s, found %s'):format(wrong, right))
    assert.is_nil(script(runtime))
    configure('v3.0.0', 'runtimeChecksum: sha256:' .. right .. '\n')
    await_script('print(3)\n', runtime)
  end)

  it('restarts pods only when asked to, and not while it is waited for', function()
    local params = 'params: {workload: {runtime_checksum: true}}\n'
    local function mark(namespace, name)
      local annotations = cluster.get('deployment', name, namespace).spec.template.metadata.annotations
      return annotations and annotations['asya.sh/runtime-checksum']
    end
    release('v4.0.0', 'print(4)\n')
    configure('v4.0.0', params)
    local first = operator { env = [[ASYA_POLICY_ROLLOUT='{"maxRestarting":1}']] }
    local names = { 'a', 'b', 'c' }
    for _, name in ipairs(names) do cluster.apply(cluster.actor(name, ns)) end
    for _, name in ipairs(names) do
      await_running(ns, name)
      eventually(name .. ' is marked', 20, function() return mark(ns, name) == sha256 'print(4)\n', mark(ns, name) end)
    end
    local before = pods(ns)
    release('v4.1.0', 'print(41)\n')
    configure('v4.1.0', params)
    local edits = 0
    for _, name in ipairs(names) do
      eventually(name .. ' is marked anew', 40, function()
        edits = edits + 1
        cluster.kubectl('annotate asyncactor --all -n %s --overwrite edit=%d', ns, edits)
        return mark(ns, name) == sha256 'print(41)\n', mark(ns, name)
      end)
    end
    -- who still waits for his turn, and is looked at meanwhile, must not put the old script back under those who had theirs
    await_script('print(41)\n', ns)
    await_log(first, 'updated the runtime ConfigMap') -- the line follows the answer
    assert.equal(1, select(2, first.log():gsub('actors[^\n]*updated the runtime ConfigMap', '')))
    eventually('all pods are new', 30, function()
      local now = pods(ns)
      for uid in before:gmatch '%S+' do
        if now:find(uid, 1, true) then return false, now end
      end
      return #now == #before, now
    end)
    for _, name in ipairs(names) do await_running(ns, name) end
    first.stop()
    local after = pods(ns)
    configure('v4.1.0', params, 'https://127.0.0.1:1')
    local second = operator()
    await_log(second, 'runtime ConfigMap: https://127.0.0.1:1/')
    cluster.kubectl('annotate asyncactor a -n %s a=b', ns)
    cluster.sleep(2)
    for _, name in ipairs(names) do assert.equal(sha256 'print(41)\n', mark(ns, name)) end
    assert.equal(after, pods(ns))
  end)

  it('is fetched by the leader alone, by flags and environment as of old', function()
    release('v5.0.0', 'print(5)\n')
    local options = {
      args = '--leader-elect --runtime-source=github --runtime-github-repo deliveryhero/asya --runtime-version v5.0.0',
      env = ('ASYA_RUNTIME_GITHUB_URL=%s ASYA_RUNTIME_CA_FILE=%s/ca.crt ASYA_RUNTIME_GITHUB_TOKEN=s3cret'):format(releases.url, releases.dir),
    }
    local leader = operator { args = options.args, env = options.env }
    await_script('print(5)\n', runtime)
    local standby = operator { args = options.args, env = options.env }
    await_log(standby, 'bundle')
    cluster.sleep(3)
    assert.equal(1, downloads 'v5%.0%.0')
    local log = cluster.read(releases.dir .. '/log')
    assert.is_truthy(log:find('v5.0.0/asya_runtime.py Bearer s3cret\n', 1, true))
    assert.is_truthy(log:find('store /store/v5.0.0/asya_runtime.py?signature=s -\n', 1, true), 'the token stays with the first host')
    assert.is_nil((leader.log() .. standby.log()):find('s3cret', 1, true))
  end)

  it('may be a file on the machine that is not there yet', function()
    local path = cluster.temp 'runtime.py'
    local op = operator { args = '', env = 'ASYA_RUNTIME_SOURCE=local ASYA_RUNTIME_LOCAL_PATH=' .. path }
    await_log(op, ('runtime ConfigMap: %s: No such file or directory; what is there stays as it is'):format(path))
    cluster.apply(cluster.actor('one', ns))
    await_running(ns, 'one')
    assert.is_nil(script(ns))
    cluster.write(path, 'print("local")\n')
    await_script('print("local")\n', ns, runtime)
    cluster.write(path, 'print("edited")\n')
    await_script('print("edited")\n', ns, runtime)
  end)

  it('shows in /readyz, in metrics and in diff, and is only named by render', function()
    release('v6.0.0', 'print(6)\n')
    configure 'v6.0.9'
    local port = 20000 + tonumber((cluster.sh 'echo $$')) % 10000
    local op = operator { args = ('--config %s --health-probe-bind-address 127.0.0.1:%d --metrics-bind-address 127.0.0.1:%d'):format(config, port, port + 1) }
    await_log(op, 'HTTP 404')
    cluster.apply(cluster.actor('one', ns))
    await_running(ns, 'one')
    local ready = cluster.sh('curl -s "http://127.0.0.1:%d/readyz?verbose"', port)
    assert.is_truthy(ready:find('note: files: runtime ConfigMap degraded: https://', 1, true) and ready:find('readyz check passed', 1, true), ready)
    local metrics = cluster.sh('curl -s http://127.0.0.1:%d/metrics', port + 1)
    assert.is_truthy(metrics:find('setting_file_ready{setting="runtimeScript"} 0', 1, true), metrics)
    configure 'v6.0.0'
    await_script('print(6)\n', ns)
    ready = cluster.sh('curl -s "http://127.0.0.1:%d/readyz?verbose"', port)
    assert.is_truthy(ready:find('note: files: runtime ConfigMap: https://[^\n]+ SHA%-256 ' .. sha256 'print(6)\n'), ready)

    release('v6.1.0', 'print(61)\n')
    local try = cluster.write(cluster.temp 'try.yaml', (cluster.read(config):gsub('v6.0.0', 'v6.1.0')))
    local env = 'ASYA_TRANSPORT_CONFIG=' .. quote(cluster.TRANSPORTS) .. ' ASYA_DISABLE_QUEUE_MANAGEMENT=true ASYA_RUNTIME_NAMESPACE=' .. runtime
    local output = cluster.sh('%s %s/asya-operator diff -n %s --operator-namespace %s --config %s', env, cluster.build, ns, own, try)
    assert.is_truthy(output:find('ConfigMap ' .. ns .. '/asya-runtime', 1, true) and output:find('print(61)', 1, true), output)
    output = cluster.sh('%s %s/asya-operator diff -n %s --operator-namespace %s --config %s', env, cluster.build, ns, own,
      cluster.write(try, (cluster.read(config):gsub('v6.0.0', 'v6.2.0'))))
    assert.is_truthy(output:find('HTTP 404', 1, true) and output:find('0 children differ', 1, true), output)
    output = cluster.sh('%s %s/asya-operator render -f crds/examples/minimal.yaml --config %s', env, cluster.build, config)
    assert.is_truthy(output:find('note: runtime ConfigMap: https://', 1, true) and output:find('the built-in file is used here', 1, true), output:sub(1, 500))
  end)
end)
