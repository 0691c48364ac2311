--- takeover: children that the Go operator made are taken over, and no pod is restarted for it.
local cluster = require 'cluster'
local json = require 'json'

local GOLDEN = os.getenv 'GOLDEN' or '../shared/golden'

describe('takeover', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end
  after_each(cluster.stop_all)

  local function managers(object)
    local names = {}
    for _, entry in ipairs(object.metadata.managedFields) do
      if not entry.subresource then names[#names + 1] = entry.manager .. ' ' .. entry.operation end
    end
    table.sort(names)
    return table.concat(names, ', ')
  end

  --- The actor of a golden case and its children as the Go operator's manager left them.
  local function plant(case, namespace)
    local actor = cluster.read(('%s/%s/actor.yaml'):format(GOLDEN, case)):gsub('namespace: golden', 'namespace: ' .. namespace)
    cluster.apply(actor)
    local uid = cluster.get('asyncactor', case, namespace).metadata.uid
    for _, child in ipairs(json.decode(cluster.read(('%s/%s/children.json'):format(GOLDEN, case)))) do
      child.metadata.namespace = namespace
      child.metadata.ownerReferences[1].uid = uid
      local path = cluster.write(cluster.temp(case .. '.json'), json.encode(child))
      cluster.kubectl('create --field-manager=manager --validate=false -f %s', path)
    end
  end

  it('restarts nothing, and what we stop rendering really goes', function()
    local namespace = cluster.namespace 'takeover'
    local cases = { 'minimal', 'custom-sidecar', 'happy-end', 'scaled', 'sqs-keys' }
    for _, case in ipairs(cases) do plant(case, namespace) end
    cluster.sleep(2)
    local before = {}
    for _, case in ipairs(cases) do before[case] = cluster.get('deployment', case, namespace) end
    cluster.operator { transports = cluster.read(GOLDEN .. '/transports.json') }
    for _, case in ipairs(cases) do
      cluster.eventually(case .. ' runs', 30, function()
        local actor = cluster.get('asyncactor', case, namespace)
        return actor.status and actor.status.status == 'Running', actor.status and actor.status.status
      end)
      local after = cluster.get('deployment', case, namespace)
      assert.equal(before[case].metadata.generation, after.metadata.generation, case)
      assert.same(before[case].spec.template, after.spec.template)
      assert.equal(#cluster.list('replicasets', namespace, '-l app=' .. case), 1, case)
    end

    -- a real change moves the ownership, and takes away what the new rendering does not have
    cluster.kubectl([[patch asyncactor custom-sidecar -n %s --type=json -p '[{"op":"remove","path":"/spec/sidecar/env/1"}]']], namespace)
    cluster.eventually('the variable goes', 15, function()
      local live = cluster.get('deployment', 'custom-sidecar', namespace)
      for _, variable in ipairs(live.spec.template.spec.containers[2].env) do
        if variable.name == 'EXTRA' then return false end
      end
      return true
    end)
    local live = json.decode(cluster.kubectl('get deployment custom-sidecar -n %s -o json --show-managed-fields', namespace))
    assert.equal('asya-operator Apply', managers(live))
    assert.equal(3, live.spec.replicas)
  end)

  it('keeps the count that somebody scaled to when scaling is switched on', function()
    local namespace = cluster.namespace 'takeover'
    cluster.operator()
    cluster.apply(cluster.actor('count', namespace))
    cluster.eventually('a deployment', 20, function() return cluster.get('deployment', 'count', namespace) end)
    cluster.kubectl([[patch asyncactor count -n %s --type=merge -p '{"spec":{"workload":{"replicas":3}}}']], namespace)
    cluster.eventually('three', 15, function() return cluster.get('deployment', 'count', namespace).spec.replicas == 3 end)
    cluster.kubectl([[patch asyncactor count -n %s --type=merge -p '{"spec":{"scaling":{"enabled":true}}}']], namespace)
    cluster.eventually('a ScaledObject', 15, function() return cluster.get('scaledobject', 'count', namespace) end)
    cluster.sleep(1)
    assert.equal(3, cluster.get('deployment', 'count', namespace).spec.replicas)
    cluster.kubectl([[patch asyncactor count -n %s --type=merge -p '{"spec":{"scaling":{"enabled":false}}}']], namespace)
    cluster.eventually('the KEDA objects go', 15, function()
      return not cluster.get('scaledobject', 'count', namespace) and not cluster.get('triggerauthentication', 'count-trigger-auth', namespace)
    end)
  end)
end)
