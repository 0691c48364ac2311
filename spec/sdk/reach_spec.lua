--- reach: what a policy can get hold of, and that nothing of it changes anything for anybody else.
local host = require 'host'
local sandbox = require 'sandbox'
local seal = require 'seal'

local MODULES = { 'json', 'k8s', 'schema', 'text', 'quantity', 'conditions', 'ready', 'times', 'semver', 'cidr' }
local TRUSTED = { 'bundle', 'cases', 'cidr', 'complete', 'conditions', 'crd', 'deploy', 'explain', 'json', 'k8s', 'lines', 'loading', 'merge_keys', 'pattern',
  'plain', 'plan', 'policy', 'quantity',
  'ready', 'sandbox', 'schema', 'seal', 'semver', 'text', 'times' }

local read = dofile 'spec/sdk/read.lua'

-- C functions that a policy may call: what they do takes no longer than a walk over a text or over their arguments.
local HARMLESS = {}
for _, name in ipairs { 'assert', 'error', 'ipairs', 'rawequal', 'rawget', 'rawlen', 'select', 'tonumber', 'type' } do HARMLESS[_G[name]] = name end
for _, name in ipairs { 'len', 'sub', 'upper', 'lower', 'reverse', 'byte', 'char' } do HARMLESS[string[name]] = name end
for name, fn in pairs(math) do HARMLESS[fn] = name end
for name, fn in pairs(utf8) do HARMLESS[fn] = name end
HARMLESS[math.random], HARMLESS[math.randomseed], HARMLESS[table.pack] = nil, nil, 'pack'

--- Calls visit(value, path) for all that can be got from a value by asking for fields, of which a sealed table shows its content's.
local function walk(value, path, visit, seen)
  local kind = type(value)
  if (kind ~= 'table' and kind ~= 'function') or seen[value] then return end
  seen[value] = true
  visit(value, path)
  local at = value
  while type(at) == 'table' do
    for key, each in next, at do
      walk(key, path .. '.<key>', visit, seen)
      walk(each, path .. '.' .. tostring(key), visit, seen)
    end
    local mt = debug.getmetatable(at)
    at = mt and rawget(mt, '__index')
    if type(at) == 'function' then walk(at, path .. '.<__index>', visit, {}) end
  end
end

local function roots()
  local it = { _ENV = sandbox.env_for(sandbox.new(host), 'test.lua', function(name) return name end), plan = require('plan').new() }
  for _, name in ipairs(MODULES) do it[name] = seal.new(require(name), name) end
  it.policy = seal.new(require('policy').new(function() return '' end, function() return 'test.lua' end), 'policy')
  return it
end

--- What every trusted table holds and every trusted function closes over, but for the host and weak tables, which remember what is alive.
local function snapshot(guarded)
  local held, waiting = {}, {}
  for _, name in ipairs(TRUSTED) do waiting[#waiting + 1] = require(name) end
  local function wait_for(value)
    local holds = type(value) == 'table' or type(value) == 'function'
    if holds and not held[value] and value ~= guarded and value ~= host and value ~= _G then waiting[#waiting + 1] = value end
  end
  while #waiting > 0 do
    local value = table.remove(waiting)
    local mt = type(value) == 'table' and debug.getmetatable(value)
    if not held[value] and not (mt and rawget(mt, '__mode')) then
      local parts = {}
      held[value] = parts
      if type(value) == 'table' then
        for key, each in next, value do
          parts[key] = each
          wait_for(key)
          wait_for(each)
        end
        wait_for(mt)
      else
        for i = 1, math.huge do
          local name, each = debug.getupvalue(value, i)
          if not name then break end
          if each ~= nil then parts[i] = each end
          wait_for(each)
        end
      end
    end
  end
  return held
end

local function changed(before)
  for value, parts in pairs(before) do
    if type(value) == 'table' then
      for key, each in next, value do
        if not rawequal(parts[key], each) then return ('field %s'):format(tostring(key)) end
      end
      for key in next, parts do
        if rawget(value, key) == nil then return ('field %s is gone'):format(tostring(key)) end
      end
    else
      for i, each in next, parts do
        local name, now = debug.getupvalue(value, i)
        if not rawequal(now, each) then return ('upvalue %s'):format(name) end
      end
    end
  end
end

--- A host whose budget ends as the binary's does, so that no random program runs for ever.
local function limited(lines)
  local spent = false
  local it = {}
  for name, fn in pairs(host) do it[name] = fn end
  it.spent = function() return spent end
  it.log = function(level, policy, text) lines[#lines + 1] = ('%s %s: %s'):format(level, policy, text) end
  local function within(steps, fn)
    spent = false
    local left = steps
    debug.sethook(function()
      left = left - 1000
      if left > 0 then return end
      spent = true
      debug.sethook(function()
        if debug.getinfo(2, 'f').func ~= within then error('spent', 0) end
        debug.sethook() -- all that was limited is over
      end, '', 1)
      error('spent', 0)
    end, '', 1000)
    local ok, why = pcall(fn)
    debug.sethook()
    return ok, why
  end
  return it, within
end

local MANIFEST = [[return require 'policy'.manifest {
  parent = { apiVersion = 'x/v1', kind = 'Thing', plural = 'things' }, children = {}, field_manager = 'm', lease = 'l', component = 'c' }]]

local function files(seed)
  return {
    { name = 'a.lua', source = read 'spec/sdk/hostile.lua', origin = 'spec' }, { name = 'b.lua', source = read 'spec/sdk/victim.lua', origin = 'spec' },
    { name = 'manifest.lua', source = MANIFEST, origin = 'spec' }, { name = 'seed', source = tostring(seed), origin = 'spec' },
  }
end

describe('what a policy can reach', function()
  it('holds no table that can be changed', function()
    for name, root in pairs(roots()) do
      walk(root, name, function(value, path)
        if type(value) == 'table' and path ~= '_ENV' then
          assert.is_truthy(seal.content(value), path .. ' is not sealed')
        end
      end, {})
    end
  end)

  it('holds no C function but those that end soon', function()
    for name, root in pairs(roots()) do
      walk(root, name, function(value, path)
        if type(value) == 'function' and debug.getinfo(value, 'S').what == 'C' then assert.is_truthy(HARMLESS[value], path) end
      end, {})
    end
  end)

  it('stays as it is, whatever random programs do to it', function()
    local lines = {}
    local guarded, within = limited(lines)
    sandbox.new(guarded)
    local before, well = snapshot(guarded), 0
    for seed = 1, tonumber(os.getenv 'SEEDS' or 40) do
      local bundle
      local _, why = within(20000000, function() bundle = require('bundle').load(files(seed), nil, guarded) end)
      if bundle then
        for round = 1, 3 do
          local parent = { metadata = { name = 'a', namespace = 'n', uid = 'u' }, spec = { seed = round } }
          within(20000000, function() bundle[round == 3 and 'status' or 'plan'](bundle, { now = 'now', parent = parent }) end)
        end
      else
        assert.is_truthy(tostring(why):find 'spent', tostring(why))
      end
      local what = changed(before)
      assert.is_nil(what, ('seed %d: %s'):format(seed, tostring(what)))
      for _, line in ipairs(lines) do
        if line:find '^info b: all is well' then well = well + 1 end
        assert.is_nil(line:match 'changed: .*' or line:match 'an address: .*', ('seed %d: %s'):format(seed, line))
      end
      for i = #lines, 1, -1 do lines[i] = nil end
    end
    sandbox.new(host)
    assert.is_true(well > 0)
  end)
end)
