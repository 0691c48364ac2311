--- scope: parents that are in no namespace, and children that are where no owner reference to their parent may be.
local cluster = require 'cluster'
local json = require 'json'

local eventually = cluster.eventually
local TENANT <const> = 'policies/examples/tenant'

local function await(op, what, fn) return eventually(what, 30, fn, op.log()) end

--- The status of the condition Ready.
local function ready_of(object)
  for _, each in ipairs(object and object.status and object.status.conditions or {}) do
    if each.type == 'Ready' then return each.status end
  end
end

local function verb(line, ...) return cluster.sh('%s/san/asya-operator ' .. line, cluster.build, ...) end

describe('a parent in no namespace', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  local own, name
  setup(function()
    cluster.kubectl('apply -f %s/crd/', TENANT)
    cluster.kubectl 'wait --for=condition=Established crd/tenants.platform.example.com --timeout=30s'
    own = cluster.namespace 'own'
    name = own:gsub('own', 'ants')
  end)
  teardown(function()
    cluster.stop_all()
    cluster.sh('kubectl delete tenants --all --wait=false')
    cluster.sh('kubectl patch tenant %s --type=merge -p %s', name, cluster.quote '{"metadata":{"finalizers":null}}')
    cluster.sh('kubectl delete namespace %s --wait=false', own)
  end)

  local function tenant(spec)
    cluster.apply(('{apiVersion: platform.example.com/v1, kind: Tenant, metadata: {name: %s}, spec: %s}'):format(name, spec))
  end
  local function inside(kind) return cluster.get(kind, 'tenant', name) end

  it('owns what is in namespaces and what is in none, keeps it right, and takes it along', function()
    local more = cluster.temp 'more'
    cluster.sh('cp -r %s %s', TENANT, more)
    cluster.write(more .. '/more.lua', [[return require 'policy'.define { name = 'more', status = function(tenant, _, _, plan)
      plan:event { reason = 'Seen', note = 'the tenant ' .. tenant.metadata.name }
    end }]])
    local op = cluster.operator { args = ('--bundle %s --namespace %s --metrics-bind-address 127.0.0.1:18491'):format(more, own) }
    tenant '{owners: [ada], quota: {pods: "10"}}'
    await(op, 'the tenant is ready', function() return ready_of(cluster.get('tenant', name)) == 'True', op.log() end)
    local uid = cluster.get('tenant', name).metadata.uid
    for _, child in ipairs { cluster.get('namespace', name), inside 'networkpolicy', inside 'resourcequota', inside 'rolebinding' } do
      assert.equal(uid, child.metadata.ownerReferences[1].uid)
    end
    assert.equal('ada', inside 'rolebinding'.subjects[1].name)
    assert.equal('the tenant ' .. name, cluster.event('default', name, 'Seen', 20))

    cluster.kubectl('delete networkpolicy tenant -n %s', name)
    await(op, 'what somebody has deleted is back', function() return inside 'networkpolicy' end)
    tenant '{owners: [ada]}'
    await(op, 'what is not wanted any more goes', function() return not inside 'resourcequota' end)

    local page = json.decode((cluster.sh('curl -s http://127.0.0.1:18491/debug/tenants/%s', name)))
    assert.equal(3, #page.snapshot.children)
    assert.matches('/debug/tenants/' .. name, (cluster.sh 'curl -s http://127.0.0.1:18491/debug/tenants/'), 1, true)
    local told = verb('diff --bundle %s --operator-namespace %s', TENANT, own)
    assert.matches('1 tenants looked at, 0 children differ', told)

    cluster.kubectl('delete tenant %s --timeout=90s', name)
    local left = cluster.get('namespace', name)
    assert.is_true(not left or left.metadata.deletionTimestamp ~= nil)
    op.stop()
  end)

  it('needs an operator that sees all namespaces', function()
    local op = cluster.operator { args = ('--bundle %s --namespace %s --watch-namespaces %s'):format(TENANT, own, own) }
    await(op, 'it says why it does not work', function()
      return op.log():find('Tenant (platform.example.com/v1) is in no namespace: the bundle needs all namespaces', 1, true), op.log()
    end)
    op.kill()
  end)
end)

describe('the examples globalconfigmap and configmappropagation', function()
  if not cluster.available then return end

  local CRDS <const> = 'crd/globalconfigmaps.ctl.example.com crd/configmappropagations.ctl.example.com'

  it('copy one text into every namespace, and one ConfigMap into those that are named', function()
    local one, two, own = cluster.namespace 'one', cluster.namespace 'two', cluster.namespace 'own'
    local name, later = own:gsub('own', 'text'), own:gsub('own', 'later')
    local flags, crds = {}, {}
    for i, example in ipairs { 'globalconfigmap', 'configmappropagation' } do
      flags[i] = '--bundle policies/examples/' .. example
      crds[i] = verb('manifest %s --crd', flags[i])
    end
    cluster.apply(table.concat(crds), false, '--server-side')
    cluster.kubectl('wait --for=condition=Established %s --timeout=30s', CRDS)
    finally(function()
      cluster.sh('kubectl delete globalconfigmap,configmappropagation %s --timeout=20s', name)
      cluster.stop_all()
      cluster.sh('kubectl delete %s --timeout=20s', CRDS)
      cluster.sh('kubectl delete namespace %s %s %s %s --wait=false', one, two, own, later)
    end)
    local op = cluster.operator { args = ('%s --namespace %s --leader-elect'):format(table.concat(flags, ' '), own) }
    local function text_of(of, where)
      local map = cluster.get('configmap', of, where)
      return map and map.data.text
    end
    cluster.apply(('{apiVersion: ctl.example.com/v1, kind: GlobalConfigMap, metadata: {name: %s}, spec: {data: {text: hello}}}'):format(name))
    await(op, 'both namespaces have it', function() return text_of(name, one) == 'hello' and text_of(name, two) == 'hello' end)
    cluster.kubectl('create namespace %s', later)
    await(op, 'a later one gets it', function() return text_of(name, later) == 'hello' end)

    cluster.kubectl('create configmap source -n %s --from-literal=text=first', one)
    local function propagate(targets)
      cluster.apply(([[{apiVersion: ctl.example.com/v1, kind: ConfigMapPropagation, metadata: {name: %s},
        spec: {sourceNamespace: %s, sourceName: source, targetNamespaces: [%s]}}]]):format(name, one, targets))
    end
    propagate(two .. ', ' .. later)
    await(op, 'both targets have a copy', function() return text_of('source', two) == 'first' and text_of('source', later) == 'first' end)
    cluster.kubectl('patch configmap source -n %s --type=merge -p %s', one, cluster.quote '{"data":{"text":"second"}}')
    await(op, 'the copies follow', function() return text_of('source', two) == 'second' and text_of('source', later) == 'second' end)
    propagate(two)
    await(op, 'a copy goes that is not asked for any more', function() return not text_of('source', later) end)
    assert.equal('second', text_of('source', two))
    assert.equal('second', text_of('source', one))
  end)
end)

describe('a parent in a namespace', function()
  if not cluster.available then return end

  it('has children elsewhere by a label: they are kept right, told apart from others, and go with it', function()
    local here, there, own = cluster.namespace 'here', cluster.namespace 'there', cluster.namespace 'own'
    local kind = ('Post%d'):format(os.time() % 100000) -- of this run: another one's operator has left nothing of it
    local plural = kind:lower() .. 's'
    local folder = cluster.folder 'posts'
    cluster.write(folder .. '/manifest.lua', ([[return require 'policy'.manifest {
      parent = 'scope.example.com/v1 %s', children = { { apiVersion = 'v1', kind = 'ConfigMap', owned_by = 'label' } },
    }]]):format(kind))
    cluster.write(folder .. '/post.lua', [[return require 'policy'.define { name = 'post', render = function(post, _, plan)
      for _, name in ipairs(post.spec.names) do
        plan:add(name, { apiVersion = 'v1', kind = 'ConfigMap', metadata = { name = name, namespace = post.spec.to }, data = { text = post.spec.text } })
      end
    end }]])
    local crd = verb('manifest --bundle %s --crd', folder)
    cluster.apply(crd, false, '--server-side')
    cluster.kubectl('wait --for=condition=Established crd/%s.scope.example.com --timeout=30s', plural)
    finally(function()
      cluster.stop_all()
      cluster.sh('kubectl patch %s a -n %s --type=merge -p %s', plural, here, cluster.quote '{"metadata":{"finalizers":null}}')
      cluster.sh('kubectl delete crd %s.scope.example.com --wait=false', plural)
      cluster.sh('kubectl delete namespace %s %s %s --wait=false', here, there, own)
    end)
    cluster.kubectl('create configmap theirs -n %s --from-literal=text=theirs', there)
    local op = cluster.operator { args = ('--bundle %s --namespace %s'):format(folder, own) }
    local function post(names, text)
      cluster.apply(('{apiVersion: scope.example.com/v1, kind: %s, metadata: {name: a, namespace: %s}, spec: {names: [%s], to: %s, text: %s}}')
        :format(kind, here, names, there, text))
    end
    local function text_of(name)
      local map = cluster.get('configmap', name, there)
      return map and map.data.text
    end
    post('one, two, theirs', 'hello')
    await(op, 'what has no name of others is made', function() return text_of 'one' == 'hello' and text_of 'two' == 'hello', op.log() end)
    local mark = cluster.get('configmap', 'one', there).metadata
    assert.is_nil(mark.ownerReferences)
    assert.equal(cluster.get(plural, 'a', here).metadata.uid, mark.labels[kind:lower() .. '-operator/owner-uid'])
    assert.equal(here .. '/a', mark.annotations[kind:lower() .. '-operator/owner'])
    await(op, 'it says that a name is taken', function()
      return op.log():find('ConfigMap theirs exists already and is not ours', 1, true), op.log()
    end)
    assert.equal('theirs', text_of 'theirs')

    cluster.kubectl('patch configmap one -n %s --type=merge -p %s', there, cluster.quote '{"data":{"text":"edited"}}')
    await(op, 'what somebody has changed is put back', function() return text_of 'one' == 'hello' end)
    cluster.kubectl('annotate configmap one -n %s --overwrite %s-operator/owner=%s/b', there, kind:lower(), here)
    await(op, 'so is whose it is', function()
      return cluster.get('configmap', 'one', there).metadata.annotations[kind:lower() .. '-operator/owner'] == here .. '/a'
    end)
    post('one', 'bye')
    await(op, 'the other one goes', function() return text_of 'one' == 'bye' and not text_of 'two' end)
    cluster.kubectl('delete %s a -n %s --timeout=60s', plural, here)
    assert.is_nil(text_of 'one')
    assert.equal('theirs', text_of 'theirs')
    op.stop()
  end)
end)
