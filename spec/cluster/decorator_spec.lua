--- decorator: a bundle whose parents are somebody else's, of whom it chooses some, and to whom it writes nothing.
local cluster = require 'cluster'
local edits = require 'edits'
local json = require 'json'

local BUNDLE <const> = 'policies/examples/service-per-pod'
local LABEL <const> = 'ctl.example.com/statefulset-policies'

describe('the example clusteredparent', function()
  if not cluster.available then return end

  it('binds a role in the namespace that the role names, and in the next one that it names', function()
    local one, two, own = cluster.namespace 'one', cluster.namespace 'two', cluster.namespace 'own'
    local role = own:gsub('own', 'reader')
    finally(function()
      cluster.stop_all()
      cluster.sh('kubectl delete clusterrole %s; kubectl delete namespace %s %s %s --wait=false', role, one, two, own)
    end)
    local op = edits.operator(own, { args = '--bundle policies/examples/clusteredparent' })
    local function bind(where) cluster.kubectl('annotate --overwrite clusterrole %s default-service-account-binding%s', role, where) end
    local function await(what, fn) return cluster.eventually(what, 30, fn, op.log()) end
    cluster.kubectl('create clusterrole %s --verb=get --resource=pods', role)
    bind('=' .. one)
    local binding = await('it is bound', function() return cluster.get('rolebinding', role, one) end)
    assert.same({ 'ClusterRole', role }, { binding.metadata.ownerReferences[1].kind, binding.metadata.ownerReferences[1].name })
    bind('=' .. two)
    await('it is bound elsewhere', function() return cluster.get('rolebinding', role, two) and not cluster.get('rolebinding', role, one) end)
    bind '-'
    await('it is bound nowhere', function() return not cluster.get('rolebinding', role, two) end)
    op.stop()
  end)
end)

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
      assert.is_nil(entry.manager:find('service-per-pod', 1, true), entry.manager)
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

  it('takes what it made from those that a new manifest does not choose any more, at the pace of an edit, and gives it back', function()
    local folder, manifest = cluster.temp 'narrower', cluster.read(BUNDLE .. '/manifest.lua')
    op.stop()
    cluster.sh('cp -r %s %s', BUNDLE, folder)
    local others = cluster.namespace 'own' -- where nothing is live yet
    local slowly = { args = '--bundle ' .. folder, env = [[ASYA_POLICY_ROLLOUT='{"maxRestarting": 1, "minReadySeconds": 600}']] }
    op = edits.operator(others, slowly)
    for _, name in ipairs { 'one', 'three', 'two' } do set(name, 1, ASKS) end
    await_services 'one-0 three-0 two-0'
    local function uids()
      local by = {}
      for _, each in ipairs(cluster.list('services', ns)) do by[each.metadata.name] = each.metadata.uid end
      return by
    end
    local function count() return select(2, services():gsub('%S+', '')) end
    local function edit(text) cluster.sh('mv %s %s/manifest.lua', cluster.write(cluster.temp 'manifest.lua', text), folder) end
    local before = uids()
    edit((manifest:gsub('decorate = {', '%0 labels = { tier = true },', 1)))
    await('the first has lost its Service', function() return count() == 2, services() end)
    op.stop()
    op = edits.operator(others, slowly)
    await('it leads', function() return op.log():find('caches are filled', 1, true) end)
    cluster.sleep(3)
    assert.equal(2, count(), services())
    edit(manifest)
    await_services 'one-0 three-0 two-0'
    local same = 0
    for name, uid in pairs(uids()) do same = same + (uid == before[name] and 1 or 0) end
    assert.equal(2, same)
    op.stop()
    cluster.sh('kubectl delete namespace %s --wait=false', others)
  end)
end)

describe('a bundle that patches', function()
  if not cluster.available then return end

  it('puts labels on objects of somebody else, takes them away again, and tells what others have', function()
    local ns, own = cluster.namespace 'patched', cluster.namespace 'own'
    local folder = cluster.folder 'patches'
    cluster.write(folder .. '/manifest.lua', [[return require 'policy'.manifest {
      parent = 'v1 ConfigMap', domain = 'p.example.com', component = 'painter', decorate = { annotations = { paint = true } }, patches = true,
    }]])
    cluster.write(folder .. '/paint.lua', [[return require 'policy'.define { name = 'paint', render = function(map, _, plan)
      local name = map.metadata.annotations.paint
      if name == 'mud' then error('no such colour') end
      if name ~= 'none' then plan:patch { labels = { [name] = 'painted' }, annotations = { painter = name } } end
    end }]])
    finally(function()
      cluster.stop_all()
      cluster.sh('kubectl delete namespace %s %s --wait=false', ns, own)
    end)
    local op = edits.operator(own, { args = '--bundle ' .. folder })
    local function await(what, fn) return cluster.eventually(what, 30, fn, op.log()) end
    local function map() return cluster.get('configmap', 'wall', ns).metadata end
    local function paint(name) cluster.kubectl('annotate --overwrite configmap wall -n %s paint%s', ns, name) end
    local function await_labels(wanted)
      await('its labels are ' .. json.encode(wanted), function()
        return not require 'cases'.difference(wanted, map().labels or {}), json.encode(map())
      end)
    end
    cluster.kubectl('create configmap wall -n %s', ns)
    cluster.kubectl('label configmap wall -n %s theirs=kept', ns)
    paint '=red'
    await_labels { red = 'painted', theirs = 'kept' }
    assert.equal('red', map().annotations.painter)
    cluster.kubectl('label configmap wall -n %s red-', ns)
    await_labels { red = 'painted' }
    paint '=blue'
    await_labels { blue = 'painted', red = 'ABSENT' }

    paint '=theirs'
    assert.matches('others have fields of it: .*metadata%.labels%.theirs', cluster.event(ns, 'wall', 'FieldsOfOthers', 20))
    assert.equal('kept', map().labels.theirs)
    assert.equal('painted', map().labels.blue)
    paint '=mud'
    assert.matches("policy 'paint', render: paint.lua:3: no such colour", cluster.event(ns, 'wall', 'PolicyError', 20))
    assert.equal('painted', map().labels.blue)
    op.stop()

    op = edits.operator(own, { args = '--bundle ' .. folder })
    paint '=none'
    await_labels { blue = 'ABSENT', theirs = 'kept' }
    paint '=green'
    await_labels { green = 'painted' }
    paint '-'
    await_labels { green = 'ABSENT', theirs = 'kept' }
    for _, each in ipairs(cluster.list('configmaps', own)) do -- its own record is a ConfigMap, too
      assert.is_truthy(each.data or each.binaryData, json.encode(each))
    end
    assert.is_nil(op.log():find('edited or deleted by somebody else', 1, true), op.log())
    op.stop()
  end)

  local PAINTER <const> = [[return require 'policy'.manifest { parent = '%s', domain = 'p.example.com', component = 'painter',
    decorate = { annotations = { paint = true } %s }, patches_status = true }]]
  --- A folder with the bundle, and what puts a condition and a number into the status of what is to be painted.
  local function painter(parent)
    local folder = cluster.folder 'painter'
    cluster.write(folder .. '/manifest.lua', PAINTER:format(parent, ''))
    cluster.write(folder .. '/paint.lua', [[
      local json, conditions = require 'json', require 'conditions'
      return require 'policy'.define { name = 'paint', render = function(set, ctx, plan)
        local colour, status, list = set.metadata.annotations.paint, set.status or {}, json.array {}
        if colour == 'none' then return end
        conditions.set(list, status.conditions, { type = 'Painted', status = 'True', reason = 'Painted',
          message = ('%s, of %d'):format(colour, status.currentReplicas or 0) }, ctx.now)
        plan:patch { status = { conditions = list, collisionCount = tonumber(set.metadata.annotations.coats) } }
      end }]])
    return folder
  end

  it('puts fields into the status of objects of somebody else, keeps them there, takes them away, and tells what others have', function()
    local ns, own = cluster.namespace 'painted', cluster.namespace 'own'
    local folder, op = painter 'apps/v1 StatefulSet', nil
    finally(function()
      cluster.stop_all()
      cluster.sh('kubectl delete namespace %s %s --wait=false', ns, own)
    end)
    local function start() op = edits.operator(own, { args = '--bundle ' .. folder }) end
    local function await(what, fn) return cluster.eventually(what, 30, fn, op.log()) end
    local function status() return cluster.get('statefulset', 'wall', ns).status or {} end
    local function others(patch) -- a controller of theirs, which knows nothing of us
      cluster.kubectl('patch statefulset wall -n %s --subresource=status --field-manager=theirs --type=merge -p %s', ns,
        cluster.quote(json.encode { status = patch }))
    end
    local function note(text) cluster.kubectl('annotate --overwrite statefulset wall -n %s %s', ns, text) end
    local function painted()
      for _, each in ipairs(status().conditions or {}) do
        if each.type == 'Painted' then return each.message end
      end
      return 'nothing'
    end
    local function await_painted(wanted)
      await('it says: ' .. wanted, function() return painted() == wanted, json.encode(status()) end)
    end
    cluster.apply(([[
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: wall, namespace: %s}
spec:
  serviceName: wall
  selector: {matchLabels: {app: wall}}
  template: {metadata: {labels: {app: wall}}, spec: {containers: [{name: a, image: "a:1"}]}}
]]):format(ns))
    cluster.eventually('its controller has looked', 30, function() -- what it writes is a status without conditions of others
      return status().currentReplicas == 1, json.encode(status())
    end)
    others { conditions = { { type = 'Theirs', status = 'True' } } } -- all else is that of the StatefulSet controller
    start()
    note 'paint=red'
    await_painted 'red, of 1'
    assert.equal('Theirs', status().conditions[1].type)
    cluster.kubectl('scale statefulset wall -n %s --replicas=2', ns)
    await_painted 'red, of 2'
    cluster.sleep(3) -- it looks once more a second after it has written
    others { conditions = { { type = 'Theirs', status = 'False' } } } -- which takes the other one away
    await_painted 'red, of 2'
    assert.equal('False', status().conditions[1].status)

    local count = status().collisionCount
    note 'coats=8'
    assert.matches('nothing was put into its status, because others have fields of it: .*kube%-controller%-manager.*collisionCount',
      cluster.event(ns, 'wall', 'FieldsOfOthers', 20))
    assert.equal(count, status().collisionCount)
    note 'coats-'
    op.stop()

    start()
    note 'paint=none'
    await_painted 'nothing'
    assert.same({ count, 2, 'Theirs' }, { status().collisionCount, status().replicas, status().conditions[1].type })
    note 'paint=green'
    await_painted 'green, of 2'
    note 'paint-'
    await_painted 'nothing'
    note 'paint=white'
    await_painted 'white, of 2'
    cluster.sh('mv %s %s/manifest.lua',
      cluster.write(cluster.temp 'manifest.lua', PAINTER:format('apps/v1 StatefulSet', ', labels = { tier = true }')), folder)
    await_painted 'nothing'
    op.stop()
  end)

  it('is told that a kind has no status', function()
    local ns, own = cluster.namespace 'painted', cluster.namespace 'own'
    finally(function()
      cluster.stop_all()
      cluster.sh('kubectl delete namespace %s %s --wait=false', ns, own)
    end)
    cluster.kubectl('create configmap wall -n %s', ns)
    cluster.kubectl('annotate configmap wall -n %s paint=red', ns)
    local op = edits.operator(own, { args = '--bundle ' .. painter 'v1 ConfigMap' })
    cluster.eventually('it is said', 30, function()
      return op.log():find('cannot decorate the status of ConfigMap wall: the server could not find the requested resource', 1, true)
    end, op.log())
    op.stop()
  end)
end)
