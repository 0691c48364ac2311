--- cases: each document in spec/policies/cases is one rule: an actor, and what must come of it.
-- lua/cases.lua says what may be in a case; the binary runs the same code for cases that lie beside policies.
local case = require 'case'

-- With POLICIES=DIR the policies of that folder lie over the built-in ones, and its *.case.yaml are run instead.
local folder = os.getenv 'POLICIES'

local extra = {}
if folder then
  for path in io.popen(('ls %s/*.lua'):format(folder)):lines() do extra[path:match '([^/]+)$'] = case.read(path) end
end

local function check(document)
  assert.is_nil(case.bundle(document.settings, extra):case(document).failure)
end

for path in io.popen(('ls %s'):format(folder and folder .. '/*.case.yaml' or 'spec/policies/cases/*.yaml')):lines() do
  describe(path:match '([^/]+)%.yaml$', function()
    for _, document in ipairs(case.load(path)) do
      it(document.title, function() check(document) end)
    end
  end)
end
