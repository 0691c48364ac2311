--- scope: kinds that are in a namespace and kinds that are in none, who may own what where, and how it is said whose a child is.
local fails = require 'fails'
local bundle = require 'bundle'
local deploy = require 'deploy'
local host = require 'host'
local policy_of = require 'policy'

local MAP = "{ apiVersion = 'v1', kind = 'ConfigMap', plural = 'configmaps' }"
local BY_LABEL = "{ apiVersion = 'v1', kind = 'ConfigMap', owned_by = 'label' }"

--- A bundle of a manifest with these lines, whose policy plans these objects under the roles a, b, ...
local function load(lines, ...)
  local adds = {}
  for i, object in ipairs { ... } do adds[i] = ("plan:add('%s', %s)"):format(('abc'):sub(i, i), object) end
  return bundle.load({
    { name = 'manifest.lua', origin = 'here', source = ("return require 'policy'.manifest {\n%s,\n}"):format(lines) },
    { name = 'p.lua', origin = 'here', source = ("return require 'policy'.define { name = 'p', render = function(_, ctx, plan) %s end }")
      :format(table.concat(adds, ' ')) },
  }, nil, host)
end

local function manifest(lines) return load(lines):manifest() end

local function plan(b, parent, children)
  parent.uid = 'u-1'
  return b:plan { now = 't', parent = { metadata = parent, spec = {} }, children = children or {} }
end

local CLUSTER = "parent = { apiVersion = 'x.io/v1', kind = 'Tenant', scope = 'Cluster' }"
local INSIDE = "parent = 'x.io/v1 Team'"
local function with(parent, children, more) return ('%s,\nchildren = { %s }%s'):format(parent, children, more or '') end
local function map(metadata) return ("{ apiVersion = 'v1', kind = 'ConfigMap', metadata = { %s } }"):format(metadata) end
local ROLE = "{ apiVersion = 'rbac.authorization.k8s.io/v1', kind = 'ClusterRole', metadata = { name = 'r' } }"

describe('the scope of a kind', function()
  it("is known of Kubernetes' own kinds, and told of others", function()
    local it_ = manifest(with(CLUSTER, "'v1 Namespace', 'v1 ConfigMap', 'rbac.authorization.k8s.io/v1 ClusterRole', "
      .. "{ apiVersion = 'y.io/v1', kind = 'Namespace' }, { apiVersion = 'y.io/v1', kind = 'Zone', scope = 'Cluster' }, "
      .. "{ apiVersion = 'y.io/v1', kind = 'Bed', scope = 'Namespaced' }"))
    local scopes = { parent = it_.parent.scope }
    for i, row in ipairs(it_.children) do scopes[i] = row.scope or false end
    assert.same({ 'Cluster', false, 'Cluster', false, 'Cluster', false, parent = 'Cluster' }, scopes)
    fails("policy.manifest.children[1].scope 'Here' is not one of Cluster, Namespaced", manifest,
      with(CLUSTER, "{ apiVersion = 'y.io/v1', kind = 'Bed', scope = 'Here' }"))
    fails("policy.manifest.parent.scope 'cluster' is not one of", manifest, "parent = { apiVersion = 'x.io/v1', kind = 'T', scope = 'cluster' }")
  end)

  it('is that of the CRD, and of no namespace in cases', function()
    local it_ = manifest(CLUSTER .. ',\ncrd = {}')
    assert.equal('Cluster', it_.crd.spec.scope)
    assert.is_nil(require 'cases'.snapshot({}, it_).parent.metadata.namespace)
    assert.equal('default', require 'cases'.snapshot({}, manifest(INSIDE)).parent.metadata.namespace)
  end)

  it('goes with no label of related objects, which are looked for in the namespace of the parent', function()
    fails('policy.manifest.related[1].label finds objects in the namespace of the parent, and Tenant is in none: use rules', manifest,
      CLUSTER .. ",\nrelated = { { apiVersion = 'v1', kind = 'Pod', label = 'l' } }")
    local related = { { apiVersion = 'v1', kind = 'Pod', rules = true } }
    assert.same({ { apiVersion = 'v1', kind = 'Pod' } }, policy_of.rules({ { kind = 'Pod' } }, { name = 'a' }, related))
  end)
end)

describe('a parent in no namespace', function()
  it('owns children in many namespaces, and such as are in none', function()
    local done = plan(load(with(CLUSTER, MAP .. ", 'rbac.authorization.k8s.io/v1 ClusterRole'"), map "name = 'm', namespace = 'one'",
      map "name = 'm', namespace = 'two'", ROLE), { name = 'ants' })
    local places = {}
    for i, item in ipairs(done.objects) do
      places[i] = item.object.metadata.namespace or false
      assert.same({ 'Tenant', 'ants', 'u-1' }, { item.object.metadata.ownerReferences[1].kind, item.object.metadata.ownerReferences[1].name,
        item.object.metadata.ownerReferences[1].uid })
    end
    assert.same({ 'one', 'two', false }, places)
  end)

  it('must say where a child is, and not of one that is nowhere', function()
    fails("role 'a': ConfigMap is in a namespace, and its parent in none: name it in metadata.namespace", plan,
      load(with(CLUSTER, MAP), map "name = 'm'"), { name = 'ants' })
    fails("role 'a': ClusterRole is in no namespace: leave metadata.namespace out", plan,
      load(with(CLUSTER, "'rbac.authorization.k8s.io/v1 ClusterRole'"), (ROLE:gsub("name = 'r'", "name = 'r', namespace = 'one'"))), { name = 'ants' })
  end)

  it('tells children of one name apart by their namespace', function()
    local b = load(with(CLUSTER, MAP), map "name = 'm', namespace = ctx.child('ConfigMap', 'm', 'two').data.next")
    local function child(namespace, next_)
      return { apiVersion = 'v1', kind = 'ConfigMap', metadata = { name = 'm', namespace = namespace }, data = { next = next_ } }
    end
    local done = plan(b, { name = 'ants' }, { child('one', 'three'), child('two', 'four'), child('six', 'five') })
    assert.equal('four', done.objects[1].object.metadata.namespace)
  end)
end)

describe('a parent in a namespace', function()
  it('owns by reference what is in that namespace only', function()
    fails("role 'a': namespace 'two' is not the parent's: Kubernetes knows no owner in another namespace; with owned_by = 'label' in the row of ConfigMap",
      plan, load(with(INSIDE, MAP), map "name = 'm', namespace = 'two'"), { name = 'a', namespace = 'one' })
    fails("role 'a': ClusterRole is in no namespace, and Kubernetes lets no owner have it that is in one; with owned_by = 'label'", plan,
      load(with(INSIDE, "'rbac.authorization.k8s.io/v1 ClusterRole'"), ROLE), { name = 'a', namespace = 'one' })
  end)

  it('has children elsewhere by a label, and every child of such a kind', function()
    local b = load(with(INSIDE, BY_LABEL .. ", { apiVersion = 'rbac.authorization.k8s.io/v1', kind = 'ClusterRole', owned_by = 'label' }"),
      map "name = 'm', namespace = 'two'", map "name = 'm', labels = { mine = 'yes' }", ROLE)
    local done = plan(b, { name = 'a', namespace = 'one' })
    for _, item in ipairs(done.objects) do
      local metadata = item.object.metadata
      assert.is_nil(metadata.ownerReferences)
      assert.equal('u-1', metadata.labels['team-operator/owner-uid'])
      assert.equal('one/a', metadata.annotations['team-operator/owner'])
    end
    assert.same({ 'two', 'one' }, { done.objects[1].object.metadata.namespace, done.objects[2].object.metadata.namespace })
    assert.equal('yes', done.objects[2].object.metadata.labels.mine)
  end)

  it('needs a finalizer for these, since Kubernetes collects nothing without an owner', function()
    local wanted = "v1 ConfigMap with owned_by = 'label' needs a finalizer in the manifest: without one nobody deletes it when its Team goes"
    fails('the manifest: ' .. wanted, manifest, with(INSIDE, BY_LABEL, ',\nfinalizer = false'))
    fails("policy.manifest.children[1].owned_by 'name' is not one of label, reference", manifest, with(INSIDE, (BY_LABEL:gsub("'label'", "'name'"))))
    fails('policy.manifest.children[1].owned_by: nobody owns shared objects', manifest, with(INSIDE, (BY_LABEL:gsub("'label'", "'label', shared = true"))))
    assert.is_nil(manifest(with(INSIDE, (BY_LABEL:gsub("'label'", "'reference'")))).children[1].owned_by)
  end)

  it('copies Secrets into its own namespace only', function()
    local b = load(with(INSIDE, BY_LABEL))
    local other = bundle.load({ { name = 'manifest.lua', origin = '', source = "return require 'policy'.manifest { " .. INSIDE .. ' }' },
      { name = 'p.lua', origin = '', source = [[return require 'policy'.define { name = 'p', render = function(_, _, plan)
        plan:copy_secret('s', { metadata = { name = 's', namespace = 'two' } }, { k = { namespace = 'o', name = 'n', key = 'k' } }) end }]] } }, nil, host)
    assert.equal(0, #plan(b, { name = 'a', namespace = 'one' }).objects)
    fails("namespace 'two' is not the parent's", plan, other, { name = 'a', namespace = 'one' })
  end)
end)

describe('children of which only metadata is seen', function()
  local SECRET = "{ apiVersion = 'v1', kind = 'Secret', plural = 'secrets', projection = 'metadata' }"
  it('are copied or kept: what cannot be seen cannot be compared', function()
    fails("role 'a': only metadata of each Secret is seen (projection = 'metadata'): it can be kept, and a Secret copied, but not compared", plan,
      load(with(INSIDE, SECRET), "{ apiVersion = 'v1', kind = 'Secret', metadata = { name = 's' } }"), { name = 'a', namespace = 'one' })
  end)

  it('are seen as copies by their label where the row says that a label tells whose they are', function()
    local b = bundle.load({ { name = 'manifest.lua', origin = '', source = "return require 'policy'.manifest { "
        .. with(INSIDE, (SECRET:gsub(' }$', ", owned_by = 'label' }"))) .. ' }' },
      { name = 'p.lua', origin = '', source = [[return require 'policy'.define { name = 'p', render = function(_, _, plan)
        plan:copy_secret('s', { metadata = { name = 's' } }, { k = { namespace = 'o', name = 'n', key = 'k' } }) end }]] } }, nil, host)
    local metadata = plan(b, { name = 'a', namespace = 'one' }).copies[1].object.metadata
    assert.equal('u-1', (metadata.labels or {})['team-operator/owner-uid'])
    assert.equal('one/a', metadata.annotations['team-operator/owner'])
    assert.equal('u-1', metadata.ownerReferences[1].uid)
  end)

  it('are not shared in another row: the mark of another class would not be seen either', function()
    local both = with(INSIDE, SECRET .. ", { apiVersion = 'v1', kind = 'Secret', plural = 'secrets', shared = true }")
    local b = bundle.load({ { name = 'manifest.lua', origin = '', source = "return require 'policy'.manifest { " .. both .. ' }' },
      { name = 'p.lua', origin = '', source = [[return require 'policy'.define { name = 'p', render = function(_, _, plan)
        plan:shared('s', { apiVersion = 'v1', kind = 'Secret', metadata = { name = 's' } }) end }]] } }, nil, host)
    fails("role 's': only metadata of each Secret is seen (projection = 'metadata')", plan, b, { name = 'a', namespace = 'one' })
  end)
end)

describe('rights', function()
  it('are those of the kinds that a bundle names, and what its manifest asks for beside them', function()
    local more = ",\nrights = { { apiGroups = { 'r.io' }, resources = { 'roles' }, verbs = { 'bind' } } }"
    local rules = deploy.rules(manifest(with(CLUSTER, "'v1 Namespace'", more)))
    assert.same({ apiGroups = { '' }, resources = { 'namespaces' }, verbs = { 'get', 'list', 'watch', 'create', 'patch', 'delete' } }, rules[4])
    assert.same({ apiGroups = { 'r.io' }, resources = { 'roles' }, verbs = { 'bind' } }, rules[#rules])
    fails('policy.manifest.rights[1].verbs is missing', manifest, CLUSTER .. ",\nrights = { { apiGroups = { '' }, resources = { 'pods' } } }")
    fails('policy.manifest.rights[1].verbs must be a list', manifest,
      CLUSTER .. ",\nrights = { { apiGroups = { '' }, resources = { 'pods' }, verbs = { a = 1 } } }")
  end)
end)
