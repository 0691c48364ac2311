--- titles: the title of a case states the rule that it shows, and no rule is without a case.
local case = require 'case'

--- Words of the rules beside the fields of an actor, each to be found in a title.
local RULES = {
  ['what an actor must not say'] = {
    'container named asya-sidecar', 'init container named asya-sidecar', 'command of the runtime container', 'args of the runtime container',
    'pod without a container asya-runtime', 'two containers named asya-runtime', 'transport that the configuration does not name',
    'transport that is disabled', 'unknown type of transport', 'service account of the user', 'label of the pods that the selector',
    'numeric env value', 'minimum above maximum',
  },
  ['the pod template'] = {
    'three labels', "user's order", 'runtime container: the command', 'sidecar has no probes', 'volumes and mounts', 'probes of the runtime container',
    'terminationGracePeriodSeconds', 'serviceAccountName', 'other containers',
  },
  ['the sidecar'] = {
    'whole env', "gateway URL is the operator's", 'gateway URL is that of the runtime', 'end actor', 'timeout of a call', 'without a Secret, a port or a user',
    'RabbitMQ with an exchange', 'sidecar of an SQS actor', 'comes after ours', "operator's image", 'default ones', 'securityContext',
  },
  scaling = {
    'whole ScaledObject', 'without scaling', 'RabbitMQ without a Secret: the user', 'scaling modifiers', 'SQS with keys', 'SQS with an AWS role: KEDA',
    'SQS without an account', 'management API', 'with TLS',
  },
}

local titles = {}
for path in io.popen('ls spec/policies/cases/*.yaml'):lines() do
  for _, document in ipairs(case.load(path)) do titles[#titles + 1] = document.title end
end

local function titled(...)
  for _, title in ipairs(titles) do
    local all = true
    for _, word in ipairs { ... } do all = all and title:find('%f[%w]' .. word:gsub('%p', '%%%0')) end
    if all then return true end
  end
  return false
end

--- The fields below `path` in a schema that policies read: down to the first one whose inside belongs to Kubernetes.
local function fields(schema, path, found)
  for name, each in pairs(schema.properties) do
    local below = path .. '.' .. name
    if each.properties and below ~= 'spec.sidecar.resources' then
      fields(each, below, found)
    else
      found[#found + 1] = { parent = path, name = name }
    end
  end
  return found
end

describe('the titles of the cases', function()
  it('name each field of spec', function()
    local crd = case.load('crds/asyncactors.asya.sh.yaml')[1]
    for _, field in ipairs(fields(crd.spec.versions[1].schema.openAPIV3Schema.properties.spec, 'spec', {})) do
      assert.is_true(titled(field.parent, field.name), ('no title names %s.%s'):format(field.parent, field.name))
    end
  end)

  for about, words in pairs(RULES) do
    it('state each rule of ' .. about, function()
      for _, each in ipairs(words) do assert.is_true(titled(each), ('no title says %q'):format(each)) end
    end)
  end

  it('are whole sentences, each once, and cite no document', function()
    local seen = {}
    for _, title in ipairs(titles) do
      assert.is_nil(seen[title], title)
      assert.is_nil(title:find '^[%d.]+' or title:find 'row %d' or title:find '^%.%.%.', title)
      seen[title] = true
    end
  end)
end)
