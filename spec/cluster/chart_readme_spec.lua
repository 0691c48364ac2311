--- chart_readme: the commands of README.md and chart/docs, taken from the pages and run one block after the other, with real helm against the real
-- API server. The node is played: a pod is Running without a container. What the pod of `helm test` would run is run here, with its rights.
local chart = require 'chart'
local cluster = require 'cluster'
local json = require 'json'
local k8s = require 'k8s'
local pages = require 'pages'

local NS = 'asya-system'
local blocks, run = pages.blocks, pages.run

local function deployment() return cluster.get('deployment', 'asya-operator', NS) end
local function container() return deployment().spec.template.spec.containers[1] end

describe('the pages of the chart', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  local function wipe()
    chart.clean()
    cluster.clear()
    cluster.sh('kubectl delete namespace %s asya --ignore-not-found --timeout=90s', NS)
  end
  setup(wipe)
  teardown(wipe)

  local function release_is_up()
    cluster.eventually('the Deployment is available', 30, function()
      local live = deployment()
      return live and live.status.observedGeneration == live.metadata.generation and live.status.updatedReplicas == live.spec.replicas
        and live.status.availableReplicas == live.spec.replicas
    end)
  end

  --- Does what the node would: runs the test pod's command under its account, and says how it ended.
  local function helm_test(command)
    local log = cluster.temp 'helm-test.log'
    os.execute(('(%s; echo "ended with $?") >%s 2>&1 &'):format(command, log))
    local pod = cluster.eventually('the test pod', 20, function() return cluster.get('pod', 'asya-operator-test', NS) end)
    local output = chart.play_pod(pod, NS)
    cluster.eventually('helm test ends', 30, function() return cluster.read(log):find 'ended with' end)
    assert.is_truthy(cluster.read(log):find('ended with 0', 1, true), cluster.read(log) .. output)
  end

  --- What Docker does, spec/node does.
  local function without_docker(block) return (block:gsub(' docker%-build', ''):gsub('make\n', '')) end

  it('the image goes to a cluster by a line each, and make chart makes what helm installs', function()
    local build, give = blocks 'Build it', blocks 'Give it to a cluster'
    assert.same({ 'make docker-build\nmake chart\n', 2 }, { build[1], #give })
    run(without_docker(build[1]))
    for line in give[1]:gmatch '[^\n]+' do assert.is_truthy(line:find(' asya-operator:1.0.0', 1, true), line) end
    assert.equal('', run(give[1]))
    assert.is_truthy(give[2]:find '^docker tag [^\n]+\ndocker push [^\n]+\n$')
  end)

  it('install', function()
    for _, block in ipairs(blocks 'Install') do
      local test = block:match 'helm test[^\n]+'
      local said = run(without_docker((block:gsub('helm test[^\n]+\n', ''))))
      assert.is_nil(said:find('symbolic link', 1, true), said)
      if test then
        for _, next_step in ipairs { test, 'kubectl rollout status', 'kind load docker-image asya-operator:1.0.0', 'kubectl create namespace asya',
          'the Secret rabbitmq-secret, key password', 'helm show crds' } do
          assert.is_truthy(said:find(next_step, 1, true), said) -- what NOTES.txt tells to do next
        end
        assert.is_nil(said:find(' runs in', 1, true), said) -- nobody has looked
        local own = {} -- as typed, and taken away again
        for command in said:gmatch '\n  (kubectl [^\n]*configmap my%-policies[^\n]*)' do
          own[#own + 1] = command:gsub('FILE%.lua', 'policies/examples/office-hours.lua')
        end
        run(table.concat(own, '\n') .. '\nkubectl delete configmap -n asya-system -l asya.sh/policies=true --field-selector metadata.name=my-policies\n')
        assert.equal(2, #own)
        helm_test(test)
      end
    end
    release_is_up()
    assert.is_truthy(cluster.get('asyncactor', 'minimal', 'asya'))
  end)

  it('configure', function()
    local list = blocks 'Configure'
    assert.equal(3, #list)
    run(list[1])
    local annotations = cluster.get('serviceaccount', 'asya-operator', NS).metadata.annotations
    assert.equal('arn:aws:iam::123456789012:role/asya-operator', annotations['eks.amazonaws.com/role-arn'])
    run(list[2])
    release_is_up()
    cluster.eventually('one of two may be disrupted', 20, function()
      local budget = cluster.get('poddisruptionbudget', 'asya-operator', NS)
      return budget.status and budget.status.disruptionsAllowed == 1 and budget.status.expectedPods == 2
    end)
    run(list[3])
    local folder = cluster.folder 'policies'
    for name, text in pairs(cluster.get('configmap', 'asya-operator-policies-extra', NS).data) do cluster.write(folder .. '/' .. name, text) end
    local checked, ok = cluster.sh('%s/asya-operator check --policies %s', cluster.build, folder)
    assert.is_true(ok, checked)
    assert.is_truthy(checked:find('cheap', 1, true))
    local config = cluster.get('configmap', 'asya-operator-config', NS).data['config.yaml']
    assert.is_truthy(config:find('"scale_up_pods":20', 1, true) and config:find('role/asya-actor', 1, true)) -- each upgrade kept what there was
  end)

  it('upgrade, the CRD too, and roll back', function()
    local list = blocks 'Upgrade'
    assert.equal(2, #list)
    local whole = cluster.get('crd', 'asyncactors.asya.sh')
    -- an older one, without a field that has come since, as helm had installed it
    local older = k8s.copy(whole)
    older.spec.versions[1].schema.openAPIV3Schema.properties.spec.properties.timeout = nil
    older.metadata.managedFields, older.metadata.resourceVersion = nil, nil
    cluster.kubectl('replace --field-manager=helm -f %s', cluster.write(cluster.temp 'crd.json', json.encode(older)))
    assert.are_not.same(whole.spec, cluster.get('crd', 'asyncactors.asya.sh').spec)
    run(list[1])
    assert.same(whole.spec, cluster.get('crd', 'asyncactors.asya.sh').spec)
    assert.is_truthy(cluster.get('asyncactor', 'minimal', 'asya'))
    assert.equal(2, deployment().spec.replicas)
    run(list[2])
    release_is_up()
  end)

  -- Sections that go on from where the one before has left the cluster.
  local STORY = { 'The runtime script', 'Several operators in one cluster', 'Namespaced mode', 'Let the actors go', 'Command line' }
  describe('have commands that work:', function()
    setup(wipe)
    teardown(function()
      cluster.sh 'helm uninstall blue -n asya-blue --no-hooks; kubectl delete namespace asya-blue --wait=false'
    end)
    for _, title in ipairs(STORY) do
      it(title, function()
        for _, block in ipairs(blocks(title)) do run(block) end
      end)
    end
  end)

  describe('whoever has the image', function()
    setup(wipe)

    it('installs it on a machine of their own', function()
      local list = blocks 'On your own machine'
      assert.equal(1, #list)
      run(without_docker(list[1]))
      release_is_up()
    end)

    it('looks with it at the cluster, with the rights of the operator', function()
      local list = blocks 'The image alone'
      assert.equal(1, #list)
      cluster.sh 'kubectl create namespace asya; kubectl apply -f crds/examples/minimal.yaml'
      local said = run(list[1])
      assert.is_truthy(said:find('cases', 1, true) and said:find('Deployment', 1, true), said)
      assert.is_nil(said:find('forbidden', 1, true), said)
    end)

    it('looks at the queues with it, and sends dead letters back by a Job', function()
      local list = blocks 'Queues, with the image alone'
      assert.equal(2, #list)
      local said = run(list[1])
      assert.is_truthy(said:find('asya-minimal', 1, true), said)
      assert.is_nil(said:find('forbidden', 1, true), said)
      run(list[2])
      local job = cluster.list('jobs', NS)[1]
      said = chart.play(job.spec.template.spec, NS) -- what the node would do, with the account that the Job names
      assert.is_truthy(said:find('resize', 1, true), said)
      assert.is_nil(said:find('forbidden', 1, true), said)
    end)

    it('sees with it what a migration to another release would do, and does it by a Job', function()
      local list = blocks 'To another release, with the image alone'
      assert.equal(2, #list)
      local said = run(list[1])
      assert.is_truthy(said:find('asya/minimal: to be migrated', 1, true), said)
      assert.is_nil(said:find('forbidden', 1, true), said)
      run(list[2]) -- what its arguments do beside an operator: migrate_spec.lua
    end)

    it('releases actors with it when the operator is gone', function()
      cluster.kubectl [[patch asyncactor minimal -n asya --type=merge -p '{"metadata":{"finalizers":["asya.sh/finalizer"]}}']]
      cluster.sh('helm uninstall asya-operator -n %s', NS)
      local list = blocks 'Let the actors go with the image alone'
      assert.equal(1, #list)
      local said, ok = run(list[1])
      assert.is_true(ok and said:find('asyncactor.asya.sh/minimal released', 1, true) ~= nil, said)
      assert.is_nil(said:find('forbidden', 1, true), said)
      assert.is_nil(cluster.get('asyncactor', 'minimal', 'asya').metadata.finalizers)
      assert.is_nil(cluster.get('clusterrole', 'asya-release') or cluster.get('clusterrolebinding', 'asya-release'))
    end)
  end)

  describe('coming from the Go operator', function()
    local in_place, anew, back, later = blocks 'In place', blocks 'One after the other', blocks 'And back', blocks 'From releases 0.2 to 0.4'
    local function install(values)
      local said, ok = cluster.sh('helm install asya-operator %s -n %s --create-namespace --set image.repository=go-operator', chart.older(values), NS)
      assert(ok, said)
      assert.equal('go-operator:latest', container().image)
    end
    before_each(wipe)

    it('works in place, and back', function()
      install()
      assert.same({ 1, 1, 1, 1 }, { #in_place, #anew, #back, #later })
      run(in_place[1])
      release_is_up()
      assert.equal('asya-operator:1.0.0', container().image)
      assert.equal('2Gi', container().resources.limits.memory)
      run(back[1])
      release_is_up()
      assert.equal('go-operator:latest', container().image)
    end)

    it('works in place from releases whose actors have other names, and back', function()
      install 'older_values_0_4.yaml'
      assert.is_truthy(select(2, pcall(run, in_place[1])):find('sidecar.image=IMAGE:TAG', 1, true))
      run(later[1])
      release_is_up()
      local env = {}
      for _, variable in ipairs(container().env) do env[variable.name] = variable.value end
      assert.same({ 'asya-operator:1.0.0', '0.4', 'ghcr.io/deliveryhero/asya-sidecar:0.4.2' }, { container().image, env.ASYA_PROFILE, env.ASYA_SIDECAR_IMAGE })
      run(back[1])
      release_is_up()
      assert.equal('go-operator:latest', container().image)
    end)

    it('works one after the other', function()
      install()
      run(anew[1])
      release_is_up()
      assert.equal('asya-operator:1.0.0', container().image)
    end)
  end)

  it('have commands to look around that work', function()
    for _, title in ipairs { 'Look around', 'A second release by mistake' } do
      for _, block in ipairs(blocks(title)) do
        run((block:gsub('kubectl logs[^\n]+\n', ''))) -- a played node has no kubelet to ask for logs
      end
    end
  end)

  it('have no command that is run nowhere', function() assert.same({}, pages.unrun()) end)
end)
