--- docs: prints lua/README.md, the page about the SDK, from the comments in its sources.
--
--    lua5.4 spec/sdk/docs.lua > lua/README.md
local M = {}

-- What policies see: { file, prefix in the source, name on the page, how a policy comes by it }.
M.MODULES = {
  { file = 'policy', pattern = 'api%.([%w_]+)', name = 'policy', how = "`require 'policy'`" },
  { file = 'plan', pattern = 'Plan:([%w_]+)', name = 'plan', colon = true, how = 'The methods of the last argument of a hook.' },
  { file = 'k8s', pattern = 'k8s%.([%w_]+)', name = 'k8s', how = "`require 'k8s'`" },
  { file = 'schema', pattern = 'schema%.([%w_]+)', name = 'schema', how = "`require 'schema'`" },
  { file = 'schema', pattern = 'Schema:([%w_]+)', name = 'rule', colon = true, how = 'The methods of what the functions of schema return.' },
  { file = 'json', pattern = 'json%.([%w_]+)', name = 'json', how = "`require 'json'`" },
  { file = 'text', pattern = 'text%.([%w_]+)', name = 'text', how = "`require 'text'`" },
  { file = 'quantity', pattern = 'quantity%.([%w_]+)', name = 'quantity', how = "`require 'quantity'`" },
  { file = 'conditions', pattern = 'conditions%.([%w_]+)', name = 'conditions', how = "`require 'conditions'`" },
  { file = 'ready', pattern = 'ready%.([%w_]+)', name = 'ready', how = "`require 'ready'`" },
  { file = 'times', pattern = 'times%.([%w_]+)', name = 'times', how = "`require 'times'`" },
  { file = 'semver', pattern = 'semver%.([%w_]+)', name = 'semver', how = "`require 'semver'`" },
  { file = 'cidr', pattern = 'cidr%.([%w_]+)', name = 'cidr', how = "`require 'cidr'`" },
  { file = 'log', pattern = 'api%.([%w_]+)', name = 'log', how = 'A global of every file of a bundle.' },
}

-- Functions of the module tables that are the engine's own business.
local INTERNAL = { ['plan.new'] = true, ['plan.enter'] = true, ['plan.finish'] = true }

local read = dofile 'spec/sdk/read.lua'

--- The functions of a module in the order of its source: { name, arguments, returns, text }.
function M.functions(module)
  local found, comment, returns = {}, {}, nil
  for line in (read('lua/' .. module.file .. '.lua') .. '\n'):gmatch '(.-)\n' do
    local name, arguments = line:match('^%s*function ' .. module.pattern .. '(%b())')
    if name and not INTERNAL[module.file .. '.' .. name] then
      found[#found + 1] = { name = name, arguments = arguments, returns = returns, text = table.concat(comment, ' ') }
    end
    local tag = line:match '^%s*%-%-%-@return%s+(.*)$'
    local text = line:match '^%s*%-%-%-?%s+(.*)$'
    if tag then
      returns = returns and returns .. ', ' .. tag or tag
    elseif text and (#comment > 0 or line:find '^%s*%-%-%- ') then
      comment[#comment + 1] = text
    elseif not line:find '^%s*%-%-%-@' then
      comment, returns = {}, nil
    end
  end
  return found
end

--- The first line of a module, as a sentence.
local function about(module)
  return (read('lua/' .. module.file .. '.lua'):match '^%-%-%- [%w_]+: ([^\n]*)':gsub('^%l', string.upper))
end

function M.page()
  local out = {
    '# The SDK of policies', '',
    'These are the functions that a policy may call. [`policies/README.md`](../policies/README.md) shows how policies are written.', '',
    'The SDK is pure Lua 5.4: the functions are the same in the binary, under `lua5.4` and under busted. Their comments are annotations that LuaLS reads.',
    'This page is written by `lua5.4 spec/sdk/docs.lua > lua/README.md` from the sources beside it; `make spec` says when it is out of date.', '',
  }
  for _, module in ipairs(M.MODULES) do
    out[#out + 1] = ('## %s\n'):format(module.name)
    out[#out + 1] = (module.colon and module.how or ('%s (%s)'):format(about(module), module.how)) .. '\n'
    for _, fn in ipairs(M.functions(module)) do
      out[#out + 1] = ('- `%s%s%s%s`%s  \n  %s'):format(module.name, module.colon and ':' or '.', fn.name, fn.arguments,
        fn.returns and ' → `' .. fn.returns .. '`' or '', fn.text)
    end
    out[#out + 1] = ''
  end
  out[#out + 1] = '## globals\n'
  out[#out + 1] = 'Lua\'s own: `assert error ipairs next pairs pcall rawequal rawget rawlen rawset select setmetatable tonumber tostring type`,'
  out[#out + 1] = '`math` without `random`, `string`, `table`, `utf8`. `pairs` and `next` go in sorted order.'
  out[#out + 1] = 'There is no `load`, `io`, `os`, `debug` or `coroutine`.\n'
  out[#out + 1] = 'Libraries, modules, the log and the plan can be read, not changed. Each file has a copy of its own of what it requires.'
  out[#out + 1] = '`setmetatable` copies the metafields it is given, and `getmetatable` returns a copy: a metatable that is in use never changes.'
  out[#out + 1] = 'A metafield is a function, `__index` and `__newindex` may be tables, and there is no `__gc`, `__mode`, `__close` or `__metatable`.\n'
  out[#out + 1] = '`log.debug`, `log.info`, `log.warn` and `log.error` take the arguments of `string.format` and write a line to the operator\'s log.'
  return table.concat(out, '\n') .. '\n'
end

if arg and arg[0] and arg[0]:find 'docs%.lua$' then io.write(M.page()) end

return M
