--- crd: what kubectl apply itself refuses, and what it keeps. The cases are files under spec/crd/cases.
local cluster = require 'cluster'

describe('the CRD', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  --- "# stored: <jsonpath> = <value>" lines of an accepted case.
  local function check_stored(text, namespace)
    local name = text:match 'name: ([%w-]+)'
    for path, value in text:gmatch '# stored: (%S+) = ([^\n]*)' do
      assert.equal(value, (cluster.kubectl('get asyncactor %s -n %s -o jsonpath=%s', name, namespace, cluster.quote(path))))
    end
  end

  for path in io.popen('ls spec/crd/cases/*.yaml'):lines() do
    local text = cluster.read(path)
    local expected = text:match '^# expect: ([^\n]*)'
    local since = tonumber(text:match '\n# since: 1%.(%d+)') or 0
    if cluster.minor() >= since then it(('%s: %s'):format(path:match '([^/]+)%.yaml$', expected), function()
      local namespace = cluster.namespace 'crd'
      local output, ok = cluster.sh('kubectl apply -n %s -f %s', namespace, path)
      if expected == 'accepted' then
        assert.is_true(ok, output)
        check_stored(text, namespace)
        cluster.kubectl('delete asyncactors --all -n %s', namespace) -- the next specs' operators would work on it
      else
        assert.is_false(ok, output)
        assert.is_truthy(output:find(expected, 1, true), output)
      end
    end) end
  end

  for _, folder in ipairs { 'crds/examples/*.yaml', 'spec/golden/*/actor.yaml' } do
    for path in io.popen('ls ' .. folder):lines() do
      it('accepts ' .. path:gsub('^.*/([^/]+/[^/]+)$', '%1'), function()
        local namespace = cluster.read(path):match 'namespace: ([%w-]+)'
        cluster.sh('kubectl create namespace %s', namespace)
        cluster.kubectl('apply --dry-run=server -f %s', path)
      end)
    end
  end
end)
