--- stale: watches that are five seconds behind. What the operator has written itself it knows: nothing is made twice, fought over or reverted.
local api = require 'api'
local audit = require 'audit'
local cluster = require 'cluster'
local herd = require 'herd'
local history = require 'history'
local json = require 'json'

local ACTORS, EDITS, HOLD_MS = 10, 4, 5000
local CHILDREN = { deployments = true, scaledobjects = true, triggerauthentications = true }

describe('with watches five seconds behind', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run histories'
    return
  end
  local ns, record, wanted, mark
  before_each(function()
    cluster.clear()
    ns, wanted = cluster.namespace 'stale', {}
    local faults = cluster.faults()
    cluster.operator { args = ('--kubeconfig %s --watch-namespaces %s'):format(faults.kubeconfig, ns) }
    record = history.record(ns)
    cluster.eventually('it works', 20, function() return cluster.started[1].log():find('caches are filled', 1, true) end)
    faults.add { act = 'hold', ms = HOLD_MS, path = 'watch=1', agent = 'asya-operator' }
    mark = cluster.audit_mark()
  end)
  after_each(function()
    record.stop()
    cluster.sh('kubectl delete asyncactors --all -n %s --timeout=60s', ns)
    cluster.stop_all()
  end)

  local function name(i) return ('s-%d'):format(i) end
  local function send(request)
    local requests = {}
    for i = 1, ACTORS do requests[i] = request(name(i)) end
    api.send(requests)
  end
  local function create(at)
    send(function(each)
      wanted[each] = { name = each, transport = 'rabbitmq', max = at, mark = at }
      return herd.create(ns, wanted[each])
    end)
  end
  local function settle()
    cluster.eventually('all is well', 60, function()
      local what = herd.unsettled(ns, wanted)
      return not what, what
    end)
    cluster.sleep(HOLD_MS / 1000 + 1) -- the last events come
  end

  --- How often each child was written in that way, by "resource name".
  local function writes(verb)
    local by = {}
    for _, each in ipairs(audit.ours(mark)) do
      if each.verb == verb and CHILDREN[each.resource] and not each.subresource then
        local what = each.resource .. ' ' .. each.name
        by[what] = (by[what] or 0) + 1
      end
    end
    return by
  end
  local function assert_each(verb, most)
    for what, count in pairs(writes(verb)) do
      if count > most then error(('%s %s: %d times, at most %d'):format(verb, what, count, most), 2) end
    end
  end
  --- An edit that a child has got never goes again.
  local function assert_no_revert()
    local wrong, last = record.check(), {}
    assert.equal('', wrong[1] and wrong[1].text or '')
    for _, event in ipairs(record.events) do
      local key, value = event.kind .. tostring(event.actor), event.kind == 'deployments' and event.mark or event.max
      if event.kind ~= 'asyncactors' and event.type ~= 'DELETED' then
        if last[key] and value < last[key] then error(('%s %s went from %s back to %s'):format(event.kind, event.name, last[key], value), 2) end
        last[key] = value
      end
    end
  end

  it('no child is made twice, and an edit is carried out once', function()
    create(1)
    settle()
    for what, count in pairs(writes 'create') do assert.equal(1, count, what) end
    assert.same({}, writes 'patch')
    for edit = 2, EDITS do
      send(function(each) return herd.scale(ns, each, edit) end)
      send(function(each) return herd.stamp(ns, each, edit) end)
      cluster.sleep(1)
    end
    settle()
    for what, count in pairs(writes 'create') do assert.equal(1, count, what) end
    assert_each('patch', EDITS - 1)
    assert_no_revert()
    local before = cluster.audit_mark()
    cluster.sleep(6)
    assert.same({}, cluster.requests(before))
  end)

  it('an actor that comes back under its name gets its own children, once', function()
    create(1)
    settle()
    send(function(each) return herd.delete(ns, each) end)
    cluster.eventually('all are gone', 60, function() local left = #api.list('asyncactors', ns) return left == 0, left end)
    create(2)
    settle()
    for what, count in pairs(writes 'create') do assert.equal(2, count, what .. json.encode(writes 'create')) end
    assert_each('patch', 0)
    assert_no_revert()
  end)

  it('what somebody else does to a child is put right once', function()
    create(1)
    settle()
    send(function(each) return herd.meddle(ns, each) end)
    cluster.sleep(HOLD_MS / 1000 + 2)
    settle()
    assert_each('patch', 2) -- the first change of a child is two writes
    local log = cluster.started[1].log()
    send(function(each)
      assert.equal(1, select(2, log:gsub('restored Deployment ' .. each:gsub('%-', '%%-') .. '%f[^%w-]', '')), each)
      return { 'DELETE', api.path('deployments', ns, each) }
    end)
    cluster.sleep(HOLD_MS / 1000 + 2)
    settle()
    for what, count in pairs(writes 'create') do assert.equal(what:find '^deployments' and 2 or 1, count, what) end
  end)
end)

describe('a status', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run histories'
    return
  end
  after_each(cluster.stop_all)

  it('does not say of an edit what was done about the one before it', function()
    cluster.clear()
    local ns, faults = cluster.namespace 'late', cluster.faults()
    local record = history.record(ns)
    local one = { name = 'one', transport = 'rabbitmq', max = 1, mark = 1 }
    cluster.operator { args = ('--kubeconfig %s --watch-namespaces %s'):format(faults.kubeconfig, ns) }
    api.send { herd.create(ns, one) }
    local function settle()
      cluster.eventually('all is well', 60, function()
        local what = herd.unsettled(ns, { one = one })
        return not what, what
      end)
    end
    settle()
    local slow = faults.add { act = 'delay', ms = 2000, method = 'PATCH', path = '/scaledobjects/', after = true }
    api.send { herd.scale(ns, 'one', 2) }
    cluster.eventually('the first edit is being carried out', 20, function() return faults.list()[1].hits > 0 end)
    api.send { herd.stamp(ns, 'one', 3) }
    cluster.sleep(5)
    faults.remove(slow)
    settle()
    cluster.sleep(1)
    local wrong = record.check()
    record.stop()
    assert.equal('', wrong[1] and wrong[1].text or '')
  end)
end)
