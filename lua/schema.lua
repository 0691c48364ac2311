--- schema: what a policy's parameters may be, with defaults and documentation. An unknown key is an error.
local json = require 'json'
local plain = require 'plain'

local schema = {}

---@class Schema
---@field kind string
local Schema = {}

local RULE = { __index = Schema } -- apart from the methods, which whoever has a rule can reach

--- Sets the value that a parameter has when none is given.
function Schema:default(value)
  self.fallback = value
  return self
end

--- Says in one sentence what the parameter is for.
function Schema:doc(text)
  self.text = text
  return self
end

--- Says that a parameter must be given.
function Schema:required()
  self.needed = true
  return self
end

--- Adds a CEL rule to the CRD that is made of it (`self` is the value), and what the server says when it is false. Policies do not check it.
---@param expression string
---@param message string
function Schema:rule(expression, message)
  self.rules = self.rules or {}
  self.rules[#self.rules + 1] = { expression, message }
  return self
end

---@return Schema
local function make(kind, rules)
  local made = setmetatable({ kind = kind }, RULE)
  for key, value in pairs(rules or {}) do made[key] = value end
  return made
end

--- A text: { min_len, max_len, enum = {...}, pattern }.
function schema.string(rules) return make('string', rules) end
--- A text, or a number that stands for one: `5672` and `"5672"` are the same.
function schema.scalar() return make('scalar') end
--- A whole number: { min, max }.
function schema.integer(rules) return make('integer', rules) end
--- Any number: { min, max }.
function schema.number(rules) return make('number', rules) end
--- true or false.
function schema.boolean() return make('boolean') end
--- A list whose items fit `item`.
function schema.array(item) return make('array', { item = item }) end
--- A mapping of any keys to values that fit `item`.
function schema.map(item) return make('map', { item = item }) end
--- A mapping of exactly these fields.
function schema.table(fields) return make('table', { fields = fields }) end
--- Anything.
function schema.any() return make('any') end

local function fail(path, text, ...) error(('%s: ' .. text):format(path, ...), 0) end

local function describe(value)
  if value == json.null then return 'null' end
  if json.is_array(value) then return 'a list' end
  if type(value) == 'table' then return 'a mapping' end
  return ("%s '%s'"):format(math.type(value) or type(value), plain.text(value))
end

local function expect(ok, path, what, value)
  if not ok then fail(path, 'expected %s, got %s', what, describe(value)) end
end

local check

local function check_bounds(rule, value, path)
  if rule.min and value < rule.min then fail(path, 'must be at least %s, not %s', plain.text(rule.min), plain.text(value)) end
  if rule.max and value > rule.max then fail(path, 'must be at most %s, not %s', plain.text(rule.max), plain.text(value)) end
  return value
end

local CHECK = {}

function CHECK.string(rule, value, path)
  expect(type(value) == 'string', path, 'string', value)
  if rule.min_len and #value < rule.min_len then fail(path, 'must have at least %d characters', rule.min_len) end
  if rule.max_len and #value > rule.max_len then fail(path, 'must have at most %d characters', rule.max_len) end
  if rule.pattern and not value:find(rule.pattern) then fail(path, "'%s' does not match %s", value, rule.pattern) end
  for _, one in ipairs(rule.enum or { value }) do
    if one == value then return value end
  end
  fail(path, "'%s' is not one of %s", value, plain.concat(rule.enum, ', '))
end

function CHECK.scalar(_, value, path)
  expect(type(value) == 'string' or type(value) == 'number', path, 'string or number', value)
  return tostring(value)
end

function CHECK.integer(rule, value, path)
  expect(math.type(value) == 'integer', path, 'integer', value)
  return check_bounds(rule, value, path)
end

function CHECK.number(rule, value, path)
  expect(math.type(value), path, 'number', value)
  return check_bounds(rule, value, path)
end

function CHECK.boolean(_, value, path)
  expect(type(value) == 'boolean', path, 'boolean', value)
  return value
end

function CHECK.any(_, value) return value end

function CHECK.array(rule, value, path)
  expect(json.is_array(value) or (type(value) == 'table' and #value > 0), path, 'list', value)
  local list = json.array {}
  for i, each in ipairs(value) do list[i] = check(rule.item, each, ('%s[%d]'):format(path, i - 1)) end
  return list
end

function CHECK.map(rule, value, path)
  expect(type(value) == 'table' and not json.is_array(value), path, 'mapping', value)
  local map = {}
  for key, each in pairs(value) do map[key] = check(rule.item, each, path .. '.' .. plain.text(key)) end
  return map
end

function CHECK.table(rule, value, path)
  expect(type(value) == 'table' and not json.is_array(value), path, 'mapping', value)
  return schema.apply(rule.fields, value, path)
end

--- The value with its defaults filled in, or an error that names the path.
function check(rule, value, path)
  if value == nil or value == json.null then
    if rule.needed and rule.fallback == nil then fail(path, 'is missing') end
    if rule.kind == 'table' and rule.fallback == nil then return schema.apply(rule.fields, {}, path) end
    return rule.fallback
  end
  return CHECK[rule.kind](rule, value, path)
end

local function sorted_names(fields)
  local names = {}
  for name in pairs(fields) do names[#names + 1] = name end
  table.sort(names)
  return names
end

--- Names the first one that is unknown, in the order of names.
local function refuse_unknown(fields, value, path)
  for _, key in ipairs(sorted_names(value)) do
    if not fields[key] then fail(path, "unknown parameter '%s' (known: %s)", key, table.concat(sorted_names(fields), ', ')) end
  end
end

--- Checks a table of parameters against its fields; returns it with the defaults filled in.
---@param fields table<string, Schema>
---@param value table
---@param path string what errors call it
---@return table
function schema.apply(fields, value, path)
  expect(type(value) == 'table' and value ~= json.null, path, 'mapping', value)
  for key in next, value do
    if not fields[key] then refuse_unknown(fields, value, path) end
  end
  local result = {}
  for _, name in ipairs(sorted_names(fields)) do result[name] = check(fields[name], value[name], path .. '.' .. name) end
  return result
end

--- Rows for generated documentation: { path, type, default, doc }.
---@param fields table<string, Schema>
---@param path string?
---@return table
function schema.describe(fields, path)
  local rows = json.array {}
  for _, name in ipairs(sorted_names(fields or {})) do
    local field, full = fields[name], path and (path .. '.' .. name) or name
    rows[#rows + 1] = { path = full, type = field.kind, default = field.fallback, doc = field.text }
    if field.kind == 'table' then
      for _, row in ipairs(schema.describe(field.fields, full)) do rows[#rows + 1] = row end
    end
  end
  return rows
end

return schema
