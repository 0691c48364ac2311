--- examples: the bundles in policies/examples beside the built-in one, all of them in one process.
local cluster = require 'cluster'
local edits = require 'edits'
local json = require 'json'

local PARENTS <const> = {
  bluegreen = 'bluegreendeployments.ctl.example.com', crdroles = 'crdroles.ctl.example.com', daemonjob = 'daemonjobs.ctl.example.com',
  indexedjob = 'indexedjobs.ctl.example.com', inference = 'inferenceservers.ml.example.com', preview = 'previews.preview.example.com',
  secretpropagation = 'secretpropagations.ctl.example.com',
}
local METRICS <const>, PROBES <const> = '127.0.0.1:18492', '127.0.0.1:18493'

describe('the examples', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  local ns, own, op
  local parents = {}
  local function get(kind, name) return cluster.get(kind, name, ns) end
  local function await(what, fn) return cluster.eventually(what, 40, fn) end

  --- Applies a parent, of which `text` is all but apiVersion, namespace and braces.
  local function apply(version, text, ...)
    return cluster.apply(('{apiVersion: %s, %s}'):format(version, text:format(...):gsub('metadata: {', '%0namespace: ' .. ns .. ', ')))
  end
  local function patch(kind, name, text, flags)
    cluster.kubectl('patch %s %s -n %s --type=merge %s -p %s', kind, name, ns, flags or '', cluster.quote(text))
  end
  local function await_gone(kind, name)
    await(('%s %s goes'):format(kind, name), function()
      local it = get(kind, name)
      return not it or it.metadata.deletionTimestamp
    end)
  end
  local function await_there(kind, name) return await(('there is %s %s'):format(kind, name), function() return get(kind, name) end) end
  --- Waits until fields of a status are these.
  local function await_status(kind, name, wanted)
    await(('%s %s says %s'):format(kind, name, json.encode(wanted)), function()
      local status = (get(kind, name) or {}).status or {}
      for key, value in pairs(wanted) do
        if status[key] ~= value then return false, json.encode(status) end
      end
      return true
    end)
  end
  local function await_condition(kind, name, condition)
    await(('%s %s is %s'):format(kind, name, condition), function()
      local is = cluster.condition(get(kind, name), condition)
      return is and is.status == 'True', is and is.message
    end)
  end

  setup(function()
    ns, own = edits.begin()
    local crds, flags = {}, { '--bundle builtin' }
    for name, parent in pairs(PARENTS) do
      parents[#parents + 1] = parent
      crds[#crds + 1] = cluster.sh('%s/san/asya-operator manifest --bundle policies/examples/%s --crd', cluster.build, name)
      flags[#flags + 1] = '--bundle policies/examples/' .. name
    end
    cluster.kubectl('apply --server-side -f %s', cluster.write(cluster.temp 'crds.yaml', table.concat(crds)))
    cluster.kubectl('wait --for=condition=Established crd %s --timeout=30s', table.concat(parents, ' '))
    op = edits.operator(own, { args = ('%s --leader-elect --metrics-bind-address %s --health-probe-bind-address %s')
      :format(table.concat(flags, ' '), METRICS, PROBES) })
  end)
  teardown(function()
    cluster.sh('kubectl delete %s -n %s --all --timeout=20s', table.concat(parents, ','), ns)
    edits.finish(ns)
    cluster.sh('kubectl delete crd %s --timeout=20s', table.concat(parents, ' '))
  end)

  it('indexedjob: runs a pod for each index, some at a time', function()
    apply('ctl.example.com/v1', 'kind: IndexedJob, metadata: {name: print}, spec: {completions: 3, parallelism: 2, template: {spec: %s}}',
      '{schedulerName: nobody, containers: [{name: print, image: busybox}]}')
    await_there('pod', 'print-1')
    await_status('indexedjob', 'print', { active = 2, succeeded = 0 })
    assert.is_nil(get('pod', 'print-2'))
    patch('pod', 'print-0', '{"status":{"phase":"Succeeded"}}', '--subresource=status')
    assert.equal('2', await_there('pod', 'print-2').spec.containers[1].env[1].value)
    local uid = get('pod', 'print-1').metadata.uid
    patch('pod', 'print-1', '{"status":{"phase":"Failed"}}', '--subresource=status')
    await('the one that has failed is made anew', function()
      local it = get('pod', 'print-1')
      return it and it.metadata.uid ~= uid and not it.metadata.deletionTimestamp
    end)
    for _, name in ipairs { 'print-1', 'print-2' } do patch('pod', name, '{"status":{"phase":"Succeeded"}}', '--subresource=status') end
    await_condition('indexedjob', 'print', 'Complete')
    assert.is_truthy(get('pod', 'print-0'))
  end)

  it('daemonjob: runs a Job on each node, and on one that comes later', function()
    finally(function()
      cluster.sh('kubectl label node bed-node examples-')
      cluster.sh('kubectl delete node %s-later --wait=false', ns)
    end)
    cluster.kubectl('label node bed-node examples=%s --overwrite', ns)
    apply('ctl.example.com/v1', 'kind: DaemonJob, metadata: {name: pull}, spec: {nodes: {examples: %s}, template: {spec: %s}}', ns,
      '{containers: [{name: pull, image: busybox}]}')
    assert.equal('bed-node', await_there('job', 'pull-bed-node').spec.template.spec.nodeName)
    await_condition('daemonjob', 'pull', 'Complete')
    cluster.apply(('{apiVersion: v1, kind: Node, metadata: {name: %s-later, labels: {examples: %s}}, spec: {unschedulable: true}}'):format(ns, ns))
    await_there('job', ('pull-%s-later'):format(ns))
    await_status('daemonjob', 'pull', { nodes = 2, succeeded = 1 })
    cluster.kubectl('delete node %s-later', ns)
    await_gone('job', ('pull-%s-later'):format(ns))
    await_condition('daemonjob', 'pull', 'Complete')
  end)

  it('bluegreen: a new template serves when all of it is available, and the one before it rests', function()
    apply('ctl.example.com/v1', 'kind: BlueGreenDeployment, metadata: {name: web}, spec: {replicas: 2, ports: [{port: 80}], template: {spec: %s}}',
      '{containers: [{name: web, image: "web:1"}]}')
    await_condition('bluegreendeployment', 'web', 'Ready')
    local function serves() return get('service', 'web').spec.selector['ctl.example.com/color'] end
    local function replicas(color) return get('replicaset', 'web-' .. color).spec.replicas end
    assert.equal('blue', serves())
    patch('bluegreendeployment', 'web', '{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"web:2"}]}}}}')
    await('green serves', function() return serves() == 'green' end)
    await('blue rests', function() return replicas 'blue' == 0 end)
    assert.equal(2, get('replicaset', 'web-green').status.availableReplicas)
    patch('bluegreendeployment', 'web', '{"spec":{"template":{"spec":{"containers":[{"name":"web","image":"web:3"}]}}}}')
    await('blue serves again', function() return serves() == 'blue' and get('replicaset', 'web-blue').spec.template.spec.containers[1].image == 'web:3' end)
    await_status('bluegreendeployment', 'web', { active = 'blue', readyReplicas = 2 })
  end)

  it('crdroles: a CRD with the label gets roles', function()
    finally(function() cluster.sh('kubectl label crd %s ctl.example.com/default-roles-', PARENTS.preview) end)
    apply('ctl.example.com/v1', 'kind: CrdRoles, metadata: {name: team}')
    await_status('crdroles', 'team', { crds = 0 })
    cluster.kubectl('label crd %s ctl.example.com/default-roles=yes', PARENTS.preview)
    local role = await_there('role', PARENTS.preview .. '-writer')
    assert.same({ 'previews', 'preview.example.com' }, { role.rules[1].resources[1], role.rules[1].apiGroups[1] })
    await_there('role', PARENTS.preview .. '-reader')
    cluster.kubectl('label crd %s ctl.example.com/default-roles-', PARENTS.preview)
    await_gone('role', PARENTS.preview .. '-writer')
  end)

  it('preview: is there for a while', function()
    apply('preview.example.com/v1', 'kind: Preview, metadata: {name: pr-7}, spec: {image: "app:7", host: pr-7.example.com}')
    await_there('ingress', 'pr-7')
    await_there('service', 'pr-7')
    await_status('preview', 'pr-7', { phase = 'Running' })
    patch('preview', 'pr-7', '{"spec":{"ttl":"2s"}}')
    await_status('preview', 'pr-7', { phase = 'Expired' })
    for _, kind in ipairs { 'ingress', 'service', 'deployment' } do await_gone(kind, 'pr-7') end
    patch('preview', 'pr-7', '{"spec":{"ttl":"1d"}}')
    await('a longer time revives it', function()
      local it = get('deployment', 'pr-7')
      return it and not it.metadata.deletionTimestamp
    end)
  end)

  it('inference: ten lines become all that serving a model takes', function()
    apply('ml.example.com/v1', 'kind: InferenceServer, metadata: {name: chat}, spec: {image: "vllm:1", model: small, memory: 1Mi}')
    for _, kind in ipairs { 'service', 'hpa', 'pdb' } do await_there(kind, 'chat') end
    await_status('inferenceserver', 'chat', { phase = 'Serving', replicas = 1 })
  end)

  it('secretpropagation: copies follow the source and nothing else, and go where they are not asked for any more', function()
    local name, targets = ns .. '-token', { cluster.namespace 'lab', cluster.namespace 'shop' }
    finally(function()
      cluster.sh('kubectl delete secretpropagation %s --timeout=20s', name)
      cluster.sh('kubectl delete namespace %s --wait=false', table.concat(targets, ' '))
    end)
    local function secret(value, where)
      cluster.kubectl('patch secret %s -n %s --type=merge -p %s', name, where, cluster.quote(json.encode { stringData = { token = value } }))
    end
    local function propagate(to)
      cluster.apply(([[{apiVersion: ctl.example.com/v1, kind: SecretPropagation, metadata: {name: %s},
        spec: {sourceNamespace: %s, sourceName: %s, keys: [token], targetNamespaces: [%s]}}]]):format(name, ns, name, table.concat(to, ', ')))
    end
    local function await_copy(where, value)
      await(('the copy in %s holds what the source does'):format(where), function()
        local copy = cluster.get('secret', name, where)
        local data = copy and copy.data or {} -- it is made before it is filled
        return data.token == value and not data.more, json.encode(data)
      end)
    end
    local FIRST <const>, SECOND <const> = 'Zmlyc3Q=', 'c2Vjb25k'
    propagate(targets)
    await('it says that there is no source', function()
      return (cluster.condition(cluster.get('secretpropagation', name), 'Ready') or {}).reason == 'NoSource'
    end)
    cluster.kubectl('create secret generic %s -n %s --from-literal=token=first --from-literal=more=x', name, ns)
    for _, where in ipairs(targets) do await_copy(where, FIRST) end
    secret('second', ns)
    for _, where in ipairs(targets) do await_copy(where, SECOND) end
    secret('edited', targets[1])
    await_copy(targets[1], SECOND)
    local page = cluster.sh('curl -s -m 10 http://%s/debug/secretpropagations/%s', METRICS, name)
    assert.is_truthy(page:find('"copies"', 1, true), page)
    for _, value in ipairs { FIRST, SECOND } do assert.is_nil(page:find(value, 1, true), page) end
    propagate { targets[1] }
    await('a copy goes that is not asked for any more', function() return not cluster.get('secret', name, targets[2]) end)
    await_copy(targets[1], SECOND)
    cluster.kubectl('delete secret %s -n %s', name, ns)
    await('it says that the source is gone', function()
      return (cluster.condition(cluster.get('secretpropagation', name), 'Ready') or {}).reason == 'NoSource'
    end)
    await_copy(targets[1], SECOND)
    cluster.kubectl('delete secretpropagation %s --timeout=30s', name)
    assert.is_nil(cluster.get('secret', name, targets[1]))
  end)

  it('are told apart in Events, metrics and pages, and what breaks one changes nothing for the others', function()
    local function curl(address) return (cluster.sh('curl -s -m 10 http://%s', address)) end
    cluster.apply(cluster.actor('worker', ns))
    edits.await_running(ns, 'worker')
    local index = curl(METRICS .. '/debug/')
    for _, crd in pairs(PARENTS) do assert.is_truthy(index:find('/debug/' .. crd:match '^%a+' .. '/', 1, true), index) end
    assert.is_truthy(curl(('%s/debug/previews/%s/pr-7'):format(METRICS, ns)):find('"app:7"', 1, true))

    local label = 'preview.example.com/preview-policies'
    edits.put(own, 'broken', { ['preview.lua'] = 'return nothing.at.all' }, label)
    await('the edit is refused', function()
      local notes = cluster.get('configmap', 'broken', own).metadata.annotations or {}
      return (notes[label .. '-state'] or ''):find('rejected', 1, true), json.encode(notes)
    end)
    local function senders(namespace, reason)
      local names = {}
      for _, each in ipairs(cluster.list('events.events.k8s.io', namespace)) do
        if each.reason == reason then names[#names + 1] = each.reportingController end
      end
      return names
    end
    await('its Event names its operator', function() return senders(own, 'PoliciesRejected')[1] end)
    assert.same({ 'preview-operator' }, senders(own, 'PoliciesRejected'))
    local more = "return require 'policy'.define { name = 'more', render = function() end }"
    edits.put(own, 'more', { ['more.lua'] = more }, 'ctl.example.com/indexedjob-policies')
    await('another one takes an edit', function() return senders(own, 'PoliciesLive')[1] end)
    assert.same({ 'indexedjob-operator' }, senders(own, 'PoliciesLive'))
    local page, ready = curl(METRICS .. '/metrics'), curl(PROBES .. '/readyz?verbose')
    for _, kind in ipairs { 'asya', 'bluegreendeployment', 'crdroles', 'daemonjob', 'indexedjob', 'inferenceserver', 'preview', 'secretpropagation' } do
      local name, degraded = kind .. '-operator', kind == 'preview' and 1 or 0
      assert.is_truthy(page:find(('policy_bundle_degraded{bundle="%s"} %d'):format(name, degraded), 1, true), page)
      assert.is_truthy(ready:find(name .. ': yes', 1, true), ready)
    end
    apply('preview.example.com/v1', 'kind: Preview, metadata: {name: pr-8}, spec: {image: "app:8"}')
    apply('ctl.example.com/v1', 'kind: IndexedJob, metadata: {name: more}, spec: {template: {spec: %s}}',
      '{schedulerName: nobody, containers: [{name: more, image: busybox}]}')
    cluster.apply(cluster.actor('worker-2', ns))
    edits.await_running(ns, 'worker-2')
    await_there('deployment', 'pr-8')
    await_there('pod', 'more-0')
    assert.is_nil(op.log():find('this bundle rests', 1, true), op.log())
  end)
end)
