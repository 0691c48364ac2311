--- diff: what serves against what would, as the operator then does it: removals, queues, canaries, and equal changes told once.
local cluster = require 'cluster'
local edits = require 'edits'
local json = require 'json'

local await_running, await_stamp, await_state, put = edits.await_running, edits.await_stamp, edits.await_state, edits.put

--- Runs diff with the environment that specs give the operator; `env` may add to it. Returns its text and its exit code.
local function diff(arguments, env)
  local command = ('ASYA_TRANSPORT_CONFIG=%s ASYA_DISABLE_QUEUE_MANAGEMENT=true ASYA_RUNTIME_NAMESPACE=default %s %s/asya-operator diff %s; echo " exit $?"')
    :format(cluster.quote(cluster.TRANSPORTS), env or '', cluster.build, arguments)
  local text, code = cluster.sh('sh -c %s', cluster.quote(command)):match '^(.*) exit (%d+)\n$'
  return text, tonumber(code)
end

local function folder(files) return cluster.folder('policies', files) end

local function policy(body, hook)
  return ("return require('policy').define { name = 'more', after = { 'scaling', 'sidecar', 'queue' }, %s = function(actor, ctx, plan)\n%s\nend }\n")
    :format(hook or 'render', body)
end

local FULL = policy [[
  local object = plan:get 'workload'
  object.metadata.annotations = { note = 'kept no longer' }
  local pod = object.spec.template.spec
  pod.containers[2].env[#pod.containers[2].env + 1] = { name = 'MORE', value = 'x' }
  pod.containers[#pod.containers + 1] = { name = 'extra', image = 'example/extra:1' }
]]

describe('diff', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  local ns, own
  before_each(function() ns, own = edits.begin() end)
  after_each(function() edits.finish(ns) end)

  local function operator(options) return edits.operator(own, options) end
  local function compare(arguments, env) return diff(('-n %s --operator-namespace %s %s'):format(ns, own, arguments or ''), env) end
  local function holds(text, part) assert.is_truthy(text:find(part, 1, true), part .. ' <- ' .. text) end

  it('tells what is taken away, which the operator then takes away', function()
    put(own, 'team', { ['more.lua'] = FULL })
    operator()
    cluster.apply(cluster.actor('one', ns))
    await_running(ns, 'one')
    await_state(own, 'team', 'live: bundle')
    local text, code = compare()
    assert.same({ 0, '1 asyncactors looked at, 0 children differ\n' }, { code, text })
    text, code = compare('--policies ' .. folder { ['more.lua'] = policy '' })
    assert.equal(1, code, text)
    for _, part in ipairs {
      'Deployment ' .. ns .. '/one', '- metadata.annotations: {"note":"kept no longer"}', '- spec.template.spec.containers[extra]',
      '- spec.template.spec.containers[asya-sidecar].env[MORE]', 'replaces 1 pods', '1 children differ',
    } do holds(text, part) end
    put(own, 'team', { ['more.lua'] = policy '' })
    cluster.eventually('it is taken away', 20, function()
      return #cluster.get('deployment', 'one', ns).spec.template.spec.containers == 2
    end)
  end)

  it('tells equal changes once, and whose pods are replaced', function()
    operator()
    for _, name in ipairs { 'one', 'two', 'three' } do cluster.apply(cluster.actor(name, ns)) end
    await_running(ns, 'one', 'two', 'three')
    local text, code = compare('', 'ASYA_SIDECAR_IMAGE=example/sidecar:new')
    assert.equal(1, code, text)
    holds(text, '3 asyncactors: Deployment\n')
    holds(text, 'of ' .. ns .. '/one, ' .. ns .. '/three, ' .. ns .. '/two\n')
    holds(text, 'replaces 3 pods')
    local _, told = text:gsub('containers%[asya%-sidecar%]%.image', '')
    assert.equal(1, told, text)
    local found = json.decode((compare('-o json 2>/dev/null', 'ASYA_SIDECAR_IMAGE=example/sidecar:new')))
    assert.same({ 3, 1, 'spec.template.spec.containers[asya-sidecar].image' }, { #found, found[1].pods, found[1].fields[1].path })
  end)

  it('tells of queues', function()
    put(own, 'team', { ['more.lua'] = policy(
      "plan:queue { name = 'old', transport = 'rabbitmq', type = 'rabbitmq', config = {}, want = {}, deletion = 'Retain' }", 'queues') })
    operator()
    cluster.apply(cluster.actor('one', ns))
    await_state(own, 'team', 'live: bundle')
    local text, code = compare('--policies ' .. folder { ['more.lua'] = policy(
      "plan:queue { name = 'new', transport = 'rabbitmq', type = 'rabbitmq', config = {}, want = {}, deletion = 'Retain' }", 'queues') })
    assert.equal(1, code, text)
    holds(text, 'queue rabbitmq/new of ' .. ns .. '/one created')
    holds(text, 'queue rabbitmq/old of ' .. ns .. '/one deleted')
    holds(text, ' and 2 queues differ')
  end)

  it('compares an actor of a canary with the canary', function()
    operator()
    cluster.apply((cluster.actor('bird', ns):gsub('namespace: [^}]*', '%0, labels: {team: canary}')))
    cluster.apply(cluster.actor('miner', ns))
    await_running(ns, 'bird', 'miner')
    put(own, 'try', { ['stamp.lua'] = edits.stamp 'new' }, 'asya.sh/policies-canary', 'asya.sh/policies-canary-selector: team=canary')
    await_stamp('bird', ns, 'new')
    await_state(own, 'try', 'live: bundle')
    assert.same({ '2 asyncactors looked at, 0 children differ\n', 0 }, { compare() })
    local text, code = compare('--policies ' .. folder { ['stamp.lua'] = edits.stamp 'all' })
    assert.equal(1, code, text)
    holds(text, 'Deployment ' .. ns .. '/miner')
    assert.is_nil(text:find(ns .. '/bird', 1, true), 'the canary lies over it')
  end)

  it('does not take for refused what the operator can do', function()
    put(own, 'team', { ['more.lua'] = policy "plan:get('workload').spec.jobTargetRef.template.spec.securityContext = { runAsUser = 5 }" })
    operator()
    cluster.apply((cluster.actor('one', ns, '  scaling: {enabled: true}'):gsub('workload:', '%0\n    kind: Job')))
    cluster.eventually('its ScaledJob', 20, function()
      local job = cluster.list('scaledjobs', ns)[1]
      return job and job.spec.jobTargetRef.template.spec.securityContext
    end)
    cluster.eventually('its status says what was made, which may be told a little later', 30, function()
      return (cluster.get('asyncactor', 'one', ns).status or {}).renderedDigest
    end)
    await_state(own, 'team', 'live: bundle')
    local text, code = compare('--policies ' .. folder { ['more.lua'] = policy "plan:get('workload').spec.jobTargetRef.template.spec.securityContext = {}" })
    assert.equal(1, code, text)
    holds(text, 'ScaledJob ' .. ns .. '/one')
    holds(text, 'spec.jobTargetRef.template.spec.securityContext')
    assert.is_nil(text:find('refused', 1, true), text)
  end)

  it('takes the settings that are not given from the Deployment of the operator', function()
    local own_settings = ('{"sidecarImage": "example/from-file:1", "transports": %s}'):format(
      json.encode(json.decode(cluster.TRANSPORTS).transports))
    local config = cluster.write(cluster.temp 'config.yaml', own_settings)
    cluster.kubectl('create configmap settings -n %s --from-file=config.yaml=%s --from-literal=gateway=http://from-map', own, config)
    cluster.apply(json.encode {
      apiVersion = 'apps/v1', kind = 'Deployment',
      metadata = { name = 'asya-operator', namespace = own, labels = { ['app.kubernetes.io/name'] = 'asya-operator' } },
      spec = {
        replicas = 0, selector = { matchLabels = { a = 'b' } },
        template = { metadata = { labels = { a = 'b' } }, spec = {
          containers = { {
            name = 'manager', image = 'x', args = { 'run', '--config=/etc/asya-operator/config.yaml' },
            env = {
              { name = 'ASYA_RUNTIME_NAMESPACE', value = 'default' },
              { name = 'ASYA_DISABLE_QUEUE_MANAGEMENT', value = 'true' }, -- as those that specs start
              { name = 'ASYA_GATEWAY_URL', valueFrom = { configMapKeyRef = { name = 'settings', key = 'gateway' } } },
              { name = 'KUBECONFIG', value = '/nowhere' },
              { name = 'ASYA_OPERATOR_CLASS', value = '' }, -- as the chart says it
            },
            volumeMounts = { { name = 'config', mountPath = '/etc/asya-operator' } },
          } },
          volumes = { { name = 'config', configMap = { name = 'settings' } } },
        } },
      },
    })
    cluster.operator { args = ('--namespace %s --config %s'):format(own, config), env = 'ASYA_GATEWAY_URL=http://from-map' }
    cluster.apply(cluster.actor('one', ns))
    await_running(ns, 'one')
    local arguments = ('diff -n %s --operator-namespace %s'):format(ns, own)
    local output, ok = cluster.sh('%s/asya-operator %s', cluster.build, arguments)
    assert.same({ '1 asyncactors looked at, 0 children differ\n', true }, { output, ok })
    output = cluster.sh('ASYA_GATEWAY_URL=http://mine %s/asya-operator %s', cluster.build, arguments)
    holds(output, '"http://from-map" -> "http://mine"')
    local try = cluster.write(cluster.temp 'try.yaml', 'sidecarImage: example/other:1\n')
    output = cluster.sh('%s/asya-operator %s --config %s', cluster.build, arguments, try)
    holds(output, '"example/from-file:1" -> "example/other:1"')
    output, ok = cluster.sh('%s/asya-operator check --live --operator-namespace %s', cluster.build, own)
    assert.is_true(ok, output)
    cluster.kubectl('label deployment asya-operator -n %s app.kubernetes.io/name=mine --overwrite', own) -- nameOverride of the chart
    output = cluster.sh('%s/asya-operator %s', cluster.build, arguments)
    assert.equal('1 asyncactors looked at, 0 children differ\n', output)
    output = cluster.sh('%s/asya-operator diff -n %s --operator-namespace default', cluster.build, ns) -- where no operator is
    holds(output, 'note: no operator is installed in namespace default: its settings are not known here (see --operator-namespace)')
  end)

  it('says the same as the summary of an edit', function()
    operator()
    for _, name in ipairs { 'one', 'two', 'three' } do cluster.apply(cluster.actor(name, ns)) end
    await_running(ns, 'one', 'two', 'three')
    put(own, 'team', { ['more.lua'] = policy "plan:pod().spec.containers[2].image = 'example/sidecar:new'" })
    local note = cluster.event(own, 'team', 'PoliciesAccepted', 20)
    holds(note, '3 children change, 3 pods restart, 0 queues change, 0 more refused '
      .. '(3 asyncactors: Deployment: asya-sidecar image asya-sidecar:latest -> example/sidecar:new, replaces 3 pods)')
  end)
end)
