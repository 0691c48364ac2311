--- exposition: a strict reader of the Prometheus text format 0.0.4. What promtool would refuse, it refuses, and what its linter would say, too.
local M = {}

local TYPES = { counter = true, gauge = true, histogram = true }

--- Reads `a="b",c="d"`; returns a table, and the labels in order. Values are unescaped.
local function read_labels(text, where)
  local labels, order, at = {}, {}, 1
  while at <= #text do
    local name, from = text:match('^([%a_][%w_]*)="()', at)
    assert(name, where .. ': labels')
    assert(labels[name] == nil, where .. ': label twice: ' .. name)
    local value = {}
    at = from
    while true do
      local c = text:sub(at, at)
      assert(c ~= '' and c ~= '\n', where .. ': unfinished value of ' .. name)
      if c == '"' then break end
      if c == '\\' then
        at = at + 1
        c = ({ ['\\'] = '\\', ['"'] = '"', n = '\n' })[text:sub(at, at)]
        assert(c, where .. ': wrong escape')
      end
      value[#value + 1] = c
      at = at + 1
    end
    labels[name] = table.concat(value)
    order[#order + 1] = name
    at = at + 1
    if at <= #text then
      assert(text:sub(at, at) == ',' and at < #text, where .. ': comma')
      at = at + 1
    end
  end
  return labels, order
end

local function number(text, where)
  if text == '+Inf' then return math.huge elseif text == '-Inf' then return -math.huge elseif text == 'NaN' then return 0 / 0 end
  assert(not text:find '[xXnN]', where .. ': number ' .. text)
  return assert(tonumber(text), where .. ': number ' .. text)
end

local function identity(labels, without)
  local parts = {}
  for name, value in pairs(labels) do
    if name ~= without then parts[#parts + 1] = ('%s=%q'):format(name, value) end
  end
  table.sort(parts)
  return table.concat(parts, ',')
end

--- Cumulative, in order, ending with +Inf, which is the count; a sum and a count for each.
local function check_histogram(family)
  local name, groups = family.name, {}
  for _, s in ipairs(family.samples) do
    local id = identity(s.labels, 'le')
    groups[id] = groups[id] or { buckets = {} }
    local kind = s.name:sub(#name + 1)
    if kind == '_bucket' then
      table.insert(groups[id].buckets, { number(assert(s.labels.le, name .. ': bucket without le'), name), s.value })
    else
      assert(not s.labels.le, name .. ': le on ' .. kind)
      groups[id][kind] = s.value
    end
  end
  for id, group in pairs(groups) do
    local where, last = name .. '{' .. id .. '}', { -math.huge, 0 }
    for _, bucket in ipairs(group.buckets) do
      assert(bucket[1] > last[1] and bucket[2] >= last[2], where .. ': buckets')
      last = bucket
    end
    assert(last[1] == math.huge and last[2] == group._count, where .. ': count')
    assert(group._sum, where .. ': no sum')
    assert(group._count > 0 or group._sum == 0, where .. ': a sum of nothing')
  end
end

local function check_name(family)
  local name = family.name
  assert((family.type == 'counter') == (name:find '_total$' ~= nil), name .. ': counters, and only they, end with _total')
  assert(not name:find '_milli' and not name:find '_ms$' and not name:find '_kb$' and not name:find '_minutes', name .. ': base units')
end

--- Reads a page. Returns families by name: {name, type, help, samples = {{name, labels, value}}}; raises at the first mistake.
function M.read(page)
  assert(page:sub(-1) == '\n', 'the last line must end')
  local families, current, seen, number_of_line = {}, nil, {}, 0
  for line in page:gmatch '([^\n]*)\n' do
    number_of_line = number_of_line + 1
    local where = ('line %d: %s'):format(number_of_line, line)
    local word, name, rest = line:match '^# (%u+) ([%a_:][%w_:]*) ?(.*)$'
    if word == 'HELP' then
      assert(not families[name], where .. ': family twice')
      assert(rest ~= '' and not rest:gsub('\\\\', ''):gsub('\\n', ''):find('\\', 1, true), where .. ': help')
      current = { name = name, help = rest, samples = {} }
      families[name] = current
    elseif word == 'TYPE' then
      assert(current and current.name == name and not current.type and #current.samples == 0, where .. ': TYPE belongs after HELP')
      assert(TYPES[rest], where .. ': type')
      current.type = rest
    else
      local metric, labels_text, value = line:match '^([%a_:][%w_:]*){(.*)} (%S+)$'
      if not metric then metric, value = line:match '^([%a_:][%w_:]*) (%S+)$' end
      assert(metric, where .. ': no sample')
      assert(current and current.type, where .. ': no TYPE')
      local suffix = metric:sub(1, #current.name) == current.name and metric:sub(#current.name + 1)
      local fits = suffix == '' and current.type ~= 'histogram'
    if current.type == 'histogram' then fits = suffix == '_bucket' or suffix == '_sum' or suffix == '_count' end
      assert(fits, where .. ': not of ' .. current.name)
      local sample = { name = metric, labels = read_labels(labels_text or '', where), value = number(value, where) }
      local id = metric .. '{' .. identity(sample.labels) .. '}'
      assert(not seen[id], where .. ': series twice')
      seen[id] = true
      assert(current.type == 'gauge' or sample.value >= 0, where .. ': negative')
      table.insert(current.samples, sample)
    end
  end
  for _, family in pairs(families) do
    assert(family.type, family.name .. ': no TYPE')
    check_name(family)
    if family.type == 'histogram' then check_histogram(family) end
  end
  return families
end

--- The value of the series that has at least these labels (the sum of all that do), or nil.
function M.value(families, name, labels)
  local base, sum = name, nil
  if not families[name] then base = name:gsub('_bucket$', ''):gsub('_sum$', ''):gsub('_count$', '') end
  for _, s in ipairs(families[base] and families[base].samples or {}) do
    local fits = s.name == name
    for label, value in pairs(labels or {}) do fits = fits and s.labels[label] == value end
    if fits then sum = (sum or 0) + s.value end
  end
  return sum
end

--- The metric names in a PromQL expression that lie in one of these families, and those that are no family at all.
function M.names(expression)
  local text, names = expression:gsub('"[^"]*"', '""'):gsub('{[^}]*}', ''):gsub('%b[]', ''), {}
  text = text:gsub('%f[%w_]by%s*%b()', ''):gsub('%f[%w_]without%s*%b()', ''):gsub('%f[%w_]on%s*%b()', '')
  for name, after in text:gmatch '%f[%w_:]([%a_:][%w_:]*)%s*(%(?)' do
    if after == '' and not ({ ['and'] = 1, ['or'] = 1, unless = 1, bool = 1, offset = 1 })[name] then names[#names + 1] = name end
  end
  return names
end

return M
