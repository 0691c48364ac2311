--- release: our finalizer taken off, by hand and before helm uninstalls, and nothing else.
local brokers = require 'brokers'
local chart = require 'chart'
local cluster = require 'cluster'
local json = require 'json'

local eventually, sh = cluster.eventually, cluster.sh
local env = os.getenv

local OURS = 'asya.sh/finalizer'

--- The verb's output (both streams), and its exit code.
local function release(arguments, ...)
  local output = sh('{ %s/asya-operator release %s; echo " exit $?"; }', cluster.build, arguments:format(...))
  local text, code = output:match '^(.*) exit (%d+)\n$'
  return text, tonumber(code)
end

local function finalizers(name, ns)
  local object = cluster.get('asyncactor', name, ns)
  return object and (object.metadata.finalizers or {})
end

--- Actors that an operator has held and left: each with the finalizer, a workload, and these labels.
local function actors(ns, list)
  local op = cluster.operator { args = '--namespace ' .. ns }
  for name, labels in pairs(list) do
    cluster.apply((cluster.actor(name, ns):gsub('namespace: [^}]+', '%0, labels: {' .. labels .. '}')))
  end
  for name in pairs(list) do eventually(name, 30, function() return cluster.get('deployment', name, ns) end) end
  op.stop()
end

local function lines(text)
  local found = {}
  for line in text:gmatch '[^\n]+' do found[#found + 1] = line end
  table.sort(found)
  return found
end

describe('release', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  local ns
  before_each(function()
    cluster.clear()
    ns = cluster.namespace 'release'
  end)
  after_each(function()
    cluster.stop_all()
    cluster.clear()
  end)

  it('takes off our finalizer alone, from those asked for, and leaves what runs', function()
    actors(ns, { a = 'team: red', b = 'team: red', c = 'team: blue' })
    cluster.kubectl([[patch asyncactor a -n %s --type=json -p '[{"op":"add","path":"/metadata/finalizers/0","value":"example.com/first"},
      {"op":"add","path":"/metadata/finalizers/-","value":"example.com/last"}]']], ns)
    local deployment = cluster.get('deployment', 'a', ns)

    assert.same({ 'asyncactor.asya.sh/a released (server dry run)\n', 0 }, { release('a -n %s --dry-run', ns) })
    assert.same({ 'example.com/first', OURS, 'example.com/last' }, finalizers('a', ns))
    assert.same({ 'asyncactor.asya.sh/a released\n', 0 }, { release('a -n %s', ns) })
    assert.same({ 'example.com/first', 'example.com/last' }, finalizers('a', ns))
    assert.same({ 'asyncactor.asya.sh/a unchanged\n', 0 }, { release('-n %s a', ns) })
    assert.same({ OURS }, finalizers('b', ns))

    assert.same({ 'asyncactor.asya.sh/c released\n', 0 }, { release("-n %s -l 'team in (blue,green)'", ns) })
    assert.same({ 'asyncactor.asya.sh/a unchanged (namespace ' .. ns .. ')', 'asyncactor.asya.sh/b released (namespace ' .. ns .. ')',
      'asyncactor.asya.sh/c unchanged (namespace ' .. ns .. ')' }, lines(release('-A')))
    assert.same({ 'nothing to release\n', 0 }, { release '-A -l team=none' })
    for _, name in ipairs { 'b', 'c' } do
      assert.same({}, finalizers(name, ns))
      assert.is_nil(cluster.get('deployment', name, ns).metadata.deletionTimestamp)
    end
    local after = cluster.get('deployment', 'a', ns)
    assert.same({ deployment.metadata.uid, deployment.metadata.resourceVersion }, { after.metadata.uid, after.metadata.resourceVersion })
  end)

  it('says what cannot be done', function()
    for _, row in ipairs {
      { '', 'say which', 2 }, { 'a -A', 'names cannot be used with', 2 }, { '-A -n x', 'exclude each other', 2 }, { '--nmae a', 'unknown flag: --nmae', 2 },
      { '--take-lease --all-classes -A', 'cannot be used with', 2 }, { 'nobody -n ' .. ns, 'not found', 1 },
      { '-A --watch-namespaces A', "'A' is not a valid name", 1 }, { '-A --kubeconfig /nowhere', '/nowhere', 1 },
    } do
      local text, code = release(row[1])
      assert.is_truthy(text:find(row[2], 1, true), text)
      assert.equal(row[3], code, row[1])
    end
  end)

  it('keeps to its class', function()
    for name, class in pairs { plain = "''", blue = 'blue' } do
      cluster.apply(cluster.actor(name, ns))
      cluster.kubectl([[annotate asyncactor %s -n %s asya.sh/operator-class=%s]], name, ns, class)
      cluster.kubectl([[patch asyncactor %s -n %s --type=merge -p '{"metadata":{"finalizers":["%s"]}}']], name, ns, OURS)
    end
    local text, code = release('blue -n %s', ns)
    assert.equal(1, code)
    assert.is_truthy(text:find("AsyncActor blue is of operator class 'blue'", 1, true), text)
    assert.same({ 'asyncactor.asya.sh/plain released\n', 0 }, { release('-n %s', ns) })
    assert.same({ OURS }, finalizers('blue', ns))
    assert.same({ 'asyncactor.asya.sh/blue released\n', 0 }, { release('blue -n %s --operator-class blue', ns) })
    assert.same({ 'asyncactor.asya.sh/blue unchanged', 'asyncactor.asya.sh/plain unchanged' }, lines(release('-n %s --all-classes', ns)))
  end)

  it('lets go what is being deleted, with its workload and without its queue', function()
    cluster.kubectl('create secret generic rabbitmq-secret -n %s --from-literal=password=guest', ns)
    local transports = json.encode { transports = { rabbitmq = { enabled = true, config = { host = '127.0.0.1', port = tonumber(env 'BED_RABBITMQ_PORT'),
      username = 'guest', queues = { autoCreate = true }, passwordSecretRef = { name = 'rabbitmq-secret', key = 'password' } } } } }
    local op = cluster.operator { queues = true, transports = transports, args = '--namespace ' .. ns }
    cluster.apply(cluster.actor(ns, ns))
    eventually('it runs', 30, function() return cluster.get('deployment', ns, ns) end)
    op.stop()
    cluster.kubectl('delete asyncactor %s -n %s --wait=false', ns, ns)
    assert.same({ OURS }, finalizers(ns, ns))
    assert.same({ ('asyncactor.asya.sh/%s released\n'):format(ns), 0 }, { release('%s -n %s', ns, ns) })
    eventually('the workload is collected', 30, function() return not cluster.get('asyncactor', ns, ns) and not cluster.get('deployment', ns, ns) end)
    assert.is_truthy(brokers.queue(ns))
    brokers.rabbitmqctl('-q delete_queue asya-%s', ns)
  end)

  it('tries again when somebody changes the list meanwhile', function()
    actors(ns, { a = 'team: red' })
    cluster.kubectl('create serviceaccount releaser -n %s', ns) -- with the rights to actors that an operator has
    cluster.kubectl('create role releaser -n %s --verb=list,patch --resource=asyncactors.asya.sh,configmaps', ns)
    cluster.kubectl('create rolebinding releaser -n %s --role=releaser --serviceaccount=%s:releaser', ns, ns)
    eventually('the rights', 20, function()
      return select(2, sh('kubectl auth can-i patch configmaps -n %s --as=system:serviceaccount:%s:releaser', ns, ns))
    end)
    sh('spec/bed/bed proxy %s pass', cluster.bed_dir) -- begins with the first that is wanted of it
    local proxy = sh("kubectl --kubeconfig %s/kubeconfig-proxy config view -o 'jsonpath={.clusters[0].cluster.server}'", cluster.bed_dir)
    local account = cluster.account('releaser', ns, proxy)
    sh('spec/bed/bed proxy %s delay 1000', cluster.bed_dir)
    local mark, out = cluster.audit_mark(), cluster.temp 'release.out'
    sh('%s/asya-operator release a -n %s --kubeconfig %s >%s 2>&1 &', cluster.build, ns, account, out)
    eventually('it has seen the finalizers', 30, function() return cluster.requests(mark)['list asyncactors.asya.sh'], cluster.read(out) end)
    cluster.kubectl([[patch asyncactor a -n %s --type=json -p '[{"op":"add","path":"/metadata/finalizers/0","value":"example.com/first"}]']], ns)
    eventually('it ends', 40, function() return cluster.read(out):find('released', 1, true), cluster.read(out) end)
    sh('spec/bed/bed proxy %s pass', cluster.bed_dir)
    assert.same({ 'example.com/first' }, finalizers('a', ns))
    assert.equal(2, cluster.requests(mark)['patch asyncactors.asya.sh'])
  end)

  it('as a hook of the chart stops the operator by its lease first, with no rights but the operator\'s', function()
    local own, out = cluster.namespace 'operators', cluster.temp 'uninstall.out'
    local installed, ok = sh("helm install released %s -n %s --set releaseOnUninstall=true --set replicaCount=0 --set operatorClass=blue"
      .. " --set 'watchNamespaces={%s}' --set nodeSelector.no=where", cluster.PACKAGE, own, ns)
    assert.is_true(ok, installed)
    local account = cluster.account('released-asya-operator', own)
    local function start()
      return cluster.operator { args = '--leader-elect --operator-class blue --kubeconfig ' .. account, env = 'ASYA_WATCH_NAMESPACES=' .. ns }
    end
    local op = start()
    cluster.apply((cluster.actor('a', ns):gsub('namespace: [^}]+', '%0, annotations: {asya.sh/operator-class: blue}')))
    eventually('it is held', 30, function() return cluster.get('deployment', 'a', ns) end)
    local warned = release('a -n %s --operator-class blue --operator-namespace %s', ns, own)
    assert.is_truthy(warned:find('will put the finalizer back', 1, true), warned)
    cluster.kubectl('annotate asyncactor a -n %s wake=up', ns)
    eventually('the operator puts it back', 20, function() return (finalizers('a', ns) or {})[1] == OURS end)

    -- The pods of this cluster are played, and this one finds no node: what it would run, we do, with the rights it would have.
    sh('(helm uninstall released -n %s --timeout 3m; echo "exit $?") >%s 2>&1 &', own, out)
    local job = eventually('the hook', 30, function() return cluster.get('job', 'released-asya-operator-release', own) end)
    local pod = job.spec.template.spec
    assert.equal('released-asya-operator', pod.serviceAccountName)
    local output, done = chart.play(pod, own)
    assert.is_true(done, output)
    assert.is_truthy(output:find('asyncactor.asya.sh/a released (namespace ' .. ns .. ')', 1, true), output)
    assert.is_false(op.alive())
    assert.is_truthy(op.log():find('lost', 1, true))

    local next_one = start() -- as the kubelet would
    eventually('it stands by', 20, function() return next_one.log():find('held by', 1, true) end)
    cluster.kubectl('annotate asyncactor a -n %s wake=again --overwrite', ns)
    assert.is_table(cluster.get('deployment', 'released-asya-operator', own), 'the operator goes after the hook')
    local hook = cluster.list('pods', own, '-l job-name=released-asya-operator-release')[1]
    cluster.kubectl([[patch pod %s -n %s --subresource=status --type=merge -p '{"status":{"phase":"Succeeded"}}']], hook.metadata.name, own)
    eventually('helm is done', 60, function() return cluster.read(out):find('exit 0', 1, true), cluster.read(out) end)
    assert.is_nil(cluster.get('deployment', 'released-asya-operator', own))
    assert.same({}, finalizers('a', ns))
    assert.is_nil(cluster.get('deployment', 'a', ns).metadata.deletionTimestamp)
    assert.is_nil(next_one.log():find('acquired', 1, true))
  end)
end)
