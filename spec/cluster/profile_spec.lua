--- profile: actors of release 0.4 beside those of 0.1, on a real API server and real brokers.
local cluster = require 'cluster'
local golden = require 'golden'
local json = require 'json'
local yaml = require 'asya.yaml'
local brokers = require 'brokers'
local messages = require 'messages'
local processes = require 'processes'

local RABBITMQ = ([[{"transports":{"rabbitmq":{"enabled":true,"config":{"host":"%s","port":%s,"username":"%s","exchange":"asya",
  "passwordSecretRef":{"name":"broker","key":"password"},"queues":{"autoCreate":true,"dlq":{"enabled":true}}}}}}]])
  :format(os.getenv 'BED_RABBITMQ_HOST', os.getenv 'BED_RABBITMQ_PORT', os.getenv 'BED_RABBITMQ_USER')
local SQS = ([[{"transports":{"sqs":{"enabled":true,"config":{"region":"us-east-1","endpoint":"%s","accountId":"123456789012",
  "visibilityTimeout":30,"credentials":{"accessKeyIdSecretRef":{"name":"keys","key":"id"},"secretAccessKeySecretRef":{"name":"keys","key":"secret"}},
  "queues":{"autoCreate":true,"dlq":{"enabled":true}}}}}}]]):format(os.getenv 'BED_SQS_URL')

--- A namespace with the operator's Secrets.
local function credentials()
  local ns = cluster.namespace 'creds'
  cluster.kubectl('create secret generic broker -n %s --from-literal=password=%s', ns, os.getenv 'BED_RABBITMQ_PASSWORD')
  cluster.kubectl('create secret generic keys -n %s --from-literal=id=AKIDTEST --from-literal=secret=SECRETTEST', ns)
  return ns
end

--- `options`: own (its namespace), kubeconfig, rollout (JSON).
local function operator(transports, from, profile, options)
  options = options or {}
  return cluster.operator { transports = transports, queues = true,
    env = ('ASYA_CREDENTIALS_NAMESPACE=%s ASYA_POLICY_ROLLOUT=%s'):format(from, cluster.quote(options.rollout or '')),
    args = ('%s --namespace %s %s'):format(profile and '--profile ' .. profile or '', options.own or cluster.namespace 'own',
      options.kubeconfig and '--kubeconfig ' .. options.kubeconfig or '') }
end

local function actor(name, ns, transport, handler, metadata)
  local text = cluster.actor(name, ns, nil, ([[
        - name: asya-runtime
          image: example/app:1.0
          env: [{name: ASYA_HANDLER, value: handlers.%s}]
]]):format(handler or 'double')):gsub('transport: rabbitmq', 'transport: ' .. transport)
  cluster.apply((text:gsub('namespace: ' .. ns:gsub('%-', '%%-'), 'namespace: ' .. ns .. (metadata or ''), 1)))
end

--- What the Secret of an actor holds: "NAME/KEY" -> value.
local function copied(name, ns)
  local secret, values = cluster.get('secret', name .. '-transport-creds', ns), {}
  for key, text in pairs(secret.data) do
    values[secret.metadata.name .. '/' .. key] = cluster.sh('printf %%s %s | base64 -d', cluster.quote(text))
  end
  return values, secret
end

local function chain(transports, transport, result_of)
  local from, ns = credentials(), cluster.namespace 'modern'
  local op = operator(transports, from, '0.4')
  for name, handler in pairs { ['modern-double'] = 'double', ['modern-plus'] = 'plus_one', ['happy-end'] = 'double' } do
    actor(name, ns, transport, handler)
  end
  local ends = {}
  for _, name in ipairs { 'happy-end', 'modern-double', 'modern-plus' } do
    brokers.await_status(ns, name, 'Running')
    if name ~= 'happy-end' then ends[#ends + 1] = processes.start(name, ns, (copied(name, ns)), 'sidecar_0_4.py') end
  end
  local queue = messages.in_namespace(ns)[transport]
  local value = messages.through(queue, 20, 'modern-double', 'modern-plus')
  for _, stop in ipairs(ends) do stop() end
  assert.equal(41, value)
  result_of(ns, op)
  cluster.kubectl('delete asyncactors --all -n %s --timeout=30s', ns)
  op.stop()
end

describe('profile 0.4', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end
  after_each(cluster.stop_all)

  it('brings a message through two actors over RabbitMQ, with a copy of the password that nobody else sees', function()
    chain(RABBITMQ, 'rabbitmq', function(ns, op)
      local values, secret = copied('modern-double', ns)
      assert.same({ ['modern-double-transport-creds/username'] = os.getenv 'BED_RABBITMQ_USER',
        ['modern-double-transport-creds/password'] = os.getenv 'BED_RABBITMQ_PASSWORD' }, values)
      assert.equal('AsyncActor', secret.metadata.ownerReferences[1].kind)
      assert.equal('transport-creds', secret.metadata.labels['app.kubernetes.io/component'])
      local live = cluster.get('asyncactor', 'modern-double', ns)
      assert.equal('modern-double', live.metadata.labels['asya.sh/actor'])
      assert.is_truthy(brokers.queues()['asya-' .. ns .. '-dlq'])
      assert.is_nil(op.log():find(secret.data.password, 1, true))
    end)
  end)

  it('brings a message through two actors over SQS, with a copy of the keys', function()
    chain(SQS, 'sqs', function(ns)
      assert.same({ ['modern-plus-transport-creds/id'] = 'AKIDTEST', ['modern-plus-transport-creds/secret'] = 'SECRETTEST' }, (copied('modern-plus', ns)))
    end)
  end)

  it('serves one actor of each release, by the annotation of the actor', function()
    local from, ns = credentials(), cluster.namespace 'both'
    cluster.kubectl('create secret generic broker -n %s --from-literal=password=%s', ns, os.getenv 'BED_RABBITMQ_PASSWORD')
    local op = operator(RABBITMQ, from)
    actor('both-old', ns, 'rabbitmq')
    actor('both-new', ns, 'rabbitmq', nil, ', annotations: {asya.sh/profile: "0.4"}')
    actor('both-odd', ns, 'rabbitmq', nil, ', annotations: {asya.sh/profile: "0.5"}')
    brokers.await_status(ns, 'both-old', 'Running')
    brokers.await_status(ns, 'both-new', 'Running')
    local odd = brokers.await_status(ns, 'both-odd', 'WorkloadError')
    assert.is_truthy(json.encode(odd.status):find("there is no profile '0.5'", 1, true))
    local queues = brokers.queues()
    assert.is_truthy(queues['asya-both-old'])
    assert.is_truthy(queues[('asya-%s-both-new'):format(ns)])
    assert.is_nil(queues['asya-both-new'])
    assert.is_nil(cluster.get('secret', 'both-old-transport-creds', ns))
    assert.same({ app = 'both-old', ['asya.sh/asya'] = 'both-old', ['asya.sh/workload'] = 'deployment' },
      cluster.get('deployment', 'both-old', ns).spec.selector.matchLabels)

    -- a workload that is there keeps its selector, which cannot be changed, and works; what waits in its queue goes into the one of the new name
    brokers.publish('both-old', 3)
    cluster.kubectl('annotate asyncactor both-old -n %s asya.sh/profile=0.4', ns)
    local moved = cluster.eventually('both-old has the names of 0.4', 30, function()
      local deployment = cluster.get('deployment', 'both-old', ns)
      return deployment.spec.template.metadata.labels['asya.sh/actor'] == 'both-old' and deployment, json.encode(deployment.spec.template.metadata)
    end)
    assert.equal('both-old', moved.spec.selector.matchLabels['asya.sh/asya'])
    cluster.eventually('no message is lost', 60, function()
      local all = brokers.queues()
      local old, new = all['asya-both-old'], all[('asya-%s-both-old'):format(ns)]
      return new and new.messages == 3 and not (old and old.messages > 0), json.encode(all)
    end)
    brokers.await_status(ns, 'both-old', 'Running')
    cluster.kubectl('delete asyncactors --all -n %s --timeout=30s', ns)
    op.stop()
  end)

  describe('by an annotation of the namespace', function()
    local from, ns, own
    before_each(function()
      from, ns, own = credentials(), cluster.namespace 'spaces', cluster.namespace 'own'
      cluster.kubectl('create secret generic broker -n %s --from-literal=password=%s', ns, os.getenv 'BED_RABBITMQ_PASSWORD')
    end)
    after_each(function() cluster.sh 'kubectl annotate namespaces --all asya.sh/profile-' end) -- every operator reads all of them
    local function finish(op)
      cluster.kubectl('delete asyncactors --all -n %s --timeout=30s', ns)
      op.stop()
    end

    local function annotate(value) cluster.kubectl('annotate namespace %s --overwrite asya.sh/profile%s', ns, value) end
    --- The profile that the pods of an actor are made for.
    local function names_of(name)
      local deployment = cluster.get('deployment', name, ns)
      return deployment and (deployment.spec.template.metadata.labels['asya.sh/actor'] and '0.4' or '0.1')
    end
    local function await_profile(name, profile)
      cluster.eventually(name .. ' has profile ' .. profile, 30, function() return names_of(name) == profile end)
      brokers.await_status(ns, name, 'Running')
    end

    it('takes all actors of the namespace that say nothing themselves, as an edit of policies does', function()
      local op = operator(RABBITMQ, from, nil, { own = own, rollout = '{"requireApproval":true}' })
      actor('spaces-one', ns, 'rabbitmq')
      actor('spaces-own', ns, 'rabbitmq', nil, ', annotations: {asya.sh/profile: "0.1"}')
      brokers.await_status(ns, 'spaces-one', 'Running')
      brokers.await_status(ns, 'spaces-own', 'Running')
      annotate '=0.4'
      cluster.eventually('the change waits for approval', 20, function() return op.log():find('waits for approval', 1, true), op.log() end)
      assert.is_truthy(op.log():find('1 asyncactors: ', 1, true), op.log()) -- what it would change, of whom
      assert.equal('0.1', names_of 'spaces-one')
      local said, ok = cluster.sh('%s/asya-operator rollout approve --operator-namespace %s', cluster.build, own)
      assert.is_true(ok, said)
      await_profile('spaces-one', '0.4')
      assert.equal('0.1', names_of 'spaces-own')
      assert.is_truthy(brokers.queues()[('asya-%s-spaces-one'):format(ns)])
      finish(op)
    end)

    it('is known before anything is done at a restart, and stays where namespaces cannot be seen any more', function()
      annotate '=0.4'
      local faults = cluster.faults()
      local op = operator(RABBITMQ, from, nil, { own = own, kubeconfig = faults.kubeconfig })
      actor('spaces-kept', ns, 'rabbitmq')
      await_profile('spaces-kept', '0.4')
      local generation = cluster.get('deployment', 'spaces-kept', ns).metadata.generation
      op.stop()

      faults.add { path = '^/api/v1/namespaces\\?', act = 'delay', ms = 1500 }
      op = operator(RABBITMQ, from, nil, { own = own, kubeconfig = faults.kubeconfig })
      actor('spaces-later', ns, 'rabbitmq')
      await_profile('spaces-later', '0.4')
      assert.is_nil(op.log():find('is not allowed to list namespaces', 1, true))

      faults.clear() -- the right is taken away while it works, and its streams are cut
      faults.add { path = '^/api/v1/namespaces\\?', act = 'status', status = 403, body = '{}', type = 'application/json' }
      faults.recert(true)
      actor('spaces-revoked', ns, 'rabbitmq')
      await_profile('spaces-revoked', '0.4')
      op.stop()

      op = operator(RABBITMQ, from, nil, { own = own, kubeconfig = faults.kubeconfig })
      actor('spaces-blind', ns, 'rabbitmq')
      await_profile('spaces-blind', '0.4')
      local _, times = op.log():gsub('is not allowed to list namespaces, so what they say with the annotation asya%.sh/profile is not known', '')
      assert.equal(1, times, op.log())
      assert.equal(generation, cluster.get('deployment', 'spaces-kept', ns).metadata.generation)
      local function queues(kubeconfig)
        local flags = ('-n %s --operator-namespace %s --kubeconfig %s'):format(ns, own, kubeconfig)
        return (cluster.sh('ASYA_TRANSPORT_CONFIG=%s ASYA_CREDENTIALS_NAMESPACE=%s %s/asya-operator queue ls spaces-kept ' .. flags,
          cluster.quote(RABBITMQ), from, cluster.build))
      end
      local blind, seeing = queues(faults.kubeconfig), queues(os.getenv 'KUBECONFIG')
      assert.is_truthy(blind:find('which queues it has is not known here', 1, true), blind) -- asya-spaces-kept may be another's
      assert.is_truthy(seeing:find(('asya-%s-spaces-kept'):format(ns), 1, true), seeing)
      finish(op)
    end)

    it('that nobody knows is said of each actor, which keeps what it has', function()
      local op = operator(RABBITMQ, from, nil, { own = own })
      actor('spaces-odd', ns, 'rabbitmq')
      brokers.await_status(ns, 'spaces-odd', 'Running')
      annotate '=0.5'
      brokers.await(ns, 'spaces-odd', 'says what is wrong', 30, function(live)
        return json.encode(live.status):find(("namespace %s: metadata.annotations.asya.sh/profile: there is no profile '0.5'"):format(ns), 1, true)
      end)
      assert.equal('0.1', names_of 'spaces-odd')
      annotate '-'
      brokers.await_status(ns, 'spaces-odd', 'Running')
      finish(op)
    end)
  end)

  it('says which Secret is missing, and goes on when it is there', function()
    local from, ns = cluster.namespace 'empty', cluster.namespace 'modern'
    local op = operator(RABBITMQ, from, '0.4')
    actor('poor', ns, 'rabbitmq')
    local live = brokers.await_status(ns, 'poor', 'TransportError')
    assert.is_truthy(json.encode(live.status):find(('kubectl create secret generic broker -n %s --from-literal=password=VALUE'):format(from), 1, true))
    cluster.kubectl('create secret generic broker -n %s --from-literal=password=%s', from, os.getenv 'BED_RABBITMQ_PASSWORD')
    brokers.await_status(ns, 'poor', 'Running', 60)
    cluster.kubectl('delete asyncactors --all -n %s --timeout=30s', ns)
    op.stop()
  end)

  it('keeps the queue of two actors with one label until the last of them goes', function()
    local from, ns = credentials(), cluster.namespace 'shared'
    local op = operator(RABBITMQ, from, '0.4')
    local queue = ('asya-%s-one'):format(ns)
    actor('first', ns, 'rabbitmq', nil, ', labels: {asya.sh/actor: one}')
    actor('second', ns, 'rabbitmq', nil, ', labels: {asya.sh/actor: one}')
    brokers.await_status(ns, 'first', 'Running')
    brokers.await_status(ns, 'second', 'Running')
    cluster.kubectl('delete asyncactor first -n %s --timeout=30s', ns)
    assert.is_truthy(brokers.queues()[queue])
    cluster.kubectl('delete asyncactor second -n %s --timeout=30s', ns)
    assert.is_nil(brokers.queues()[queue])
    assert.is_truthy(brokers.queues()[('asya-%s-dlq'):format(ns)]) -- the namespace's, which goes with nobody
    op.stop()
  end)

  it('says which queue is left when the label is another one', function()
    local from, ns = credentials(), cluster.namespace 'relabelled'
    local op = operator(RABBITMQ, from, '0.4')
    local own = ('asya-%s-named'):format(ns)
    actor('named', ns, 'rabbitmq')
    brokers.await_status(ns, 'named', 'Running')
    cluster.kubectl('label asyncactor named -n %s --overwrite asya.sh/actor=anew', ns)
    assert.is_truthy(cluster.event(ns, 'named', 'QueueLeft', 20):find(own, 1, true))
    assert.is_truthy(brokers.queues()[('asya-%s-anew'):format(ns)])
    assert.is_truthy(brokers.queues()[own])
    cluster.kubectl('delete asyncactors --all -n %s --timeout=30s', ns)
    op.stop()
  end)

  it('refuses the label of a dead letter queue, and leaves that alone when the actor goes', function()
    local from, ns = credentials(), cluster.namespace 'labels'
    local op = operator(RABBITMQ, from, '0.4')
    local dead, own = ('asya-%s-dlq'):format(ns), ('asya-%s-turned'):format(ns)
    actor('turned', ns, 'rabbitmq')
    actor('stays', ns, 'rabbitmq')
    brokers.await_status(ns, 'turned', 'Running')
    brokers.await_status(ns, 'stays', 'Running')
    brokers.publish(ns .. '-dlq', 2)
    actor('dead', ns, 'rabbitmq', nil, ', labels: {asya.sh/actor: dlq}')
    cluster.kubectl('label asyncactor turned -n %s --overwrite asya.sh/actor=dlq', ns)
    for _, name in ipairs { 'dead', 'turned' } do
      brokers.await(ns, name, 'is refused', 30, function(live)
        return json.encode(live.status):find("'dlq' is the end of the name of the namespace's dead letter queue", 1, true)
      end)
    end
    assert.is_truthy(brokers.queues()[own]) -- what it has stays
    cluster.kubectl('delete asyncactor turned dead -n %s --timeout=30s', ns)
    local queues = brokers.queues()
    assert.equal(2, queues[dead].messages)
    assert.is_truthy(queues[own]) -- nobody says any more that it is to go: it is left, and an Event names it
    assert.is_truthy(cluster.event(ns, 'turned', 'QueueLeft', 20):find(own, 1, true))
    cluster.kubectl('delete asyncactors --all -n %s --timeout=30s', ns)
    op.stop()
  end)
end)

describe('golden of 0.4 on a real API server', function()
  if not cluster.available then return end
  after_each(cluster.stop_all)
  local FOLDER, NS, OWNED = 'spec/golden-0.4', 'golden', 'deployments,secrets,serviceaccounts,triggerauthentications,scaledobjects'

  local function read(case, file) return cluster.read(('%s/%s/%s'):format(FOLDER, case, file)) end

  --- What actors own, by owner and kind, without what the golden children leave out.
  local function owned()
    local children = {}
    for _, object in ipairs(cluster.list(OWNED, NS)) do
      local metadata = object.metadata
      local owner = (metadata.ownerReferences or {})[1]
      if owner then
        owner.uid = 'UID'
        if object.kind == 'Deployment' then metadata.annotations = nil end -- those of its controller
        object.metadata = { name = metadata.name, namespace = NS, labels = metadata.labels, annotations = metadata.annotations,
          ownerReferences = metadata.ownerReferences }
        object.status = nil
        children[owner.name] = children[owner.name] or {}
        children[owner.name][object.kind] = object
      end
    end
    return children
  end

  local function check(case, live)
    local wanted = golden.WANTED_0_4[case] or {}
    for _, child in ipairs(json.decode(read(case, 'children.json'))) do
      golden.deduplicate(child)
      assert.is_table(live[child.kind], ('%s: %s is missing'):format(case, child.kind))
      assert.is_nil(golden.compare(child, live[child.kind], child.kind, wanted), case)
      live[child.kind] = nil
    end
    for kind in pairs(live) do assert.is_true((wanted.kinds or {})[kind], ('%s: nobody had a %s'):format(case, kind)) end
  end

  local function run(cases, transports)
    local from = cluster.namespace 'creds'
    cluster.kubectl('create secret generic rabbitmq-secret -n %s --from-literal=password=guest', from)
    cluster.kubectl('create secret generic sqs-secret -n %s --from-literal=access-key-id=AKIATEST --from-literal=secret-access-key=SECRETTEST', from)
    local op = cluster.operator { transports = cluster.read(transports), env = ('ASYA_CREDENTIALS_NAMESPACE=%s ASYA_SIDECAR_IMAGE=asya-sidecar:latest')
      :format(from), args = '--profile 0.4 --namespace ' .. cluster.namespace 'own' }
    local texts, names = {}, {}
    for i, case in ipairs(cases) do
      texts[i] = read(case, 'actor.yaml')
      names[i] = yaml.load_all(texts[i])[1].metadata.name
    end
    cluster.apply(table.concat(texts, '\n---\n'))
    for _, name in ipairs(names) do
      brokers.await(NS, name, 'is planned and carried out', 30, function(live)
        return live.status.bundleDigest and live.status.observedGeneration == live.metadata.generation
      end)
    end
    local live = owned()
    for i, case in ipairs(cases) do check(case, live[names[i]] or {}) end
    cluster.kubectl('delete asyncactors --all -n %s --timeout=30s', NS)
    op.stop()
  end

  it('the operator makes the children that the Go operator made, all that is not wanted otherwise', function()
    cluster.kubectl('delete namespace %s --ignore-not-found --timeout=60s', NS) -- another spec has one of that name
    cluster.kubectl('create namespace %s', NS)
    local shared = {}
    for _, case in ipairs(golden.NAMES_0_4) do
      if golden.OWN_TRANSPORTS[case] then run({ case }, ('%s/%s/transports.json'):format(FOLDER, case)) else shared[#shared + 1] = case end
    end
    run(shared, FOLDER .. '/transports.json')
    cluster.kubectl('delete namespace %s --timeout=60s', NS)
  end)
end)
