--- kinds: a policy renders a kind that the manifest does not list; it is watched for as long as somebody declares it.
local chart = require 'chart'
local cluster = require 'cluster'
local edits = require 'edits'

local eventually = cluster.eventually
local await_running, await_state, put = edits.await_running, edits.await_state, edits.put

local BUDGET = "{ apiVersion = 'policy/v1', kind = 'PodDisruptionBudget', plural = 'poddisruptionbudgets' }"

--- A policy that makes a PodDisruptionBudget; `kinds` is the inside of the list that it declares, nil for no list.
local function budget(kinds, name)
  return ([[
local policy = require 'policy'
return policy.define { name = '%s', after = { 'workload' }, %s render = function(actor, _, plan)
  plan:add('%s', { apiVersion = 'policy/v1', kind = 'PodDisruptionBudget', metadata = { name = actor.metadata.name .. '-%s' },
    spec = { maxUnavailable = 1, selector = { matchLabels = { app = actor.metadata.name } } } })
end }
]]):format(name or 'budget', kinds and ('kinds = { ' .. kinds .. ' },') or '', name or 'budget', name or 'budget')
end

describe('a kind that a policy declares', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  local ns, own
  before_each(function() ns, own = edits.begin() end)
  after_each(function() edits.finish(ns) end)

  local function operator(options) return edits.operator(own, options) end
  local function budget_of(name, suffix) return cluster.get('poddisruptionbudget', name .. '-' .. (suffix or 'budget'), ns) end
  local function await_budget(name, there, suffix)
    eventually(('%s has %s budget'):format(name, there and 'a' or 'no'), 30, function() return (budget_of(name, suffix) ~= nil) == there end)
  end
  local function record()
    return require('json').decode(cluster.get('configmap', 'asya-operator-policies-live', own).data.record)
  end

  it('is watched from the edit on, kept right, and pruned and watched no more when the policy goes', function()
    local op = operator()
    for _, name in ipairs { 'one', 'two' } do cluster.apply(cluster.actor(name, ns)) end
    await_running(ns, 'one', 'two')
    local folder = cluster.folder 'policies'
    cluster.write(folder .. '/budget.lua', budget(BUDGET))
    local function diff()
      return (cluster.sh('ASYA_DISABLE_QUEUE_MANAGEMENT=true ASYA_TRANSPORT_CONFIG=%s %s/san/asya-operator diff --policies %s --operator-namespace %s',
        cluster.quote(cluster.TRANSPORTS), cluster.build, folder, own))
    end
    assert.matches('PodDisruptionBudget', diff())
    put(own, 'team', { ['budget.lua'] = budget(BUDGET) })
    await_state(own, 'team', 'live: bundle')
    for _, name in ipairs { 'one', 'two' } do await_budget(name, true) end
    assert.is_nil(diff():find('PodDisruptionBudget', 1, true))
    assert.equal('AsyncActor', budget_of('one').metadata.ownerReferences[1].kind)
    cluster.kubectl('delete pdb one-budget -n %s', ns)
    await_budget('one', true)
    cluster.kubectl('patch pdb two-budget -n %s --type merge -p %s', ns, cluster.quote '{"spec":{"maxUnavailable":7}}')
    eventually('it is put right', 20, function() return budget_of('two').spec.maxUnavailable == 1 end)
    assert.equal('poddisruptionbudgets', record().kinds[1].plural)

    local before = select(2, op.log():gsub('starting all watches again', ''))
    cluster.kubectl('delete configmap team -n %s', own)
    for _, name in ipairs { 'one', 'two' } do await_budget(name, false) end
    eventually('it is not watched any more', 20, function()
      return select(2, op.log():gsub('starting all watches again', '')) == before + 1 and not record().kinds, op.log()
    end)
    eventually('the policies are live', 20, function() return record().main.stage == 'rest' end)
    cluster.sleep(2)
    assert.equal(before + 1, select(2, op.log():gsub('starting all watches again', '')), 'once, and then it rests')
  end)

  it('is known after a restart, also while an edit is taken back', function()
    local first = operator { env = [[ASYA_POLICY_ROLLOUT='{"maxFailed": 0, "readySeconds": 4}']] }
    cluster.apply(cluster.actor('one', ns))
    await_running(ns, 'one')
    put(own, 'team', { ['budget.lua'] = budget(BUDGET), ['stamp.lua'] = edits.stamp('v1', true) })
    await_budget('one', true)
    first.kill()
    cluster.kubectl('delete configmap team -n %s', own)
    local second = operator()
    await_budget('one', false)
    eventually('it is not watched any more', 30, function() return not record().kinds, second.log() end)
  end)

  it('can be declared by two policies, and by a canary alone', function()
    operator()
    cluster.apply(edits.labelled('bird', ns, 'team: canary'))
    cluster.apply(cluster.actor('miner', ns))
    await_running(ns, 'bird', 'miner')
    put(own, 'try', { ['budget.lua'] = budget(BUDGET), ['more.lua'] = budget(BUDGET, 'more') }, 'asya.sh/policies-canary',
      'asya.sh/policies-canary-selector: team=canary')
    await_state(own, 'try', 'live: bundle')
    await_budget('bird', true)
    await_budget('bird', true, 'more')
    assert.is_nil(budget_of('miner'))
    cluster.kubectl('delete configmap try -n %s', own)
    await_budget('bird', false)
    await_budget('bird', false, 'more')
    eventually('it is not watched any more', 20, function() return not record().kinds end)
  end)

  it('is refused when the server does not know it, and one that nobody lists is named with the line to write', function()
    local op = operator()
    cluster.apply(cluster.actor('one', ns))
    await_running(ns, 'one')
    put(own, 'team', { ['budget.lua'] = budget() })
    local state = await_state(own, 'team', 'rejected')
    assert.is_truthy(state:find('kinds = { ' .. BUDGET .. ' }', 1, true), state)
    assert.is_truthy(state:find('rbac: {extraRules: [{apiGroups: [policy], resources: [poddisruptionbudgets], verbs: [get, list,', 1, true), state)
    put(own, 'team', { ['budget.lua'] = budget((BUDGET:gsub('budgets', 'budgetz'))) })
    await_state(own, 'team', 'does not know poddisruptionbudgetz of policy/v1')
    assert.is_nil(budget_of('one'))
    put(own, 'team', { ['budget.lua'] = budget(BUDGET) })
    await_state(own, 'team', 'live: bundle')
    await_budget('one', true)
    assert.is_truthy(op.alive())
  end)
end)

describe('a kind that the chart gives no right to', function()
  if not cluster.available then return end

  it('is refused with the rule that is missing, and made when the chart gives it', function()
    cluster.clear()
    chart.clean()
    local own, apps = cluster.namespace 'own', cluster.namespace 'apps'
    finally(function()
      edits.finish(apps)
      chart.clean()
    end)
    local function helm(arguments, ...)
      local output, ok = cluster.sh('helm ' .. arguments, ...)
      assert(ok, output)
    end
    helm('install asya-operator chart -n %s --set runtime.namespace=%s', own, apps)
    local op = chart.operator(own, { runtime_namespace = apps })
    cluster.apply(cluster.actor('one', apps))
    await_running(apps, 'one')
    put(own, 'team', { ['budget.lua'] = budget(BUDGET) })
    local state = await_state(own, 'team', 'is not allowed to list poddisruptionbudgets')
    local values = cluster.write(cluster.temp 'rights.yaml', state:match 'rbac: {extraRules: %[.-%]}%]}')
    helm('upgrade asya-operator chart -n %s --set runtime.namespace=%s --values %s', own, apps, values)
    cluster.kubectl('annotate configmap team -n %s asya.sh/policies-rollout=resume', own)
    await_state(own, 'team', 'live: bundle')
    eventually('it is made', 20, function() return cluster.get('poddisruptionbudget', 'one-budget', apps) end)
    assert.is_truthy(op.alive())
  end)
end)
