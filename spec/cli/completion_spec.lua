--- completion: bash, zsh and fish complete verbs, flags, values, files and folders when Tab is pressed; all of it comes from the tables of --help.
local cli = require 'cli'

local SHELLS = {
  bash = { start = 'bash --norc -i', rc = 'source <(asya-operator completion bash)' },
  zsh = { start = 'zsh -f -i', rc = 'autoload -U compinit; compinit -u -D; source <(asya-operator completion zsh)' },
}

-- what is typed, and what it is after Tab; a blank that a shell adds at the end does not count
local TYPED = {
  { 'asya-operator che', 'asya-operator check' },
  { 'asya-operator rollout hi', 'asya-operator rollout history' },
  { 'asya-operator queue re', 'asya-operator queue redrive' },
  { 'asya-operator queue redrive --any', 'asya-operator queue redrive --any-origin' },
  { 'asya-operator rollout status --to', 'asya-operator rollout status --to-revision' },
  { 'asya-operator check -o ya', 'asya-operator check -o yaml' },
  { 'asya-operator check --output=ya', 'asya-operator check --output=yaml' },
  { 'asya-operator --leader-e', 'asya-operator --leader-elect' },
  { 'asya-operator run --runtime-lo', 'asya-operator run --runtime-local-path' },
  { 'asya-operator render -f act', 'asya-operator render -f actor.yaml' },
  { 'asya-operator replay rec', 'asya-operator replay record' },
  { 'asya-operator check --policies my-', 'asya-operator check --policies my-policies' },
  { 'asya-operator check --policies=my-', 'asya-operator check --policies=my-policies' },
  { 'asya-operator check --policies act', 'asya-operator check --policies act' }, -- a file is no folder
  { 'asya-operator release act', 'asya-operator release act' },                   -- nor the name of an actor
  { 'asya-operator rollout pause hi', 'asya-operator rollout pause hi' },         -- there is one word
}

local function candidates(words)
  local text, code = cli.run('.', '%s __complete %s', cli.program, words)
  assert.equal(0, code, text)
  local found = {}
  for line in text:gmatch '[^\n]+' do found[#found + 1] = line:match '^[^\t]+' end
  return found
end

describe('completion', function()
  local folder, path
  local function press(shell, rc, typed)
    return cli.run(folder, path .. 'python3 %s/spec/cli/press.py %s %s %s', cli.root, cli.quote(shell), cli.quote(rc), typed)
  end

  setup(function()
    folder = cli.folder()
    path = 'PATH=' .. cli.program:match '^(.*)/' .. ':$PATH '
    cli.sh('mkdir %s/my-policies; touch %s/actor.yaml %s/record', folder, folder, folder)
  end)

  for name, shell in pairs(SHELLS) do
    it('completes in ' .. name, function()
      local typed = {}
      for i, each in ipairs(TYPED) do typed[i] = cli.quote(each[1]) end
      local text, code = press(shell.start, shell.rc, table.concat(typed, ' '))
      assert.equal(0, code, text)
      local lines = text:gmatch '([^\n]*)\n'
      for _, each in ipairs(TYPED) do assert.equal(each[2], (lines():gsub('[ /]*$', '')), each[1]) end
    end)
  end

  it('completes in fish', function()
    local script = { 'asya-operator completion fish | source' }
    for _, each in ipairs(TYPED) do script[#script + 1] = ('complete -C %s; echo =='):format(cli.quote(each[1])) end
    local text, code = cli.run(folder, path .. 'fish -N -c %s', cli.quote(table.concat(script, '\n')))
    assert.equal(0, code, text)
    local answers = text:gmatch '(.-)==\n'
    for _, each in ipairs(TYPED) do
      local word = answers():match '^([^\t\n]*)[^\n]*\n?$' -- one candidate, or none
      assert.equal(each[2]:match '(%S+)$', word ~= '' and word:gsub('/$', '') or each[1]:match '(%S+)$', each[1])
    end
  end)

  it('is set up as chart/docs/command-line.md says', function()
    local page = cli.read 'chart/docs/command-line.md'
    for _, shell in pairs(SHELLS) do assert.is_truthy(page:find('\n' .. shell.rc:match 'source .*', 1, true), shell.rc) end
    assert.is_truthy(page:find('\nasya-operator completion fish >', 1, true))
  end)

  it('zsh finds it in $fpath', function()
    local functions = folder .. '/functions'
    cli.run(folder, 'mkdir %s; %s completion zsh >%s/_asya-operator', functions, cli.program, functions)
    local rc = ('fpath=(%s $fpath); autoload -U compinit; compinit -u -D'):format(functions)
    local line = press('zsh -f -i', rc, "'asya-operator che'")
    assert.equal('asya-operator check', (line:gsub(' *\n$', '')))
  end)

  it('offers all verbs, and every flag that --help shows', function()
    local verbs = candidates "''"
    assert.equal(':4', table.remove(verbs))
    assert.same(cli.VERBS, verbs)
    for _, verb in ipairs(cli.VERBS) do
      local flags = candidates(verb .. ' --')
      local shown = {}
      for line in cli.run('.', '%s %s --help', cli.program, verb):gsub('^.-\nFlags:\n', '\n'):gmatch '[^\n]+' do
        shown[#shown + 1] = line:match '^  [- ][%a ][, ] (%-%-[%w-]+)'
      end
      assert.equal(':4', table.remove(flags))
      assert.equal('--help', table.remove(flags))
      assert.same(shown, flags, verb)
    end
  end)

  it('offers the values that the parser takes, and no others', function()
    for _, verb in ipairs { 'check', 'render', 'diff', 'rollout', 'version', 'release' } do
      local values = candidates(verb .. " -o ''")
      assert.equal(':4', table.remove(values))
      assert.is_true(#values >= 2)
      for _, value in ipairs(values) do
        local _, code = cli.run('.', '%s %s -o %s --help', cli.program, verb, value)
        assert.equal(0, code)
      end
      local text, code = cli.run('.', '%s %s -o jsno', cli.program, verb)
      assert.equal(2, code)
      assert.is_truthy(text:find('error: --output: expected ' .. values[1], 1, true), text)
    end
    assert.same({ 'true', 'false', ':4' }, candidates "diff --all-namespaces=")
    assert.same({ 'bash', 'zsh', 'fish', ':4' }, candidates "completion ''")
    assert.same({ ':0' }, candidates "render -f ''")
    assert.same({ ':16' }, candidates 'render --policies=x')
    assert.same({ ':4' }, candidates "release ''")
  end)
end)
