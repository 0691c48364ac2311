--- init: from nothing to a bundle that works, and what a cluster needs to run it, offline.
local cli = require 'cli'
local yaml = require 'asya.yaml'

local function read(path)
  local file = assert(io.open(path))
  local text = file:read 'a'
  file:close()
  return text
end

describe('init', function()
  local folder
  setup(function() folder = cli.folder() end)

  local function run(command, ...) return cli.run(folder, cli.program .. ' ' .. command, ...) end

  it('writes a bundle that is green at once, whatever the kind is called', function()
    for i, kind in ipairs { 'Tenant', 'End', 'Policy', 'Manifest', 'Sprocket', 'CDN', 'Box' } do
      local text, code = run('init b%d --kind %s --group platform.example.org', i, kind)
      assert.equal(0, code, text)
      text, code = run('check --bundle b%d --coverage', i)
      assert.equal(0, code, text)
      assert.is_truthy(text:find('4 cases hold', 1, true), text)
      assert.is_nil(text:find('never:', 1, true), text)
      text, code = run('render --bundle b%d -f b%d/samples/%s.yaml', i, i, kind:lower())
      assert.equal(0, code, text)
      assert.is_truthy(text:find('kind: Deployment', 1, true), text)
    end
    assert.is_truthy(read(folder .. '/b3/crd/policies.yaml'):find('kind: Policy\n', 1, true))
    assert.is_nil(cli.sh('grep -ril sprocket %s/b1', folder):match '%S')
  end)

  it('makes what its README says', function()
    run 'init told --kind Tenant'
    local page = read(folder .. '/told/README.md')
    for path in page:gmatch '\n| `([^`]+)`' do assert.is_truthy(read(folder .. '/told/' .. path)) end
    local crd = read(folder .. '/told/crd/tenants.yaml')
    for command in page:match '```sh\n(.-)```':gmatch '[^\n]+' do
      local text, code = cli.run(folder, 'cd told && %s', (command:gsub('asya%-operator', cli.program)))
      assert.equal(0, code, text)
    end
    local again = yaml.load_all(read(folder .. '/told/crd/tenants.yaml'))[1]
    assert.same(yaml.load_all(crd)[1], again)
    assert.equal('tenants.example.com', again.metadata.name)
  end)

  it('writes over nothing, and says what it needs', function()
    run 'init mine --kind Tenant'
    for _, row in ipairs {
      { 'init mine --kind Tenant', 1, 'mine is there and is not empty; name another folder' }, { 'init', 2, 'write: asya-operator init NAME --kind KIND' },
      { 'init a b --kind Tenant', 2, 'write: ' }, { 'init a', 2, 'write: ' }, { 'init a --kind tenant', 2, "--kind 'tenant': write it as a CRD does" },
      { "init a --kind 'Te nant'", 2, 'write it as a CRD does' }, { 'init a --kind T' .. ('e'):rep(31), 2, 'in at most 31 letters' },
      { 'init a --kind Tenant --group platform', 2, "--group 'platform': write a domain" },
      { "init a --kind Tenant --group \"x'.com\"", 2, 'write a domain' }, { 'init a --kind Tenant --group -a.com', 2, 'write a domain' },
      { 'init a --kind Tenant --group a..com', 2, 'write a domain' }, { 'init /proc/nothing --kind Tenant', 1, '/proc/nothing' },
    } do
      local text, code = run('%s', row[1])
      assert.equal(row[2], code, row[1] .. '\n' .. text)
      assert.is_truthy(text:find(row[3], 1, true), text)
    end
    assert.is_nil(io.open(folder .. '/a/manifest.lua'))
  end)
end)

describe('manifest', function()
  local folder
  setup(function()
    folder = cli.folder()
    cli.run(folder, '%s init mine --kind Tenant', cli.program)
  end)

  local function run(command, ...) return cli.run(folder, cli.program .. ' ' .. command, ...) end

  it('prints one operator, as YAML or JSON, in the namespace and of the image that are named', function()
    local text, code = run 'manifest --bundle mine --operator-namespace ops --image registry/x:1'
    assert.equal(0, code, text)
    local objects = yaml.load_all(text)
    assert.equal(9, #objects)
    assert.equal('ops', objects[9].metadata.namespace)
    local container = objects[9].spec.template.spec.containers[1]
    assert.equal('registry/x:1', container.image)
    assert.equal('IfNotPresent', container.imagePullPolicy) -- it may be on the node already, and be named without a version
    assert.equal(read(folder .. '/mine/workload.lua'), objects[8].data['workload.lua'])
    local list = require('json').decode((run 'manifest --bundle mine -o json'))
    assert.equal('List', list.kind)
    assert.equal(9, #list.items)
  end)

  it('names the digest of the bundle in the template of its pod: another bundle is another pod', function()
    local function digest() return yaml.load_all((run 'manifest --bundle mine'))[9].spec.template.metadata.annotations['asya.sh/bundle-digest'] end
    local before = digest()
    assert.equal(before, digest())
    cli.sh('echo "-- changed" >>%s/mine/workload.lua', folder)
    assert.are_not.equal(before, digest())
  end)

  it('says what is wrong', function()
    cli.write(folder .. '/mine/data.bin', 'a\xff')
    local text, code = run 'manifest --bundle mine'
    assert.equal(1, code)
    assert.is_truthy(text:find('mine/data.bin is not text', 1, true), text)
    text, code = run 'manifest'
    assert.equal(2, code)
    assert.is_truthy(text:find('name a bundle: --bundle DIR', 1, true), text)
    text, code = run 'manifest --bundle nowhere'
    assert.equal(1, code)
    assert.is_truthy(text:find('nowhere: No such file', 1, true), text)
  end)
end)
