--- race: edits of actors that cross the writes of their status.
local cluster = require 'cluster'

local eventually, sh = cluster.eventually, cluster.sh

local ACTORS, EDITS = 20, 2000

describe('edits under pod churn', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run histories'
    return
  end
  after_each(cluster.stop_all)

  it(('are followed, all %d of them, though the watch tells of each later than the answer to a status write'):format(EDITS), function()
    cluster.clear()
    local faults, ns, yaml = cluster.faults(), cluster.namespace 'race', {}
    for i = 1, ACTORS do yaml[i] = cluster.actor(('race-%d'):format(i), ns, '  scaling: {enabled: true, minReplicas: 1}') end
    local op = cluster.operator { args = '--kubeconfig ' .. faults.kubeconfig, binary = cluster.build .. '/asya-operator' }
    cluster.apply(table.concat(yaml, '\n---\n'))
    eventually('all run', 90, function()
      local running = 0
      for _, actor in ipairs(cluster.list('asyncactors', ns)) do
        if actor.status and actor.status.status == 'Running' then running = running + 1 end
      end
      return running == ACTORS, running
    end)
    faults.add { method = 'GET', path = '/asyncactors\\?', act = 'hold', ms = 150 }
    local said, ok = sh('timeout 1500 python3 spec/histories/churn.py %s %d', ns, EDITS)
    assert.is_true(ok, op.log():sub(-2000) .. said)
  end)
end)
