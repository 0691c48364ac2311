--- image: what `make docker-build` and `make sbom` make.
package.path = 'spec/node/?.lua;' .. package.path
local node = require 'node'
local cluster = require 'cluster'
local json = require 'json'

describe('the image', function()
  if not node.available then
    pending 'needs a real node: run it through spec/run node'
    return
  end

  local image
  setup(function() image = json.decode(cluster.read(node.await_file 'first.json'))[1] end)

  it('is the one that the chart asks for, and goes to a registry by the lines of chart/docs/image.md', function()
    local pushed, version = json.decode(cluster.read(node.await_file 'pushed.json')), cluster.read('chart/Chart.yaml'):match 'appVersion: "(.-)"'
    assert.same({ version }, pushed.tags)
    assert.is_truthy(table.concat(image.RepoTags, ' '):find('asya-operator:' .. version, 1, true))
  end)

  it('is smaller than 25 MB', function()
    print(('image: %.1f MB'):format(image.Size / 1e6))
    assert.is_true(image.Size < 25e6, image.Size)
  end)

  it('runs as nobody in particular, and says what it is', function()
    assert.equal('65532:65532', image.Config.User)
    assert.same({ '/manager' }, image.Config.Entrypoint)
    local labels = image.Config.Labels
    assert.equal('asya-operator', labels['org.opencontainers.image.title'])
    assert.equal('Apache-2.0', labels['org.opencontainers.image.licenses'])
    assert.equal(cluster.sh('git describe --always --dirty'):gsub('%s+$', ''), labels['org.opencontainers.image.version'])
  end)

  --- The names of what is in the image, each in a line.
  local function files() return '\n' .. cluster.sh('find %s -mindepth 1 -printf "%%P\n"', node.unpack_image()) end

  it('holds the operator and no shell, package manager or interpreter', function()
    local list = files()
    assert.is_truthy(list:find('\nmanager\n', 1, true), list)
    for _, name in ipairs { 'sh', 'bash', 'busybox', 'apt', 'dpkg', 'perl', 'python3', 'lua5.4' } do
      assert.is_nil(list:find('bin/' .. name .. '\n', 1, true), name)
    end
  end)

  it('has an SBOM that names the package of every library in it', function()
    local sbom = json.decode(cluster.read(node.await_file 'sbom.spdx.json'))
    assert.equal('SPDX-2.3', sbom.spdxVersion)
    local packages = {}
    for _, package in ipairs(sbom.packages) do packages[package.name] = package.versionInfo or '' end
    for library in files():gmatch '[^\n]*%.so[%.%d]*\n' do
      -- Debian's packages of the libraries that we name ourselves
      for name, package in pairs { libcurl = 'libcurl4', liblua = 'liblua5.4-0', libyaml = 'libyaml-0-2', libcjson = 'libcjson1', libuv = 'libuv1',
        libssl = 'libssl3', libcrypto = 'libssl3', libhttp_parser = 'libhttp-parser2.9', librabbitmq = 'librabbitmq4', ['libc.so'] = 'libc6' } do
        if library:find('/' .. name, 1, true) then assert.is_truthy(packages[package] and packages[package] ~= '', library .. package) end
      end
    end
    assert.is_truthy(packages.libc6 and packages.libcurl4)
  end)

  it('is the same to the last byte when compiled again', function()
    local again = json.decode(cluster.read(node.await_file 'again.json'))[1]
    local log = cluster.read(node.images .. '/again.log')
    local compiled, copied = log:match 'Step %d+/%d+ : RUN mkdir(.-)Step', log:match 'Step %d+/%d+ : COPY %-%-from=build /image/ /\n(.-)Step'
    assert.is_truthy(compiled and compiled:find 'LINK' and copied and not copied:find 'Using cache', 'docker took it from its cache')
    assert.same(image.RootFS.Layers, again.RootFS.Layers)
  end)
end)
