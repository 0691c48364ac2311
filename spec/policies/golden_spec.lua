--- golden: what the Go operator made of these actors on a real API server is what we render, defaults of the server aside.
local json = require 'json'
local case = require 'case'

local GOLDEN = 'spec/golden'

--- Fields that the API server fills in: in the golden children, not in ours.
local SERVER = {
  progressDeadlineSeconds = true, revisionHistoryLimit = true, strategy = true, terminationMessagePath = true,
  terminationMessagePolicy = true, dnsPolicy = true, restartPolicy = true, schedulerName = true, securityContext = true,
  successThreshold = true, imagePullPolicy = true, resources = true, replicas = true, apiVersion = true,
}

-- Wanted differences: KEDA reads the user name from the sidecar, and is told kind, container and trigger name.
local WANTED = { ['TriggerAuthentication.spec'] = true }

--- The first path that is in `theirs` and missing or different in `ours`, or the other way round.
local function compare(theirs, ours, path)
  if WANTED[path] then return nil end
  if type(theirs) ~= 'table' or type(ours) ~= 'table' then
    if theirs == nil and ours == '' then return nil end -- an empty value is stored as none
    if ours == nil and type(theirs) == 'table' and next(theirs) == nil then return nil end -- an empty object says nothing
    return theirs ~= ours and ('%s: %s against %s'):format(path, tostring(theirs), tostring(ours)) or nil
  end
  for key, value in pairs(theirs) do
    if not (ours[key] == nil and SERVER[key]) then
      local bad = compare(value, ours[key], path .. '.' .. tostring(key))
      if bad then return bad end
    end
  end
  for key, value in pairs(ours) do
    local extra = key == 'envSourceContainerName' or key == 'kind' or key == 'apiVersion' or (key == 'name' and path:find 'triggers')
    if theirs[key] == nil and not extra then
      local bad = compare(nil, value, path .. '.' .. tostring(key))
      if bad then return bad end
    end
  end
end

--- Duplicate env names: ours renders one, the last value wins.
local function deduplicate(child)
  for _, container in ipairs(child.kind == 'Deployment' and child.spec.template.spec.containers or {}) do
    local at, list = {}, json.array {}
    for _, variable in ipairs(container.env or {}) do
      local index = at[variable.name] or #list + 1
      at[variable.name], list[index] = index, variable
    end
    container.env = #list > 0 and list or nil
  end
end

describe('golden', function()
  local settings = { transports = json.decode(case.read(GOLDEN .. '/transports.json')) }

  for _, name in ipairs { 'minimal', 'custom-sidecar', 'happy-end', 'scaled', 'sqs-keys' } do
    it(name .. ' renders the children that the Go operator made', function()
      local actor = case.load(('%s/%s/actor.yaml'):format(GOLDEN, name))[1]
      actor.metadata.uid = 'UID'
      local plan = case.plan(case.bundle(settings), actor)
      for _, child in ipairs(json.decode(case.read(('%s/%s/children.json'):format(GOLDEN, name)))) do
        local ours = case.find(plan, child.kind)
        assert.is_table(ours, child.kind .. ' is missing')
        deduplicate(child)
        assert.is_nil(compare(child, ours, child.kind))
      end
    end)
  end
end)
