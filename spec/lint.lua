-- lint: the rules of engine/README.md that no general tool knows. Usage: lua5.4 spec/lint.lua FILE...
local MAX_LINES, MAX_FUNCTION = 600, 60
local MAX_TEST = 120 -- a test may hold a table of cases

-- A room is a folder below engine/, named by its path; this is what each may include, itself aside. engine/README.md shows the same table.
-- What lies in a folder of another room is a room of its own: neither may include the other unless its row says so.
local MAY = {
  base = {},
  json = { 'base' },
  loop = { 'base' },
  net = { 'loop', 'base' },
  kube = { 'net', 'loop', 'json', 'base' },
  transport = { 'loop', 'json', 'base' },
  ['transport/rabbitmq'] = { 'transport', 'net', 'loop', 'json', 'base' },
  ['transport/sqs'] = { 'transport', 'net', 'loop', 'json', 'base' },
  script = { 'json', 'base' },
  policy = { 'kube', 'script', 'net', 'loop', 'json', 'base' },
  serve = { 'policy', 'kube', 'net', 'loop', 'script', 'base' },
  queues = { 'serve', 'kube', 'transport', 'loop', 'json', 'base' },
  reconcile = { 'queues', 'serve', 'policy', 'kube', 'script', 'loop', 'json', 'base' },
  ['rollout/machine'] = { 'base' },
  rollout = { 'rollout/machine', 'reconcile', 'policy', 'kube', 'loop', 'json', 'base' },
  operator = { 'rollout', 'reconcile', 'queues', 'serve', 'policy', 'kube', 'net', 'loop', 'json', 'base' },
  cli = { 'operator', 'rollout', 'rollout/machine', 'reconcile', 'queues', 'transport', 'policy', 'kube', 'script', 'loop', 'json', 'base' },
}
local README = 'engine/README.md'
-- Words of policies: the engine must not know what it operates on.
local FOREIGN = { 'asyncactor', 'sidecar', 'keda', 'scaledobject' }

local problems = 0
local function problem(file, line, fmt, ...)
  problems = problems + 1
  io.stderr:write(('%s:%d: %s\n'):format(file, line, fmt:format(...)))
end

local function has(list, item)
  for _, each in ipairs(list) do
    if each == item then return true end
  end
  return false
end

local function sorted_keys(t)
  local keys = {}
  for key in pairs(t) do keys[#keys + 1] = key end
  table.sort(keys)
  return keys
end

-- ---- files ----

--- "transport/rabbitmq" of "transport/rabbitmq/queue.h"; nil of a file that lies beside the rooms.
local function room_of(path) return path:match '^([%w_/]+)/[^/]+$' end

local includes = {} -- by file below engine/: the files below engine/ that it includes

local function check_include(file, room, number, target)
  local wanted = room_of(target)
  if MAY[room] and wanted and wanted ~= room and not has(MAY[room], wanted) then
    problem(file, number, '%s/ may not include %s/', room, wanted)
  end
  local list = includes[file:match '^engine/(.*)$']
  list[#list + 1] = target
end

local function check_line(file, room, number, line)
  local target = line:match '^#include "([^"]+)"'
  if target then check_include(file, room, number, target) end
  if line:match '^#include <lua' and room ~= 'script' and room ~= 'test' then
    problem(file, number, 'only engine/script may include Lua')
  end
  for _, word in ipairs(FOREIGN) do
    if line:lower():find(word, 1, true) then problem(file, number, "the engine must not know '%s'", word) end
  end
end

--- A test is called after the room that it is about: test_transport_rabbitmq_faults.c.
local function check_test_name(file)
  local name = file:match '^engine/test/test_(.*)%.c$'
  for room in pairs(MAY) do
    if not name or name:find(room:gsub('/', '_') .. '_', 1, true) == 1 then return end
  end
  problem(file, 1, 'test_<room>_<what>.c: no room of that name')
end

local function check_room(file, room)
  if room == 'test' then return check_test_name(file) end
  if room and not MAY[room] then problem(file, 1, '%s/ has no row in MAY of spec/lint.lua', room) end
end

local function check_file(file)
  local path = file:match '^engine/(.*)$'
  local room = room_of(path)
  local number, opened = 0, nil
  includes[path] = {}
  check_room(file, room)
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

-- ---- the whole ----

--- @param arrows  lists of names by name
--- @param where  gives the file to report a name at
local function check_circles(arrows, where)
  local trail, state = {}, {} -- state of a name: nil, 'open' while it is on the trail, 'done'
  local function visit(name)
    trail[#trail + 1], state[name] = name, 'open'
    for _, target in ipairs(arrows[name] or {}) do
      if state[target] == 'open' then
        local first = 1
        while trail[first] ~= target do first = first + 1 end
        problem(where(name), 1, 'includes in a circle: %s -> %s', table.concat(trail, ' -> ', first), target)
      elseif not state[target] then
        visit(target)
      end
    end
    trail[#trail], state[name] = nil, 'done'
  end
  for _, name in ipairs(sorted_keys(arrows)) do
    if not state[name] then visit(name) end
  end
end

--- The rooms of a cell "net, base; libcurl", sorted; "nothing" is none.
local function rooms_of_cell(cell)
  local rooms = {}
  for room in cell:gsub(';.*', ''):gmatch '[%w_/]+' do
    if room ~= 'nothing' then rooms[#rooms + 1] = room end
  end
  table.sort(rooms)
  return table.concat(rooms, ', ')
end

local function check_readme()
  local shown, number = { test = true }, 0
  for line in io.lines(README) do
    number = number + 1
    local room, cell = line:match '^| `([%w_/]+)/` |.*| ([^|]+) |$'
    if room and MAY[room] then
      local wanted = rooms_of_cell(table.concat(MAY[room], ', '))
      if rooms_of_cell(cell) ~= wanted then problem(README, number, '%s/ may include: %s, by spec/lint.lua', room, wanted) end
    elseif room and not shown[room] then
      problem(README, number, '%s/ has no row in MAY of spec/lint.lua', room)
    end
    shown[room or ''] = true
  end
  for _, room in ipairs(sorted_keys(MAY)) do
    if not shown[room] then problem(README, 1, '%s/ has no row in the table of rooms', room) end
  end
end

--- What a room says of itself: "May include: net, loop, base."
local function check_room_readme(room)
  local path, number = 'engine/' .. room .. '/README.md', 0
  local file = io.open(path)
  for line in file and file:lines() or function() end do
    number = number + 1
    local cell = line:match '^May include: (.*)%.$'
    local wanted = rooms_of_cell(table.concat(MAY[room], ', '))
    if cell and rooms_of_cell(cell) ~= wanted then problem(path, number, 'may include: %s, by spec/lint.lua', wanted) end
  end
  if file then file:close() end
end

--- Files of specs run at the same time, in lanes, on one machine: a port that is written down is that of one file.
local function check_ports()
  local owner = {}
  for file in io.popen 'find spec -name "*.lua" | sort':lines() do
    local number = 0
    for line in io.lines(file) do
      number = number + 1
      for port in line:gmatch '%f[%d]18[45]%d%d%f[%D]' do
        owner[port] = owner[port] or file
        if owner[port] ~= file then problem(file, number, 'port %s is that of %s', port, owner[port]) end
      end
    end
  end
end

for _, file in ipairs(arg) do check_file(file) end
check_circles(MAY, function() return 'spec/lint.lua' end)
check_circles(includes, function(path) return 'engine/' .. path end)
check_readme()
for _, room in ipairs(sorted_keys(MAY)) do check_room_readme(room) end
check_ports()
os.exit(problems == 0 and 0 or 1)
