--- defaults: the smallest manifest says one thing; what is wrong in one is told with file, line, field and what to write instead.
local bundle = require 'bundle'
local host = require 'host'

local SMALL = "parent = 'demo.example.com/v1 Greeting'"

--- The manifest of a file whose call of policy.manifest holds these lines.
local function read(...)
  local text = "local policy = require 'policy'\nreturn policy.manifest {\n  " .. table.concat({ ... }, ',\n  ') .. ',\n}\n'
  return bundle.peek({ { name = 'm.lua', source = text, origin = 'here' } }, host)
end

describe('a manifest', function()
  it('needs no more than a parent', function()
    local it_ = read(SMALL)
    assert.same({ apiVersion = 'demo.example.com/v1', kind = 'Greeting', plural = 'greetings' }, it_.parent)
    local names = {
      domain = 'demo.example.com', component = 'greeting-operator', field_manager = 'greeting-operator',
      lease = 'greeting-operator.demo.example.com', finalizer = 'demo.example.com/finalizer',
      policies_label = 'demo.example.com/greeting-policies', bundle_label = 'asya.sh/bundle', class_annotation = 'demo.example.com/operator-class',
      rendered_digest = 'status.renderedDigest', bundle_digest = 'status.bundleDigest', queue_records = 'status.queues', claim = 'status.operator',
    }
    for field, value in pairs(names) do assert.equal(value, it_[field], field) end
    assert.equal(0, #it_.children)
  end)

  it('gives its domain and component to what it does not name, and false stands for none', function()
    local it_ = read(SMALL, "domain = 'corp.example'", "component = 'greeter'", "lease = 'hers'", 'finalizer = false', 'claim = false')
    assert.equal('hers', it_.lease)
    assert.equal('greeter', it_.field_manager)
    assert.equal('corp.example/operator-class', it_.class_annotation)
    assert.is_nil(it_.finalizer)
    assert.is_nil(it_.claim)
  end)

  it('knows the plural of kinds', function()
    local it_ = read(SMALL, "children = { 'v1 ConfigMap', 'networking.k8s.io/v1 Ingress', 'networking.k8s.io/v1 NetworkPolicy', 'v1 Endpoints', "
      .. "'gateway.networking.k8s.io/v1 Gateway', { apiVersion = 'v1', kind = 'Ox', plural = 'oxen' } }")
    local plurals = {}
    for i, row in ipairs(it_.children) do plurals[i] = row.plural end
    assert.same({ 'configmaps', 'ingresses', 'networkpolicies', 'endpoints', 'gateways', 'oxen' }, plurals)
  end)

  local wrong = {
    { { 'children = {}' }, "m.lua:2: policy.manifest.parent is missing: write parent = 'GROUP/VERSION KIND'" },
    { { "parent = 'Greeting'" }, "m.lua:3: policy.manifest.parent 'Greeting' must be 'GROUP/VERSION KIND'" },
    { { "parent = 'v1 Pod'" }, "m.lua:2: policy.manifest.domain is missing: a kind of the core group gives none; write domain = 'example.com'" },
    { { "parent = 'demo.example.com Greeting'" }, "m.lua:3: policy.manifest.parent.apiVersion 'demo.example.com' must be GROUP/VERSION" },
    { { "parent = 'a.b/v1 greeting'" }, "m.lua:3: policy.manifest.parent.kind 'greeting' must be as the CRD spells it" },
    { { SMALL, "finaliser = 'a.b/c'" }, "m.lua:4: policy.manifest: unknown field 'finaliser' (known: " },
    { { SMALL, "finalizer = 'mine'" }, "m.lua:4: policy.manifest.finalizer 'mine' must be DOMAIN/NAME, such as 'demo.example.com/finalizer'" },
    { { SMALL, "component = 'Greeter'" }, "m.lua:4: policy.manifest.component 'Greeter' must be of a-z" },
    { { SMALL, "claim = 'spec.operator'" }, "m.lua:4: policy.manifest.claim 'spec.operator' must be a field of the status" },
    { { SMALL, "policies_label = 'a.b/" .. ('x'):rep(41) .. "'" }, 'what follows the / must have at most 40 characters' },
    { { SMALL, "class = 'Blue'" }, "m.lua:4: policy.manifest.class 'Blue' must be of a-z, 0-9 and '-' between them, at most 63" },
    { { SMALL, "class = 'blue-'" }, "m.lua:4: policy.manifest.class 'blue-' must be of a-z, 0-9 and '-' between them" },
    { { SMALL, "class_annotation = false, class = 'blue'" }, 'policy.manifest.class: without class_annotation nothing says which objects' },
    { { SMALL, "bundle_label = 'a.b/" .. ('x'):rep(64) .. "'" }, 'what follows the / must have at most 63 characters' },
    { { SMALL, "bundle_label = 'a.b/mine-'" }, "m.lua:4: policy.manifest.bundle_label 'a.b/mine-' must be DOMAIN/NAME" },
    { { SMALL, "bundle_label = 'bundle'" }, "m.lua:4: policy.manifest.bundle_label 'bundle' must be DOMAIN/NAME, such as 'asya.sh/bundle'" },
    { { SMALL, "children = {\n  'v1 ConfigMap',\n  { apiVersion = 'v1',\n    kind = 'Pod', shared = 1 } }" },
      'm.lua:7: policy.manifest.children[2].shared must be a boolean, not a number' },
    { { SMALL, "children = {\n  { apiVersion = 'v1', kind = 'Pod' },\n  { apiVersion = 'v1' } }" }, 'm.lua:6: policy.manifest.children[2].kind is missing' },
  }
  for _, case in ipairs(wrong) do
    it('that is wrong is told: ' .. case[2], function()
      local ok, told = pcall(read, table.unpack(case[1]))
      assert.is_false(ok)
      assert.is_truthy(told:find(case[2], 1, true), told)
    end)
  end
end)
