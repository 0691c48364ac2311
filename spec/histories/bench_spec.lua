--- bench: spec/bench works, with a few parents; its figures are those of `make bench`.
local cluster = require 'cluster'
local json = require 'json'

describe('the bench', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run histories'
    return
  end

  --- What it says of two parents of an example: its rows by their name, and requests for each by their kind.
  local function measure(example, arguments)
    local out = cluster.temp 'bench'
    local said = cluster.sh('NO_INSTRUCTIONS=1 LATE=0 REST=0 spec/bench/run --example %s --out %s %s 2', example, out, arguments)
    local text, rows = cluster.read(out .. '/bench.json'), {}
    assert.not_equal('', text, said)
    local results = json.decode(text)
    for _, row in ipairs(results.sizes[1].rows) do rows[row.what] = rows[row.what] or row.value end
    return rows, results.sizes[1].requests, results.operator
  end

  it('measures jobs in place of actors', function()
    local rows, requests, operator = measure('indexedjob', '')
    assert.equal('asya-operator', operator)
    assert.same({ 2, 1 }, { requests['create pods'], requests['patch indexedjobs'] }) -- the finalizer
    for _, what in ipairs { 'requests a job, Events included', '... ratio to the plain client', 'resident', 'to the written child, median' } do
      assert.is_number(rows[what], what)
    end
  end)

  it('measures another operator the same way', function()
    local other = ('exec %s/asya-operator run --bundle policies/examples/service-per-pod --namespace %s --metrics-bind-address 0 '
      .. '--health-probe-bind-address 0'):format(cluster.build, cluster.namespace 'another')
    local rows, requests, operator = measure('service-per-pod', '--baseline ' .. cluster.quote(other))
    assert.equal(other, operator)
    assert.equal(2, requests['create services'])
    assert.is_true(rows['all children made'] > 0 and rows['resident'] > 0)
  end)

  it('has metacontroller make the children that the examples make', function()
    local binary, address = cluster.temp 'hook', '127.0.0.1:18497'
    local said, built = cluster.sh('cd spec/bench/metacontroller && go vet hook.go && gofmt -l . && CGO_ENABLED=0 go build -trimpath -o %s hook.go', binary)
    assert.is_true(built, said)
    assert.equal('', said)
    finally(cluster.background('%s %s >%s.log 2>&1', binary, address, binary).stop)
    local function ask(example, request)
      return json.decode(cluster.sh('curl -sS --retry 5 --retry-connrefused --data-binary @%s http://%s/%s',
        cluster.write(cluster.temp 'request.json', json.encode(request)), address, example))
    end
    --- What ours makes of a parent, without what the engine adds.
    local function rendered(example, parent)
      local items = json.decode(cluster.sh('%s/asya-operator render --bundle policies/examples/%s -f %s -o json', cluster.build, example,
        cluster.write(cluster.temp 'parent.yaml', json.encode(parent)))).items
      for _, item in ipairs(items) do
        item.metadata.namespace, item.metadata.annotations = nil, nil
      end
      return items
    end

    local job = { apiVersion = 'ctl.example.com/v1', kind = 'IndexedJob', metadata = { name = 'a', namespace = 'default', generation = 3 }, spec = {
      completions = 8, parallelism = 2, template = { metadata = { labels = { mine = 'yes' } }, spec = { containers = { { name = 'work', image = 'i' } } } },
    } }
    local first = ask('indexedjob', { parent = job, children = { ['Pod.v1'] = {} } })
    assert.equal(2, #first.children)
    assert.same(rendered('indexedjob', job), first.children)
    local pods = { ['a-0'] = { status = { phase = 'Succeeded' } }, ['a-1'] = { status = { phase = 'Failed' } } }
    job.status = { conditions = { { type = 'Complete', status = 'False', lastTransitionTime = '2026-01-01T00:00:00Z' } } }
    local second, names = ask('indexedjob', { parent = job, children = { ['Pod.v1'] = pods } }), {}
    for i, child in ipairs(second.children) do names[i] = child.metadata.name end
    assert.same({ 'a-0', 'a-2' }, names) -- one that has failed goes first, and keeps its place until it is gone
    assert.same({ active = 1, succeeded = 1, conditions = { { type = 'Complete', status = 'False', reason = 'Running', observedGeneration = 3,
      message = '1 of 8 have succeeded', lastTransitionTime = '2026-01-01T00:00:00Z' } } }, second.status)

    local set = { apiVersion = 'apps/v1', kind = 'StatefulSet', metadata = { name = 'web', namespace = 'default', annotations = {
      ['service-per-pod-label'] = 'statefulset.kubernetes.io/pod-name', ['service-per-pod-ports'] = '80:8080, 443' } }, spec = { replicas = 2 } }
    local services = ask('service-per-pod', { object = set, attachments = { ['Service.v1'] = {} } }).attachments
    assert.equal(2, #services)
    assert.same(rendered('service-per-pod', set), services)
  end)
end)
