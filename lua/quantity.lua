--- quantity: exact Kubernetes quantities. They are counted in billionths, never in floating point.
local quantity = {}

local SUFFIX = {
  n = { 1, 1000000000 }, u = { 1, 1000000 }, m = { 1, 1000 }, [''] = { 1, 1 }, k = { 1000, 1 }, M = { 1000000, 1 }, G = { 1000000000, 1 },
  T = { 1000000000000, 1 }, P = { 1000000000000000, 1 }, E = { 1000000000000000000, 1 },
  Ki = { 1 << 10, 1 }, Mi = { 1 << 20, 1 }, Gi = { 1 << 30, 1 }, Ti = { 1 << 40, 1 }, Pi = { 1 << 50, 1 }, Ei = { 1 << 60, 1 },
}

local NANO <const> = 1000000000

--- The whole and nano parts of |value|, or nil when the text is not a quantity, or too large to be exact.
local function parse(value)
  if math.type(value) == 'integer' then return value < 0 and -1 or 1, math.abs(value), 0 end
  if type(value) ~= 'string' then return nil end
  local sign, digits, fraction, suffix = value:match '^([+-]?)(%d*)%.?(%d*)([numkKMGTPEi]*)$'
  local scale = suffix and SUFFIX[suffix]
  if not scale or (digits == '' and fraction == '') or #digits > 18 or #fraction > 9 then return nil end
  local whole, nano = tonumber(digits ~= '' and digits or '0'), tonumber((fraction .. ('0'):rep(9 - #fraction)))
  local factor, divisor = scale[1], scale[2]
  if divisor > 1 then
    if whole % divisor ~= 0 and (whole % divisor) * NANO % divisor ~= 0 or nano % divisor ~= 0 then return nil end
    nano = (whole % divisor) * (NANO // divisor) + nano // divisor
    whole = whole // divisor
  elseif factor > 1 then
    if whole > math.maxinteger // factor or nano > math.maxinteger // factor then return nil end
    whole, nano = whole * factor + nano * factor // NANO, nano * factor % NANO
  end
  return sign == '-' and -1 or 1, whole, nano
end

--- -1, 0 or 1 when a is below, equal to or above b; nil when one of them is not a quantity.
---@param a string|integer
---@param b string|integer
---@return integer?
function quantity.compare(a, b)
  local sign_a, whole_a, nano_a = parse(a)
  local sign_b, whole_b, nano_b = parse(b)
  if not sign_a or not sign_b then return nil end
  if whole_a == 0 and nano_a == 0 then sign_a = 1 end
  if whole_b == 0 and nano_b == 0 then sign_b = 1 end
  if sign_a ~= sign_b then return sign_a end
  local order = whole_a ~= whole_b and (whole_a < whole_b and -1 or 1) or nano_a ~= nano_b and (nano_a < nano_b and -1 or 1) or 0
  return order * sign_a
end

--- The sum of two quantities that are not negative, in the plainest form ("1500m", "3"); nil when one of them is not a quantity.
---@return string?
function quantity.add(a, b)
  local sign_a, whole_a, nano_a = parse(a)
  local sign_b, whole_b, nano_b = parse(b)
  if sign_a ~= 1 or sign_b ~= 1 then return nil end
  local nano = nano_a + nano_b
  local whole = whole_a + whole_b + nano // NANO
  nano = nano % NANO
  if nano == 0 then return ('%d'):format(whole) end
  if nano % 1000000 == 0 then return ('%dm'):format(whole * 1000 + nano // 1000000) end
  return ('%dn'):format(whole * NANO + nano)
end

return quantity
