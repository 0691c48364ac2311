--- golden: what the specs of golden actors share: how two children are compared, and which differences are wanted.
local json = require 'json'

local M = {}

-- The actors of golden-0.4. Two of them had transports of their own.
M.NAMES_0_4 = { 'minimal', 'custom-sidecar', 'happy-end', 'scaled', 'sqs-keys', 'actor-label', 'user-labels', 'end-alias', 'scaled-advanced', 'sqs-irsa',
  'no-secret' }
M.OWN_TRANSPORTS = { ['no-secret'] = true, ['sqs-irsa'] = true }

-- Wanted differences. With IRSA the account that pods name is there, and KEDA takes its role as it does today (contract.md 10.33).
M.WANTED_0_4 = {
  ['sqs-irsa'] = {
    kinds = { TriggerAuthentication = true },
    ['ServiceAccount.metadata.name'] = true, ['ScaledObject.spec.triggers.1.metadata.identityOwner'] = true,
    ['ScaledObject.spec.triggers.1.authenticationRef'] = true,
  },
}

--- Fields that the API server fills in: in the golden children, not in ours.
local SERVER = {
  progressDeadlineSeconds = true, revisionHistoryLimit = true, strategy = true, terminationMessagePath = true,
  terminationMessagePolicy = true, dnsPolicy = true, restartPolicy = true, schedulerName = true, securityContext = true,
  successThreshold = true, imagePullPolicy = true, resources = true, replicas = true, apiVersion = true,
  serviceAccount = true, timeoutSeconds = true, periodSeconds = true, failureThreshold = true,
}

--- The first path that is in `theirs` and missing or different in `ours`, or the other way round.
function M.compare(theirs, ours, path, wanted)
  if wanted[path] then return nil end
  if type(theirs) ~= 'table' or type(ours) ~= 'table' then
    if theirs == nil and ours == '' then return nil end -- an empty value is stored as none
    if ours == nil and type(theirs) == 'table' and next(theirs) == nil then return nil end -- an empty object says nothing
    return theirs ~= ours and ('%s: %s against %s'):format(path, tostring(theirs), tostring(ours)) or nil
  end
  for key, value in pairs(theirs) do
    if not (ours[key] == nil and SERVER[key]) then
      local bad = M.compare(value, ours[key], path .. '.' .. tostring(key), wanted)
      if bad then return bad end
    end
  end
  for key, value in pairs(ours) do
    local extra = key == 'envSourceContainerName' or key == 'kind' or key == 'apiVersion' or (key == 'name' and path:find 'triggers')
    if theirs[key] == nil and not extra then
      local bad = M.compare(nil, value, path .. '.' .. tostring(key), wanted)
      if bad then return bad end
    end
  end
end

--- Duplicate env names: ours renders one, the last value wins.
function M.deduplicate(child)
  for _, container in ipairs(child.kind == 'Deployment' and child.spec.template.spec.containers or {}) do
    local at, list = {}, json.array {}
    for _, variable in ipairs(container.env or {}) do
      local index = at[variable.name] or #list + 1
      at[variable.name], list[index] = index, variable
    end
    container.env = #list > 0 and list or nil
  end
end

return M
