--- cases: each file of spec/policies/cases is one row of the contract: an actor, and what must come of it.
-- A case file holds documents of the form
--   title:    what it shows, with the contract's section
--   actor:    the actor (metadata.name defaults to "resize", transport to rabbitmq, one asya-runtime container)
--   settings: the operator's settings (default: a RabbitMQ registry)
--   expect:   {Kind: fields that must be there}; ABSENT means it must not
--   invalid:  text that the refusal must hold, instead of expect
local json = require 'json'
local case = require 'case'

local function complete(actor)
  actor.apiVersion, actor.kind = 'asya.sh/v1alpha1', 'AsyncActor'
  actor.metadata = actor.metadata or {}
  actor.metadata.name = actor.metadata.name or 'resize'
  local spec = actor.spec or {}
  actor.spec = spec
  spec.transport = spec.transport or 'rabbitmq'
  spec.workload = spec.workload or {}
  spec.workload.template = spec.workload.template or
    { spec = { containers = json.array { { name = 'asya-runtime', image = 'app:1' } } } }
  return actor
end

local function check(document)
  local plan = case.plan(case.bundle(document.settings), complete(document.actor or {}))
  if document.invalid then
    assert.is_table(plan.invalid, 'nothing was refused')
    for _, text in ipairs(json.is_array(document.invalid) and document.invalid or { document.invalid }) do
      local whole = ('%s %s %s'):format(plan.invalid.condition, plan.invalid.reason, plan.invalid.message)
      assert.is_truthy(whole:find(text, 1, true), whole)
    end
    return
  end
  assert.is_nil(plan.invalid, plan.invalid and plan.invalid.message)
  for kind, fields in pairs(document.expect) do
    assert.is_nil(case.difference(fields, case.find(plan, kind), kind))
  end
end

for path in io.popen('ls spec/policies/cases/*.yaml'):lines() do
  describe(path:match '([^/]+)%.yaml$', function()
    for _, document in ipairs(case.load(path)) do
      it(document.title, function() check(document) end)
    end
  end)
end
