--- rest: an operator that has nothing to do sends nothing.
local cluster = require 'cluster'
local json = require 'json'

describe('at rest', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run histories'
    return
  end
  after_each(cluster.stop_all)

  it('sends no request in 60 s with 50 actors but watches and lease renewals', function()
    cluster.clear()
    local ns, own = cluster.namespace 'rest', cluster.namespace 'lease'
    local actors = {}
    for i = 1, 50 do actors[i] = cluster.actor('rest-' .. i, ns) end
    cluster.apply(table.concat(actors, '---\n'))
    cluster.operator { args = '--leader-elect --namespace ' .. own }
    cluster.eventually('all run', 90, function()
      local running = 0
      for _, actor in ipairs(cluster.list('asyncactors', ns)) do
        if actor.status and actor.status.status == 'Running' then running = running + 1 end
      end
      return running == 50, running
    end)
    cluster.sleep(5)
    local mark = cluster.audit_mark()
    cluster.sleep(60)
    assert.same({}, cluster.requests(mark))
    local said = cluster.sh('spec/bed/bed requests %s --agent asya-operator --since-byte %d -o json', cluster.bed_dir, mark)
    for _, each in ipairs(json.decode(said).requests) do -- a watch lasts for minutes, and a lease is renewed every two seconds
      assert.is_true(each.count <= (each.verb == 'watch' and 2 or 40), said)
    end
    assert.is_truthy(said:find('"leases', 1, true), said)
  end)
end)
