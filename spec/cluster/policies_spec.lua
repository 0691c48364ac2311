--- policies: a platform team edits Lua in a ConfigMap on a running cluster.
local cluster = require 'cluster'
local edits = require 'edits'

local eventually = cluster.eventually
local await_running, await_stamp, await_state = edits.await_running, edits.await_stamp, edits.await_state
local put, stamp, stamp_of = edits.put, edits.stamp, edits.stamp_of

local function events(own, reason)
  return cluster.kubectl('get events -n %s -o jsonpath=%s', own,
    cluster.quote(('{range .items[?(@.reason=="%s")]}{.note}{.message}{"\\n"}{end}'):format(reason)))
end

describe('policies in a ConfigMap', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  local ns, own
  before_each(function() ns, own = edits.begin() end)
  after_each(function() edits.finish(ns) end)

  local function operator(options) return edits.operator(own, options) end

  it('are live soon after an edit, for those actors that change', function()
    local op = operator()
    cluster.apply(cluster.actor('one', ns))
    await_running(ns, 'one')
    put(own, 'team', { ['stamp.lua'] = stamp 'first' })
    await_stamp('one', ns, 'first')
    put(own, 'team', { ['stamp.lua'] = stamp 'second' })
    await_stamp('one', ns, 'second')
    await_state(own, 'team', 'live: bundle')
    assert.is_truthy(events(own, 'PoliciesAccepted'):find('1 children change, 0 pods restart', 1, true))
    local actor = cluster.get('asyncactor', 'one', ns)
    assert.is_truthy(op.log():find('live: bundle ' .. actor.status.bundleDigest, 1, true), 'the status shows whose work it is')
    cluster.kubectl('delete configmap team -n %s', own)
    await_stamp('one', ns, nil)
  end)

  it('change nothing when they are wrong, and say where', function()
    local op = operator()
    for _, name in ipairs { 'good', 'other' } do cluster.apply(cluster.actor(name, ns)) end
    await_running(ns, 'good', 'other')
    put(own, 'team', { ['stamp.lua'] = stamp 'right' })
    await_stamp('good', ns, 'right')
    await_state(own, 'team', 'live: bundle')
    local function body(text)
      return "local policy = require 'policy'\nreturn policy.define { name = 'stamp', after = { 'sidecar' }, render = function(actor, ctx, plan)\n"
        .. text .. '\nend }\n'
    end
    for what, case in pairs {
      syntax = { "return (((", 'stamp.lua:1' },
      ['an error on one actor only'] = { body "if actor.metadata.name == 'other' then error('not this one') end", 'other: ' },
      ['a wrong shape'] = { body "plan:get('workload').spec.replicas = 'many'", 'spec.replicas: must be an integer' },
      ['an endless loop'] = { body 'while true do end', 'stamp.lua:3' },
      ['a field that does not exist'] = { body "plan:get('workload').spec.replics = 1", 'did you mean replicas?' },
      ['a status hook that fails'] = {
        "return require('policy').define { name = 'stamp', after = { 'status' }, status = function() error('no status') end }", 'no status' },
    } do
      put(own, 'team', { ['stamp.lua'] = case[1] })
      local state = await_state(own, 'team', 'rejected, nothing was changed')
      eventually('the state is about ' .. what, 10, function()
        state = cluster.get('configmap', 'team', own).metadata.annotations['asya.sh/policies-state']
        return state:find(case[2], 1, true), state
      end)
    end
    eventually('Events tell, too', 10, function() return events(own, 'PoliciesRejected'):find('other: ', 1, true) end)
    for _, name in ipairs { 'good', 'other' } do assert.equal('right', stamp_of(name, ns)) end
    cluster.apply(cluster.actor('third', ns))
    await_stamp('third', ns, 'right')
    assert.is_truthy(op.log():find('stamp.lua:1', 1, true))
    put(own, 'team', { ['stamp.lua'] = stamp 'again' })
    await_stamp('good', ns, 'again')
    await_state(own, 'team', 'live: bundle')
  end)

  it('say of themselves which of their files another ConfigMap supersedes, and when they are a canary', function()
    operator()
    cluster.apply(edits.labelled('bird', ns, 'team: canary'))
    await_running(ns, 'bird')
    put(own, 'm-team', { ['stamp.lua'] = stamp 'm' })
    await_stamp('bird', ns, 'm')
    await_state(own, 'm-team', 'live: bundle')
    put(own, 'a-team', { ['stamp.lua'] = stamp 'a' }) -- changes no bundle
    await_state(own, 'a-team', 'stamp.lua is superseded by ConfigMap m-team')
    assert.equal('m', stamp_of('bird', ns))
    put(own, 'z-team', { ['stamp.lua'] = stamp 'z' })
    await_stamp('bird', ns, 'z')
    await_state(own, 'm-team', 'stamp.lua is superseded by ConfigMap z-team')
    assert.is_nil(await_state(own, 'z-team', 'live: bundle'):find('superseded', 1, true))
    put(own, 'try', { ['stamp.lua'] = stamp 'canary' }, 'asya.sh/policies-canary', 'asya.sh/policies-canary-selector: team=canary')
    await_stamp('bird', ns, 'canary')
    await_state(own, 'try', 'as a canary for the asyncactors that it selects')
  end)

  it('that were rejected because of one actor are tried again when it changes, or goes', function()
    operator()
    local body = "if (actor.metadata.labels or {}).odd then error('an odd one') end plan:get('workload').metadata.annotations = { stamp = '%s' }"
    local source = "return require('policy').define { name = 'stamp', after = { 'workload' }, render = function(actor, _, plan) " .. body .. ' end }'
    for _, name in ipairs { 'one', 'two' } do
      cluster.apply((cluster.actor(name, ns):gsub('namespace: [^}]*', '%0, labels: {odd: "yes"}')))
    end
    await_running(ns, 'one', 'two')
    put(own, 'team', { ['stamp.lua'] = source:format 'x' })
    await_state(own, 'team', 'an odd one')
    cluster.kubectl('label asyncactor one -n %s odd-', ns)
    cluster.kubectl('delete asyncactor two -n %s', ns)
    await_stamp('one', ns, 'x')
    await_state(own, 'team', 'live: bundle')
  end)

  it('say before they are live how many queues they change', function()
    operator { queues = true } -- its broker does not exist: the summary comes before anybody is asked
    cluster.apply(cluster.actor('one', ns))
    eventually('it is worked on', 20, function() return cluster.condition(cluster.get('asyncactor', 'one', ns), 'TransportReady') end)
    put(own, 'team', { ['more.lua'] = [[return require('policy').define { name = 'more', after = { 'queue' }, queues = function(actor, _, plan)
      plan:queue { name = 'more', transport = 'rabbitmq', type = 'rabbitmq', config = {}, want = {}, deletion = 'Retain' }
    end }]] })
    eventually('the summary', 20, function()
      local told = events(own, 'PoliciesAccepted')
      return told:find('0 children change, 0 pods restart, 1 queues change', 1, true), told
    end)
    cluster.clear()
  end)

  it('are gated by the cases that lie beside them', function()
    operator()
    cluster.apply(cluster.actor('one', ns))
    await_running(ns, 'one')
    local wants = "title: stamps as it should\nexpect: {Deployment: {metadata: {annotations: {stamp: %s}}}}\n"
    put(own, 'team', { ['stamp.lua'] = stamp 'x', ['stamp.case.yaml'] = wants:format 'other' })
    local state = await_state(own, 'team', 'rejected')
    assert.is_truthy(state:find("stamp.case.yaml: case 'stamps as it should': Deployment.metadata.annotations.stamp: wanted other, got x", 1, true), state)
    assert.is_nil(stamp_of('one', ns))
    put(own, 'team', { ['stamp.lua'] = stamp 'x', ['stamp.case.yaml'] = wants:format 'x' })
    await_stamp('one', ns, 'x')
  end)

  it('come back to what was live when the operator restarts in the middle of a wrong edit', function()
    local first = operator()
    edits.keep_one(ns, own)
    put(own, 'team', { ['stamp.lua'] = stamp('kept') .. 'syntax error' })
    await_state(own, 'team', 'rejected')
    first.kill()
    local second = operator { args = '--leader-elect=false' }
    eventually('the second has judged it', 20, function() return second.log():find('rejected', 1, true) end)
    cluster.apply(cluster.actor('two', ns))
    await_stamp('two', ns, 'kept')
    assert.equal('kept', stamp_of('one', ns))
  end)

  it('reach a canary first, then everybody, and go back', function()
    operator()
    cluster.apply((cluster.actor('bird', ns):gsub('namespace: [^}]*', '%0, labels: {team: canary}')))
    cluster.apply(cluster.actor('miner', ns))
    await_running(ns, 'bird', 'miner')
    put(own, 'try', { ['stamp.lua'] = stamp 'new' }, 'asya.sh/policies-canary', 'asya.sh/policies-canary-selector: team=canary')
    await_stamp('bird', ns, 'new')
    await_state(own, 'try', 'live: bundle')
    assert.is_nil(stamp_of('miner', ns))
    assert.are_not.equal(cluster.get('asyncactor', 'bird', ns).status.bundleDigest, cluster.get('asyncactor', 'miner', ns).status.bundleDigest)
    cluster.kubectl('label configmap try -n %s asya.sh/policies=true asya.sh/policies-canary-', own) -- promoted
    await_stamp('miner', ns, 'new')
    assert.equal('new', stamp_of('bird', ns))
    cluster.kubectl('label configmap try -n %s asya.sh/policies-', own) -- rolled back
    await_stamp('miner', ns, nil)
    await_stamp('bird', ns, nil)
  end)

  it('refuse a canary that does not say which actors it is for', function()
    operator()
    put(own, 'try', { ['stamp.lua'] = stamp 'new' }, 'asya.sh/policies-canary')
    await_state(own, 'try', 'neither a selector nor a percentage')
  end)

  it('see a change of the configuration file without a restart', function()
    local config = cluster.write(cluster.temp 'config.yaml', 'gatewayURL: http://one\n')
    local op = operator { args = '--config ' .. config }
    cluster.apply(cluster.actor('one', ns))
    await_running(ns, 'one')
    local function gateway(name)
      return cluster.kubectl('get deployment %s -n %s -o jsonpath=%s', name or 'one', ns,
        cluster.quote '{.spec.template.spec.containers[1].env[?(@.name=="ASYA_GATEWAY_URL")].value}')
    end
    assert.equal('http://one', gateway())
    cluster.write(config, 'gatewayURL: http://two\n')
    eventually('the new gateway', 20, function() return gateway() == 'http://two', gateway() end)
    cluster.write(config, 'gatewayURLL: nonsense\n')
    cluster.sleep(4)
    assert.equal('http://two', gateway())
    await_running(ns, 'one')
    op.kill() -- who begins now finds nothing that it can use, but the record
    local generation = edits.generation('one', ns)
    operator { args = '--config ' .. config }
    cluster.apply(cluster.actor('later', ns))
    await_running(ns, 'one', 'later')
    assert.same({ 'http://two', generation }, { gateway 'later', edits.generation('one', ns) })
    cluster.write(config, 'gatewayURL: http://three\n')
    for _, name in ipairs { 'one', 'later' } do
      eventually('the gateway of ' .. name, 20, function() return gateway(name) == 'http://three', gateway(name) end)
    end
  end)

  it('replace pods a few at a time, and fall back when they do not become ready', function()
    operator { env = [[ASYA_POLICY_ROLLOUT='{"maxRestarting":1,"maxFailed":0,"readySeconds":4}']] }
    local names = { 'a', 'b', 'c' }
    for _, name in ipairs(names) do cluster.apply(cluster.actor(name, ns)) end
    await_running(ns, 'a', 'b', 'c')
    put(own, 'team', { ['stamp.lua'] = stamp('v1', true) })
    for _, name in ipairs(names) do await_stamp(name, ns, 'v1', true) end
    await_state(own, 'team', 'live: bundle')
    await_running(ns, 'a', 'b', 'c')
    local broken = stamp('v2', true):gsub('end }', "object.metadata.annotations['bed.asya.sh/fault'] = 'image'\nend }")
    put(own, 'team', { ['stamp.lua'] = broken })
    local state = await_state(own, 'team', 'did not become ready again')
    assert.is_truthy(state:find('rolled back', 1, true))
    local touched = 0
    for _, name in ipairs(names) do
      await_stamp(name, ns, 'v1', true)
      touched = touched + (cluster.get('deployment', name, ns).metadata.generation > 2 and 1 or 0)
    end
    assert.equal(1, touched, 'only the first was reached')
  end)
end)

describe('the guide in policies/README.md', function()
  if not cluster.available then return end
  after_each(cluster.stop_all)

  it('holds, command by command', function()
    cluster.clear()
    cluster.sh 'kubectl delete namespace asya-system --ignore-not-found'
    cluster.sh 'kubectl create namespace asya-system'
    local ns = cluster.namespace 'guide'
    local op = cluster.operator { args = '--namespace asya-system' }
    for i = 1, 12 do cluster.apply(cluster.actor('actor-' .. i, ns)) end
    for i = 1, 12 do await_running(ns, 'actor-' .. i) end
    local work = cluster.temp 'guide'
    cluster.sh('mkdir -p %s; for f in build crds spec policies lua .busted; do ln -s "$PWD/$f" %s/; done', work, work)
    cluster.sh('rm %s/build; ln -s "$PWD/%s" %s/build', work, cluster.build, work)
    for block in cluster.read('policies/README.md'):gmatch '```bash\n(.-)```' do
      local script = cluster.write(cluster.temp 'block.sh', block)
      local output, ok = cluster.sh('cd %s && ASYA_TRANSPORT_CONFIG=%s timeout 180 bash -e %s', work, cluster.quote(cluster.TRANSPORTS), script)
      local told = op.log():sub(-1500) .. cluster.sh 'kubectl get configmaps -n asya-system -o yaml | grep policies-state'
      assert.is_true(ok, ((output .. ' <- ' .. block .. ' -> ' .. told):gsub('\n', ' | ')))
    end
    await_running(ns, 'actor-1')
    cluster.sh('kubectl delete asyncactors --all -n %s --timeout=20s', ns)
  end)
end)

describe('the policies of the README', function()
  if not cluster.available then return end
  after_each(cluster.stop_all)

  it('do from a ConfigMap what is said of them', function()
    local ns, own = cluster.namespace 'actors', cluster.namespace 'operator'
    local blocks = {}
    for source in cluster.read('policies/README.md'):gmatch '```lua\n(.-)```' do blocks[source:match "name = '([%w-]+)'" or 'a spec'] = source end
    put(own, 'team', { ['log-shipper.lua'] = blocks['log-shipper'], ['half-as-many.lua'] = blocks['half-as-many'] })
    cluster.operator { args = '--namespace ' .. own }
    cluster.apply((cluster.actor('shipped', ns, '  scaling: {enabled: true}'):gsub('namespace: [^}]*', '%0, labels: {logs: shipped}')))
    cluster.apply(cluster.actor('kept', ns))
    await_running(ns, 'kept')
    eventually('both are there', 20, function()
      local scaler = cluster.get('scaledobject', 'shipped', ns)
      local workload = cluster.get('deployment', 'shipped', ns)
      return scaler and scaler.spec.advanced.scalingModifiers.formula == 'queue / 2' and workload
        and #workload.spec.template.spec.containers == 3
    end)
    assert.equal(2, #cluster.get('deployment', 'kept', ns).spec.template.spec.containers)
    cluster.kubectl('delete asyncactors --all -n %s --timeout=20s', ns)
  end)
end)
