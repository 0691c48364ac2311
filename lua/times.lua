--- times: RFC 3339 times as Kubernetes writes them, in seconds.
local times = {}

local math, tonumber, type = math, tonumber, type
local find, format, gmatch, match, rep = string.find, string.format, string.gmatch, string.match, string.rep
local floor = math.floor

local MAX_TEXT <const> = 64 -- bytes of a time or duration
local LAST <const> = 253402300799 -- 9999-12-31T23:59:59Z
local FIRST <const> = -62167219200 -- 0000-01-01T00:00:00Z

--- Days from 1970-01-01 to a date of the Gregorian calendar.
local function days(year, month, day)
  -- Counted from March, so that a leap day is the last of its year.
  if month <= 2 then year, month = year - 1, month + 12 end
  return 365 * year + floor(year / 4) - floor(year / 100) + floor(year / 400) + floor((153 * (month - 3) + 2) / 5) + day - 719469
end

--- The date of a day counted from 1970-01-01.
local function date(day)
  local shifted = day + 719468 -- from 0000-03-01
  local era = shifted // 146097
  local of_era = shifted - era * 146097
  local year = (of_era - of_era // 1460 + of_era // 36524 - of_era // 146096) // 365
  local of_year = of_era - (365 * year + year // 4 - year // 100)
  local month = (5 * of_year + 2) // 153
  return year + era * 400 + (month >= 10 and 1 or 0), month < 10 and month + 3 or month - 9, of_year - (153 * month + 2) // 5 + 1
end

--- Seconds since 1970 of a UTC time like "2026-01-02T03:04:05Z" (parts of a second are left out), or nil when the text is not such a time.
---@param text string?
---@return integer?
function times.seconds(text)
  if type(text) ~= 'string' or #text > MAX_TEXT then return nil end
  local y, mo, d, h, mi, s, part = match(text, '^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d)([%d.]*)Z$')
  if not y or (part ~= '' and not find(part, '^%.%d+$')) then return nil end
  local year, month, day, hour, minute, second = tonumber(y), tonumber(mo), tonumber(d), tonumber(h), tonumber(mi), tonumber(s)
  if month < 1 or month > 12 or hour > 23 or minute > 59 or second > 60 then return nil end -- 60: a leap second
  local number = days(year, month, day)
  local _, same_month, same_day = date(number)
  if same_month ~= month or same_day ~= day then return nil end -- there is no such day
  return number * 86400 + hour * 3600 + minute * 60 + second
end

--- The time so many seconds after 1970, as Kubernetes writes it; nil before the year 0 and after 9999.
---@param seconds integer
---@return string?
function times.text(seconds)
  if math.type(seconds) ~= 'integer' or seconds < FIRST or seconds > LAST then return nil end
  local year, month, day = date(seconds // 86400)
  local of_day = seconds % 86400
  return format('%04d-%02d-%02dT%02d:%02d:%02dZ', year, month, day, of_day // 3600, of_day // 60 % 60, of_day % 60)
end

local UNITS = { ns = { 1, 1000000000 }, us = { 1, 1000000 }, ms = { 1, 1000 }, s = { 1, 1 }, m = { 60, 1 }, h = { 3600, 1 }, d = { 86400, 1 } }

--- Nanoseconds of one part of a duration, or nil.
local function part_of(whole, fraction, unit)
  local it = UNITS[unit]
  if not it or #whole > 9 or #fraction > 9 or whole .. fraction == '' then return nil end
  local number, nano = tonumber(whole == '' and '0' or whole), tonumber(fraction .. rep('0', 9 - #fraction))
  -- At most 999999999 days: the seconds are exact, and what is below one is counted apart.
  local seconds, rest = number * it[1] // it[2], number % it[2] * (1000000000 // it[2])
  return seconds, rest + nano * it[1] // it[2]
end

--- Seconds of a duration like "1h30m", "1.5h", "90s" or "7d" (parts of a second are left out), or nil when the text is none. A whole number is seconds.
---@param value string|integer|nil
---@return integer?
function times.duration(value)
  if math.type(value) == 'integer' then return value >= 0 and value or nil end
  if type(value) ~= 'string' or value == '' or #value > MAX_TEXT then return nil end
  local seconds, nano, at = 0, 0, 1
  while at <= #value do
    local first, last, whole, dot, fraction, unit = find(value, '^(%d*)(%.?)(%d*)(%l+)', at)
    if not first or (dot == '' and fraction ~= '') then return nil end
    local more, rest = part_of(whole, fraction, unit)
    if not more then return nil end
    seconds, nano, at = seconds + more, nano + rest, last + 1
  end
  return seconds + nano // 1000000000
end

--- A duration in its two largest units, as kubectl shows an age: "3d4h", "1m30s", "0s".
---@param seconds integer
---@return string
function times.short(seconds)
  local texts, left = '', math.max(seconds, 0) // 1
  local count = 0
  for name, size in gmatch('d86400 h3600 m60 s1', '(%l)(%d+)') do
    local number = left // tonumber(size)
    if number > 0 or count > 0 then count = count + 1 end
    if number > 0 and count <= 2 then texts = texts .. format('%d', number) .. name end
    left = left % tonumber(size)
  end
  return texts == '' and '0s' or texts
end

--- The time that is a duration (or a number of seconds, which may be negative) after another; nil when one of them is malformed.
---@param text string?
---@param duration string|integer
---@return string?
function times.add(text, duration)
  local from = times.seconds(text)
  local by = math.type(duration) == 'integer' and duration or times.duration(duration)
  if not from or not by or by > 2 * LAST or by < -2 * LAST then return nil end
  return times.text(from + by)
end

--- Seconds from one time to another, or nil when one of them is not a time.
---@param from string?
---@param to string?
---@return integer?
function times.between(from, to)
  local a, b = times.seconds(from), times.seconds(to)
  return a and b and b - a
end

return times
