local policy = require 'policy'

local MANIFEST = { parent = { apiVersion = 'x/v1', kind = 'Thing', plural = 'things' }, children = {}, field_manager = 'm', lease = 'l', component = 'c' }

local function with(base, changes)
  local copy = {}
  for k, v in pairs(base) do copy[k] = v end
  for k, v in pairs(changes) do copy[k] = v end
  return copy
end

describe('policy', function()
  local api, kind_of

  before_each(function()
    api, kind_of = policy.new(function(name)
      if name == 'data.txt' then return 'data' end
      return nil, 'no file ' .. name
    end, function() return 'p.lua' end)
  end)

  it('tells what was declared, and nothing else', function()
    local kind, content = kind_of(api.define { name = 'p', after = { 'q' } })
    assert.equal('policy', kind)
    assert.equal('p', content.name)
    assert.equal('q', content.after[1])
    assert.equal('manifest', (kind_of(api.manifest(MANIFEST))))
    assert.equal('library', (kind_of(api.library {})))
    assert.is_nil(kind_of { kind = 'policy', content = {} })
    assert.is_nil(kind_of(nil))
    assert.is_nil(kind_of('policy'))
  end)

  it('keeps a copy of a definition', function()
    local spec = { name = 'p' }
    local _, content = kind_of(api.define(spec))
    spec.name = 'q'
    assert.equal('p', content.name)
  end)

  it('names file and field of a wrong definition', function()
    local cases = {
      { nil, 'p.lua: policy.define must be a table' },
      { {}, 'p.lua: policy.define.name is missing' },
      { { name = '' }, 'p.lua: policy.define.name must not be empty' },
      { { name = 'A' }, "p.lua: policy.define.name 'A' must be of a-z, 0-9 and '-', at most 63" },
      { { name = ('x'):rep(64) }, 'at most 63' },
      { { name = 'p', render = {} }, 'p.lua: policy.define.render must be a function, not a table' },
      { { name = 'p', after = { 1 } }, 'p.lua: policy.define.after[1] must be a string' },
      { { name = 'p', after = { a = 'b' } }, 'p.lua: policy.define.after must be a list' },
      { { name = 'p', kinds = { 'Pod' } }, 'p.lua: policy.define.kinds[1] must be a table' },
      { { name = 'p', kinds = { { apiVersion = 'v1', kind = 'Pod' } } }, 'p.lua: policy.define.kinds[1].plural is missing' },
      { { name = 'p', params = 1 }, 'p.lua: policy.define.params must be a table, not a number' },
      { { name = 'p', hook = 1 }, "p.lua: policy.define: unknown field 'hook' (known: after, doc, finalize, finalize_seconds, kinds, name," },
      { { name = 'p', finalize_seconds = 5 }, 'finalize_seconds must be a whole number from 1 to 604800, beside the hook finalize' },
      { { name = 'p', finalize = print, finalize_seconds = 0.5 }, 'finalize_seconds must be a whole number' },
    }
    for _, case in ipairs(cases) do
      local ok, message = pcall(api.define, case[1])
      assert.is_false(ok)
      assert.is_truthy(message:find(case[2], 1, true), message)
    end
  end)

  it('names the field of a wrong manifest', function()
    local kind = { apiVersion = 'v1', kind = 'K', plural = 'ks' }
    local cases = {
      { { lease = '' }, 'policy.manifest.lease must not be empty' },
      { { parent = { apiVersion = 'v1' } }, 'policy.manifest.parent.kind is missing' },
      { { children = { with(kind, { shared = 1 }) } }, 'policy.manifest.children[1].shared must be a boolean, not a number' },
      { { children = { with(kind, { update = 'Never' }) } },
        "policy.manifest.children[1].update 'Never' is not one of InPlace, OnDelete, Recreate, RollingInPlace, RollingRecreate" },
      { { children = { with(kind, { update = 'OnDelete', shared = true }) } }, 'children[1].update: shared objects are changed in place' },
      { { children = { x = kind } }, 'policy.manifest.children must be a list' },
      { { related = { kind } }, 'policy.manifest.related[1] needs one of label, same_label, owner and rules' },
      { { related = { with(kind, { rules = true, label = 'l' }) } }, 'policy.manifest.related[1] needs one of label, same_label, owner and rules' },
      { { legacy_managers = { 1 } }, 'policy.manifest.legacy_managers[1] must be a string' },
      { { settings = { a = { typ = 1 } } }, "policy.manifest.settings.a: unknown field 'typ'" },
      { { settings = { a = { type = 'float' } } }, "policy.manifest.settings.a.type 'float' is not one of boolean, file, integer, json, string" },
      { { settings = { a = { env = 1 } } }, 'policy.manifest.settings.a.env must be a string or a list of strings' },
      { { settings = { a = { env = { 1 } } } }, 'policy.manifest.settings.a.env[1] must be a string' },
      { { settings = { a = { values = { x = 1 } } } }, 'policy.manifest.settings.a.values must be a list' },
      { { settings = { a = { remote = {} } } }, 'policy.manifest.settings.a.remote is for settings of type file' },
      { { settings = { a = { type = 'file', remote = { when = {} } } } }, 'policy.manifest.settings.a.remote.url is missing' },
      { { settings = { a = { type = 'file', remote = { when = { b = 1 }, url = 'x' } } } }, "a.remote: there is no setting 'b'" },
      { { settings = { a = { type = 'file', remote = { when = {}, url = '{c}/x' } } } }, "a.remote: there is no setting 'c'" },
      { { settings = { a = { type = 'file', remote = { when = {}, url = 'x', sha256 = 'd' } } } }, "a.remote: there is no setting 'd'" },
      { { settings = { params = {} } }, 'policy.manifest.settings.params: the name is taken' },
      { { finaliser = 'x' }, "policy.manifest: unknown field 'finaliser'" },
    }
    for _, case in ipairs(cases) do
      local ok, message = pcall(api.manifest, with(MANIFEST, case[1]))
      assert.is_false(ok)
      assert.is_truthy(message:find(case[2], 1, true), message)
    end
  end)

  it('makes invalid from a path and a format, or from fields', function()
    local _, a = kind_of(api.invalid('spec.x', 'is %d', 7))
    assert.same({ path = 'spec.x', message = 'is 7' }, a)
    local _, b = kind_of(api.invalid('spec.x', '100%'))
    assert.equal('100%', b.message)
    local kind, c = kind_of(api.invalid { message = 'm', reason = 'R', condition = 'C' })
    assert.equal('invalid', kind)
    assert.same({ message = 'm', reason = 'R', condition = 'C' }, c)
    assert.has_error(function() api.invalid('spec.x') end)
    assert.has_error(function() api.invalid { path = 'p' } end)
    assert.has_error(function() api.invalid { message = 'm', extra = 1 } end)
  end)

  it('reads data files', function()
    assert.equal('data', api.file('data.txt'))
    local ok, message = pcall(function() local _ = api.file('other') end)
    assert.is_false(ok)
    assert.matches('policy_spec.lua:%d+: no file other', message)
  end)
end)
