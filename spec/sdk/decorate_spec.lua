--- decorate: bundles whose parents are somebody else's.
local fails = require 'fails'
local bundle = require 'bundle'
local deploy = require 'deploy'
local host = require 'host'

--- A bundle for Pods with these traits, whose policy has these hooks.
local function load(traits, hooks, more)
  return bundle.load({
    { name = 'manifest.lua', origin = '', source = ([[return require 'policy'.manifest {
parent = 'v1 Pod', domain = 'd.io', children = { 'v1 Service' }, decorate = %s, %s
}]]):format(traits, more or '') },
    { name = 'p.lua', origin = '', source = ("return require 'policy'.define { name = 'p', %s }"):format(hooks or '') },
  }, nil, host)
end

local SERVICE <const> = [[render = function(pod, _, plan)
  plan:add('s', { apiVersion = 'v1', kind = 'Service', metadata = { name = pod.metadata.name } })
end]]
local function pod(metadata, spec)
  metadata.name, metadata.namespace, metadata.uid = 'a', 'n', 'u-1'
  return { now = 't', parent = { metadata = metadata, spec = spec or {} }, children = {} }
end

describe('a bundle with decorate', function()
  it('is for objects with all of its traits', function()
    local b = load("{ labels = { app = 'x', tier = true }, annotations = { ['d.io/on'] = true }, fields = { ['spec.nodeName'] = 'm' } }", SERVICE)
    local function made(labels, annotations, spec) return #b:plan(pod({ labels = labels, annotations = annotations }, spec)).objects end
    assert.equal(1, made({ app = 'x', tier = 'y' }, { ['d.io/on'] = '' }, { nodeName = 'm' }))
    assert.equal(0, made({ app = 'z', tier = 'y' }, { ['d.io/on'] = '' }, { nodeName = 'm' }))
    assert.equal(0, made({ app = 'x' }, { ['d.io/on'] = '' }, { nodeName = 'm' }))
    assert.equal(0, made({ app = 'x', tier = 'y' }, nil, { nodeName = 'm' }))
    assert.equal(0, made({ app = 'x', tier = 'y' }, { ['d.io/on'] = '' }, { nodeName = 'o' }))
    assert.equal(1, #load('{}', SERVICE):plan(pod {}).objects)
  end)

  it('asks no hook about others', function()
    local hooks = {}
    for i, hook in ipairs { 'relate', 'render', 'status', 'validate' } do hooks[i] = ("%s = function() error 'asked' end"):format(hook) end
    local b = load("{ labels = { app = 'x' } }", table.concat(hooks, ', '))
    assert.equal(0, #b:plan(pod {}).objects)
    assert.equal(0, #b:relate(pod {}).rules)
    assert.same({}, b:status(pod {}).status)
  end)

  it('marks children by a label, and names an owner that does not control them', function()
    local metadata = load('{}', SERVICE):plan(pod {}).objects[1].object.metadata
    assert.equal('u-1', metadata.labels['pod-decorator/owner-uid'])
    assert.equal('n/a', metadata.annotations['pod-decorator/owner'])
    assert.same({ { apiVersion = 'v1', kind = 'Pod', name = 'a', uid = 'u-1' } }, metadata.ownerReferences)
  end)

  it('writes under a name that bundles of others for the same kind do not have', function()
    assert.equal('pod-decorator.d.io', load('{}'):manifest().field_manager)
    assert.equal('painter', load('{}', nil, "field_manager = 'painter'"):manifest().field_manager)
    fails('field_manager', load, '{}', nil, ("field_manager = '%s'"):format(('m'):rep(129)))
  end)

  it('has children in the namespace of the parent only, since nobody else would delete them', function()
    fails("namespace 'm' is not the parent's: Kubernetes knows no owner in another namespace", function()
      load('{}', (SERVICE:gsub('name = pod', "namespace = 'm', name = pod"))):plan(pod {})
    end)
    fails("with owned_by = 'label' needs a finalizer in the manifest", load, '{}', nil,
      "related = {}, children = { { apiVersion = 'v1', kind = 'Service', owned_by = 'label' } }")
  end)

  it('writes nothing to its parents', function()
    local m = load('{}'):manifest()
    for _, field in ipairs { 'finalizer', 'rendered_digest', 'bundle_digest', 'queue_records', 'claim' } do assert.is_nil(m[field]) end
    fails("policy.manifest.finalizer: the parents of a bundle with `decorate` are not ours", load, '{}', nil, "finalizer = 'd.io/f'")
    fails('policy.manifest.crd: the parents of a bundle', load, '{}', nil, 'crd = {}')
    fails('the hook queues is for parents of our own only', load, '{}', 'queues = function() end')
    fails('the hook finalize needs a finalizer', load, '{}', 'finalize = function() end')
    fails("status.phase: the status is somebody else's; say it with plan:event", function()
      load('{}', "status = function(_, _, status) status.phase = 'x' end"):status(pod {})
    end)
    for call, wrong in pairs {
      ["plan:queue { name = 'q' }"] = 'plan:queue: the parents of a bundle with `decorate` are not ours',
      ["plan:label('a', 'b')"] = 'plan:label: the parents of a bundle with `decorate` are not ours: use plan:patch',
      ["plan:copy_secret('s', { metadata = { name = 's' } }, { k = { namespace = 'o', name = 'n', key = 'k' } })"] = 'plan:copy_secret: a Secret is copied',
    } do
      fails(wrong, function() load('{}', ('render = function(_, _, plan) %s end'):format(call)):plan(pod {}) end)
    end
    assert.same({ apiGroups = { '' }, resources = { 'pods' }, verbs = { 'list', 'watch' } }, deploy.rules(m)[1])
    assert.same({ '', 'services' }, { deploy.rules(m)[2].apiGroups[1], deploy.rules(m)[2].resources[1] })
  end)

  it('puts labels and annotations on its parents, when the manifest says so', function()
    local hooks = "render = function(_, _, plan) plan:patch { labels = { a = 'b' } } plan:patch { labels = { c = 'd' }, annotations = { e = 'f' } } %s end"
    local b = load('{}', hooks:format '', 'patches = true')
    assert.same({ labels = { a = 'b', c = 'd' }, annotations = { e = 'f' } }, b:plan(pod {}).patch)
    assert.same({ 'list', 'watch', 'patch' }, setmetatable(deploy.rules(b:manifest())[1].verbs, nil))
    assert.is_nil(load('{}', SERVICE, 'patches = true'):plan(pod {}).patch)
    local function fails_with(call, wrong) fails(wrong, function() load('{}', hooks:format(call), 'patches = true'):plan(pod {}) end) end
    fails_with("plan:patch { labels = { a = 'other' } }", "patch: labels['a'] is 'b' already")
    fails_with("plan:patch { spec = {} }", 'patch takes { labels =, annotations =, status = }')
    fails_with("plan:patch { status = { phase = 'x' } }", 'write decorate = {...} and patches_status = true into the manifest')
    fails_with('plan:patch { labels = { a = 1 } }', 'patch: labels must be texts by name')
    fails('plan:patch is for objects of somebody else: write decorate = {...} and patches = true into the manifest', function()
      load('{}', hooks:format ''):plan(pod {})
    end)
    fails('policy.manifest.patches is for objects of somebody else: it goes with decorate', bundle.peek,
      { { name = 'm.lua', origin = '', source = "return require 'policy'.manifest { parent = 'd.io/v1 Own', patches = true }" } }, host)
  end)

  it('puts fields into the status of its parents, when the manifest says so, and each policy adds its own', function()
    local hooks = [[render = function(_, _, plan)
      local json = require 'json'
      local function condition(kind) return { conditions = json.array { { type = kind, status = 'True' } } } end
      plan:patch { status = condition 'A' }
      plan:patch { status = { deep = { phase = 'x' } } }
      plan:patch { status = condition 'B' }
      plan:patch { status = { deep = { phase = 'x', more = json.array { 1 } } } }
      %s end]]
    local b = load('{}', hooks:format '', 'patches_status = true')
    assert.same({ conditions = { { type = 'A', status = 'True' }, { type = 'B', status = 'True' } }, deep = { phase = 'x', more = { 1 } } },
      require 'json'.decode(require 'json'.encode(b:plan(pod {}).patch.status)))
    assert.same({ apiGroups = { '' }, resources = { 'pods' }, verbs = { 'list', 'watch' } }, deploy.rules(b:manifest())[1])
    assert.same({ apiGroups = { '' }, resources = { 'pods/status' }, verbs = { 'patch' } }, deploy.rules(b:manifest())[2])
    for call, wrong in pairs {
      ["plan:patch { status = { deep = { phase = 'y' } } }"] = 'patch: status.deep.phase is said otherwise already',
      ["plan:patch { status = { deep = { more = json.array { 2 } } } }"] = 'patch: status.deep.more.1 is said otherwise already',
      ["plan:patch { status = { conditions = json.array { { type = 'A', status = 'False' } } } }"] =
        'patch: status.conditions.1.status is said otherwise already',
      ["plan:patch { labels = { a = 'b' } }"] = 'write decorate = {...} and patches = true into the manifest',
    } do
      fails(wrong, function() load('{}', hooks:format(call), 'patches_status = true'):plan(pod {}) end)
    end
    assert.is_nil(load('{}', 'render = function(_, _, plan) plan:patch { status = {} } end', 'patches_status = true'):plan(pod {}).patch)
    fails('policy.manifest.patches_status is for objects of somebody else: it goes with decorate', bundle.peek,
      { { name = 'm.lua', origin = '', source = "return require 'policy'.manifest { parent = 'd.io/v1 Own', patches_status = true }" } }, host)
  end)

  it('says what is wrong with its traits', function()
    for traits, wrong in pairs {
      ["{ label = { a = 'b' } }"] = "policy.manifest.decorate: unknown field 'label' (known: annotations, fields, labels)",
      ["{ labels = 'a' }"] = 'policy.manifest.decorate.labels must be a table',
      ['{ labels = { a = 1 } }'] = "policy.manifest.decorate.labels['a'] must be a text, or true for any",
      ["{ fields = { ['.'] = 'x' } }"] = 'policy.manifest.decorate.fields must be by name',
    } do
      fails(wrong, load, traits)
    end
    fails("policy.manifest.domain is missing: a kind of somebody else gives none; write domain = 'example.com'", bundle.peek,
      { { name = 'm.lua', origin = '', source = "return require 'policy'.manifest { parent = 'apps/v1 StatefulSet', decorate = {} }" } }, host)
  end)
end)
