--- quantity: exact Kubernetes quantities. They are counted in billionths, never in floating point.
local quantity = {}

local SUFFIX = {
  n = { 1, 1000000000 }, u = { 1, 1000000 }, m = { 1, 1000 }, [''] = { 1, 1 }, k = { 1000, 1 }, M = { 1000000, 1 }, G = { 1000000000, 1 },
  T = { 1000000000000, 1 }, P = { 1000000000000000, 1 }, E = { 1000000000000000000, 1 },
  Ki = { 1 << 10, 1 }, Mi = { 1 << 20, 1 }, Gi = { 1 << 30, 1 }, Ti = { 1 << 40, 1 }, Pi = { 1 << 50, 1 }, Ei = { 1 << 60, 1 },
}

local NANO <const> = 1000000000
local MAX_TEXT <const> = 64 -- bytes

--- The factor and divisor of a power of ten such as "3" or "-6", or nil.
local function power_of(exponent)
  local number = tonumber(exponent)
  if number > 18 or number < -9 then return nil end
  local factor = 1
  for _ = 1, number < 0 and -number or number do factor = factor * 10 end
  return number < 0 and { 1, factor } or { factor, 1 }
end

--- The sign, whole part and billionths of |value|, or nil when the text is not a quantity, or too large to be exact.
local function parse(value)
  if math.type(value) == 'integer' then
    if value == math.mininteger then return nil end
    return value < 0 and -1 or 1, math.abs(value), 0
  end
  if type(value) ~= 'string' or #value > MAX_TEXT then return nil end
  local mantissa, exponent = value:match '^(.-)[eE]([+-]?%d%d?)$'
  local sign, digits, fraction, suffix = (mantissa or value):match '^([+-]?)(%d*)%.?(%d*)([numkKMGTPEi]*)$'
  local scale = suffix and (not exponent and SUFFIX[suffix] or exponent and suffix == '' and power_of(exponent)) or nil
  if not scale or (digits == '' and fraction == '') or #digits > 18 or #fraction > 9 then return nil end
  local whole, nano = tonumber(digits ~= '' and digits or '0'), tonumber((fraction .. ('0'):rep(9 - #fraction)))
  local factor, divisor = scale[1], scale[2]
  if divisor > 1 then
    if whole % divisor ~= 0 and (whole % divisor) * NANO % divisor ~= 0 or nano % divisor ~= 0 then return nil end
    nano = (whole % divisor) * (NANO // divisor) + nano // divisor
    whole = whole // divisor
  elseif factor > 1 then
    if whole > math.maxinteger // factor or nano > math.maxinteger // factor then return nil end
    local more = nano * factor // NANO
    if whole * factor > math.maxinteger - more then return nil end
    whole, nano = whole * factor + more, nano * factor % NANO
  end
  return sign == '-' and (whole > 0 or nano > 0) and -1 or 1, whole, nano
end

--- The plainest text of sign * (whole + nano billionths), or nil when it has no exact one.
local function text_of(sign, whole, nano)
  local minus = sign < 0 and (whole > 0 or nano > 0) and '-' or ''
  if nano == 0 then return ('%s%d'):format(minus, whole) end
  for _, it in ipairs { { 1000, 'm' }, { 1000000, 'u' }, { NANO, 'n' } } do
    local part = NANO // it[1]
    if nano % part == 0 then
      if whole > math.maxinteger // it[1] - 1 then return nil end
      return ('%s%d%s'):format(minus, whole * it[1] + nano // part, it[2])
    end
  end
end

--- The order of |a| and |b|.
local function order(whole_a, nano_a, whole_b, nano_b)
  return whole_a ~= whole_b and (whole_a < whole_b and -1 or 1) or nano_a ~= nano_b and (nano_a < nano_b and -1 or 1) or 0
end

--- -1, 0 or 1 when a is below, equal to or above b; nil when one of them is not a quantity.
---@param a string|integer
---@param b string|integer
---@return integer?
function quantity.compare(a, b)
  local sign_a, whole_a, nano_a = parse(a)
  local sign_b, whole_b, nano_b = parse(b)
  if not sign_a or not sign_b then return nil end
  if sign_a ~= sign_b then return sign_a end
  return order(whole_a, nano_a, whole_b, nano_b) * sign_a
end

--- The sum of two numbers that parse() has read, the second one times `turn`.
local function sum(turn, sign_a, whole_a, nano_a, sign_b, whole_b, nano_b)
  if not sign_a or not sign_b then return nil end
  sign_b = sign_b * turn
  if sign_a == sign_b then
    local nano = nano_a + nano_b
    if whole_a > math.maxinteger - whole_b - nano // NANO then return nil end
    return text_of(sign_a, whole_a + whole_b + nano // NANO, nano % NANO)
  end
  if order(whole_a, nano_a, whole_b, nano_b) < 0 then
    sign_a, whole_a, nano_a, whole_b, nano_b = sign_b, whole_b, nano_b, whole_a, nano_a
  end
  local nano = nano_a - nano_b
  return text_of(sign_a, whole_a - whole_b + nano // NANO, nano % NANO)
end

--- The values that parse() finds in both, in one list.
local function both(turn, a, b)
  local sign, whole, nano = parse(a)
  return sum(turn, sign, whole, nano, parse(b))
end

--- The sum of two quantities in the plainest form ("1500m", "3"); nil when one of them is not a quantity, or the sum is too large to be exact.
---@param a string|integer
---@param b string|integer
---@return string?
function quantity.add(a, b) return both(1, a, b) end

--- What is left of a without b; it may be negative. nil as for add.
---@param a string|integer
---@param b string|integer
---@return string?
function quantity.subtract(a, b) return both(-1, a, b) end

--- The sum of a list of quantities, "0" for an empty one; nil as for add.
---@param list (string|integer)[]
---@return string?
function quantity.sum(list)
  local total = '0'
  for _, each in ipairs(list) do
    total = quantity.add(total, each)
    if not total then return nil end
  end
  return total
end

--- A quantity so many times: `count` is a whole number, a billion at most. nil as for add.
---@param value string|integer
---@param count integer
---@return string?
function quantity.multiply(value, count)
  local sign, whole, nano = parse(value)
  if not sign or math.type(count) ~= 'integer' or count > NANO or count < -NANO then return nil end
  if count < 0 then sign, count = -sign, -count end
  if count > 0 and whole > (math.maxinteger - NANO) // count then return nil end
  return text_of(sign, whole * count + nano * count // NANO, nano * count % NANO)
end

--- The whole number of a quantity, rounded up (away from zero): 1 for "1m", 2048 for "2Ki"; nil when it is not a quantity.
---@param value string|integer
---@return integer?
function quantity.value(value)
  local sign, whole, nano = parse(value)
  if not sign or (nano > 0 and whole == math.maxinteger) then return nil end
  return sign * (whole + (nano > 0 and 1 or 0))
end

return quantity
