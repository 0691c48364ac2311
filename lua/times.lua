--- times: RFC 3339 times as Kubernetes writes them, in seconds.
local times = {}

local tonumber, type = tonumber, type
local match, floor = string.match, math.floor

--- Days from 1970-01-01 to a date of the Gregorian calendar.
local function days(year, month, day)
  -- Counted from March, so that a leap day is the last of its year.
  if month <= 2 then year, month = year - 1, month + 12 end
  return 365 * year + floor(year / 4) - floor(year / 100) + floor(year / 400) + floor((153 * (month - 3) + 2) / 5) + day - 719469
end

--- Seconds since 1970 of a UTC time like "2026-01-02T03:04:05Z" (parts of a second are left out), or nil when the text is not such a time.
---@param text string?
---@return integer?
function times.seconds(text)
  if type(text) ~= 'string' then return nil end
  local year, month, day, hour, minute, second = match(text, '^(%d%d%d%d)%-(%d%d)%-(%d%d)T(%d%d):(%d%d):(%d%d)[%d.]*Z$')
  if not year then return nil end
  return days(tonumber(year), tonumber(month), tonumber(day)) * 86400 + tonumber(hour) * 3600 + tonumber(minute) * 60 + tonumber(second)
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
