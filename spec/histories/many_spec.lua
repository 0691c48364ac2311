--- many: hundreds of actors at once, and a thousand edits of policies one after the other.
local api = require 'api'
local cluster = require 'cluster'
local edits = require 'edits'
local json = require 'json'

describe('many', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run histories'
    return
  end
  before_each(cluster.clear)
  after_each(cluster.stop_all)

  it('actors on their way to Running, 500, are never shown an error', function()
    local COUNT, ns = 500, cluster.namespace 'cold'
    local watch = api.watch('asyncactors', ns)
    local manifests = {}
    for i = 1, COUNT do manifests[i] = cluster.actor('cold-' .. i, ns, i % 2 == 0 and '  scaling: {enabled: true}' or nil) end
    cluster.apply(table.concat(manifests, '---\n'), false, '--server-side')
    edits.operator(cluster.namespace 'own', { binary = cluster.build .. '/asya-operator' })
    cluster.eventually('all of them run', 300, function()
      local running = 0
      for _, it in ipairs(cluster.list('asyncactors', ns)) do running = running + (it.status and it.status.status == 'Running' and 1 or 0) end
      if running < COUNT then cluster.sleep(2) end
      return running == COUNT, running
    end)
    local kinds = {}
    watch.stop()
    for line in io.lines(watch.path) do
      local whole, event = pcall(json.decode, line) -- the last one may have been cut
      local status = whole and event.object.status or {}
      kinds[status.status or 'Creating'] = true
    end
    kinds.Creating = nil
    assert.same({ Running = true }, kinds) -- Creating is told of those alone that take a while
    cluster.sh('kubectl delete asyncactors --all -n %s --wait=false', ns)
    cluster.eventually('all are gone', 120, function() return #cluster.list('asyncactors', ns) == 0 end)
  end)

  it('edits of policies, a thousand, leave the operator no larger, and with its lease', function()
    local ns, own = edits.begin()
    local op = edits.operator(own, { binary = cluster.build .. '/asya-operator' })
    cluster.apply(cluster.actor('one', ns))
    edits.await_running(ns, 'one')
    edits.put(own, 'team', { ['stamp.lua'] = edits.stamp '0' })
    edits.await_stamp('one', ns, '0')
    local script = cluster.write(cluster.temp 'edits.py', [[
import json, os, ssl, sys, time, urllib.request
base, ns, first, last = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
text = open(sys.argv[5]).read()
def call(method, path, body=None, kind="application/merge-patch+json"):
    request = urllib.request.Request(base + path, method=method, data=body and json.dumps(body).encode(), headers={"Content-Type": kind})
    return json.load(urllib.request.urlopen(request))
for i in range(first, last):
    call("PATCH", f"/api/v1/namespaces/{ns}/configmaps/team", {"data": {"stamp.lua": text.replace("'0'", f"'{i}'")}})
    time.sleep(0.05)
]])
    local text = cluster.write(cluster.temp 'stamp.lua', edits.stamp '0')
    local proxy = cluster.background('kubectl proxy --port=0 >%s/proxy.out 2>&1', cluster.bed_dir)
    local address = cluster.eventually('kubectl proxy', 10, function() return cluster.read(cluster.bed_dir .. '/proxy.out'):match '127.0.0.1:%d+' end)
    local function edit(first, last)
      local output, ok = cluster.sh('python3 %s http://%s %s %d %d %s', script, address, own, first, last, text)
      assert.is_true(ok, output)
      edits.await_stamp('one', ns, tostring(last - 1))
    end
    edit(1, 101)
    local before = cluster.resident_at_rest(op.pid)
    local function reloads() return select(2, op.log():gsub('policies: bundle %x+ passed', '')) end
    local last = 101
    repeat -- those that come while one is tried make one
      edit(last, last + 100)
      last = last + 100
    until last > 1000 and reloads() > 500 or last > 5000
    local after = cluster.resident_at_rest(op.pid)
    proxy.stop()
    print(('reloads: %d KiB resident after 100 edits, %d after %d'):format(before, after, last - 1))
    assert.is_true(after < before + 4096, ('%d KiB became %d'):format(before, after))
    assert.is_true(reloads() > 500, reloads() .. ' reloads')
    assert.is_nil(op.log():find('lease was lost', 1, true))
    edits.finish(ns)
  end)
end)
