--- explain: `kubectl explain` has a sentence for each field of an AsyncActor.
local case = require 'case'

-- The server describes these itself, for every kind.
local SERVERS = { ['.apiVersion'] = true, ['.kind'] = true, ['.metadata'] = true }

--- The fields under `schema` without a sentence.
local function silent(schema, path, found)
  for name, field in pairs(schema.properties or {}) do
    local at = path .. '.' .. name
    if not SERVERS[at] and not (type(field.description) == 'string' and field.description:find '^%u.*%.$') then found[#found + 1] = at end
    silent(field, at, found)
  end
  if schema.items then silent(schema.items, path, found) end
  return found
end

describe('kubectl explain', function()
  it('has a sentence for each field of the CRD', function()
    local versions = case.load('crds/asyncactors.asya.sh.yaml')[1].spec.versions
    assert.is_true(#versions > 0)
    for _, version in ipairs(versions) do
      local schema = version.schema.openAPIV3Schema
      assert.is_truthy(schema.description)
      local found = silent(schema, '', {})
      table.sort(found)
      assert.same({}, found)
    end
  end)
end)
