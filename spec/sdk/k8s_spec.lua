--- k8s and its neighbours: the helpers policies are written with.
local k8s = require 'k8s'
local json = require 'json'
local text = require 'text'
local quantity = require 'quantity'
local conditions = require 'conditions'
local schema = require 'schema'

describe('k8s', function()
  it('gets by path, with null as absent', function()
    local object = { a = { b = 1, n = json.null }, labels = { ['x.y/z'] = 'v' } }
    assert.equal(1, k8s.get(object, 'a.b'))
    assert.equal('d', k8s.get(object, 'a.n', 'd'))
    assert.is_nil(k8s.get(object, 'a.b.c'))
    assert.equal('v', k8s.get(object, { 'labels', 'x.y/z' }))
    assert.is_nil(k8s.get(nil, 'a'))
  end)
  it('takes a positive integer, and a default for everything else', function()
    assert.same({ 5, 5, 7, 7, 7, 7 }, { k8s.positive(5), k8s.positive('5'), k8s.positive(0, 7), k8s.positive(-1, 7), k8s.positive(nil, 7),
      k8s.positive(1.5, 7) })
    assert.is_nil(k8s.positive 'many')
  end)

  it('sets by path, making tables on the way', function()
    local object = {}
    k8s.set(object, 'a.b.c', 1)
    assert.equal(1, object.a.b.c)
  end)

  it('copies deeply and keeps arrays arrays', function()
    local original = { list = json.array {}, inner = { 1 } }
    local copy = k8s.copy(original)
    assert.is_true(json.is_array(copy.list))
    copy.inner[1] = 2
    assert.equal(1, original.inner[1])
  end)

  it('removes with null where there is nothing to remove, too: a pod without annotations gets no empty one', function()
    local overlay = { metadata = { annotations = { gone = json.null, new = 'n' } } }
    for _, base in ipairs { {}, { metadata = json.null }, { metadata = {} }, { metadata = { annotations = json.null } } } do
      assert.same({ metadata = { annotations = { new = 'n' } } }, k8s.merge(base, overlay))
    end
  end)

  it('merges lists by the keys of Kubernetes, replaces others, and null removes', function()
    local base = { containers = json.array { { name = 'a', image = '1' } }, args = json.array { 'x', 'y' }, gone = 1 }
    local merged = k8s.merge(base, {
      containers = json.array { { name = 'a', tty = true }, { name = 'b' } }, args = json.array { 'z' }, gone = json.null,
    })
    assert.same({ name = 'a', image = '1', tty = true }, merged.containers[1])
    assert.equal('b', merged.containers[2].name)
    assert.equal(1, #merged.args)
    assert.is_nil(merged.gone)
    assert.equal(1, base.gone)
  end)

  it('adds variables: the last value wins, the first place stays', function()
    local container = { env = json.array { { name = 'A', value = '1' }, { name = 'B', value = '2' } } }
    k8s.add_env(container, { { name = 'A', value = '3' }, { name = 'C', value = '4' } })
    assert.same({ 'A', 'B', 'C' }, { container.env[1].name, container.env[2].name, container.env[3].name })
    assert.equal('3', k8s.env_value(container, 'A'))
  end)

  it('refuses a second container or mount of one name', function()
    local pod = {}
    k8s.add_container(pod, { name = 'a' })
    assert.has_error(function() k8s.add_container(pod, { name = 'a' }) end, "container 'a' exists already")
    k8s.add_mount(pod.containers[1], { name = 'v', mountPath = '/x' })
    assert.has_error(function() k8s.add_mount(pod.containers[1], { name = 'w', mountPath = '/x' }) end)
  end)

  it('tells what an object holds and where it differs', function()
    assert.is_true(k8s.contains({ a = { b = 1 } }, { a = { b = 1, c = 2 } }))
    local same, where = k8s.contains({ a = { b = 1 } }, { a = { b = 2 } })
    assert.is_false(same)
    assert.equal('a.b', where)
  end)

  it('makes names that fit', function()
    local long = k8s.name { ('x'):rep(70), 'end' }
    assert.equal(63, #long)
    assert.is_true(k8s.is_dns_label(long))
    assert.equal('a-b', k8s.name { 'a', 'b' })
    assert.is_false(k8s.is_dns_label '-a')
  end)
end)

describe('text', function()
  it('encodes and decodes base64', function()
    for _, s in ipairs { '', 'f', 'fo', 'foo', 'foobar', '\0\255' } do assert.equal(s, text.base64_decode(text.base64_encode(s))) end
    assert.equal('Zm9vYg==', text.base64_encode 'foob')
    assert.is_nil(text.base64_decode '!')
  end)
  it('splits, trims and escapes', function()
    assert.same({ 'a', '', 'b' }, text.split('a..b', '.'))
    assert.equal('x y', text.trim ' \tx y\n')
    assert.equal('p%40ss%2F', text.url_encode 'p@ss/')
    assert.is_true(text.starts_with('abc', 'ab') and text.ends_with('abc', 'bc'))
  end)
end)

describe('quantity', function()
  it('compares exactly', function()
    for _, case in ipairs {
      { '1000m', '1', 0 }, { '1Gi', '1024Mi', 0 }, { '0.1', '100m', 0 }, { '1', '1.000000001', -1 }, { 2, '1999m', 1 }, { '-1', '1', -1 }, { '1k', '1Ki', -1 },
    } do
      assert.equal(case[3], quantity.compare(case[1], case[2]), case[1] .. ' ' .. case[2])
    end
    assert.is_nil(quantity.compare('x', '1'))
  end)
  it('adds', function()
    assert.equal('1500m', quantity.add('1', '500m'))
    assert.equal('2', quantity.add('1500m', '0.5'))
  end)
end)

describe('conditions', function()
  it('keeps the time until the status flips', function()
    local before, list = { { type = 'Ready', status = 'True', reason = 'A', message = '', lastTransitionTime = 'then' } }, {}
    conditions.set(list, before, { type = 'Ready', status = 'True', reason = 'B', message = 'new' }, 'now', 3)
    assert.equal('then', list[1].lastTransitionTime)
    assert.equal('new', list[1].message)
    conditions.set(list, before, { type = 'Ready', status = 'False', reason = 'B', message = '' }, 'now', 3)
    assert.equal('now', list[1].lastTransitionTime)
    assert.equal(1, #list)
  end)
end)

describe('schema', function()
  local fields = { n = schema.integer({ min = 1 }):default(5):doc 'a number', s = schema.string { enum = { 'a', 'b' } } }
  it('fills in defaults', function() assert.equal(5, schema.apply(fields, {}, 'p').n) end)
  it('names what is wrong', function()
    assert.has_error(function() schema.apply(fields, { n = 'x' }, 'p') end, "p.n: expected integer, got string 'x'")
    assert.has_error(function() schema.apply(fields, { n = 0 }, 'p') end, 'p.n: must be at least 1, not 0')
    assert.has_error(function() schema.apply(fields, { s = 'c' }, 'p') end, "p.s: 'c' is not one of a, b")
    assert.has_error(function() schema.apply(fields, { m = 1 }, 'p') end, "p: unknown parameter 'm' (known: n, s)")
  end)
  it('describes itself', function() assert.same({ path = 'n', type = 'integer', default = 5, doc = 'a number' }, schema.describe(fields)[1]) end)
end)

describe('json', function()
  it('is the identity on what it reads', function()
    for _, s in ipairs { '{"a":[],"b":{},"c":null,"d":[1,2.5,-3],"e":"\\u0001é\\"","f":true}', '[]', '9007199254740991', '"x"' } do
      assert.equal(s, json.encode(json.decode(s)))
    end
  end)
  it('writes integral floats as integers', function() assert.equal('5', json.encode(10 / 2)) end)
  for _, bad in ipairs { '{}x', '[1,]', '{"a" 1}', '01', '"\\ud800"', '12345678901234567890', '1e999', '', '[1 2]', 'nul' } do
    it('refuses ' .. bad, function() assert.is_false(pcall(json.decode, bad)) end)
  end
  it('names the path of what cannot be written', function()
    assert.has_error(function() json.encode { a = { b = print } } end, '$.a.b: a function cannot be written as JSON')
  end)
end)
