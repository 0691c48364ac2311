--- crd: what the description of a parent in Lua becomes in its CRD, and which rights a bundle needs.
local fails = require 'fails'
local crd = require 'crd'
local deploy = require 'deploy'
local json = require 'json'
local policy = require 'policy'
local schema = require 'schema'

local api, kind_of = policy.new(function() end, function() return 'manifest.lua' end)

--- The manifest of a bundle with this description.
local function manifest(described, more)
  local spec = { parent = 'demo.example.com/v1 Thing', children = { 'v1 Service', 'apps/v1 Deployment' }, crd = described }
  for key, value in pairs(more or {}) do spec[key] = value end
  return select(2, kind_of(api.manifest(spec)))
end

local function root(described, more) return manifest(described, more).crd.spec.versions[1].schema.openAPIV3Schema end

describe('the schema of a CRD', function()
  it('says of each field what schema.apply() asks of it', function()
    local got = crd.schema({
      name = schema.string { min_len = 1, max_len = 9, pattern = '^%l[%l%d-]*$' }:required():doc 'Its name.',
      mode = schema.string { enum = { 'a', 'b' } }:default 'a', count = schema.integer { min = 1, max = 3 }, share = schema.number { max = 1 },
      on = schema.boolean():default(false), port = schema.scalar(), list = schema.array(schema.integer()):default {}, map = schema.map(schema.string()),
      deep = schema.table { inner = schema.integer():default(3) }, rest = schema.any(),
      size = schema.integer():rule('self % 2 == 0', 'must be even'),
    }, 'x')
    assert.same({ type = 'string', minLength = 1, maxLength = 9, pattern = '^[a-z][a-z0-9\\-]*$', description = 'Its name.' }, got.properties.name)
    assert.same({ type = 'string', enum = { 'a', 'b' }, default = 'a' }, got.properties.mode)
    assert.same({ type = 'integer', minimum = 1, maximum = 3 }, got.properties.count)
    assert.same({ type = 'number', maximum = 1 }, got.properties.share)
    assert.same({ type = 'boolean', default = false }, got.properties.on)
    assert.same({ ['x-kubernetes-int-or-string'] = true }, got.properties.port)
    assert.equal('[]', json.encode(got.properties.list.default))
    assert.same({ type = 'object', additionalProperties = { type = 'string' } }, got.properties.map)
    assert.same({ type = 'object', properties = { inner = { type = 'integer', default = 3 } }, default = {} }, got.properties.deep)
    assert.same({ ['x-kubernetes-preserve-unknown-fields'] = true }, got.properties.rest)
    assert.same({ { rule = 'self % 2 == 0', message = 'must be even' } }, got.properties.size['x-kubernetes-validations'])
    assert.same({ 'name' }, got.required)
  end)

  it('asks policies for what is required, too', function()
    fails('p.name: is missing', schema.apply, { name = schema.string():required() }, {}, 'p')
    assert.equal('x', schema.apply({ name = schema.string():required() }, { name = 'x' }, 'p').name)
  end)

  it('has patterns that find what they find in Lua', function()
    local ATOMS = { 'a', 'b', '-', '.', '%d', '%a', '%w', '%s', '%S', '%.', '%-', '[ab]', '[^a]', '[%d_]', '[a-c]', '(a)', 'a*', 'b+', '%d?', '.-',
      ']', '{', '|', '\\', '/' }
    local LETTERS, rows, state = { 'a', 'b', 'c', '1', '9', '-', '.', ' ', '\n', '_', 'Z', ']', '{', '|', '\\', '/', '^', '$' }, json.array {}, 3
    local function random(n)
      state = state * 6364136223846793005 + 1442695040888963407
      return (state >> 33) % n + 1
    end
    for _ = 1, 3000 do
      local pattern, text = random(2) == 1 and '^' or '', ''
      for _ = 1, random(4) do pattern = pattern .. ATOMS[random(#ATOMS)] end
      if random(2) == 1 then pattern = pattern .. '$' end
      for _ = 1, random(6) - 1 do text = text .. LETTERS[random(#LETTERS)] end
      local regex = assert(crd.regex(pattern), pattern)
      rows[#rows + 1] = { pattern = pattern, regex = regex, text = text, found = text:find(pattern) ~= nil }
    end
    local path = os.tmpname()
    local file = assert(io.open(path, 'w'))
    file:write(json.encode(rows))
    file:close()
    -- Python's '$' also stands before a last line feed, Go's does not.
    local pipe = io.popen([[python3 -c '
import json, re, sys
for row in json.load(open(sys.argv[1])):
    regex = re.sub(r"(?<!\\)\$$", r"\\Z", row["regex"])
    if bool(re.search(regex, row["text"])) != row["found"]: print(row)
' ]] .. path .. ' 2>&1')
    local output = pipe:read 'a'
    pipe:close()
    os.remove(path)
    assert.equal('', output)
    for _, none in ipairs { '%b()', '%f[a]', '(a)%1', '[a', '[%S]', '%', ('a'):rep(300) } do assert.is_nil(crd.regex(none), none) end
  end)

  it('is told where it is malformed, and ends', function()
    local round = schema.array(schema.string())
    round.item = round
    for _, row in ipairs {
      { { spec = { a = schema.string { pattern = '%b()' } } }, "policy.manifest.crd.spec.a: the pattern '%b()' has no counterpart" },
      { { spec = { a = 'string' } }, 'policy.manifest.crd.spec.a: must be what a function of schema returns' }, { { spec = { a = round } },
        'more than 16 fields in each other' },
      { { spec = { ['a b'] = schema.string() } }, "'a b' is no name of a field" }, { { spec = { schema.string() } }, "'1' is no name of a field" },
      { { spex = {} }, "unknown field 'spex'" }, { { spec = 5 }, 'spec must be a table' }, { { rules = { 'x' } }, 'rule 1 must be { expression, message }' },
      { { columns = { 5 } }, 'columns[1]: must be a path' }, { { columns = { { path = 'a[0]' } } }, 'columns[1]: needs a name' },
      { { spec = { a = schema.array() } }, 'policy.manifest.crd.spec.a[]: must be what' },
    } do
      fails(row[2], manifest, row[1])
    end
    fails('a kind of the core group', manifest, {}, { parent = 'v1 Pod', domain = 'x.example.com' })
  end)
end)

describe('the CRD', function()
  it('has the names of the parent, its columns with their types, and its age', function()
    local got = manifest({ spec = { size = schema.integer() }, columns = { 'spec.size', { name = 'Ready', path = '.status.x', priority = 1 } },
      short_names = { 'th' },
      rules = { { 'true', 'm' } }, doc = 'A thing.' }).crd
    assert.equal('things.demo.example.com', got.metadata.name)
    assert.same({ kind = 'Thing', listKind = 'ThingList', plural = 'things', singular = 'thing', shortNames = { 'th' } }, got.spec.names)
    local version = got.spec.versions[1]
    assert.equal('v1', version.name)
    assert.same({ { name = 'Size', type = 'integer', jsonPath = '.spec.size' }, { name = 'Ready', type = 'string', jsonPath = '.status.x', priority = 1 },
      { name = 'Age', type = 'date', jsonPath = '.metadata.creationTimestamp' } }, version.additionalPrinterColumns)
    assert.equal('A thing.', version.schema.openAPIV3Schema.description)
    assert.same({ { rule = 'true', message = 'm' } }, version.schema.openAPIV3Schema.properties.spec['x-kubernetes-validations'])
  end)

  it('keeps what the engine writes into the status, wherever that is', function()
    local status = root({ status = { phase = schema.string() } }, { claim = false, bundle_digest = 'status.deep.digest' }).properties.status
    assert.is_nil(status['x-kubernetes-preserve-unknown-fields'])
    assert.is_nil(status.properties.operator)
    assert.equal('string', status.properties.deep.properties.digest.type)
    for _, field in ipairs { 'phase', 'conditions', 'renderedDigest', 'queues' } do assert.is_table(status.properties[field], field) end
  end)

  it('takes anything where nothing is described', function()
    local open = root {}
    assert.is_true(open.properties.spec['x-kubernetes-preserve-unknown-fields'])
    assert.is_true(open.properties.status['x-kubernetes-preserve-unknown-fields'])
    assert.is_nil(manifest(nil).crd)
    assert.equal('CustomResourceDefinition', deploy.objects(manifest(nil), { crd = true })[1].kind)
  end)
end)

describe('the rights of a bundle', function()
  it('are for exactly the kinds that it names', function()
    local it_ = manifest(nil, { children = { 'v1 Service', { apiVersion = 'v1', kind = 'ConfigMap', shared = true, selector = 'a=b' },
      'apps/v1 Deployment', 'apps/v1 StatefulSet' },
      related = { { apiVersion = 'v1', kind = 'Pod', label = 'x' } } })
    it_.kinds = { { apiVersion = 'policy/v1', kind = 'PodDisruptionBudget', plural = 'poddisruptionbudgets' } }
    local shown = {}
    for i, rule in ipairs(deploy.rules(it_)) do
      shown[i] = ('%s: %s: %s'):format(rule.apiGroups[1], table.concat(rule.resources, ','), table.concat(rule.verbs, ','))
    end
    assert.same({
      'demo.example.com: things: list,watch,patch', 'demo.example.com: things/status: patch', 'demo.example.com: things/finalizers: update',
      ': services: get,list,watch,create,patch,delete', ': configmaps: get,list,watch,create,patch',
        'apps: deployments,statefulsets: get,list,watch,create,patch,delete',
      'policy: poddisruptionbudgets: get,list,watch,create,patch,delete', ': pods: list,watch', 'events.k8s.io: events: create,patch',
    }, shown)
  end)

  it('come with all that runs it, in the order to apply', function()
    local kinds = {}
    for i, object in ipairs(deploy.objects(manifest {}, { image = 'i:1', digest = 'd', files = { ['manifest.lua'] = 'x' } })) do kinds[i] = object.kind end
    assert.equal('CustomResourceDefinition Namespace ServiceAccount ClusterRole ClusterRoleBinding Role RoleBinding ConfigMap Deployment',
      table.concat(kinds, ' '))
    local function lease(class)
      local objects = deploy.objects(manifest(nil, { class = class }), { image = 'i:1', digest = 'd', files = {} })
      for _, object in ipairs(objects) do
        if object.kind == 'Role' then return object.rules[2].resourceNames[1] end
      end
    end
    assert.same({ 'thing-operator.demo.example.com', 'thing-operator.demo.example.com-blue' }, { lease(nil), lease 'blue' })
  end)

  it('are not printed for a bundle that no ConfigMap holds', function()
    fails("'a b.lua' cannot be a key of a ConfigMap", deploy.objects, manifest {}, { files = { ['a b.lua'] = '' } })
    local files = {} -- in pieces: a sandbox that another spec made bounds what a text may be
    for i = 1, 11 do files['f' .. i] = ('x'):rep(100000) end
    fails('the bundle has 1100000 bytes', deploy.objects, manifest {}, { files = files })
  end)
end)
