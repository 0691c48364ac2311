--- init: a team's own operator, from nothing: typed on a machine with the binary and kubectl, then run by the generated manifests' rights.
local cluster = require 'cluster'
local edits = require 'edits'

local eventually = cluster.eventually

describe('init and manifest', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  local ns, own, folder
  local program = cluster.build .. '/san/asya-operator'

  --- A command as it is typed; it must work.
  local function typed(command, ...)
    local output, ok = cluster.sh(command, ...)
    assert(ok, output)
    return output
  end

  setup(function()
    ns, own, folder = cluster.namespace 'init', cluster.namespace 'init-own', cluster.temp 'gadgets'
    typed('rm -rf %s', folder)
    typed('%s init %s --kind Gadget --group init.example.com', program, folder)
  end)
  teardown(function()
    cluster.stop_all()
    cluster.sh('kubectl patch gadgets.init.example.com -n %s --all --type=merge -p %s', ns, cluster.quote '{"metadata":{"finalizers":null}}')
    cluster.sh('kubectl delete namespace %s %s --wait=false', ns, own)
    cluster.sh('kubectl delete crd gadgets.init.example.com --wait=false')
    cluster.sh('kubectl delete clusterrole,clusterrolebinding gadget-operator')
  end)

  it('make a running operator, which has the rights that were printed and needs no more', function()
    typed('%s manifest --bundle %s --operator-namespace %s >%s/operator.yaml', program, folder, own, folder)
    local told = typed('kubectl apply --server-side -f %s/operator.yaml', folder)
    for _, what in ipairs { 'gadgets.init.example.com', 'clusterrole', 'deployment.apps/gadget-operator', 'configmap/gadget-operator-bundle' } do
      assert.is_truthy(told:find(what, 1, true), told)
    end
    typed 'kubectl wait --for=condition=Established crd/gadgets.init.example.com --timeout=30s'
    typed('rm %s/operator.yaml', folder)
    local op = cluster.operator { args = ('--bundle %s --leader-elect --kubeconfig %s'):format(folder, cluster.account('gadget-operator', own)) }
    typed('kubectl apply -n %s -f %s/samples', ns, folder)
    eventually('it makes what the policy says', 60, function()
      return cluster.get('deployment', 'sample', ns) and cluster.get('service', 'sample', ns), op.log()
    end)
    assert.equal(2, cluster.get('deployment', 'sample', ns).spec.replicas)
    eventually('kubectl shows how it is', 60, function()
      local shown = cluster.kubectl('get gadgets.init.example.com sample -n %s', ns)
      return shown:find('PHASE%s+IMAGE%s+REPLICAS%s+AGE') and shown:find('%a+ing%s+nginx:1.27%s+2'), shown
    end)
    local status = cluster.get('gadgets.init.example.com', 'sample', ns).status
    for _, field in ipairs { 'renderedDigest', 'bundleDigest', 'operator' } do assert.is_truthy(status[field], field) end

    typed('kubectl patch gadgets.init.example.com sample -n %s --type=merge -p %s', ns, cluster.quote '{"spec":{"replicas":1}}')
    eventually('it follows an edit', 60, function() return cluster.get('deployment', 'sample', ns).spec.replicas == 1 end)
    edits.put(own, 'loud', { ['loud.lua'] = [[return require('policy').define { name = 'loud', after = { 'workload' },
      render = function(_, _, plan) plan:merge('service', { metadata = { labels = { loud = 'yes' } } }) end }]] }, 'init.example.com/gadget-policies')
    eventually('it takes policies from ConfigMaps', 60, function() return (cluster.get('service', 'sample', ns).metadata.labels or {}).loud end)
    typed('kubectl delete gadgets.init.example.com sample -n %s --timeout=60s', ns)
    assert.is_nil(cluster.get('deployment', 'sample', ns))
    for line in op.log():gmatch '[^\n]*forbidden[^\n]*' do -- a right is missing, or admission has not yet heard of a kind that was made just now
      assert.is_truthy(line:find('cannot find RESTMapping for APIVersion init.example.com/v1alpha1 Kind Gadget', 1, true), line)
    end
    op.stop()
  end)

  it('the server knows the defaults and rules of the description', function()
    local function try(spec)
      return cluster.apply(('apiVersion: init.example.com/v1alpha1\nkind: Gadget\nmetadata: {name: tried, namespace: %s}\nspec: %s\n'):format(ns, spec), true,
        '--dry-run=server -o yaml')
    end
    assert.matches('replicas: 1\n', (try '{image: x}'))
    for spec, why in pairs { ['{}'] = 'spec.image: Required value', ['{image: latest}'] = 'image needs a name',
      ['{image: x, replicas: 101}'] = 'less than or equal to 100',
      ["{image: ''}"] = 'at least 1 chars long' } do
      local told = try(spec)
      assert.is_truthy(told:find(why, 1, true), told)
    end
  end)
end)
