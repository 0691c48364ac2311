--- decorator: a bundle whose parents are somebody else's, of whom it chooses some, and to whom it writes nothing.
local cluster = require 'cluster'
local edits = require 'edits'
local json = require 'json'

local BUNDLE <const> = 'policies/examples/service-per-pod'
local LABEL <const> = 'ctl.example.com/statefulset-policies'

describe('the example service-per-pod', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  local ns, own, op
  before_each(function()
    ns, own = cluster.namespace 'pods', cluster.namespace 'own'
    op = edits.operator(own, { args = '--bundle ' .. BUNDLE })
  end)
  after_each(function()
    cluster.stop_all()
    cluster.sh('kubectl delete namespace %s %s --wait=false', ns, own)
  end)

  local function await(what, fn) return cluster.eventually(what, 30, fn, op.log()) end

  local ASKS <const> = '{service-per-pod-label: statefulset.kubernetes.io/pod-name, service-per-pod-ports: "80:8080"}'
  local function set(name, replicas, annotations, labels)
    cluster.apply(([[
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: %s, namespace: %s, annotations: %s, labels: %s}
spec:
  replicas: %d
  serviceName: %s
  selector: {matchLabels: {app: %s}}
  template: {metadata: {labels: {app: %s}}, spec: {containers: [{name: a, image: "a:1"}]}}
]]):format(name, ns, annotations, labels or '{}', replicas, name, name, name))
  end
  local function services()
    local names = {}
    for _, each in ipairs(cluster.list('services', ns)) do
      if not each.metadata.deletionTimestamp then names[#names + 1] = each.metadata.name end
    end
    table.sort(names)
    return table.concat(names, ' ')
  end
  local function await_services(wanted)
    await('the Services are: ' .. wanted, function()
      local now = services()
      return now == wanted, now
    end)
  end

  it('makes children for those that ask for it, keeps them right, and takes them away when nobody asks any more', function()
    set('web', 2, ASKS)
    set('quiet', 1, '{}')
    await_services 'web-0 web-1'
    local service, parent = cluster.get('service', 'web-0', ns), cluster.get('statefulset', 'web', ns)
    local owner = service.metadata.ownerReferences[1]
    assert.same({ 'StatefulSet', 'web', parent.metadata.uid }, { owner.kind, owner.name, owner.uid })
    assert.is_nil(owner.controller)
    assert.equal(parent.metadata.uid, service.metadata.labels['service-per-pod/owner-uid'])

    cluster.kubectl('delete service web-1 -n %s', ns)
    await_services 'web-0 web-1'
    set('web', 3, ASKS)
    await_services 'web-0 web-1 web-2'
    set('web', 1, ASKS)
    await_services 'web-0'
    set('quiet', 1, ASKS)
    await_services 'quiet-0 web-0'
    cluster.kubectl('annotate statefulset web -n %s service-per-pod-ports-', ns)
    await_services 'quiet-0'
    set('quiet', 1, (ASKS:gsub('80:8080', 'http')))
    assert.matches("'http' is not PORT or PORT:TARGET", cluster.event(ns, 'quiet', 'BadPort', 20))
    assert.equal('quiet-0', services())
    for _, entry in ipairs(json.decode((cluster.kubectl('get statefulset web -n %s -o json --show-managed-fields', ns))).metadata.managedFields) do
      assert.not_equal('service-per-pod', entry.manager)
    end
    op.stop()
  end)

  it('says in the record which policies each of them has, and a process after it goes on from there', function()
    set('old', 1, ASKS)
    set('new', 1, ASKS, '{team: ml}')
    await_services 'new-0 old-0'
    edits.put(own, 'team', { ['team.lua'] = [[return require 'policy'.define { name = 'team', after = { 'service-per-pod' }, render = function(_, _, plan)
      plan:merge('service 0', { metadata = { labels = { team = 'ml' } } })
    end }]] }, LABEL .. '-canary', LABEL .. '-canary-selector: team=ml')
    local function label_of(name) return cluster.get('service', name, ns).metadata.labels.team end
    await('the canary has the edit', function() return label_of 'new-0' == 'ml' end)
    local function record()
      local map = cluster.get('configmap', 'service-per-pod-policies-live', own)
      return map and json.decode(map.data.record)
    end
    local uid = cluster.get('statefulset', 'new', ns).metadata.uid
    local digest = await('the record names the one that has another bundle', function()
      local it_ = record()
      for name, uids in pairs(it_ and it_.has or {}) do
        if #uids == 1 and uids[1] == uid and name ~= it_.main.live.bundle and #it_.underWay == 0 then return name end
      end
      return nil, json.encode(it_)
    end)
    local before = cluster.get('service', 'new-0', ns).metadata.resourceVersion
    op.stop()
    op = edits.operator(own, { args = '--bundle ' .. BUNDLE })
    set('third', 1, ASKS)
    await_services 'new-0 old-0 third-0'
    cluster.kubectl('delete service old-0 -n %s', ns) -- what has been looked at since is right, or made right
    await_services 'new-0 old-0 third-0'
    assert.equal(before, cluster.get('service', 'new-0', ns).metadata.resourceVersion)
    assert.is_nil(label_of 'old-0')
    assert.same({ uid }, record().has[digest])
    op.stop()
  end)
end)
