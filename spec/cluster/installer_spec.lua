--- installer: what a person who installs the chart meets when an operator runs: edits that helm puts back, and what an uninstall leaves.
local chart = require 'chart'
local cluster = require 'cluster'
local edits = require 'edits'
local pages = require 'pages'

local eventually = cluster.eventually

describe('the installed operator', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  local POLICIES = '00-asya-operator-policies'
  local ns, own, op
  before_each(function()
    chart.clean()
    ns, own = edits.begin()
  end)
  after_each(function()
    edits.finish(ns)
    chart.clean()
  end)

  local function helm(verb, flags)
    local said, ok = cluster.sh('helm %s asya-operator %s -n %s --set runtime.namespace=%s %s', verb, cluster.PACKAGE, own, ns, flags or '')
    assert(ok, said)
  end

  local function start() op = chart.operator(own, { runtime_namespace = ns }) end

  --- What somebody does in an editor: one annotation more on every Deployment.
  local function edit(value)
    local script = cluster.write(cluster.temp 'edit.sed',
      ("s/metadata = { name = actor.metadata.name.*},/metadata = { name = actor.metadata.name, annotations = { stamp = '%s' } },/\n"):format(value))
    local said, ok = cluster.sh('EDITOR="sed -i -f %s" kubectl edit configmap -n %s %s', script, own, POLICIES)
    assert.is_true(ok and said:find 'edited' ~= nil, said)
  end

  local function events(reason)
    local notes = {}
    for _, each in ipairs(cluster.list('events.events.k8s.io', own)) do
      if each.reason == reason then
        assert.equal(POLICIES, each.regarding.name)
        notes[#notes + 1] = each.note
      end
    end
    return notes
  end

  local function known()
    return (cluster.get('configmap', POLICIES, own).metadata.annotations or {})['asya.sh/policies-edited']
  end

  --- An actor whose Deployment has the edit, and the revision that is live then.
  local function begin()
    helm 'install'
    start()
    cluster.apply(cluster.actor('one', ns))
    edits.await_running(ns, 'one')
    edits.await_state(own, POLICIES, 'live: bundle')
    edit 'mine'
    edits.await_stamp('one', ns, 'mine')
    local history = eventually('the edit is a revision', 20, function()
      local said = cluster.sh('%s/asya-operator rollout history --operator-namespace %s', cluster.build, own)
      return said:match '\n2 +%x+ +live' and said, said
    end)
    return history:match '\n2 +(%x+)'
  end

  local function undo()
    local said, ok = cluster.sh('%s/asya-operator rollout undo --to-revision 2 --operator-namespace %s', cluster.build, own)
    assert.is_true(ok, said)
    edits.await_stamp('one', ns, 'mine')
  end

  it('warns of an edit of its policies once, and tells the way back when helm has put its own text back', function()
    local bundle = begin()
    local note = cluster.event(own, POLICIES, 'PoliciesEditedBeside', 10)
    for _, part in ipairs { 'workload.lua: edited in a ConfigMap that Helm manages', 'labelled asya.sh/policies=true', 'comes after ' .. POLICIES } do
      assert.is_truthy(note:find(part, 1, true), note)
    end
    eventually('the annotation names them', 10, function()
      local text = known() or ''
      return text:find('"workload.lua"', 1, true) and text:find(bundle, 1, true), text
    end)

    helm('upgrade', '--set logLevel=debug')
    note = cluster.event(own, POLICIES, 'PoliciesPutBack', 20)
    for _, part in ipairs { 'workload.lua: Helm has put back its own text', 'asya-operator rollout undo --to-revision 2', 'asya-operator-policies-kept-' } do
      assert.is_truthy(note:find(part, 1, true), note)
    end
    local kept = cluster.get('configmap', note:match 'ConfigMap (%S+) holds', own)
    assert.is_truthy(kept.data['workload.lua']:find("stamp = 'mine'", 1, true))
    edits.await_stamp('one', ns, nil)
    eventually('nothing is known to be edited', 10, function() return known() == nil, known() end)
    assert.equal(1, #events 'PoliciesEditedBeside')
    undo()
    assert.equal(1, #events 'PoliciesPutBack')
  end)

  it('tells it after the upgrade, too, when that has brought another operator', function()
    begin()
    eventually('the edit is known', 10, known)
    op.stop()
    helm 'upgrade'
    start()
    assert.is_truthy(cluster.event(own, POLICIES, 'PoliciesPutBack', 30):find('undo --to-revision 2', 1, true))
    edits.await_stamp('one', ns, nil)
    undo()
    assert.equal(1, #events 'PoliciesEditedBeside')
  end)

  it('names a file that was edited even when its name is as long as a name may be', function()
    helm 'install'
    start()
    local name = ('n'):rep(250) .. '.md'
    cluster.kubectl('patch configmap %s -n %s --type=merge -p %s', POLICIES, own, cluster.quote(('{"data":{"%s":"a note"}}'):format(name)))
    local note = cluster.event(own, POLICIES, 'PoliciesEditedBeside', 10)
    assert.equal(name .. ': edited in', note:sub(1, #name + 11))
  end)

  it('says when no revision has the edit, and leaves a ConfigMap of your own alone', function()
    helm 'install'
    start()
    edits.keep_one(ns, own) -- ConfigMap `team` with its own file
    cluster.kubectl('patch configmap %s -n %s --type=merge -p %s', POLICIES, own, cluster.quote '{"data":{"status.lua":"return (("}}')
    assert.is_truthy(cluster.event(own, POLICIES, 'PoliciesEditedBeside', 10):find('status.lua: edited', 1, true))
    edits.await_state(own, POLICIES, 'rejected')
    helm 'upgrade'
    assert.is_truthy(cluster.event(own, POLICIES, 'PoliciesPutBack', 20):find('no revision has it', 1, true))
    edits.await_state(own, POLICIES, 'live: bundle')
    assert.equal('kept', edits.stamp_of('one', ns))
  end)

  it('leaves what its page lists, and one command removes it', function()
    local function left()
      local names = {}
      for _, namespace in ipairs { own, ns } do
        for _, each in ipairs(cluster.list('configmaps,leases.coordination.k8s.io', namespace)) do
          if each.metadata.name ~= 'kube-root-ca.crt' then names[#names + 1] = each.metadata.name end
        end
      end
      table.sort(names)
      return names
    end
    helm 'install'
    start()
    cluster.apply(cluster.actor('one', ns))
    edits.await_running(ns, 'one')
    edits.await_state(own, POLICIES, 'live: bundle')
    cluster.kubectl('delete asyncactor one -n %s --timeout=20s', ns)
    op.stop()
    cluster.sh('helm uninstall asya-operator -n %s --wait', own)
    local page, names = cluster.read 'chart/docs/uninstall.md', left()
    assert.is_true(#names >= 4, table.concat(names, ' '))
    for _, name in ipairs(names) do assert.is_truthy(page:find('`' .. name:gsub('kept%-%d+$', 'kept-0') .. '`', 1, true), name) end
    pages.run(pages.blocks('What stays')[1])
    assert.same({}, left())
  end)
end)
