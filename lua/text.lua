--- text: helpers for strings. The cost of each is bounded by the length of its arguments.
local byte, char, format, find, sub = string.byte, string.char, string.format, string.find, string.sub
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

local ALPHABET <const> = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

--- The base64 text of some bytes (RFC 4648).
---@param s string
---@return string
function text.base64_encode(s)
  local out = {}
  for i = 1, #s, 3 do
    local a, b, c = byte(s, i, i + 2)
    local bits = a << 16 | (b or 0) << 8 | (c or 0)
    for k = 0, 3 do
      local index = (bits >> (18 - 6 * k)) & 63
      local digit = sub(ALPHABET, index + 1, index + 1)
      if (k == 2 and not b) or (k == 3 and not c) then digit = '=' end
      out[#out + 1] = digit
    end
  end
  return concat(out)
end

--- The bytes of a base64 text, or nil when the text is not base64.
---@param s string
---@return string?
function text.base64_decode(s)
  local out, bits, have = {}, 0, 0
  for i = 1, #s do
    local c = sub(s, i, i)
    if c == '=' then break end
    local index = find(ALPHABET, c, 1, true)
    if not index then return nil end
    bits, have = (bits << 6 | (index - 1)) & 0xffffff, have + 6
    if have >= 8 then
      have = have - 8
      out[#out + 1] = char((bits >> have) & 255)
    end
  end
  return concat(out)
end

return text
