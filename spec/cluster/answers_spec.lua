--- answers: what the operator believes of what comes back from the API server, and what it makes of answers that are late, lost or a proxy's.
local cluster = require 'cluster'
local json = require 'json'

local eventually, quote = cluster.eventually, cluster.quote

local HTML = '<html><body><h1>An error of the load balancer</h1></body></html>'
-- What a watch or a list of a kind looks like, seen from the proxy.
local function collection(plural) return '/' .. plural .. '\\?' end

describe('an answer', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end
  local faults, ns, op, mark

  lazy_setup(function()
    cluster.clear()
    faults = cluster.faults()
    op = cluster.operator { args = '--kubeconfig ' .. faults.kubeconfig }
  end)
  before_each(function()
    ns, mark = cluster.namespace 'answers', #op.log()
  end)
  after_each(function()
    faults.clear()
    cluster.clear()
  end)
  lazy_teardown(cluster.stop_all)

  --- What the operator has said in this test.
  local function log() return op.log():sub(mark + 1) end
  --- The same as eventually(), with that.
  local function await(what, seconds, fn)
    eventually(what, seconds, function()
      local ok, detail = fn()
      return ok, ok or ('%s\n%s'):format(detail, log())
    end)
  end
  local function said(line) return select(2, log():gsub(line:gsub('%p', '%%%0'), '')) end

  local function get(kind, name) return cluster.get(kind, name or 'a', ns) end
  local function status() return (get 'asyncactor' or {}).status or {} end
  local function await_status(word)
    await('the actor is ' .. word, 30, function() return status().status == word, status().status end)
  end
  local function image()
    local live = get 'deployment'
    return live and live.spec.template.spec.containers[1].image
  end
  local function await_image(wanted)
    await('the Deployment runs ' .. wanted, 40, function() return image() == wanted, image() end)
  end
  local function await_gone(kind)
    await(kind .. ' a goes', 20, function() return not get(kind) end)
  end
  local function patch(kind, change, type)
    cluster.kubectl('patch %s a -n %s --type=%s -p %s', kind, ns, type or 'merge', quote(json.encode(change)))
  end
  local function edit(wanted)
    patch('asyncactor', json.array { { op = 'replace', path = '/spec/workload/template/spec/containers/0/image', value = wanted } }, 'json')
  end
  local function stop_scaling() patch('asyncactor', { spec = { scaling = { enabled = false } } }) end
  local function delete() cluster.kubectl('delete asyncactor a -n %s --wait=false', ns) end
  --- Actor "a", with a scaler, as it should be.
  local function make()
    cluster.apply(cluster.actor('a', ns, '  scaling: {enabled: true, minReplicas: 1}'))
    await_status 'Running'
  end
  --- KEDA has looked at the scaler for the first time (nobody else plays KEDA here), so that the actor's status has to be written.
  local function bless()
    local condition = { type = 'Ready', status = 'True', reason = 'Said', message = 'as KEDA says' }
    patch('scaledobject --subresource=status', { status = { conditions = json.array { condition } } })
  end
  local function await_blessing()
    await('the status says that it scales', 30, function()
      local actor = get 'asyncactor'
      local scaling = cluster.condition(actor, 'ScalingReady') or {}
      return not actor or scaling.status == 'True', scaling.reason
    end)
  end

  --- A fault to requests about what lies in this namespace, `path` being the end of its path.
  local function spoil(method, path, rule)
    rule.method, rule.path = method, ('/namespaces/%s%s($|\\?)'):format(ns, path)
    rule.act, rule.type = rule.act or 'status', rule.type or 'application/json'
    return faults.add(rule)
  end
  --- The watch of a kind falls silent, until the fault is removed.
  local function silence(plural)
    return faults.add { method = 'GET', path = collection(plural), act = 'hold', ms = 600000 }
  end
  local function await_hit(id)
    await('the fault has struck', 20, function()
      for _, rule in ipairs(faults.list()) do
        if rule.id == id then return rule.hits > 0 end
      end
    end)
  end

  it('of a write during which the actor is edited counts for the generation that was planned', function()
    cluster.apply(cluster.actor('a', ns))
    await_status 'Running'
    spoil('PATCH', '/deployments/a', { act = 'delay', ms = 1500 })
    edit 'example/app:2.0'
    cluster.sleep(1)
    edit 'example/app:3.0'
    await('the last edit is done', 30, function()
      local actor, image_then = get 'asyncactor', image() -- the Deployment was read later: it may be newer, never older
      local newest = actor.metadata.generation == actor.status.observedGeneration
      local ready = cluster.condition(actor, 'Ready')
      assert.is_true(ready.observedGeneration <= actor.status.observedGeneration)
      if newest and actor.metadata.generation == 3 then assert.equal('example/app:3.0', image_then) end
      return newest and actor.metadata.generation == 3
    end)
  end)

  describe('to a status write that comes before the event', function()
    --- The watch of actors falls silent; `change` happens to the actor; then its status has to be written.
    local function behind_the_watch(change)
      make()
      cluster.sleep(3) -- nothing else wakes it any more
      silence 'asyncactors'
      change()
      bless()
      await_blessing()
      faults.clear()
    end

    it('loses no edit', function()
      behind_the_watch(function() edit 'example/app:2.0' end)
      await_image 'example/app:2.0'
    end)

    it('loses no deletion', function()
      behind_the_watch(delete)
      await_gone 'asyncactor'
    end)
  end)

  it('of a list shows an actor that went to another spec and back in a gap of the watch', function()
    make()
    faults.add { method = 'GET', path = collection 'asyncactors', act = 'status', status = 503 }
    faults.add { method = 'GET', path = collection 'asyncactors', act = 'event', code = 410 }
    edit 'example/app:2.0'
    edit 'example/app:1.0'
    faults.clear()
    await('the status is of the latest generation', 30, function()
      local actor = get 'asyncactor'
      return actor.metadata.generation == actor.status.observedGeneration, json.encode(actor.status)
    end)
  end)

  describe('of success without the object that was asked for', function()
    local NOTHING = {
      ['an empty body'] = '',
      ['a page of a load balancer'] = HTML,
      ['another object'] = '{"kind":"Deployment","apiVersion":"apps/v1","metadata":{"name":"b","namespace":"x","uid":"u","resourceVersion":"1"}}',
    }
    for what, body in pairs(NOTHING) do
      it(('is a failed creation: %s'):format(what), function()
        spoil('POST', '/deployments', { status = 201, body = body, times = 1 })
        make()
        assert.equal(1, said 'cannot create Deployment a: HTTP status 201, but the answer is not Deployment a', log())
        assert.equal(1, said 'created Deployment a', log())
      end)
    end

    it('is a failed write of the finalizer, and of what is shared', function()
      spoil('PATCH', '/asyncactors/a', { status = 200, body = '', times = 1 })
      spoil('POST', '/configmaps', { status = 201, body = '', times = 1 })
      make()
      assert.equal(1, said 'cannot add the finalizer to AsyncActor a: HTTP status 200, but the answer is not AsyncActor a', log())
      assert.equal(1, said 'cannot write the runtime ConfigMap, trying again: HTTP status 201, but the answer is not ConfigMap asya-runtime', log())
      assert.equal('asya.sh/finalizer', get 'asyncactor'.metadata.finalizers[1])
      assert.is_truthy(get('configmap', 'asya-runtime'))
    end)

    it('is a failed write of the status', function()
      make()
      cluster.sleep(3) -- nothing else wakes it any more
      spoil('PATCH', '/asyncactors/a/status', { status = 200, body = '{}', times = 1 })
      bless()
      await_blessing()
    end)

    it('is a failed change of a child', function()
      make()
      cluster.sleep(3)
      local id = spoil('PATCH', '/deployments/a\\?.*&force=true', { status = 200, body = '{}', times = 1 })
      edit 'example/app:2.0'
      await_hit(id)
      await_image 'example/app:2.0'
    end)

    it('is a failed deletion, of a child and of our finalizer', function()
      make()
      local child = spoil('DELETE', '/scaledobjects/a', { status = 200, body = '', times = 1 })
      stop_scaling()
      await_hit(child)
      await_gone 'scaledobject'
      local finalizer = spoil('PATCH', '/asyncactors/a', { status = 200, body = '{}', times = 1 })
      delete()
      await_hit(finalizer)
      await_gone 'asyncactor'
      assert.equal(1, said 'released: nothing of ours', log())
    end)
  end)

  describe('of 404', function()
    --- All kinds, or one, are asked for anew.
    local function cut_watches(plural) faults.add { method = 'GET', path = plural and collection(plural), act = 'event', code = 410 } end

    it('on a list or a watch does not empty what is known', function()
      make()
      for _, plural in ipairs { 'asyncactors', 'deployments', 'scaledobjects' } do
        faults.add { method = 'GET', path = collection(plural), act = 'status', status = 404, body = HTML, type = 'text/html' }
        cut_watches(plural)
      end
      await('it is said', 20, function() return said 'cannot watch deployments, trying again: HTTP status 404, but the server lists the kind' > 0 end)
      assert.equal(0, said 'is not installed', log())
      assert.equal('Running', status().status)
      faults.clear()
      edit 'example/app:2.0'
      await_image 'example/app:2.0'
    end)

    it('to everything is the word of a proxy that has lost its server', function()
      make()
      faults.add { method = 'GET', agent = 'asya-operator', act = 'status', status = 404, body = HTML, type = 'text/html' }
      cut_watches()
      await('it is said', 20, function() return said 'cannot watch scaledobjects, trying again' > 0 end)
      assert.equal(0, said 'is not installed', log())
      faults.clear()
      bless()
      await_blessing()
    end)

    it('to a status write is said, and the write tried again', function()
      make()
      local id = spoil('PATCH', '/asyncactors/a/status', { status = 404, body = HTML, type = 'text/html', times = 2 })
      bless()
      await_hit(id)
      await_blessing()
      assert.equal(2, said 'cannot write the status of AsyncActor a: HTTP status 404', log())
    end)

    it('to the removal of our finalizer does not release the actor', function()
      make()
      local id = spoil('PATCH', '/asyncactors/a', { status = 404, body = HTML, type = 'text/html', times = 1 })
      delete()
      await_hit(id)
      await_gone 'asyncactor'
      assert.equal(1, said 'released: nothing of ours', log())
    end)

    it('that tells of a change too late lets no older status replace a newer one', function()
      make()
      silence 'asyncactors'
      edit 'example/app:2.0'
      patch('asyncactor --subresource=status', { status = { observedGeneration = 2 } }) -- the leader before this one has done it
      bless()
      await('the status says that it scales', 30, function()
        local actor = get 'asyncactor'
        assert.equal(2, actor.status.observedGeneration)
        return (cluster.condition(actor, 'ScalingReady') or {}).status == 'True'
      end)
    end)

    local function release(rule)
      make()
      local deployment = get 'deployment'
      faults.add { act = 'hold', ms = 12000, path = '/asyncactors\\?.*watch=' }
      if rule then spoil('PATCH', '/asyncactors/a', rule) end
      delete()
      await('the actor is gone', 20, function() return not get 'asyncactor' end)
      cluster.apply(cluster.actor('a', ns, '  scaling: {enabled: true, minReplicas: 1}'))
      deployment.metadata.resourceVersion, deployment.metadata.uid, deployment.status = nil, nil, nil
      deployment.metadata.name, deployment.metadata.finalizers = 'left', json.array { 'example.com/hold' }
      cluster.kubectl('create -f %s', cluster.write(cluster.temp 'left.json', json.encode(deployment))) -- a child of the one that is gone
      local came, seen = os.time(), nil
      repeat
        local now = status().status
        seen = (now == 'Terminating' or not rule) and now or seen
      until os.time() - came > 5
      cluster.kubectl('patch deployment left -n %s --type=merge -p \'{"metadata":{"finalizers":null}}\'', ns)
      faults.clear()
      assert.is_nil(seen)
      await_status 'Running'
    end

    it('to a release is the last that is written of an actor', function()
      release()
      assert.equal(0, said 'cannot write the status', log())
    end)

    it('to a release that was done and is not known keeps its status from a namesake', function()
      release { act = 'replace', status = 500, times = 1 }
    end)

    it('about something else is none', function()
      local missing = { kind = 'Status', apiVersion = 'v1', metadata = {}, status = 'Failure', reason = 'NotFound', code = 404,
        message = 'scaledobjects.keda.sh "b" not found', details = { name = 'b', group = 'keda.sh', kind = 'scaledobjects' } }
      make()
      local id = spoil('DELETE', '/scaledobjects/a', { status = 404, body = json.encode(missing), times = 1 })
      stop_scaling()
      await_hit(id)
      await_gone 'scaledobject'
    end)
  end)

  it('to a deletion that the watch has overtaken loses nothing that goes on living', function()
    local function finalizers(list) patch('scaledobject', { metadata = { finalizers = list } }) end
    make()
    finalizers(json.array { 'example.com/keeps' })
    cluster.sleep(1)
    local id = spoil('DELETE', '/scaledobjects/a', { act = 'delay', after = true, ms = 2000 })
    stop_scaling()
    await_hit(id)
    await('it is marked', 10, function() return get 'scaledobject'.metadata.deletionTimestamp end)
    patch('scaledobject', { metadata = { annotations = { touched = 'meanwhile' } } })
    await('the answer is here', 20, function() return said 'deleted ScaledObject a' == 1 end)
    delete()
    await('the actor waits for it', 20, function()
      local ready = cluster.condition(get 'asyncactor', 'Ready') or {}
      return (ready.message or ''):find('waiting for ScaledObject a to go (finalizers: example.com/keeps)', 1, true), ready.message
    end)
    finalizers(json.null)
    await_gone 'asyncactor'
    assert.is_nil(get 'scaledobject')
  end)

  describe('of 409 to a deletion', function()
    local CONFLICTS = {
      ['of a load balancer'] = HTML,
      ['of the server, while the object is the same'] = json.encode {
        kind = 'Status', apiVersion = 'v1', metadata = {}, status = 'Failure', reason = 'Conflict', code = 409, message = 'the UID in the precondition',
        details = { name = 'a', kind = 'ScaledObject' } },
    }
    for whose, body in pairs(CONFLICTS) do
      it(('is a failure: %s'):format(whose), function()
        make()
        local id = spoil('DELETE', '/scaledobjects/a', { status = 409, body = body, times = 1 })
        stop_scaling()
        await_hit(id)
        await_gone 'scaledobject'
        await('it is said', 5, function() return said 'deleted ScaledObject a' == 1 end)
        assert.equal(1, said 'cannot delete ScaledObject a', log())
      end)
    end
  end)

  describe('that is lost', function()
    local function container(image_, more)
      return ([[
        - name: asya-runtime
          image: %s
          env: [{name: ASYA_HANDLER, value: handlers.process}%s]
]]):format(image_, more or '')
    end

    it('tells nobody to delete what we made ourselves', function()
      silence 'deployments'
      local id = spoil('POST', '/deployments', { act = 'drop', times = 1 })
      cluster.apply(cluster.actor('a', ns))
      await_hit(id)
      await('the Deployment is ours', 15, function() return said 'created Deployment a' == 1 end)
      assert.equal(0, said 'is not ours', log())
      faults.clear()
      await_status 'Running'
    end)

    it('is no reason to leave what has changed since', function()
      silence 'deployments'
      local id = spoil('POST', '/deployments', { act = 'replace', status = 503 })
      cluster.apply(cluster.actor('a', ns, nil, container('example/app:1.0', ', {name: GOES, value: away}')))
      await_hit(id)
      cluster.apply(cluster.actor('a', ns, nil, container 'example/app:2.0'))
      faults.remove(id)
      await_image 'example/app:2.0'
      assert.is_nil(json.encode(get 'deployment'.spec):find('GOES', 1, true))
      faults.clear()
      await_status 'Running'
    end)

    it('leaves an object of somebody else alone', function()
      cluster.kubectl('create deployment a -n %s --image=theirs:1', ns)
      cluster.apply(cluster.actor('a', ns))
      await('it says whose it is', 15, function()
        return said 'cannot create Deployment a: Deployment a exists already and is not ours' > 0
      end)
      assert.equal('theirs:1', image())
    end)
  end)
end)
