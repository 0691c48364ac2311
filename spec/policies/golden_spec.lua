--- golden: what the Go operator made of these actors on a real API server is what we render, defaults of the server aside.
local json = require 'json'
local case = require 'case'
local golden = require 'golden'

--- What a Secret of ours holds, as the golden one: the copied values are not for policies.
local function as_stored(item, child)
  local object = item.object
  if not item.sources then return object end
  local data = {}
  for key in pairs(item.sources) do data[key] = child.data[key] end
  for key, text in pairs(object.stringData or {}) do data[key] = text == 'guest' and 'Z3Vlc3Q=' or text end
  object.data, object.stringData = data, nil
  return object
end

--- What is planned for an actor: objects, and Secrets that are copied.
local function items_of(plan)
  local items = {}
  for _, list in ipairs { plan.objects or {}, plan.copies or {} } do
    for _, item in ipairs(list) do items[#items + 1] = item end
  end
  return items
end

local function item_of(plan, kind)
  for _, item in ipairs(items_of(plan)) do
    if item.object.kind == kind then return item end
  end
end

--- The kinds that an actor owns, in order; `extra` are wanted although the golden ones lack them.
local function kinds_of(list, extra)
  local kinds = {}
  for _, each in ipairs(list) do
    local object = each.object or each
    if not each.shared and not (extra and extra[object.kind]) then kinds[#kinds + 1] = object.kind end
  end
  table.sort(kinds)
  return kinds
end

--- Renders an actor of `folder`, and compares with what the operator of that release made of it.
local function check(folder, name, settings, wanted)
  local actor = case.load(('%s/%s/actor.yaml'):format(folder, name))[1]
  actor.metadata.uid = 'UID'
  local plan = case.plan(case.bundle(settings), actor)
  local children = json.decode(case.read(('%s/%s/children.json'):format(folder, name)))
  assert.same(kinds_of(children), kinds_of(items_of(plan), wanted.kinds))
  for _, child in ipairs(children) do
    local item = item_of(plan, child.kind)
    assert.is_table(item, child.kind .. ' is missing: ' .. tostring(plan.invalid and plan.invalid.message))
    golden.deduplicate(child)
    assert.is_nil(golden.compare(child, as_stored(item, child), child.kind, wanted))
  end
  return plan, actor
end

local function transports_in(path) return json.decode(case.read(path .. '/transports.json')) end

describe('golden', function()
  -- Wanted differences: KEDA reads the user name from the sidecar, and is told kind, container and trigger name.
  local wanted = { ['TriggerAuthentication.spec'] = true }

  for _, name in ipairs { 'minimal', 'custom-sidecar', 'happy-end', 'scaled', 'sqs-keys' } do
    it(name .. ' renders the children that the Go operator made', function()
      check('spec/golden', name, { transports = transports_in 'spec/golden' }, wanted)
    end)
  end
end)

describe('golden of 0.4', function()
  local FOLDER = 'spec/golden-0.4'

  for _, name in ipairs(golden.NAMES_0_4) do
    it(name .. ' renders the children that the Go operator made', function()
      local transports = transports_in(golden.OWN_TRANSPORTS[name] and FOLDER .. '/' .. name or FOLDER)
      local plan, actor = check(FOLDER, name, { profile = '0.4', transports = transports }, golden.WANTED_0_4[name] or {})
      local label = actor.metadata.labels and actor.metadata.labels['asya.sh/actor'] or actor.metadata.name
      assert.same({ ['asya.sh/actor'] = label }, plan.labels)
      assert.equal('asya-golden-' .. label, plan.queues[1].name)
    end)
  end

  it('names the ServiceAccount that the pods of an actor with a role name', function()
    local actor = case.load(FOLDER .. '/sqs-irsa/actor.yaml')[1]
    local plan = case.plan(case.bundle { profile = '0.4', transports = transports_in(FOLDER .. '/sqs-irsa') }, actor)
    assert.equal('asya-golden-irsa', case.find(plan, 'ServiceAccount').metadata.name)
  end)

  it('is asked for by an annotation of the actor, else by that of its namespace, else by the setting', function()
    local function queue_of(annotation, setting, namespace)
      local actor = case.load(FOLDER .. '/minimal/actor.yaml')[1]
      actor.metadata.annotations = annotation and { ['asya.sh/profile'] = annotation }
      local plan = case.plan(case.bundle { transports = transports_in(FOLDER), profile = setting, namespaceProfiles = namespace }, actor)
      return plan.queues[1] and plan.queues[1].name or plan.invalid.message
    end
    assert.equal('asya-minimal', queue_of())
    assert.equal('asya-golden-minimal', queue_of '0.4')
    assert.equal('asya-golden-minimal', queue_of(nil, '0.4'))
    assert.equal('asya-minimal', queue_of('0.1', '0.4'))
    assert.equal("metadata.annotations.asya.sh/profile: there is no profile '0.5'; use 0.1 or 0.4", queue_of '0.5')
    assert.equal('asya-golden-minimal', queue_of(nil, nil, { golden = '0.4' }))
    assert.equal('asya-minimal', queue_of(nil, nil, { other = '0.4' }))
    assert.equal('asya-minimal', queue_of('0.1', nil, { golden = '0.4' }))
    assert.equal('asya-minimal', queue_of(nil, '0.4', { golden = '0.1' }))
    assert.equal("namespace golden: metadata.annotations.asya.sh/profile: there is no profile '0.5'; use 0.1 or 0.4", queue_of(nil, nil, { golden = '0.5' }))
  end)
end)
