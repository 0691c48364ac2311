--- shapes: whatever an actor's fields hold, policies answer with a plan or a refusal, never with an error of Lua's. Offline nothing else checks
-- an actor, and on a cluster the CRD may be an older one; of the pod template it checks nothing at all.
local json = require 'json'
local k8s = require 'k8s'
local case = require 'case'

local null = json.null

-- Values that a field of a type should not hold.
local WRONG = {
  string = { 5, true, json.array {}, {}, null, '' }, integer = { 'x', -5, 1.5, {}, null }, number = { 'x', {}, null }, boolean = { 'x', {}, null },
  object = { 'x', 5, json.array { 1 }, null }, array = { 'x', {}, 5, null, json.array { 5 }, json.array { null }, json.array { {} } },
}
local ANY = { 'x', 5, true, {}, null, json.array {}, json.array { 5 }, json.array { null }, json.array { {} }, { a = null }, { a = {} } }

local function with(path, ...)
  local longer = table.move(path, 1, #path, 1, {})
  return table.move({ ... }, 1, select('#', ...), #longer + 1, longer)
end

--- Calls visit(path, value) for each field of a schema and each value that it should not hold.
local function each_wrong(schema, path, visit)
  for _, value in ipairs(#path > 0 and (WRONG[schema.type] or ANY) or {}) do visit(path, value) end
  if schema.enum then visit(path, 'Other') end
  for name, field in pairs(schema.properties or {}) do each_wrong(field, with(path, name), visit) end
  if type(schema.items) == 'table' then each_wrong(schema.items, with(path, 1), visit) end
end

local TEMPLATE = { 'workload', 'template' }
local POD = { 'containers', 'initContainers', 'volumes', 'nodeSelector', 'tolerations', 'imagePullSecrets', 'serviceAccountName', 'securityContext' }
local CONTAINER = { 'name', 'image', 'command', 'args', 'env', 'ports', 'envFrom', 'volumeMounts', 'resources', 'startupProbe', 'lifecycle' }

local function each_of_the_template(visit)
  local paths = { TEMPLATE, with(TEMPLATE, 'spec') }
  for _, field in ipairs { {}, { 'labels' }, { 'annotations' } } do paths[#paths + 1] = with(TEMPLATE, 'metadata', table.unpack(field)) end
  for _, field in ipairs(POD) do paths[#paths + 1] = with(TEMPLATE, 'spec', field) end
  for _, field in ipairs(CONTAINER) do
    for _, list in ipairs { 'containers', 'initContainers' } do paths[#paths + 1] = with(TEMPLATE, 'spec', list, 1, field) end
  end
  for _, path in ipairs(paths) do
    for _, value in ipairs(ANY) do visit(path, value) end
  end
end

local function set(object, path, value)
  for i = 1, #path - 1 do
    if type(object[path[i]]) ~= 'table' then object[path[i]] = type(path[i + 1]) == 'number' and json.array {} or {} end
    object = object[path[i]]
  end
  object[path[#path]] = value
end

describe('any value in any field', function()
  local crd = case.load('crds/asyncactors.asya.sh.yaml')[1]
  local schema = crd.spec.versions[1].schema.openAPIV3Schema.properties.spec
  local actor = case.load('spec/golden/scaled/actor.yaml')[1]
  local bundle = case.bundle()

  for _, kind in ipairs { 'Deployment', 'StatefulSet', 'Job' } do
    for _, scaled in ipairs { true, false } do
      it(('ends in a plan or a refusal: %s, %s'):format(kind, scaled and 'scaled' or 'not scaled'), function()
        local wrong = {}
        local function try(path, value)
          local changed = k8s.copy(actor)
          changed.spec.workload.kind = kind
          if not scaled then changed.spec.scaling = nil end
          set(changed.spec, path, value)
          local planned, plan = pcall(case.plan, bundle, k8s.copy(changed))
          local outcome = { errors = json.array {}, changed = json.array {}, invalid = planned and plan.invalid or nil }
          local judged, status = pcall(bundle.status, bundle, { now = '2026-01-02T03:04:05Z', parent = changed, outcome = outcome })
          local why = not planned and plan or not judged and status
          if why then wrong[#wrong + 1] = ('spec.%s = %s: %s'):format(table.concat(path, '.'), json.encode(value), why) end
        end
        each_wrong(schema, {}, try)
        each_of_the_template(try)
        assert.equal('', table.concat(wrong, '\n'))
      end)
    end
  end
end)

describe('a transport', function()
  local file = assert(io.open 'chart/values.schema.json')
  local definitions = json.decode(file:read 'a').definitions
  file:close()

  --- A value that a rule of the chart's schema takes, with all that it may hold.
  local function sample(rule)
    if rule['$ref'] then rule = definitions[rule['$ref']:match '[^/]+$'] end
    local kind = type(rule.type) == 'table' and rule.type[1] or rule.type
    if rule.enum then return rule.enum[1] end
    if kind == 'array' then return json.array { sample(rule.items) } end
    if kind ~= 'object' then return ({ string = rule.pattern and '' or 'x', integer = 1, boolean = true })[kind] end
    local object = type(rule.additionalProperties) == 'table' and { any = sample(rule.additionalProperties) } or {}
    for name, field in pairs(rule.properties or {}) do object[name] = sample(field) end
    return object
  end

  --- The plan of an actor that uses it, as text, and why it is refused.
  local function planned(kind, entry)
    local actor = { metadata = { name = 'resize' }, spec = { transport = kind, scaling = { enabled = true },
      workload = { template = { spec = { containers = json.array { { name = 'asya-runtime', image = 'app:1' } } } } } } }
    local plan = case.plan(case.bundle { transports = { transports = { [kind] = entry } } }, actor)
    return json.encode(plan), plan.invalid and plan.invalid.message
  end

  --- Each key of a tree of maps, down to the last: a list of { key, the map that has it }.
  local function keys_of(map, found)
    for key, value in pairs(map) do
      found[#found + 1] = { key, map }
      if type(value) == 'table' and not json.is_array(value) then keys_of(value, found) end
    end
    return found
  end

  for _, kind in ipairs { 'rabbitmq', 'sqs' } do
    it('may have whatever the chart takes: ' .. kind, function()
      local _, refused = planned(kind, sample(definitions[kind]))
      assert.is_nil(refused)
    end)

    it('is the same with a key that is null as without it: ' .. kind, function()
      local entry = sample(definitions[kind])
      local all = keys_of(entry, {})
      for _, each in ipairs(all) do
        local key, map = each[1], each[2]
        local value = map[key]
        map[key] = null
        local with_null = planned(kind, k8s.copy(entry))
        map[key] = nil
        assert.equal(planned(kind, k8s.copy(entry)), with_null, key)
        map[key] = value
      end
      assert.is_true(#all > 20)
    end)
  end
end)
