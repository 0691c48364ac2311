--- cases: each document in spec/policies/cases is one rule: an actor, and what must come of it. So are those in policies/examples.
-- lua/cases.lua says what may be in a case; the binary runs the same code for cases that lie beside policies.
local case = require 'case'

-- With POLICIES=DIR the policies of that folder lie over the built-in ones, and its *.case.yaml are run instead.
local folder = os.getenv 'POLICIES'

local function policies_in(pattern)
  local files = {}
  for path in io.popen('ls ' .. pattern):lines() do files[path:match '([^/]+)$'] = case.read(path) end
  return files
end

--- @param extra_for fun(path: string): table|string files that lie over the built-in ones, or the folder of a bundle in their place
local function run(pattern, extra_for)
  for path in io.popen('ls ' .. pattern):lines() do
    describe(path:match '([^/]+)%.yaml$', function()
      local extra = extra_for(path)
      for _, document in ipairs(case.load(path)) do
        it(document.title, function() assert.is_nil(case.bundle(document.settings, extra):case(document).failure) end)
      end
    end)
  end
end

if folder then
  local extra = policies_in(folder .. '/*.lua')
  run(folder .. '/*.case.yaml', function() return extra end)
else
  run('spec/policies/cases/*.yaml', function() return {} end)
  for manifest in io.popen('ls policies/examples/*/manifest.lua'):lines() do
    local own = manifest:match '^(.*)/'
    run(own .. '/*.case.yaml', function() return own end)
  end
  run('policies/examples/*.case.yaml', function(path) return policies_in((path:gsub('%.case%.yaml$', '.lua'))) end)
end
