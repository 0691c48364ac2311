--- schemas: what is built into the binary is what the API server of the bed says.
local cluster = require 'cluster'

describe('crds/openapi/schemas.json', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  if os.getenv 'SERVER' == 'oldest' then return end -- what is built in is what the newest says

  it('is what this API server has', function()
    local text, ok = cluster.sh 'spec/bed/schemas.py'
    assert.is_true(ok, text)
    assert.equal(cluster.read 'crds/openapi/schemas.json', text, 'run spec/bed/schemas.py > crds/openapi/schemas.json')
  end)
end)
