--- programmer: the commands of engine/README.md do what it says of them, as typed; narrowing to nothing is an error everywhere.
local case = require 'case'
local cli = require 'cli'
local json = require 'json'

local PAGE = case.read('engine/README.md'):match '## Build and test one room\n(.*)$'

--- The command of the page that begins so, without its comment.
local function typed(beginning)
  local at = assert(PAGE:find('\n    ' .. beginning, 1, true), beginning)
  return (PAGE:sub(at + 5):match '^[^\n]*':gsub('%s+#.*$', ''))
end

-- The environment of `make spec` is not that of somebody at a terminal.
local function run(command, ...) return cli.run(cli.root, 'unset MAKEFLAGS MAKELEVEL MFLAGS BED BUILD; ' .. command, ...) end

describe('a C programmer', function()
  local mine
  setup(function() mine = cli.folder() end)

  it('builds and tests one room, and another with it', function()
    local text, code = run(typed('make BUILD='):gsub('/tmp/mine', mine))
    assert.equal(0, code, text)
    assert.is_truthy(text:find '\n%d+ passed, 0 failed\n$', text)
    -- of an archive made for fewer rooms, the others are not missing afterwards
    for _, rooms in ipairs { 'base json', 'base', 'base json' } do
      text, code = run('make -s BUILD=%s ROOMS=%s %s/san/libengine.a && ar t %s/san/libengine.a', mine, cli.quote(rooms), mine, mine)
      assert.equal(0, code, text)
      assert.equal(rooms == 'base json', text:find('\nyaml.o', 1, true) ~= nil, rooms .. '\n' .. text)
      run('touch %s/san/engine/base/*.o', mine)
    end
  end)

  it('runs one test program', function()
    local text, code = run(typed 'make unit TEST=')
    assert.equal(0, code, text)
    assert.is_truthy(text:find '%-%- san/test_json_json: %d+ passed, 0 failed, 0 skipped', text)
  end)

  it('builds for a debugger beside what was built before', function()
    local text = run(typed 'make DEBUG=1' .. ' -n')
    assert.is_truthy(text:find(' -o build/debug/asya-operator ', 1, true) or text:find("Nothing to be done for 'all'", 1, true), text)
    local code
    text, code = run('make -s DEBUG=1 build/debug/obj/engine/base/err.o && readelf --debug-dump=info build/debug/obj/engine/base/err.o | grep DW_AT_producer')
    assert.equal(0, code, text)
    assert.is_truthy(text:find('-O0', 1, true) and text:find('-g3', 1, true), text)
  end)

  it('runs one spec, and builds no C test for it', function()
    local command = typed 'make cluster SPEC='
    local text, code = run('%s -n BUILD=%s', command, mine)
    assert.equal(0, code, text)
    assert.is_truthy(text:find('spec/run cluster spec/cluster/status_spec.lua\n', 1, true), text)
    assert.is_nil(text:find('cmocka', 1, true), 'C tests are built')
    assert.is_truthy(run('make cluster -n BUILD=%s', mine):find('cmocka', 1, true), 'with the whole folder they are')
  end)

  it('is told when a narrowing leaves nothing', function()
    for command, said in pairs {
      ['make unit TEST=nosuch'] = 'no test was run', ['make unit ROOMS=jsno'] = 'ROOMS: there is no room engine/jsno',
      ['spec/run busted spec/nosuch'] = 'no test was run', ['spec/run unit'] = 'no test was run',
    } do
      local text, code = run(command)
      assert.is_true(code ~= 0, command .. '\n' .. text)
      assert.is_truthy(text:find(said, 1, true), command .. '\n' .. text)
    end
  end)

  it('has an editor that knows how each file is compiled', function()
    local text, code = run 'make -s build/compile_commands.json && cat build/compile_commands.json'
    assert.equal(0, code, text)
    local known = {}
    for _, entry in ipairs(json.decode(text)) do known[entry.file] = entry.command end
    for file in io.popen "find engine -name '*.c'":lines() do assert.is_truthy(known[file], file) end
    text, code = run('%s -fsyntax-only', known['engine/cli/args.c'])
    assert.equal(0, code, text)
  end)
end)
