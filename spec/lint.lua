-- lint: the rules of engine/README.md that no general tool knows. Usage: lua5.4 spec/lint.lua FILE...
local MAX_LINES, MAX_FUNCTION = 600, 60
local MAX_TEST = 120 -- a test may hold a table of cases

-- What each room may include, itself aside.
local MAY = {
  base = {},
  json = { 'base' },
  loop = { 'base' },
  net = { 'loop', 'base' },
  kube = { 'net', 'loop', 'json', 'base' },
  transport = { 'net', 'loop', 'json', 'base' },
  script = { 'json', 'base' },
  core = { 'kube', 'script', 'transport', 'net', 'loop', 'json', 'base' },
  cli = { 'core', 'kube', 'script', 'transport', 'net', 'loop', 'json', 'base' },
}
-- Words of policies: the engine must not know what it operates on.
local FOREIGN = { 'asyncactor', 'sidecar', 'keda', 'scaledobject' }

local problems = 0
local function problem(file, line, fmt, ...)
  problems = problems + 1
  io.stderr:write(('%s:%d: %s\n'):format(file, line, fmt:format(...)))
end

local function allowed(room, target)
  if room == target or target == nil then return true end
  for _, each in ipairs(MAY[room] or {}) do
    if each == target then return true end
  end
  return MAY[room] == nil -- main.c and tests see everything
end

local function check_line(file, room, number, line)
  local target = line:match '^#include "([%w_]+)/'
  if MAY[room] and not allowed(room, target) then problem(file, number, '%s/ may not include %s/', room, target) end
  if line:match '^#include <lua' and room ~= 'script' and room ~= 'test' then
    problem(file, number, 'only engine/script may include Lua')
  end
  for _, word in ipairs(FOREIGN) do
    if line:lower():find(word, 1, true) then problem(file, number, "the engine must not know '%s'", word) end
  end
end

local function check_file(file)
  local room = file:match '^engine/([%w_]+)/'
  local number, opened = 0, nil
  for line in io.lines(file) do
    number = number + 1
    check_line(file, room, number, line)
    if line == '{' then opened = number end
    if line == '}' and opened then
      local limit = room == 'test' and MAX_TEST or MAX_FUNCTION
      if number - opened > limit then problem(file, opened, 'function of %d lines, at most %d', number - opened, limit) end
      opened = nil
    end
  end
  if number > MAX_LINES then problem(file, number, 'file of %d lines, at most %d', number, MAX_LINES) end
end

for _, file in ipairs(arg) do check_file(file) end
os.exit(problems == 0 and 0 or 1)
