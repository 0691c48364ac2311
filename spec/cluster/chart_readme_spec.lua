--- chart_readme: the commands of README.md and chart/docs, taken from the pages and run one block after the other, with real helm against the real
-- API server. The node is played: a pod is Running without a container. What the pod of `helm test` would run is run here, with its rights.
local chart = require 'chart'
local cluster = require 'cluster'
local json = require 'json'
local k8s = require 'k8s'

local NS = 'asya-system'
local ENV = 'OPERATOR_ROLE_ARN=arn:aws:iam::123456789012:role/asya-operator ACTORS_ROLE_ARN=arn:aws:iam::123456789012:role/asya-actor'

local PAGES = { 'README.md', 'chart/README.md' }
for path in io.popen('ls chart/docs/*.md'):lines() do PAGES[#PAGES + 1] = path end

--- The shell blocks of all pages by the title of their section.
local sections = {}
for _, page in ipairs(PAGES) do
  for title, section in ('\n' .. cluster.read(page) .. '\n#'):gsub('\n#+ ', '\0%0'):gmatch '\n#+ ([^\n]+)\n(%Z*)' do
    for block in section:gmatch '```bash\n(.-)```' do
      sections[title] = sections[title] or { page = page }
      assert(sections[title].page == page, title .. ' is a title of two pages')
      table.insert(sections[title], block)
    end
  end
end

--- The shell blocks of a section; from now on it counts as run.
local ran = { ['Try it'] = true } -- by whoever reads this
local function blocks(title)
  ran[title] = true
  return assert(sections[title], title)
end

--- A block as it stands, ended at the first command that fails.
local function run(block)
  local output, ok = cluster.sh('%s bash -euo pipefail %s', ENV, cluster.write(cluster.temp 'block.sh', block))
  if not ok then error(block .. '\n' .. output, 2) end
  return output
end

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
    local output, ok = cluster.sh('%s/asya-operator %s --kubeconfig %s', cluster.build, table.concat(pod.spec.containers[1].args, ' '),
      cluster.account(pod.spec.serviceAccountName, NS))
    cluster.kubectl('patch pod asya-operator-test -n %s --subresource=status --type=merge -p %s', NS,
      cluster.quote(json.encode { status = { phase = ok and 'Succeeded' or 'Failed' } }))
    cluster.eventually('helm test ends', 30, function() return cluster.read(log):find 'ended with' end)
    assert.is_truthy(cluster.read(log):find('ended with 0', 1, true), cluster.read(log) .. output)
  end

  it('install', function()
    for _, block in ipairs(blocks 'Install') do
      local test = block:match 'helm test[^\n]+'
      local said = run((block:gsub('helm test[^\n]+\n', '')))
      if test then
        for _, next_step in ipairs { test, 'kubectl create namespace asya', 'the Secret rabbitmq-secret, key password', 'helm show crds' } do
          assert.is_truthy(said:find(next_step, 1, true), said) -- what NOTES.txt tells to do next
        end
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
    local folder = cluster.temp 'policies'
    cluster.sh('mkdir -p %s', folder)
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

  describe('coming from the Go operator', function()
    local in_place, anew, back = blocks 'In place', blocks 'One after the other', blocks 'And back'
    before_each(function()
      wipe()
      local said, ok = cluster.sh('helm install asya-operator %s -n %s --create-namespace --set image.repository=go-operator', chart.older(), NS)
      assert(ok, said)
      assert.equal('go-operator:latest', container().image)
    end)

    it('works in place, and back', function()
      assert.same({ 1, 1, 1 }, { #in_place, #anew, #back })
      run(in_place[1])
      release_is_up()
      assert.equal('asya-operator:1.0.0', container().image)
      assert.equal('2Gi', container().resources.limits.memory)
      run(back[1])
      release_is_up()
      assert.equal('go-operator:latest', container().image)
    end)

    it('works one after the other', function()
      run(anew[1])
      release_is_up()
      assert.equal('asya-operator:1.0.0', container().image)
    end)
  end)

  it('have commands to look around that work', function()
    for _, block in ipairs(blocks 'Look around') do
      run((block:gsub('kubectl logs[^\n]+\n', ''))) -- a played node has no kubelet to ask for logs
    end
  end)

  it('have no command that is run nowhere', function()
    for title, section in pairs(sections) do assert.is_true(ran[title], section.page .. ': ' .. title) end
  end)
end)
