--- helpers: what policies compute with: templates, base64, times, quantities, conditions, versions and networks.
local fails = require 'fails'
local host = require 'host'
local json = require 'json'
local cidr = require 'cidr'
local conditions = require 'conditions'
local quantity = require 'quantity'
local semver = require 'semver'
local text = require 'text'
local times = require 'times'

-- What an observed object or a user may put where a text is expected.
local JUNK = { {}, 5.5, true, json.null, '', ' ', '\0', ('9'):rep(5000), ('a.'):rep(5000), ('('):rep(300), '\xff\xfe', '%s', '-', '+', '.', '/', ':' }

describe('text.fill', function()
  it('puts values where the template names them, and looks at them no more', function()
    local values = { name = 'a', spec = { n = 3, on = true }, ['a.b'] = 'dotted', evil = '{{name}}' }
    assert.equal('a-3 true dotted {{name}}', text.fill('{{name}}-{{ spec.n }} {{spec.on}} {{a.b}} {{evil}}', values))
    assert.equal('', text.fill('', values))
    assert.equal('{{x}} }} {', text.fill('{{{{x}} }} {', values))
  end)

  it('names what is missing, and what is no text', function()
    fails("'{{spec.m}}' is not among the values", text.fill, 'x {{spec.m}}', { spec = {} })
    fails("'{{spec}}' is a table", text.fill, '{{spec}}', { spec = {} })
    fails("'{{' at byte 3 has no '}}'", text.fill, 'x {{name', { name = 1 })
    for _, junk in ipairs { {}, 5, true } do fails('takes a template', text.fill, junk, {}) end
    fails('takes a template', text.fill, 'x', 'y')
  end)

  it('makes no text that is longer than a string may be', function()
    fails('is longer than 262144 bytes', text.fill, ('{{a}}'):rep(1000), { a = ('x'):rep(1000) })
  end)
end)

describe('text.base64', function()
  it('goes there and back over all bytes and lengths', function()
    local all = {}
    for i = 0, 255 do all[#all + 1] = string.char(i) end
    local bytes = table.concat(all)
    for length = 0, 256, 5 do assert.equal(bytes:sub(1, length), text.base64_decode(text.base64_encode(bytes:sub(1, length)))) end
    assert.equal('foob', text.base64_decode 'Zm9vYg')
  end)

  it('takes nothing for base64 that is none', function()
    for _, wrong in ipairs { 'Z', 'Zm9vY', 'Zg==x', 'Zm!v', 'Zm9v\n', 'Zg\0=', '\0' } do assert.is_nil(text.base64_decode(wrong), wrong) end
    for _, junk in ipairs { {}, 5, true } do
      fails('base64_decode takes a string', text.base64_decode, junk)
      fails('base64_encode takes a string', text.base64_encode, junk)
    end
  end)
end)

describe('times', function()
  it('writes what it reads', function()
    for second = -62167219200, 253402300799, 98765431 * 20 do assert.equal(second, times.seconds(times.text(second))) end
    assert.equal('2024-02-29T23:59:59Z', times.text(1709251199))
    assert.equal('1969-12-31T23:59:59Z', times.text(-1))
    for _, wrong in ipairs { 253402300800, -62167219201, math.maxinteger, math.mininteger, 1.5, '1' } do assert.is_nil(times.text(wrong)) end
  end)

  it('knows which days there are', function()
    for _, wrong in ipairs { '2026-02-29T00:00:00Z', '2026-13-01T00:00:00Z', '2026-00-10T00:00:00Z', '2026-04-31T00:00:00Z', '2026-01-00T00:00:00Z',
      '2026-01-01T24:00:00Z', '2026-01-01T00:60:00Z', '2026-01-01T00:00:61Z', '2026-01-01T00:00:00.1.2Z', '2026-01-01T00:00:00.Z' } do
      assert.is_nil(times.seconds(wrong), wrong)
    end
    assert.is_truthy(times.seconds '2024-02-29T00:00:00Z')
  end)

  it('reads durations', function()
    for duration, seconds in pairs {
      ['0s'] = 0, ['90s'] = 90, ['1h30m'] = 5400, ['1.5h'] = 5400, ['7d'] = 604800, ['500ms'] = 0, ['500ms500ms'] = 1, ['2d12h'] = 216000, ['.5m'] = 30,
      ['1999ms2us'] = 1, ['1.25d'] = 108000,
    } do assert.equal(seconds, times.duration(duration), duration) end
    assert.equal(60, times.duration(60))
    for _, wrong in ipairs { '5', '1y', '-5m', '1h 30m', 'h', '1..5h', '1hh', ('1h'):rep(40), -1 } do assert.is_nil(times.duration(wrong),
      tostring(wrong)) end
  end)

  it('adds durations to times', function()
    assert.equal('2024-03-01T00:00:00Z', times.add('2024-02-29T00:00:00Z', '24h'))
    assert.equal('2024-02-28T23:59:59Z', times.add('2024-02-29T00:00:00Z', -1))
    assert.is_nil(times.add('2024-02-30T00:00:00Z', '1h'))
    assert.is_nil(times.add('2024-02-28T00:00:00Z', 'soon'))
    assert.is_nil(times.add('9999-12-31T23:59:59Z', 1))
    assert.is_nil(times.add('2024-02-28T00:00:00Z', math.mininteger))
  end)

  it('shows durations as kubectl shows ages', function()
    for seconds, shown in pairs { [0] = '0s', [59] = '59s', [90] = '1m30s', [3600] = '1h', [3661] = '1h1m', [90061] = '1d1h', [86400] = '1d',
      [86460] = '1d', [-5] = '0s' } do
      assert.equal(shown, times.short(seconds))
    end
  end)
end)

describe('quantity', function()
  it('reads exponents', function()
    for _, row in ipairs { { '1e3', '1k' }, { '1E3', 1000 }, { '12e-3', '12m' }, { '1.5e3', 1500 }, { '1E', '1000P' } } do
      assert.equal(0, quantity.compare(row[1], row[2]), row[1])
    end
    for _, wrong in ipairs { '1e', '1e19', '1e-10', '1e3k', 'e3', '1e3.5' } do assert.is_nil(quantity.compare(wrong, 1), wrong) end
  end)

  it('adds, takes away and multiplies exactly', function()
    for _, row in ipairs { { '1', '500m', '1500m', '500m' }, { '1Ki', '24', '1048', '1000' }, { '100m', '200m', '300m', '-100m' }, { '-1', '0.5',
      '-500m', '-1500m' },
      { '1u', '1n', '1001n', '999n' }, { 1, 1, '2', '0' } } do
      assert.equal(row[3], quantity.add(row[1], row[2]))
      assert.equal(row[4], quantity.subtract(row[1], row[2]))
    end
    assert.equal('1500m', quantity.multiply('500m', 3))
    assert.equal('-1', quantity.multiply('500m', -2))
    assert.equal('0', quantity.multiply('500m', 0))
    assert.equal('0', quantity.sum {})
    assert.equal('1750m', quantity.sum { '1', '500m', '0.25' })
    assert.is_nil(quantity.sum { '1', 'x' })
    assert.is_nil(quantity.multiply('1', 1.5))
  end)

  it('has no result where none would be exact', function()
    assert.is_nil(quantity.add('9E', '9E'))
    assert.is_nil(quantity.add('9E', '1m'))
    assert.is_nil(quantity.add(math.maxinteger, 1))
    assert.is_nil(quantity.subtract(-math.maxinteger, 2))
    assert.is_nil(quantity.multiply('9E', 2))
    assert.is_nil(quantity.multiply(1, math.mininteger))
    assert.is_nil(quantity.compare(math.mininteger, 0))
    assert.equal(tostring(math.maxinteger), quantity.add(math.maxinteger, 0))
  end)

  it('rounds up to whole numbers', function()
    for value, whole in pairs { ['1m'] = 1, ['2Ki'] = 2048, ['1500m'] = 2, ['-1500m'] = -2, ['0'] = 0, ['-0'] = 0 } do assert.equal(whole,
      quantity.value(value)) end
    assert.equal(7, quantity.value(7))
    assert.is_nil(quantity.value 'x')
  end)

  it('agrees with small numbers counted by hand', function()
    for a = -30, 30, 7 do
      for b = -30, 30, 5 do
        local x, y = a * 250 .. 'm', tostring(b)
        assert.equal(0, quantity.compare(quantity.add(x, y), (a * 250 + b * 1000) .. 'm'))
        assert.equal(0, quantity.compare(quantity.subtract(x, y), (a * 250 - b * 1000) .. 'm'))
        assert.equal(0, quantity.compare(quantity.multiply(x, b), (a * 250 * b) .. 'm'))
      end
    end
  end)
end)

describe('conditions.summary', function()
  local function condition(kind, status, reason, message) return { type = kind, status = status, reason = reason, message = message } end

  it('is what all the others are together', function()
    local good, bad, open = condition('A', 'True', 'Fine', ''), condition('B', 'False', 'NoImage', 'x:1 is not there'), condition('C', 'Unknown',
      'Waiting', 'w')
    assert.same(condition('Ready', 'True', 'AllTrue', ''), conditions.summary { good })
    assert.same(condition('Ready', 'False', 'NoImage', 'B: x:1 is not there'), conditions.summary { good, open, bad })
    assert.same(condition('Ready', 'Unknown', 'Waiting', 'C: w'), conditions.summary { good, open })
    assert.same(condition('Ready', 'Unknown', 'NoConditions', ''), conditions.summary())
    assert.same(condition('Ready', 'Unknown', 'DUnknown', 'D'), conditions.summary({ good }, { of = { 'A', 'D' } }))
    assert.same(condition('Healthy', 'True', 'Good', 'yes'), conditions.summary({ good, bad }, { type = 'Healthy', of = { 'A' }, reason = 'Good',
      message = 'yes' }))
  end)

  it('does not count itself, and turns those that are bad when they are true', function()
    assert.equal('True', conditions.summary({ condition('Ready', 'False', 'Old', ''), condition('A', 'True', 'Fine', '') }).status)
    local rules = { of = { 'A', 'Stalled' }, negative = { 'Stalled' } }
    assert.equal('True', conditions.summary({ condition('A', 'True', 'Fine', '') }, rules).status)
    assert.equal('True', conditions.summary({ condition('A', 'True', 'Fine', ''), condition('Stalled', 'False', 'No', '') }, rules).status)
    local stalled = conditions.summary({ condition('A', 'True', 'Fine', ''), condition('Stalled', 'True', 'Deadlock', 'd') }, rules)
    assert.same(condition('Ready', 'False', 'Deadlock', 'Stalled: d'), stalled)
  end)

  it('tells the first three of many, and fits conditions.set whatever was observed', function()
    local many = {}
    for i = 1, 50 do many[i] = condition('T' .. i, 'False', 'two words', ('m'):rep(5000)) end
    local summary = conditions.summary(many)
    assert.equal('T1False', summary.reason)
    assert.is_truthy(summary.message:find 'and 47 more$')
    assert.is_true(#summary.message < 4000)
    for _, junk in ipairs(JUNK) do
      local list = { junk, { type = junk }, { type = 'A', status = junk, reason = junk, message = junk } }
      local it, set = conditions.summary(list), {}
      conditions.set(set, nil, it, 'now', 1)
      assert.equal('Unknown', it.status)
    end
  end)
end)

describe('conditions.phase', function()
  local rows = { { 'Failed', { Stalled = 'True' } }, { 'Pulling', { Ready = { status = 'False', reason = 'NoImage' } } }, { 'Running',
    { Ready = 'True' } }, { 'Pending' } }

  it('is the first row that fits', function()
    local ready, stalled = { type = 'Ready', status = 'True' }, { type = 'Stalled', status = 'True' }
    assert.equal('Running', conditions.phase({ ready }, rows))
    assert.equal('Failed', conditions.phase({ ready, stalled }, rows))
    assert.equal('Pulling', conditions.phase({ { type = 'Ready', status = 'False', reason = 'NoImage' } }, rows))
    assert.equal('Pending', conditions.phase({ { type = 'Ready', status = 'False', reason = 'Other' } }, rows))
    assert.equal('Pending', conditions.phase(nil, rows))
    assert.equal('New', conditions.phase({}, { { 'New', { Ready = 'Unknown' } } }))
    assert.is_nil(conditions.phase({}, { rows[1] }))
  end)

  it('says which row is malformed', function()
    fails('row 2 must be', conditions.phase, {}, { rows[1], { 5 } })
    fails('row 1: what is wanted', conditions.phase, {}, { { 'A', { Ready = true } } })
  end)
end)

describe('semver', function()
  it('reads versions, and nothing else', function()
    assert.same({ major = 1, minor = 29, patch = 3, prerelease = 'rc.1', build = 'b.01' }, semver.parse 'v1.29.3-rc.1+b.01')
    assert.same({ major = 0, minor = 0, patch = 0 }, semver.parse '0.0.0')
    for _, wrong in ipairs { '1', '1.2', '01.2.3', '1.2.3.4', '1.2.3-', '1.2.3-01', '1.2.3-a..b', '1.2.3+', '1.2.3-a_b', 'V1.2.3', '1.2.3 ',
      '1.2.9999999999999999',
      '1.2.3-' .. ('a'):rep(300), '-1.2.3', '1.2.3x' } do
      assert.is_nil(semver.parse(wrong), wrong)
    end
    for _, junk in ipairs(JUNK) do assert.is_nil(semver.parse(junk)) end
  end)

  it('orders as semver.org says', function()
    local order = { '1.0.0-alpha', '1.0.0-alpha.1', '1.0.0-alpha.beta', '1.0.0-beta', '1.0.0-beta.2', '1.0.0-beta.11', '1.0.0-rc.1', '1.0.0', '1.0.1',
      '1.2.0', '1.10.0', '2.0.0' }
    for i, a in ipairs(order) do
      for k, b in ipairs(order) do assert.equal(i < k and -1 or i > k and 1 or 0, semver.compare(a, b), a .. ' ' .. b) end
    end
    assert.equal(0, semver.compare('v1.0.0+a', '1.0.0+b'))
    assert.is_nil(semver.compare('1.0.0', 'latest'))
  end)

  it('tells which versions fit a range', function()
    for _, row in ipairs {
      { '>=1.2 <2', '1.2.0 1.9.9', '1.1.9 2.0.0 2.0.0-rc.1' }, { '^1.4.0', '1.4.0 1.99.0', '1.3.9 2.0.0' }, { '^0.2.3', '0.2.3 0.2.9', '0.3.0 0.2.2' },
      { '^0.0.3', '0.0.3', '0.0.4' }, { '~1.4', '1.4.0 1.4.9', '1.5.0' }, { '~1.4.2', '1.4.2', '1.4.1 1.5.0' }, { '1.x', '1.0.0 1.9.0', '2.0.0 0.9.0' },
      { '1.2.*', '1.2.7', '1.3.0' }, { '*', '0.0.0 9.9.9', '1.0.0-a' }, { '1.x || 3.0.0', '1.5.0 3.0.0', '2.0.0 3.0.1' }, { '=1.2.3', '1.2.3 v1.2.3',
        '1.2.4' },
      { '> 1.2', '1.3.0', '1.2.9' }, { '<=1.2', '1.2.9 0.1.0', '1.3.0' }, { '>1.2.3, <=1.2.5', '1.2.4 1.2.5', '1.2.3 1.2.6' },
      { '>=1.0.0-beta', '1.0.0-beta 1.0.0-rc 1.0.0', '1.0.0-alpha 1.1.0-rc' }, { '^1.2', '1.2.0', '1.1.0' }, { '<1', '0.9.0', '1.0.0' },
    } do
      for version in row[2]:gmatch '%S+' do assert.is_true(semver.satisfies(version, row[1]), row[1] .. ' ' .. version) end
      for version in row[3]:gmatch '%S+' do assert.is_false(semver.satisfies(version, row[1]), row[1] .. ' ' .. version) end
    end
    for _, wrong in ipairs { '', '||', '1.0 ||', '<>1', 'latest', '>', '1.2.3.4', '=>1', '1.0 - 2.0', '1\n2', ('1 '):rep(200) } do
      assert.is_nil(semver.satisfies('1.0.0', wrong), wrong)
    end
    assert.is_nil(semver.satisfies('latest', '1'))
    fails('takes a range as a text', semver.satisfies, '1.0.0', 5)
  end)
end)

describe('cidr', function()
  it('reads addresses and networks, and nothing else', function()
    for given, plain in pairs {
      ['10.1.2.3/8'] = '10.0.0.0/8', ['1.2.3.4'] = '1.2.3.4/32', ['0.0.0.0/0'] = '0.0.0.0/0', ['255.255.255.255/1'] = '128.0.0.0/1',
        ['::/0'] = '::/0', ['::'] = '::/128',
      ['2001:DB8::1/32'] = '2001:db8::/32', ['::1'] = '::1/128', ['1::'] = '1::/128', ['fe80:0:0:1:0:0:0:1'] = 'fe80:0:0:1::1/128',
        ['1:0:2:3:4:5:6:7'] = '1:0:2:3:4:5:6:7/128',
      ['::ffff:1.2.3.4'] = '::ffff:1.2.3.4/128', ['64:ff9b::192.0.2.33/96'] = '64:ff9b::/96', ['1:2:3:4:5:6:7::'] = '1:2:3:4:5:6:7:0/128',
        ['ffff::/65'] = 'ffff::/65',
      ['1:2:3:4:5:6:1.2.3.4'] = '1:2:3:4:5:6:102:304/128', ['::2:3:4:5:6:7:8'] = '0:2:3:4:5:6:7:8/128',
    } do assert.equal(plain, cidr.network(given), given) end
    for _, wrong in ipairs { '1.2.3', '1.2.3.4.5', '1.2.3.256', '01.2.3.4', '1.2.3.4/33', '1.2.3.4/', '1.2.3.4/08', '1.2.3.4/8/8', ':1', '1:', ':::',
      '1::2::3', '12345::', 'g::',
      '1:2:3:4:5:6:7', '1:2:3:4:5:6:7:8:9', '::1/129', '1.2.3.4::', '::1.2.3', 'fe80::1%eth0', '1:2:3:4:5:6:7:1.2.3.4', '1:2:3:4:5:6:7:8::',
        '::1.2.3.4:5', '/8' } do
      assert.is_nil(cidr.network(wrong), wrong)
    end
    for _, junk in ipairs(JUNK) do
      assert.is_nil(cidr.network(junk))
      assert.is_nil(cidr.family(junk))
      assert.is_nil(cidr.contains('10.0.0.0/8', junk))
    end
    assert.equal(4, cidr.family '10.0.0.0/8')
    assert.equal(6, cidr.family '::1')
  end)

  it('tells what holds what', function()
    assert.is_true(cidr.contains('10.0.0.0/8', '10.2.0.0/16'))
    assert.is_true(cidr.contains('10.0.0.0/8', '10.255.255.255'))
    assert.is_false(cidr.contains('10.0.0.0/8', '0.0.0.0/0'))
    assert.is_false(cidr.contains('10.0.0.0/8', '::a00:1'))
    assert.is_true(cidr.contains('2001:db8::/33', '2001:db8:7fff::1'))
    assert.is_false(cidr.contains('2001:db8::/33', '2001:db8:8000::1'))
    assert.is_true(cidr.contains('::/0', '::1'))
    assert.is_true(cidr.overlaps('10.2.0.0/16', '10.0.0.0/8'))
    assert.is_false(cidr.overlaps('10.0.0.0/9', '10.128.0.0/9'))
  end)

  it('cuts networks into networks and addresses', function()
    assert.equal('10.0.3.0/24', cidr.subnet('10.0.0.0/16', 24, 3))
    assert.equal('10.0.255.0/24', cidr.subnet('10.0.9.9/16', 24, 255))
    assert.equal('10.0.0.0/16', cidr.subnet('10.0.0.0/16', 16, 0))
    assert.equal('2001:db8:0:ff::/64', cidr.subnet('2001:db8::/48', 64, 255))
    assert.equal('2001:db8::1:0:0/96', cidr.subnet('2001:db8::/64', 96, 1))
    assert.equal('0:0:1::/48', cidr.subnet('::/0', 48, 1))
    assert.equal('::7fff:ffff:ffff:ffff/128', cidr.subnet('::/0', 128, math.maxinteger))
    for _, wrong in ipairs { { '10.0.0.0/16', 24, 256 }, { '10.0.0.0/16', 24, -1 }, { '10.0.0.0/16', 8, 0 }, { '10.0.0.0/16', 33, 0 },
      { '10.0.0.0/16', math.maxinteger, 0 },
      { 'x', 24, 0 } } do
      assert.is_nil(cidr.subnet(table.unpack(wrong)))
    end
    assert.equal('10.0.0.10', cidr.address('10.0.0.0/24', 10))
    assert.equal('10.0.0.255', cidr.address('10.0.0.0/24', -1))
    assert.equal('10.0.0.0', cidr.address('10.0.0.0/24', -256))
    assert.equal('ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe', cidr.address('::/0', -2))
    assert.equal('2001:db8::a', cidr.address('2001:db8::/64', 10))
    for _, index in ipairs { 256, -257, math.maxinteger, math.mininteger } do assert.is_nil(cidr.address('10.0.0.0/24', index)) end
    fails('the index must be an integer', cidr.address, '10.0.0.0/24', 1.5)
  end)

  it('agrees with itself on random networks', function()
    local state = 7
    local function random(n)
      state = (state * 6364136223846793005 + 1442695040888963407)
      return (state >> 33) % n
    end
    for _ = 1, 300 do
      local groups = {}
      for i = 1, 8 do groups[i] = random(3) == 0 and '0' or ('%x'):format(random(65536)) end
      local prefix = random(129)
      local network = cidr.network(table.concat(groups, ':') .. '/' .. prefix)
      assert.equal(network, cidr.network(network))
      assert.is_true(cidr.contains(network, cidr.address(network, 0)) and cidr.contains(network, cidr.address(network, -1)))
      local deeper = math.min(128, prefix + random(20))
      local last = cidr.subnet(network, deeper, (1 << (deeper - prefix)) - 1)
      assert.is_true(cidr.contains(network, last), network .. ' ' .. last)
      assert.equal(cidr.address(network, -1), cidr.address(last, -1))
    end
  end)
end)

describe('what C does for policies', function()
  it('is in its stand-in, too', function()
    for _, name in ipairs { 'enter', 'spent', 'find', 'get', 'log', 'sha256', 'base64_encode', 'base64_decode' } do assert.equal('function',
      type(host[name]), name) end
  end)
end)
