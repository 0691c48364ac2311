--- chaos: two replicas, many actors and a seed that decides what goes wrong; `make chaos SEED=n MINUTES=m` runs it for longer.
local chaos = require 'chaos'
local cluster = require 'cluster'

local SEED, MINUTES = tonumber(os.getenv 'SEED') or 1, tonumber(os.getenv 'MINUTES') or 10

describe('chaos', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run histories'
    return
  end
  after_each(function()
    chaos.leave()
    cluster.stop_all()
  end)

  it(('of seed %d for %g minutes leaves everything as a fresh operator would make it'):format(SEED, MINUTES), function()
    cluster.clear()
    local wrong, line = chaos.run(SEED, math.floor(MINUTES * 60), {
      actors = tonumber(os.getenv 'ACTORS') or 60, keda = true, rewind = os.getenv 'REWIND' == '1' or MINUTES >= 5,
      binary = os.getenv 'BINARY',
    })
    print(line)
    assert.is_nil(wrong)
  end)
end)
