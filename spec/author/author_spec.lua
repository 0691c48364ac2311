--- author: what an author of policies does in an empty directory, with nothing but the operator's binary: export, template, unit tests, rock.
local BUILD = os.getenv 'BUILD' or 'build'
local HERE = io.popen('pwd'):read 'l'
local OPERATOR = ('%s/%s/san/asya-operator'):format(HERE, BUILD)

local function run(folder, command, ...)
  local pipe = io.popen(('cd %s && (%s) </dev/null 2>&1'):format(folder, command:format(...)))
  local output = pipe:read 'a'
  return output, (pipe:close())
end

describe('outside of a checkout', function()
  local folder

  local function sh(command, ...)
    local output, ok = run(folder, command, ...)
    assert(ok, output)
    return output
  end
  local function fails(command, ...)
    local output, ok = run(folder, command, ...)
    assert(not ok, output)
    return output
  end
  local function read(path)
    local file = assert(io.open(folder .. '/' .. path))
    local text = file:read 'a'
    file:close()
    return text
  end
  local function write(path, text)
    local file = assert(io.open(folder .. '/' .. path, 'w'))
    file:write(text)
    file:close()
  end

  before_each(function()
    folder = os.tmpname()
    assert(os.execute(('rm -f %s && mkdir %s'):format(folder, folder)))
  end)
  after_each(function() os.execute('rm -rf ' .. folder) end)

  it('the template is checked and tested as its Makefile says, and a mistake is found by both', function()
    sh('%s sdk export . --template', OPERATOR)
    local output = sh('make OPERATOR=%s', OPERATOR)
    assert.is_truthy(output:find('2 cases hold', 1, true), output)
    assert.is_truthy(output:find('4 successes', 1, true), output)
    write('policies/cost-centre.lua', (read 'policies/cost-centre.lua':gsub('cost%-centre\'%] = who', "cost-center'] = who")))
    assert.is_truthy(fails('make check OPERATOR=%s', OPERATOR):find('cost-centre', 1, true))
    assert.is_truthy(fails('make spec OPERATOR=%s', OPERATOR):find('cost-centre', 1, true))
  end)

  it('the section of policies/README.md holds as it is typed', function()
    local page = assert(io.open 'policies/README.md'):read('a'):match '\n## Unit tests outside of a checkout\n(.-)\n## '
    sh('mkdir bin && ln -s %s bin/asya-operator', OPERATOR)
    for block in page:gmatch '```sh\n(.-)```' do
      write('block.sh', block)
      sh 'PATH="$PWD/bin:$PATH" sh -e block.sh'
    end
    write('spec/shown_spec.lua', page:match '```lua\n(.-)```')
    assert.is_truthy(sh 'busted spec/shown_spec.lua':find('3 successes', 1, true))
  end)

  it('the pipeline of the template names targets and verbs that there are', function()
    sh('%s sdk export . --template', OPERATOR)
    local ci, makefile = read '.github/workflows/policies.yaml', read 'Makefile'
    require('asya.yaml').load_all(ci)
    for target in ci:gmatch 'make (%w+)' do assert.is_truthy(makefile:find('\n' .. target .. ':', 1, true), target) end
    for verb in (ci .. makefile):gmatch 'asya%-operator (%l+) %-' do assert.is_truthy(sh('%s %s --help', OPERATOR, verb):find('Usage', 1, true), verb) end
    assert.matches('diff %-%-policies policies', sh('make -n diff'))
    assert.matches('create configmap our%-policies %-%-from%-file=policies', sh('make -n deploy'))
  end)

  local FOR_0_4 = [[
local testing = require 'asya.testing'

describe('our policies', function()
  it('are tested for the release that actors have', function()
    local plan = testing.load('policies', { profile = '0.4' }):plan { metadata = { namespace = 'team' } }
    assert.equal('asya-team-resize', plan.queues[1].name)
    assert.equal('asya-resize', testing.load('policies'):plan({}).queues[1].name)
  end)
end)
]]

  it('unit tests can be for another profile of the built-in policies', function()
    sh('%s sdk export . --template', OPERATOR)
    write('spec/profile_spec.lua', FOR_0_4)
    local output = sh 'busted spec'
    assert.is_truthy(output:find('5 successes', 1, true), output)
  end)

  it('files of the author stay as they are, ours are written anew', function()
    write('.busted', 'mine')
    sh('%s sdk export .', OPERATOR)
    assert.equal('mine', read '.busted')
    write('asya/testing.lua', 'old')
    write('.luarc.json', '{}')
    local output = sh('%s sdk export . --template', OPERATOR)
    assert.is_truthy(output:find('./.busted is there already and stays as it is', 1, true), output)
    assert.equal('{}', read '.luarc.json')
    assert.is_truthy(read 'asya/testing.lua':find('testing.load', 1, true))
    assert.is_truthy(fails('%s sdk export', OPERATOR):find('asya-operator sdk export DIR', 1, true))
    assert.is_truthy(fails('%s sdk export /proc/nothing', OPERATOR):find('error: /proc/nothing', 1, true))
  end)

  it("a folder asya that is somebody's own stays as it is", function()
    sh "mkdir asya && echo build/ >asya/.gitignore"
    local output = fails('%s sdk export .', OPERATOR)
    assert.is_truthy(output:find('./asya is there and holds something else', 1, true), output)
    assert.equal('build/\n', read 'asya/.gitignore')
    assert.is_falsy(select(2, run(folder, 'test -e .luarc.json')))
    sh('rm asya/.gitignore && %s sdk export .', OPERATOR)
  end)

  it('an editor finds every module that the template and its spec require', function()
    sh('%s sdk export . --template', OPERATOR)
    local settings = require('json').decode(read '.luarc.json')
    for path in sh("find policies spec -name '*.lua'"):gmatch '[^\n]+' do
      for name in read(path):gmatch "require '([%w_.]+)'" do
        local found = false
        for _, at in ipairs(settings['runtime.path']) do
          found = found or select(2, run(folder, 'test -f %s', (at:gsub('%?', (name:gsub('%.', '/'))))))
        end
        assert.is_truthy(found, path .. ' requires ' .. name)
      end
    end
    for _, library in ipairs(settings['workspace.library']) do
      assert.is_truthy(library:find '^%${3rd}' or sh('ls %s/types.lua', library), library)
    end
  end)

  it('busted under another Lua is told so', function()
    sh('%s sdk export . --template && rm .busted', OPERATOR)
    assert.is_truthy(fails('busted --lua=/usr/bin/lua5.1 spec'):find('asya.testing needs Lua 5.4, and this is Lua 5.1', 1, true))
    assert.is_truthy(sh('busted --lua=/usr/bin/lua5.4 spec'):find('4 successes', 1, true))
  end)

  it('luarocks installs the same files as a rock', function()
    local output, ok = run(HERE, 'make -s rock BUILD=%s', BUILD)
    assert(ok, output)
    local rock = output:match 'ROCK (%S+)'
    sh('luarocks --lua-version 5.4 --tree %s/tree install %s/%s', folder, HERE, rock)
    sh('%s sdk export exported --template', OPERATOR)
    sh('diff -r -x .gitignore -x profiles exported/asya tree/share/lua/5.4/asya')
    sh('rm -rf exported/asya')
    write('exported/spec/profile_spec.lua', FOR_0_4)
    local tested = sh("cd exported && LUA_PATH='%s/tree/share/lua/5.4/?.lua;;' busted spec", folder)
    assert.is_truthy(tested:find('5 successes', 1, true), tested)
  end)
end)
