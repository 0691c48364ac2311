--- pages: README.md is short enough to be read, and every link of every page leads somewhere.
local function lines(path)
  local list = {}
  for line in io.lines(path) do list[#list + 1] = line end
  return list
end

--- The text of a page without its blocks of code.
local function prose(path)
  local kept, code = {}, false
  for _, line in ipairs(lines(path)) do
    if line:find '^```' then code = not code end
    if not code then kept[#kept + 1] = line end
  end
  return table.concat(kept, '\n')
end

--- What a heading is called in links to it.
local function anchor(heading)
  return (heading:lower():gsub('[^%w%s_-]', ''):gsub(' ', '-'))
end

local function has_anchor(path, wanted)
  for heading in ('\n' .. prose(path)):gmatch '\n#+ ([^\n]+)' do
    if anchor(heading) == wanted then return true end
  end
  return false
end

local function there(path) return os.execute(("test -e '%s'"):format(path)) end

describe('README.md', function()
  it('has at most 150 lines of at most 120 columns', function()
    local list = lines 'README.md'
    assert.is_true(#list <= 150, #list .. ' lines')
    for number, line in ipairs(list) do assert.is_true(utf8.len(line) <= 120, 'line ' .. number) end
  end)
end)

describe('the links of', function()
  for page in io.popen "find . -name build -prune -o -path ./.git -prune -o -name '*.md' -print | sort" :lines() do
    page = page:sub(3)
    it(page .. ' lead somewhere', function()
      for target in prose(page):gmatch '%]%(([^)]+)%)' do
        if not target:find '^https?://' then
          local path, name = target:match '^([^#]*)#?(.*)$'
          local file = path == '' and page or (page:match '^(.*/)' or '') .. path
          assert.is_truthy(there(file), target)
          assert.is_true(name == '' or has_anchor(file, name), target)
        end
      end
    end)
  end

  it('README.md lead to every page of the chart', function()
    local all = prose 'README.md'
    for page in io.popen 'ls chart/docs/*.md':lines() do assert.is_truthy(all:find('](' .. page .. ')', 1, true), page) end
  end)
end)

describe('the commands of', function()
  local targets = {}
  for line in io.lines 'Makefile' do
    for word in (line:match '^%.PHONY:(.*)' or ''):gmatch '%S+' do targets[word] = true end
  end

  for _, page in ipairs { 'README.md', 'spec/README.md', 'spec/bed/README.md', 'engine/README.md', '.github/CONTRIBUTING.md' } do
    it(page .. ' name targets and files that are there', function()
      local text = table.concat(lines(page), '\n')
      for target in text:gmatch '[`\n] *make ([%l-]+)' do assert.is_true(targets[target], 'make ' .. target) end
      for path in text:gmatch '%f[%w_/.]spec/[%w_/.-]+%.lua' do assert.is_truthy(there(path) or path:find '<', path) end
      for name in text:gmatch 'TEST=(test_[%w_]+)' do assert.is_truthy(there('engine/test/' .. name .. '.c'), name) end
    end)
  end
end)

describe('engine/ARCHITECTURE.md', function()
  it('names files that are there', function()
    local missing = {}
    for line in io.lines 'engine/ARCHITECTURE.md' do
      for name in line:gmatch '[%w_/]+/[%w_]+%.[ch]%f[%W]' do
        if not there('engine/' .. name) then missing[#missing + 1] = name end
      end
    end
    assert.same({}, missing)
  end)
end)

describe('the page about transports', function()
  local page = ''
  for _, line in ipairs(lines 'engine/transport/README.md') do page = page .. line .. '\n' end
  local folder

  -- A row names a folder once: `engine/transport/broker.h`, `transport.c`.
  it('names files that there are', function()
    for row in page:match '| file | what goes there |\n|[-|]+\n(.-)\n\n':gmatch '[^\n]+' do
      for name in row:match '^|([^|]*)|':gmatch '`([^`]+)`' do
        name = name:gsub('nats', 'sqs')
        folder = name:match '^(.*/)' or folder
        local path = name:find('/', 1, true) and name or (there(folder .. name) and folder .. name or name)
        if path:match '^Makefile$' or path:match '^Dockerfile$' then path = './' .. path end
        assert.is_truthy(there(path), path)
      end
    end
  end)

  it('names every file of engine, policies and chart that knows a type', function()
    local command = [[grep -rlw sqs engine policies chart/templates chart/values* spec/lint.lua spec/chart_docs.lua spec/bed/*.py | sort]]
    local own = { ['engine/queues/keeper.h'] = true, ['spec/bed/builder.py'] = true, ['spec/bed/common.py'] = true } -- a comment, a name
    for path in io.popen(command):lines() do
      local elsewhere = path:find '^engine/transport/sqs/' or path:find '^engine/test/' or own[path]
      local base = path:match '[^/]+$'
      assert.is_true(elsewhere ~= nil and elsewhere ~= false or page:find(base, 1, true) ~= nil, path)
    end
  end)
end)
