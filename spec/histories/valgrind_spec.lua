--- valgrind: the binary that is shipped, without sanitizers, through the life of an actor and through its tools.
local cluster = require 'cluster'

local VALGRIND = 'valgrind -q --leak-check=full --show-leak-kinds=definite,indirect --errors-for-leak-kinds=definite,indirect --error-exitcode=99'
  .. ' --suppressions=spec/histories/valgrind.supp'
local BINARY = ('%s %s/asya-operator'):format(VALGRIND, cluster.build)

describe('under valgrind', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run histories'
    return
  end
  setup(cluster.clear)
  after_each(cluster.stop_all)

  it('the operator makes no mistake with memory', function()
    local ns, own = cluster.namespace 'memory', cluster.namespace 'lease'
    local op = cluster.operator { binary = BINARY, args = '--leader-elect --namespace ' .. own }
    cluster.apply(cluster.actor('one', ns, '  scaling: {enabled: true, minReplicas: 1}'))
    cluster.eventually('Running', 90, function() return (cluster.get('asyncactor', 'one', ns).status or {}).status == 'Running' end)
    cluster.kubectl('set image deployment/one asya-runtime=other:1 -n %s', ns)
    cluster.eventually('put back', 60, function() return op.log():find('restored Deployment one', 1, true) end)
    cluster.kubectl('create configmap team -n %s --from-literal=broken.lua="return ((("', own)
    cluster.kubectl('label configmap team -n %s asya.sh/policies=true', own)
    cluster.eventually('rejected', 60, function() return op.log():find('rejected, nothing was changed', 1, true) end)
    cluster.kubectl('delete asyncactor one -n %s --timeout=60s', ns)
    op.stop()
    assert.is_nil(op.log():find('\n==%d+== '), op.log())
  end)

  it('the tools make none', function()
    local env = 'ASYA_TRANSPORT_CONFIG=' .. cluster.quote(cluster.TRANSPORTS)
    for _, command in ipairs { 'render -f crds/examples/minimal.yaml --explain', 'check', 'diff -A', 'version' } do
      local output, ok = cluster.sh('%s %s %s', env, BINARY, command)
      assert.is_true(ok, command .. '\n' .. output)
      assert.is_nil(output:find '==%d+== ', output)
    end
  end)
end)
