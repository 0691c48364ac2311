--- small: the modules of the SDK that are a handful of functions each.
local fails = require 'fails'
local json = require 'json'
local k8s = require 'k8s'
local schema = require 'schema'
local text = require 'text'
local quantity = require 'quantity'
local conditions = require 'conditions'
local times = require 'times'

describe('text', function()
  it('splits and trims', function()
    assert.same({ 'a', '', 'b' }, text.split('a..b', '.'))
    assert.same({ '' }, text.split('', ','))
    assert.equal('a b', text.trim ' \t a b\r\n')
    assert.equal('', text.trim '   ')
  end)

  it('knows beginnings and ends', function()
    assert.is_true(text.starts_with('asya-x', 'asya-'))
    assert.is_false(text.starts_with('x', 'asya-'))
    assert.is_true(text.ends_with('a.lua', '.lua'))
    assert.is_true(text.ends_with('a', ''))
    assert.is_false(text.ends_with('lua', 'a.lua'))
  end)

  it('hashes the same text to the same digits', function()
    assert.equal('cbf29ce484222325', text.hash '')
    assert.equal('af63dc4c8601ec8c', text.hash 'a')
    for input, digest in pairs { -- of FIPS 180-2, and one for each length of padding
      [''] = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855',
      abc = 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad',
      abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq = '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
    } do
      assert.equal(digest, text.sha256(input))
    end
    assert.is_false(pcall(text.sha256, 1))
  end)

  it('encodes for URLs', function() assert.equal('a%2Fb%20c-._~%C3%A9', text.url_encode 'a/b c-._~é') end)

  it('base64 there and back', function()
    for plain, coded in pairs { [''] = '', f = 'Zg==', fo = 'Zm8=', foo = 'Zm9v', ['\0\255'] = 'AP8=' } do
      assert.equal(coded, text.base64_encode(plain))
      assert.equal(plain, text.base64_decode(coded))
    end
    assert.is_nil(text.base64_decode 'a b')
  end)
end)

describe('times', function()
  it('reads times as seconds since 1970', function()
    for time, seconds in pairs {
      ['1970-01-01T00:00:00Z'] = 0, ['2000-02-29T12:00:00Z'] = 951825600, ['2100-03-01T00:00:00Z'] = 4107542400,
      ['2026-11-23T14:20:00.123456Z'] = 1795443600,
    } do assert.equal(seconds, times.seconds(time)) end
    for _, wrong in ipairs { '', '2026-11-23', '2026-11-23T14:20:00+01:00', 5 } do assert.is_nil(times.seconds(wrong)) end
  end)

  it('counts the seconds between two times', function()
    assert.equal(86400, times.between('2024-02-28T23:59:59Z', '2024-02-29T23:59:59Z'))
    assert.equal(-1, times.between('2024-03-01T00:00:00Z', '2024-02-29T23:59:59Z'))
    assert.is_nil(times.between(nil, '2024-02-29T23:59:59Z'))
  end)
end)

describe('quantity', function()
  it('compares exactly', function()
    for _, row in ipairs { { '1', '1000m', 0 }, { '0.5', '500m', 0 }, { '1Ki', 1024, 0 }, { '1Gi', '1G', 1 }, { '100m', '0.2', -1 }, { '-1', '1', -1 } } do
      assert.equal(row[3], quantity.compare(row[1], row[2]))
    end
    for _, wrong in ipairs { 'x', '', '1.2.3', '1Kx', '99999999999999999999', {} } do assert.is_nil(quantity.compare(wrong, '1')) end
  end)

  it('adds', function()
    assert.equal('1500m', quantity.add('1', '500m'))
    assert.equal('3', quantity.add('1', 2))
    assert.equal('2048', quantity.add('1Ki', '1Ki'))
    assert.equal('1n', quantity.add('0', '1n'))
    assert.is_nil(quantity.add('1', 'x'))
  end)
end)

describe('conditions', function()
  local function set(before, status)
    local list = {}
    conditions.set(list, before, { type = 'Ready', status = status, reason = 'Fine', message = 'm' }, 'T2', 4)
    return list
  end

  it('keep their time while the status is the same', function()
    local before = { { type = 'Ready', status = 'True', reason = 'Old', message = '', lastTransitionTime = 'T1' } }
    assert.equal('T1', conditions.get(set(before, 'True'), 'Ready').lastTransitionTime)
    assert.equal('T2', conditions.get(set(before, 'False'), 'Ready').lastTransitionTime)
    assert.equal('T2', conditions.get(set(nil, 'True'), 'Ready').lastTransitionTime)
    assert.equal(4, conditions.get(set(nil, 'True'), 'Ready').observedGeneration)
    assert.is_nil(conditions.get(nil, 'Ready'))
    assert.equal('True', conditions.of({ status = { conditions = { { type = 'Ready', status = 'True' } } } }, 'Ready').status)
    for _, none in ipairs { {}, { status = 'x' }, { status = {} } } do assert.is_nil(conditions.of(none, 'Ready')) end
    assert.is_nil(conditions.of(nil, 'Ready'))
  end)

  it('refuse a reason that the server would refuse', function()
    fails('not CamelCase', conditions.set, {}, nil, { type = 'A', status = 'True', reason = 'two words', message = '' }, 'T', 1)
  end)
end)

describe('schema', function()
  local fields = {
    name = schema.string { min_len = 2, max_len = 4, pattern = '^%l+$' },
    mode = schema.string { enum = { 'a', 'b' } }:default 'a',
    port = schema.scalar():default '1',
    count = schema.integer { min = 1, max = 9 }:doc 'How many.',
    ratio = schema.number { max = 1 },
    on = schema.boolean():default(false),
    list = schema.array(schema.integer()),
    map = schema.map(schema.string()),
    deep = schema.table { inner = schema.integer():default(3) },
    rest = schema.any(),
  }

  it('fills in defaults', function()
    local got = schema.apply(fields, { port = 5672, list = json.array { 1 }, map = { a = 'x' }, rest = { 1 } }, 'p')
    assert.same({ 'a', '5672', false, 3, 'x', 1 }, { got.mode, got.port, got.on, got.deep.inner, got.map.a, got.list[1] })
    assert.is_nil(got.name)
  end)

  it('names what is wrong', function()
    for _, row in ipairs {
      { { name = 'x' }, 'p.name: must have at least 2' }, { { name = 'xxxxx' }, 'at most 4' }, { { name = 'X1' }, 'does not match' },
      { { mode = 'c' }, "p.mode: 'c' is not one of a, b" }, { { count = 0 }, 'p.count: must be at least 1' }, { { count = 1.5 }, 'expected integer' },
      { { ratio = 2 }, 'p.ratio: must be at most 1' }, { { on = 'yes' }, 'p.on: expected boolean' }, { { list = { a = 1 } }, 'p.list: expected list' },
      { { list = json.array { 'x' } }, 'p.list[0]: expected integer' }, { { map = { a = 1 } }, 'p.map.a: expected string' },
      { { deep = { inner = 'x' } }, 'p.deep.inner: expected integer' }, { { nmae = 1 }, "p: unknown parameter 'nmae'" }, { { port = {} }, 'p.port' },
    } do
      fails(row[2], schema.apply, fields, row[1], 'p')
    end
  end)

  it('describes itself', function()
    local rows = schema.describe(fields)
    assert.equal(11, #rows)
    assert.same({ path = 'count', type = 'integer', doc = 'How many.' }, rows[1])
    assert.same({ path = 'deep.inner', type = 'integer', default = 3 }, rows[3])
  end)
end)

describe('json', function()
  it('keeps arrays, null and integers apart', function()
    local value = json.decode '{"a":[],"b":{},"c":null,"d":[1,2.5,"\\u00e9\\ud83d\\ude00"],"e":true}'
    assert.is_true(json.is_array(value.a))
    assert.is_false(json.is_array(value.b))
    assert.equal(json.null, value.c)
    assert.equal('integer', math.type(value.d[1]))
    assert.equal('é😀', value.d[3])
    assert.equal('{"a":[],"b":{},"c":null,"d":[1,2.5,"é😀"],"e":true}', json.encode(value))
    assert.equal('[]', json.encode(json.array()))
    assert.equal('{\n  "a": 1\n}', json.encode({ a = 1 }, '  '))
  end)

  it('says where text is malformed', function()
    for _, wrong in ipairs { '', '{', '[1,]', '{"a" 1}', 'nul', '"\\x"', '1 2' } do assert.is_false((pcall(json.decode, wrong))) end
  end)
end)

describe('k8s lists', function()
  it('find, add and refuse what is there already', function()
    local pod = { containers = json.array { { name = 'a', env = json.array { { name = 'X', value = '1' } } } } }
    assert.equal('a', k8s.container(pod, 'a').name)
    assert.is_nil(k8s.container(pod, 'b'))
    assert.same({ 'a', 1 }, { k8s.find(pod.containers, 'a').name, select(2, k8s.find(pod.containers, 'a')) })
    k8s.add_init_container(pod, { name = 'i' })
    k8s.add_volume(pod, { name = 'v' })
    assert.equal('i', pod.initContainers[1].name)
    fails("volume 'v' exists already", k8s.add_volume, pod, { name = 'v' })
  end)

  it('labels given win over our own', function() assert.same({ a = '1', b = '2' }, k8s.with_labels({ b = '2' }, { a = '1', b = 'x' })) end)
end)
