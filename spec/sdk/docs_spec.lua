--- docs: the page about the SDK is up to date, says something about each function, and each is tested.
local docs = dofile 'spec/sdk/docs.lua'

local read = dofile 'spec/sdk/read.lua'

describe('the SDK', function()
  it('has a page that is up to date', function()
    assert.equal(docs.page(), read 'lua/README.md', 'run: lua5.4 spec/sdk/docs.lua > lua/README.md')
  end)

  local specs = {}
  for path in io.popen('ls spec/sdk/*_spec.lua spec/policies/*_spec.lua'):lines() do specs[#specs + 1] = read(path) end
  local tests = table.concat(specs)

  for _, module in ipairs(docs.MODULES) do
    for _, fn in ipairs(docs.functions(module)) do
      local name = module.name .. (module.colon and ':' or '.') .. fn.name
      it(name .. ' is documented and tested', function()
        assert.is_true(#fn.text > 0, 'no comment above it')
        local call = (module.colon and ':' or '%.') .. fn.name .. '[%s({\'",)]'
        assert.is_truthy(tests:find(call), 'no spec calls it')
      end)
    end
  end
end)
