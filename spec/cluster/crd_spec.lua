--- crd: what kubectl apply itself refuses, and what it keeps. The cases are files under spec/crd/cases.
local cluster = require 'cluster'

describe('the CRD', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end
  after_each(cluster.stop_all)

  --- "# stored: <jsonpath> = <value>" lines of an accepted case.
  local function check_stored(text, namespace)
    local name = text:match 'name: ([%w-]+)'
    for path, value in text:gmatch '# stored: (%S+) = ([^\n]*)' do
      assert.equal(value, (cluster.kubectl('get asyncactor %s -n %s -o jsonpath=%s', name, namespace, cluster.quote(path))))
    end
  end

  for path in io.popen('ls spec/crd/cases/*.yaml'):lines() do
    local text = cluster.read(path)
    local expected = text:match '^# expect: ([^\n]*)'
    local since = tonumber(text:match '\n# since: 1%.(%d+)') or 0
    if cluster.minor() >= since then it(('%s: %s'):format(path:match '([^/]+)%.yaml$', expected), function()
      local namespace = cluster.namespace 'crd'
      local output, ok = cluster.sh('kubectl apply -n %s -f %s', namespace, path)
      if expected == 'accepted' then
        assert.is_true(ok, output)
        check_stored(text, namespace)
        cluster.kubectl('delete asyncactors --all -n %s', namespace) -- the next specs' operators would work on it
      else
        assert.is_false(ok, output)
        assert.is_truthy(output:find(expected, 1, true), output)
      end
    end) end
  end

  it('shows what runs an actor that does not say, and its default changes nothing of what runs already', function()
    local namespace = cluster.namespace 'crd'
    local default = '/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/workload/properties/kind/default'
    local function kind_of(name) return cluster.get('asyncactor', name, namespace).spec.workload.kind end
    cluster.kubectl([[patch crd asyncactors.asya.sh --type=json -p '[{"op": "remove", "path": "%s"}]']], default)
    cluster.eventually('no kind is filled in', 20, function()
      cluster.apply(cluster.actor('before', namespace))
      local bare = kind_of 'before' == nil
      if not bare then cluster.kubectl('delete asyncactor before -n %s', namespace) end
      return bare
    end)
    cluster.apply((cluster.actor('typed', namespace):gsub('workload:\n', 'workload:\n    type: StatefulSet\n')))
    local fresh = { args = '--namespace ' .. cluster.namespace 'operator' } -- where no other policies were live before
    local op = cluster.operator(fresh)
    local function children()
      local deployment, set = cluster.get('deployment', 'before', namespace), cluster.get('statefulset', 'typed', namespace)
      return deployment and set and { deployment.metadata.uid, deployment.metadata.generation, set.metadata.uid, set.metadata.generation }
    end
    local there = cluster.eventually('children', 30, children)
    cluster.kubectl 'apply -f crds/asyncactors.asya.sh.yaml'
    cluster.eventually('the kind is filled in', 20, function() return kind_of 'before' == 'Deployment' and kind_of 'typed' == 'Deployment' end)
    assert.is_truthy(cluster.kubectl('get asyncactor before -n %s -o wide', namespace):find('Deployment', 1, true))
    for _, name in ipairs { 'before', 'typed' } do
      cluster.kubectl('label asyncactor %s -n %s look=again', name, namespace)
      cluster.eventually('it is recorded what was settled', 30, function() -- a child that is not is written again by the next process
        return (cluster.get('asyncactor', name, namespace).status or {}).settledDigest
      end)
    end
    op.stop()
    op = cluster.operator(fresh)
    cluster.kubectl('annotate asyncactor typed -n %s look=again', namespace)
    cluster.apply(cluster.actor('after', namespace))
    cluster.eventually('the operator works', 30, function() return cluster.get('deployment', 'after', namespace) end)
    cluster.sleep(2)
    assert.same(there, children())
    assert.is_nil(op.log():find('updated', 1, true), op.log())
    cluster.kubectl('delete asyncactors --all -n %s --timeout=20s', namespace)
  end)

  for _, folder in ipairs { 'crds/examples/*.yaml', 'spec/golden/*/actor.yaml' } do
    for path in io.popen('ls ' .. folder):lines() do
      it('accepts ' .. path:gsub('^.*/([^/]+/[^/]+)$', '%1'), function()
        local namespace = cluster.read(path):match 'namespace: ([%w-]+)'
        cluster.sh('kubectl create namespace %s', namespace)
        cluster.kubectl('apply --dry-run=server -f %s', path)
      end)
    end
  end
end)
