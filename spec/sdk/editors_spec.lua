--- editors: the settings of editors know this tree: clangd how each C file is compiled, LuaLS where each module is.
local json = require 'json'

local read = dofile 'spec/sdk/read.lua'

local function lines(command)
  local list = {}
  for line in io.popen(command):lines() do list[#list + 1] = line end
  return list
end

describe('clangd', function()
  it('is told how each C file is compiled', function()
    assert.is_truthy(os.execute 'make -s build/compile_commands.json')
    assert.equal('build', read '.clangd':match 'CompilationDatabase: (%S+)')
    local commands = {}
    for _, entry in ipairs(json.decode(read 'build/compile_commands.json')) do commands[entry.file] = entry end
    for _, path in ipairs(lines "find engine -name '*.c'") do assert.is_table(commands[path], path) end
    -- one that wants the version, which make defines for few files only
    local entry = commands['engine/cli/version.c']
    assert.is_truthy(os.execute(('cd %s && %s -fsyntax-only'):format(entry.directory, entry.command)))
  end)
end)

describe('LuaLS', function()
  local settings = json.decode(read '.luarc.json')

  --- The file that `require 'name'` leads an editor to, or nil.
  local function found(name)
    for _, path in ipairs(settings['runtime.path']) do
      local file = io.open((path:gsub('%?', (name:gsub('%.', '/')))))
      if file then
        file:close()
        return true
      end
    end
    return false
  end

  it('finds each module that a policy, the SDK or a spec requires', function()
    local beside = { yaml = true, lyaml = true, busted = true, ['busted.outputHandlers.base'] = true } -- packages of Debian
    for _, path in ipairs(lines "find lua policies spec -name '*.lua'") do
      for name in ('\n' .. read(path)):gmatch "\nlocal [%w_, ]+= [^\n']*require '([%w_.]+)'" do
        assert.is_true(found(name) or beside[name] == true, ('%s requires %s'):format(path, name))
      end
    end
  end)

  it('looks into folders that are there', function()
    for _, path in ipairs(settings['runtime.path']) do assert.is_true(#lines('ls ' .. path:gsub('%?', '*')) > 0, path) end
  end)
end)
