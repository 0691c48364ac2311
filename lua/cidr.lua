--- cidr: addresses and networks of IPv4 and IPv6, exactly.
-- All are 128 bits in two integers; IPv4 has the last 32 of them, and prefixes that are 96 longer.
local error, math, tonumber, type = error, math, tonumber, type
local find, format, gmatch, match, sub = string.find, string.format, string.gmatch, string.match, string.sub
local concat = table.concat

local cidr = {}

local MAX <const> = 64 -- bytes of a text

---@class Network
---@field family 4|6
---@field high integer
---@field low integer
---@field prefix integer of 128 bits

--- The integer of an IPv4 address, or nil. Go and we refuse leading zeros: some take them for octal.
local function read_4(text)
  local bits, count = 0, 0
  for part in gmatch(text .. '.', '([^.]*)%.') do
    if not find(part, '^%d%d?%d?$') or (#part > 1 and sub(part, 1, 1) == '0') or tonumber(part) > 255 then return nil end
    bits, count = bits << 8 | math.tointeger(tonumber(part)), count + 1
  end
  return count == 4 and bits or nil
end

--- Appends the groups of a part of an IPv6 address to `groups`; at its end there may be an IPv4 address. Returns false when it is malformed.
local function read_groups(text, groups)
  if text == '' then return true end
  for part in gmatch(text .. ':', '([^:]*):') do
    if find(part, '.', 1, true) then
      local four = #groups <= 6 and sub(text, -#part) == part and read_4(part)
      if not four then return false end
      groups[#groups + 1] = four >> 16
      groups[#groups + 1] = four & 0xffff
    elseif find(part, '^%x%x?%x?%x?$') and #groups < 8 then
      groups[#groups + 1] = tonumber(part, 16)
    else
      return false
    end
  end
  return true
end

--- The two integers of an IPv6 address, or nil.
local function read_6(text)
  local gap = find(text, '::', 1, true)
  local left, right = {}, {}
  if not read_groups(gap and sub(text, 1, gap - 1) or text, left) or (gap and not read_groups(sub(text, gap + 2), right)) then return nil end
  if gap and find(sub(text, 1, gap - 1), '.', 1, true) then return nil end
  local missing = 8 - #left - #right
  if (gap and missing < 1) or (not gap and missing ~= 0) then return nil end
  for _ = 1, missing do left[#left + 1] = 0 end
  for i = 1, #right do left[#left + 1] = right[i] end
  return left[1] << 48 | left[2] << 32 | left[3] << 16 | left[4], left[5] << 48 | left[6] << 32 | left[7] << 16 | left[8]
end

--- An address or network as it is written, or nil.
---@return Network?
local function read(text)
  if type(text) ~= 'string' or #text > MAX then return nil end
  local address, length = match(text, '^([%x.:]+)/?(%d*)$')
  if not address or (length == '' and sub(text, -1) == '/') or #length > 3 or find(length, '^0%d') then return nil end
  local family = find(address, ':', 1, true) and 6 or 4
  local high, low
  if family == 4 then high, low = 0, read_4(address) else high, low = read_6(address) end
  local bits = family == 4 and 32 or 128
  local prefix = length == '' and bits or tonumber(length)
  if not high or not low or prefix > bits then return nil end
  return { family = family, high = high, low = low, prefix = prefix + 128 - bits }
end

--- The first bits of a network as two masks.
local function masks(prefix) return -1 << (64 - math.min(prefix, 64)), -1 << (128 - math.max(prefix, 64)) end

local function start_of(it)
  local high, low = masks(it.prefix)
  return it.high & high, it.low & low
end

--- Where the longest run of two or more groups of zeros is, and its length: an address is written with '::' there.
local function zeros(groups)
  local best, length, i = 0, 1, 1
  while i <= 8 do
    local n = 0
    while i + n <= 8 and groups[i + n] == 0 do n = n + 1 end
    if n > length then best, length = i, n end
    i = i + n + 1
  end
  return best, length
end

--- The text of an address as RFC 5952 wants it.
local function text_of(family, high, low)
  local four = format('%d.%d.%d.%d', low >> 24 & 255, low >> 16 & 255, low >> 8 & 255, low & 255)
  if family == 4 then return four end
  if high == 0 and low >> 32 == 0xffff then return '::ffff:' .. four end
  local groups, texts = {}, {}
  for i = 0, 7 do groups[i + 1] = (i < 4 and high or low) >> (48 - 16 * (i % 4)) & 0xffff end
  local gap, length = zeros(groups)
  for i = 1, 8 do
    if i == gap then
      texts[#texts + 1] = (i == 1 and ':' or '') .. (i + length > 8 and ':' or '')
    elseif gap == 0 or i < gap or i >= gap + length then
      texts[#texts + 1] = format('%x', groups[i])
    end
  end
  return concat(texts, ':')
end

local function network_text(family, high, low, prefix) return text_of(family, high, low) .. '/' .. (family == 4 and prefix - 96 or prefix) end

--- 4 or 6 for an address or network of that family, or nil when the text is neither.
---@param text string?
---@return integer?
function cidr.family(text)
  local it = read(text)
  return it and it.family
end

--- The network that an address with a prefix lies in, in the plainest form: "10.1.2.3/8" is "10.0.0.0/8". A bare address is a network of one.
---@param text string?
---@return string?
function cidr.network(text)
  local it = read(text)
  if not it then return nil end
  local high, low = start_of(it)
  return network_text(it.family, high, low, it.prefix)
end

local function holds(outer, inner)
  if outer.family ~= inner.family or inner.prefix < outer.prefix then return false end
  local high, low = masks(outer.prefix)
  return (outer.high ~ inner.high) & high == 0 and (outer.low ~ inner.low) & low == 0
end

--- Does a network hold another one, or an address, as a whole? nil when one of them is neither.
---@param outer string
---@param inner string
---@return boolean?
function cidr.contains(outer, inner)
  local a, b = read(outer), read(inner)
  return a and b and holds(a, b)
end

--- Have two networks an address in common? nil when one of them is not a network.
---@param a string
---@param b string
---@return boolean?
function cidr.overlaps(a, b)
  local x, y = read(a), read(b)
  return x and y and (holds(x, y) or holds(y, x))
end

local function check_integer(value, what)
  if math.type(value) ~= 'integer' then error(what .. ' must be an integer', 3) end
end

--- The network number `index`, from 0, of those with this prefix that a network is cut into; nil when there is none.
---@param network string
---@param prefix integer
---@param index integer
---@return string?
function cidr.subnet(network, prefix, index)
  check_integer(prefix, 'cidr.subnet: the prefix')
  check_integer(index, 'cidr.subnet: the index')
  local it = read(network)
  if not it or prefix < 0 or prefix > 128 then return nil end
  local whole = it.family == 4 and prefix + 96 or prefix
  local width, shift = whole - it.prefix, 128 - whole
  if width < 0 or shift < 0 or index < 0 or (width < 63 and index >> width ~= 0) then return nil end
  local high, low = start_of(it)
  high = high | (shift >= 64 and index << (shift - 64) or index >> (64 - shift))
  low = low | (shift >= 64 and 0 or index << shift)
  return network_text(it.family, high, low, whole)
end

--- The address number `index` of a network: 0 is its first, -1 its last; nil when there is none.
---@param network string
---@param index integer
---@return string?
function cidr.address(network, index)
  check_integer(index, 'cidr.address: the index')
  local it = read(network)
  if not it then return nil end
  local width, back = 128 - it.prefix, index < 0 and -1 - index or index
  if width < 63 and back >> width ~= 0 then return nil end
  local high, low = start_of(it)
  if index >= 0 then return text_of(it.family, high, low | back) end
  local mask_high, mask_low = masks(it.prefix)
  high, low = high | ~mask_high, low | ~mask_low
  return text_of(it.family, high, low & ~back)
end

return cidr
