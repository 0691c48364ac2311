--- instructions: what an actor costs in instructions, or a parent of EXAMPLE, cold and at a restart; run by spec/bench/instructions.
-- Two runs that differ only in the number of actors: their difference is what actors cost, the rest is what a start costs.
local cluster = require 'cluster'
local exposition = require 'exposition'
local json = require 'json'
local report = require 'report'
local subject = require 'subject'

local FEW, MANY = assert(tonumber(arg[1]), 'how many actors'), assert(tonumber(arg[2]), 'and how many more')
local METRICS = '127.0.0.1:18486'
local TOP = 40

--- What each function costs, of one run, as callgrind_annotate tells it.
local function costs(file, inclusive)
  local result, text = {}, cluster.sh('callgrind_annotate %s --auto=no --threshold=100 %s', file, inclusive and '--inclusive=yes' or '')
  for count, what in text:gmatch '\n *([%d,]+) %([ %d.]+%%%)  ([^\n]+)' do
    what = what:gsub('^%S*/engine/', 'engine/'):gsub('^%?%?%?:', ''):gsub('%[/%S*/', '[')
    result[what] = (result[what] or 0) + tonumber((count:gsub(',', '')))
  end
  return result
end

local function run(name)
  local out = cluster.temp(name .. '.callgrind')
  local handle = cluster.operator {
    binary = ('valgrind --quiet --tool=callgrind --callgrind-out-file=%s %s/asya-operator'):format(out, cluster.build),
    args = ('--metrics-bind-address %s %s'):format(METRICS, subject.flags),
  }

  --- Waits until `n` actors have had a pass, none has one, and that has been so for some seconds.
  function handle.settled(n)
    local quiet, passes_before = 0, nil
    cluster.eventually('the operator is at rest', 600, function()
      cluster.sleep(1)
      local text, ok = cluster.sh('curl -sS --max-time 5 http://%s/metrics', METRICS)
      if not ok then return false, text end -- it does not listen yet
      local page, passes = exposition.read(text), 0
      for _, result in ipairs { 'success', 'error', 'requeue_after' } do
        passes = passes + (exposition.value(page, 'controller_runtime_reconcile_total', { result = result }) or 0)
      end
      quiet = passes >= n and passes == passes_before and quiet + 1 or 0
      passes_before = passes
      return quiet >= 5, passes
    end)
    return passes_before
  end

  --- Ends it and tells how many instructions it took, without those for the pages of metrics that settled() reads.
  function handle.count()
    handle.stop()
    local pages = 0
    for what, count in pairs(costs(out, true)) do
      if what:find('server.c:bytes_read', 1, true) then pages = math.max(pages, count) end
    end
    local total = cluster.read(out):match '\ntotals: (%d+)' or cluster.read(out):match '\nsummary: (%d+)'
    return assert(tonumber(total), out .. ' says no total') - pages, out
  end
  return handle
end

local function writes(mark)
  local sum = 0
  for what, count in pairs(cluster.requests(mark)) do
    if not what:find '^get ' and not what:find '^list ' then sum = sum + count end
  end
  return sum
end

--- One cold start over `n` actors, and a restart over them.
local function measure(n)
  local ns = cluster.namespace 'instructions'
  subject.create('bench-', ns, n)
  cluster.sleep(2)
  local mark, result = cluster.audit_mark(), {}
  local operator = run('cold-' .. n)
  subject.await_made(ns, n, true)
  result.passes = operator.settled(n)
  result.cold, result.cold_file = operator.count()
  result.writes = writes(mark)
  mark = cluster.audit_mark()
  operator = run('restart-' .. n)
  result.restart_passes = operator.settled(n)
  result.restart, result.restart_file = operator.count()
  result.restart_writes = writes(mark)
  subject.discard(ns)
  return result
end

--- The functions that cost an actor most: the difference of two runs.
local function top(few_file, many_file, inclusive)
  local before, list = costs(few_file, inclusive), {}
  for what, count in pairs(costs(many_file, inclusive)) do
    list[#list + 1] = { what = what, each = (count - (before[what] or 0)) / (MANY - FEW) / 1e6 }
  end
  table.sort(list, function(a, b) return a.each > b.each end)
  for i = 1, math.min(TOP, #list) do print(('  %9.3f  %s'):format(list[i].each, list[i].what:sub(1, 110))) end
end

subject.install()
local few, many = measure(FEW), measure(MANY)
subject.remove()
local over, rows = 0, json.array {}

local function say(what, value, budget)
  local row = { what = what, value = value, target = budget, bound = budget ~= nil or nil }
  rows[#rows + 1] = row
  if report.line(row) then over = over + 1 end
end

for _, kind in ipairs { 'cold', 'restart' } do
  local slope = (many[kind] - few[kind]) / (MANY - FEW) / 1e6
  print(('%s, %d and %d %s, millions of instructions'):format(kind, FEW, MANY, subject.resource))
  say(('%s, %s'):format(subject.each, kind), slope, subject.instructions and subject.instructions[kind])
  say('the start, ' .. kind, few[kind] / 1e6 - FEW * slope)
end
print 'each actor'
say('passes, cold', many.passes / MANY)
say('passes, restart', many.restart_passes / MANY)
say('writes, cold', many.writes / MANY)
say('writes, restart', many.restart_writes / MANY, 0)
for _, kind in ipairs { 'cold', 'restart' } do
  for _, inclusive in ipairs { true, false } do
    print(('\n%s, millions an actor, %s'):format(kind, inclusive and 'with what it calls (what calls itself counts more than once)' or 'by itself'))
    top(few[kind .. '_file'], many[kind .. '_file'], inclusive)
  end
end
if arg[3] then cluster.write(arg[3], json.encode { few = FEW, many = MANY, rows = rows } .. '\n') end
os.exit(over == 0)
