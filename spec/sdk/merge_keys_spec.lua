--- merge_keys: the one table of how list items are told apart is what the API server's schemas say.
local json = require 'json'
local k8s = require 'k8s'
local merge_keys = require 'merge_keys'

local read = dofile 'spec/sdk/read.lua'

local function id(list, keys) return list .. ': ' .. table.concat(keys, ' ') end

--- Every list that a schema keys, or calls a set, as { [id] = true }.
local function of_schemas()
  local found = {}
  local function walk(schema, name)
    local keys = schema['x-kubernetes-list-map-keys']
    if keys then found[id(name, keys)] = true end
    if schema['x-kubernetes-list-type'] == 'set' then found[id(name, {})] = true end
    for key, each in pairs(schema) do
      if type(each) == 'table' then walk(each, key) end
    end
  end
  walk(json.decode(read 'crds/openapi/schemas.json'), '')
  return found
end

-- What no child of ours has, so that no schema of ours tells of it.
local BEYOND = { ['ports: port protocol'] = 'a Service', ['conditions: type'] = 'a status' }
-- Names that mean a plain list elsewhere, or that nobody renders: compared and replaced as a whole, which is safe.
local LEFT_OUT = {
  ['values: '] = 'a plain list in selectors', ['bindMountOptions: '] = 'alpha', ['evictionResponders: name'] = 'alpha',
  ['healthConditions: status reason'] = 'of kinds that are not rendered',
}

describe('merge_keys', function()
  it('has every list that the schemas of the API server key, and no other', function()
    local wanted, ours = of_schemas(), {}
    for _, row in ipairs(merge_keys.ROWS) do ours[id(row[1], { table.unpack(row, 2) })] = true end
    for each in pairs(wanted) do assert.is_truthy(ours[each] or LEFT_OUT[each], each .. ' is missing in lua/merge_keys.lua') end
    for each in pairs(ours) do assert.is_truthy(wanted[each] or BEYOND[each], each .. ' is in no schema') end
    for each in pairs(LEFT_OUT) do assert.is_nil(ours[each]) end
  end)

  it('is where C has it from', function()
    local path = os.tmpname()
    assert.is_true(os.execute(('lua5.4 engine/kube/merge_keys.lua %s lua/merge_keys.lua'):format(path)))
    local c, rows = read(path), 0
    os.remove(path)
    for list, keys in c:gmatch '{"(%w+)", {(.-)NULL}}' do
      rows = rows + 1
      local names = {}
      for key in keys:gmatch '"(%w+)"' do names[#names + 1] = key end
      assert.equal(id(merge_keys.ROWS[rows][1], { table.unpack(merge_keys.ROWS[rows], 2) }), id(list, names))
    end
    assert.equal(#merge_keys.ROWS, rows)
  end)

  it('merges lists by what the rows say', function()
    local function merged(name, base, overlay)
      return k8s.merge({ [name] = json.array(base) }, { [name] = json.array(overlay) })[name]
    end
    local ports = merged('ports', { { port = 80, protocol = 'TCP', targetPort = 1 } }, { { port = 80, targetPort = 2 } })
    assert.same({ { port = 80, protocol = 'TCP', targetPort = 2 } }, ports)
    assert.equal(2, #merged('ports', { { containerPort = 80 } }, { { containerPort = 80, protocol = 'UDP' } }))
    assert.same({ 'a', 'b' }, merged('finalizers', { 'a' }, { 'b', 'a' }))
    assert.equal(2, #merged('secrets', { { name = 'a' } }, { { name = 'b' } }))
    assert.equal(1, #merged('tolerations', { { key = 'a' } }, { { key = 'b' } }))
  end)

  it('tells which keys a list has', function()
    assert.same({ 'containerPort', 'protocol' }, merge_keys.of('ports', { { containerPort = 1 } }))
    assert.same({ 'port', 'protocol' }, merge_keys.of('ports', { { port = 1 } }))
    assert.is_nil(merge_keys.of('ports', { { name = 'x' } }))
    assert.equal('TCP', merge_keys.value({}, 'protocol'))
  end)
end)
