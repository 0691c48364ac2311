--- text: helpers for strings. The cost of each is bounded by the length of its arguments.
local byte, format, find, sub = string.byte, string.format, string.find, string.sub
local concat = table.concat

local host = rawget(_G, 'host') or require 'host' -- C's in the binary

local text = {}

--- The parts between separators (plain text, not empty).
---@param s string
---@param separator string
---@return string[]
function text.split(s, separator)
  if separator == '' then error('text.split: the separator must not be empty', 2) end
  local parts, from = {}, 1
  while true do
    local first, last = host.find(s, separator, from)
    if not first then
      parts[#parts + 1] = sub(s, from)
      return parts
    end
    parts[#parts + 1] = sub(s, from, first - 1)
    from = last + 1
  end
end

--- The text without white space at both ends.
---@param s string
---@return string
function text.trim(s)
  local first, last = 1, #s
  while first <= last and find(' \t\r\n', sub(s, first, first), 1, true) do first = first + 1 end
  while last >= first and find(' \t\r\n', sub(s, last, last), 1, true) do last = last - 1 end
  return sub(s, first, last)
end

--- Does s begin with this prefix?
---@return boolean
function text.starts_with(s, prefix) return sub(s, 1, #prefix) == prefix end

--- Does s end with this suffix?
---@return boolean
function text.ends_with(s, suffix) return suffix == '' or sub(s, -#suffix) == suffix end

--- 16 hex digits that stand for a text (FNV-1a, 64 bits). They tell texts apart; they are not for security.
---@param s string
---@return string
function text.hash(s)
  local h = 0xcbf29ce484222325
  for i = 1, #s do h = (h ~ byte(s, i)) * 0x100000001b3 end
  return format('%016x', h)
end

--- The SHA-256 of a text in 64 hex digits. It is slower than hash; people pin files by it.
---@param s string
---@return string
function text.sha256(s)
  if type(s) ~= 'string' then error('text.sha256 takes a string', 2) end
  return host.sha256(s)
end

--- The text with everything but letters, digits and -._~ percent-encoded.
---@param s string
---@return string
function text.url_encode(s)
  local out = {}
  for i = 1, #s do
    local c = sub(s, i, i)
    out[i] = find(c, '[%w._~-]') and c or format('%%%02X', byte(c))
  end
  return concat(out)
end

--- The base64 text of some bytes (RFC 4648).
---@param s string
---@return string
function text.base64_encode(s)
  if type(s) ~= 'string' then error('text.base64_encode takes a string', 2) end
  return host.base64_encode(s)
end

--- The bytes of a base64 text, or nil when the text is not base64. Padding may be absent.
---@param s string
---@return string?
function text.base64_decode(s)
  if type(s) ~= 'string' then error('text.base64_decode takes a string', 2) end
  return host.base64_decode(s)
end

--- What a place of a template stands for, as a text.
local function filling(values, path, whole)
  local value = values[path]
  if value == nil then value = host.get(values, path) end
  local kind = type(value)
  if kind == 'string' then return value end
  if kind == 'number' or kind == 'boolean' then return tostring(value) end
  error(("text.fill: '{{%s}}' is %s"):format(whole, kind == 'nil' and 'not among the values' or 'a ' .. kind), 3)
end

--- The template with each `{{path}}` replaced by the value at that dotted path: a text, number or boolean. `{{{{` stands for `{{`.
-- What a value holds is not looked at again. A place without a value is an error that names it: nothing is left out silently.
---@param template string
---@param values table
---@return string
function text.fill(template, values)
  if type(template) ~= 'string' or type(values) ~= 'table' then error('text.fill takes a template and a table of values', 2) end
  local parts, from, size = {}, 1, 0
  local function put(part)
    size = size + #part
    if size > host.max_string then error('text.fill: the text is longer than ' .. host.max_string .. ' bytes', 3) end
    parts[#parts + 1] = part
  end
  while true do
    local first = host.find(template, '{{', from)
    put(sub(template, from, first and first - 1 or -1))
    if not first then return concat(parts) end
    if sub(template, first, first + 3) == '{{{{' then
      put '{{'
      from = first + 4
    else
      local last = host.find(template, '}}', first)
      if not last then error(("text.fill: '{{' at byte %d has no '}}'"):format(first), 2) end
      local whole = sub(template, first + 2, last - 1)
      put(filling(values, text.trim(whole), whole))
      from = last + 2
    end
  end
end

return text
