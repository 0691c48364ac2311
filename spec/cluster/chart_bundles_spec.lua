--- chart_bundles: the value `bundles` of the chart: what helm makes of it, and an operator that works with it and with no more rights.
local chart = require 'chart'
local cluster = require 'cluster'
local json = require 'json'
local yaml = require 'asya.yaml'

local eventually, rights, beyond = cluster.eventually, chart.rights, chart.beyond
local EXAMPLES <const> = 'policies/examples/'

local function rules_of(objects, kind)
  for _, object in ipairs(objects) do
    if object.kind == kind then return object.rules end
  end
end

local REFUSED = {
  { '[{name: a, parent: e.com/v1 A}]', 'bundles: a needs files or configMap, and not both' },
  { '[{name: a, parent: e.com/v1 A, configMap: a}, {name: a, parent: e.com/v1 B, configMap: b}]', 'bundles: two have the name a' },
  { '[{name: a, parent: e.com/v1 A, configMap: a}, {name: b, parent: e.com/v2 A, configMap: b}]', 'bundles: two have the parent e.com A' },
  { '[{name: a, parent: e.com/v1 A, configMap: a, class: b}, {name: b, parent: e.com/v2 A, configMap: b, class: b}]', 'two have the parent e.com A b' },
  { '[{name: a, parent: e.com/v1 A, configMap: a, class: b}, {name: b, parent: e.com/v1 A, configMap: b, class: c}]', 'two have the lease a-operator.e.com;' },
  { '[{name: a, parent: v1 Pod, configMap: a}]', 'core group, so set lease' },
  { '[{name: a, parent: apps/v1 Deployment, configMap: a, decorate: true}]', 'somebody else, so set lease' },
  { '[{name: a, parent: e.com/v1 A, configMap: a, patches: true}]', 'they go with decorate' },
  { '[{name: a, parent: e.com/v1 A, configMap: a, patchesStatus: true}]', 'they go with decorate' },
  { '[{name: a, parent: Greeting, configMap: a}]', 'apps/v1 Deployment' },
  { '[{name: A, parent: e.com/v1 A, configMap: a}]', 'name' },
}

describe('bundles of the chart', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  for _, row in ipairs(REFUSED) do
    it('are refused: ' .. row[1], function()
      local text, said = chart.text(chart.values('bundles: ' .. row[1]))
      assert.is_nil(text)
      assert.is_truthy(said:find(row[2], 1, true), said)
    end)
  end

  --- Compares the rights that helm gives a bundle with those that are printed for its folder. Returns the objects that helm makes.
  local function assert_rights(folder, bundle)
    local printed, ok = cluster.sh('%s/san/asya-operator manifest --bundle %s -o yaml', cluster.build, folder)
    assert(ok, printed)
    local with = chart.objects(chart.values('bundles: ' .. json.encode { bundle }))
    local before, now = rights(rules_of(chart.objects(), 'ClusterRole')), rights(rules_of(with, 'ClusterRole'))
    local asked = rights(rules_of(yaml.load_all(printed), 'ClusterRole'))
    assert.same({}, beyond(asked, now))
    assert.same({}, beyond(beyond(now, before), asked))
    return with
  end

  it('get exactly the rights that `asya-operator manifest` prints for them', function()
    local folder = cluster.folder 'kinds'
    local children = { 'v1 ConfigMap', 'v1 Endpoints', 'networking.k8s.io/v1 Ingress', 'networking.k8s.io/v1 NetworkPolicy', 'example.com/v1 Box',
      { apiVersion = 'example.com/v1', kind = 'Sheep', plural = 'sheep' }, { apiVersion = 'v1', kind = 'Secret', shared = true } }
    local related = { { apiVersion = 'v1', kind = 'Node', rules = true } }
    cluster.write(folder .. '/manifest.lua', [[return require 'policy'.manifest {
      parent = 'example.com/v1 Toy',
      children = { 'v1 ConfigMap', 'v1 Endpoints', 'networking.k8s.io/v1 Ingress', 'networking.k8s.io/v1 NetworkPolicy', 'example.com/v1 Box',
        { apiVersion = 'example.com/v1', kind = 'Sheep', plural = 'sheep' }, { apiVersion = 'v1', kind = 'Secret', plural = 'secrets', shared = true } },
      related = { { apiVersion = 'v1', kind = 'Node', rules = true } },
    }]])
    cluster.write(folder .. '/toy.lua', "return require 'policy'.define { name = 'toy', render = function() end }\n")
    local with = assert_rights(folder, { name = 'toy', configMap = 'toy', parent = 'example.com/v1 Toy', children = children, related = related })
    local lease = chart.find(with, 'Role').rules[2]
    assert.same({ 'asya-operator.asya.sh', 'toy-operator.example.com' }, lease.resourceNames)
    assert.same({ 'asya-operator.asya.sh-red', 'toy-operator.example.com-red' }, chart.find(chart.objects(
      '--set operatorClass=red ' .. chart.values 'bundles: [{name: toy, configMap: toy, parent: example.com/v1 Toy}]'), 'Role').rules[2].resourceNames)
    assert.same({ 'asya-operator.asya.sh-red', 'toy-operator.example.com-red', 'toys.example.com-blue' },
      chart.find(chart.objects('--set operatorClass=red ' .. chart.values ('bundles: [{name: toy, configMap: toy, parent: example.com/v1 Toy}, '
        .. '{name: blue, configMap: blue, parent: example.com/v1 Toy, class: blue, lease: toys.example.com}]')), 'Role').rules[2].resourceNames)
  end)

  it('may only see objects of somebody else, and change them where the manifest says so', function()
    local folder = cluster.folder 'kinds'
    cluster.write(folder .. '/toy.lua', "return require 'policy'.define { name = 'toy', render = function() end }\n")
    for i = 0, 3 do
      local patches, status = i % 2 == 1, i > 1
      cluster.write(folder .. '/manifest.lua', ([[return require 'policy'.manifest { parent = 'node.k8s.io/v1 RuntimeClass', domain = 'e.com',
        decorate = {}, patches = %s, patches_status = %s, children = { 'v1 PodTemplate' } }]]):format(patches, status))
      local with = assert_rights(folder, { name = 'toy', configMap = 'toy', parent = 'node.k8s.io/v1 RuntimeClass', children = { 'v1 PodTemplate' },
        decorate = true, patches = patches, patchesStatus = status, lease = 'runtimeclass-decorator.e.com', settings = { rollout = { maxRestarting = 1 } } })
      local config = yaml.load_all(chart.find(with, 'ConfigMap', 'asya-operator-config').data['config.yaml'])[1]
      assert.same({ rollout = { maxRestarting = 1 } }, config.bundles['runtimeclass-decorator'])
    end
  end)

  it('serve beside the built-in one, take edits of their ConfigMaps, rest while these are missing or broken, and say which right they lack', function()
    cluster.clear()
    chart.clean()
    local own, apps = cluster.namespace 'own', cluster.namespace 'apps'
    cluster.kubectl('apply -f %sgreeting/crd/ -f %scatset/crd/', EXAMPLES, EXAMPLES)
    cluster.kubectl 'wait --for=condition=Established crd/greetings.demo.example.com crd/catsets.ctl.example.com --timeout=30s'
    finally(function()
      cluster.stop_all()
      cluster.sh('kubectl patch greetings -n %s --all --type=merge -p %s', apps, cluster.quote '{"metadata":{"finalizers":null}}')
      cluster.sh('kubectl delete greetings,asyncactors -n %s --all --wait=false', apps)
      chart.clean()
    end)
    local function helm(verb, suffix, kinds_of_cats)
      local values = { bundles = {
        { name = 'greeting', parent = 'demo.example.com/v1 Greeting', children = { 'v1 ConfigMap', 'apps/v1 Deployment' }, files = {
          ['manifest.lua'] = cluster.read(EXAMPLES .. 'greeting/manifest.lua'),
          ['greeting.lua'] = cluster.read(EXAMPLES .. 'greeting/greeting.lua'):gsub('greeting%.spec%.text }', 'greeting.spec.text' .. suffix .. ' }'),
        } },
        { name = 'cats', parent = 'ctl.example.com/v1 CatSet', children = kinds_of_cats or { 'v1 Pod' }, configMap = 'cats' },
      } }
      local output, ok = cluster.sh('helm %s asya-operator %s -n %s --set runtime.namespace=%s %s', verb, cluster.PACKAGE, own, apps,
        chart.values(json.encode(values)))
      assert(ok, output)
    end
    local function page(text)
      eventually('the page says ' .. text, 40, function()
        local map = cluster.get('configmap', 'hello', apps)
        return map and map.data['index.html'] == text, map
      end)
    end
    helm('install', '')
    local flags, folders = chart.mount_bundles(own)
    local op = chart.operator(own, { runtime_namespace = apps, bundles = flags })
    cluster.apply(('{apiVersion: demo.example.com/v1, kind: Greeting, metadata: {name: hello, namespace: %s}, spec: {text: Hello}}'):format(apps))
    cluster.apply(cluster.actor('worker', apps))
    page 'Hello'
    eventually('the actor is served', 40, function() return cluster.get('deployment', 'worker', apps) end)
    eventually('the one that is missing rests', 20, function() return op.log():find 'the bundle has no manifest.*this bundle rests', op.log() end)
    assert.is_nil(op.log():find('The rule that is missing', 1, true), op.log()) -- a server may refuse owners of a kind that is new to it for a while

    helm('upgrade', ' .. "!"')
    chart.mount_bundles(own, folders)
    page 'Hello!'
    helm('upgrade', ' .. nothing.at.all')
    chart.mount_bundles(own, folders)
    eventually('it is said what is wrong', 30, function() return op.log():find('greeting.lua:%d+: ') and op.log():find 'rejected', op.log() end)
    cluster.kubectl('create configmap cats -n %s --from-file=%scatset/manifest.lua --from-file=%scatset/catset.lua', own, EXAMPLES, EXAMPLES)
    chart.mount_bundles(own, folders)
    cluster.apply(('{apiVersion: ctl.example.com/v1, kind: CatSet, metadata: {name: tom, namespace: %s}, spec: {replicas: 1, storage: 1Gi, image: cat}}')
      :format(apps))
    eventually('it is said which right it lacks', 40, function()
      return op.log():find('The rule that is missing: {apiGroups: [""], resources: ["persistentvolumeclaims"], verbs: [', 1, true), op.log()
    end)
    helm('upgrade', ' .. nothing.at.all', { 'v1 Pod', 'v1 PersistentVolumeClaim' })
    eventually('what was missing works', 60, function() return cluster.get('pod', 'tom-0', apps), op.log() end)
    page 'Hello!'
    op.stop()
  end)
end)
