--- rock: writes the tree and the rockspec of the rock `asya`, from the files that `asya-operator sdk export` writes, too.
--
--    lua5.4 spec/sdk/rock.lua build/rock 1.0.0
local out, version = assert(arg[1], 'usage: rock.lua FOLDER VERSION'), assert(arg[2], 'usage: rock.lua FOLDER VERSION')

local FOLDERS = { { 'lua/asya', '' }, { 'lua', 'sdk/' }, { 'policies', 'policies/' }, { 'crds/openapi', '' } }
for folder in io.popen 'ls -d policies/profiles/*':lines() do FOLDERS[#FOLDERS + 1] = { folder, folder .. '/' } end

local function sh(command, ...) assert(os.execute(command:format(...)), command) end

sh("rm -rf '%s/asya'", out)
local modules, data = {}, {}
for _, folder in ipairs(FOLDERS) do
  sh("mkdir -p '%s/asya/%s'", out, folder[2])
  for path in io.popen(('ls %s/*.*'):format(folder[1])):lines() do
    local name = path:match '([^/]+)$'
    local at, stem = 'asya/' .. folder[2] .. name, (folder[2] .. name):gsub('%.%w+$', ''):gsub('/', '.')
    if not name:find '%.md$' then
      sh("cp '%s' '%s/%s'", path, out, at)
      local list = name:find '%.lua$' and modules or data
      list[#list + 1] = ("    ['asya.%s'] = '%s',"):format(stem, at)
    end
  end
end

local file = assert(io.open(('%s/asya-%s-1.rockspec'):format(out, version), 'w'))
file:write(([[
rockspec_format = '3.0'
package = 'asya'
version = '%s-1'
source = { url = 'file://asya-%s.tar.gz' }
description = {
  summary = 'Unit tests for policies of asya-operator',
  detailed = "require 'asya.testing' loads a folder of policies in the operator's sandbox. Cases are YAML: they need the module yaml (lyaml).",
  license = 'Apache-2.0',
}
dependencies = { 'lua ~> 5.4' }
build = {
  type = 'builtin',
  modules = {
%s
  },
  install = { lua = {
%s
  } },
}
]]):format(version, version, table.concat(modules, '\n'), table.concat(data, '\n')))
file:close()
