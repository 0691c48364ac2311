--- semver: versions as semver.org defines them, with or without a leading v, and ranges of them.
local plain = require 'plain'

local error, ipairs, math, tonumber, type = error, ipairs, math, tonumber, type
local find, gmatch, gsub, match, sub = string.find, string.gmatch, string.gsub, string.match, string.sub

local semver = {}

local MAX <const> = 256 -- bytes of a version, and of a range
local DIGITS <const> = 15 -- of one number

---@class Version
---@field major integer
---@field minor integer
---@field patch integer
---@field prerelease string? what follows '-'
---@field build string? what follows '+'; it does not count in comparisons

--- A number without needless zeros, or nil.
local function number(text)
  return text and #text <= DIGITS and find(text, '^%d+$') and (text == '0' or sub(text, 1, 1) ~= '0') and math.tointeger(tonumber(text)) or nil
end

--- Are these identifiers between dots? Numbers among them must be plain ones if `strict`.
local function is_identifiers(text, strict)
  if not find(text, '^[%w.-]+$') or find(text, '%.%.') or find(text, '^%.') or find(text, '%.$') then return false end
  for each in gmatch(text, '[^.]+') do
    if strict and find(each, '^0%d+$') then return false end
  end
  return true
end

--- The parts of a version such as "v1.29.3-rc.1+build", or nil when the text is none.
---@param text string?
---@return Version?
function semver.parse(text)
  if type(text) ~= 'string' or #text > MAX then return nil end
  local core, build = match(text, '^v?([^+]*)%+?(.*)$')
  if not core or (build == '' and sub(text, -1) == '+') then return nil end
  local major, minor, patch, rest = match(core, '^(%d+)%.(%d+)%.(%d+)(.*)$')
  local it = { major = number(major), minor = number(minor), patch = number(patch) }
  if not (it.major and it.minor and it.patch) then return nil end
  it.prerelease = match(rest, '^%-(.+)$')
  it.build = build ~= '' and build or nil
  if (rest ~= '' and not it.prerelease) or (it.prerelease and not is_identifiers(it.prerelease, true)) or (it.build and not is_identifiers(it.build)) then
    return nil
  end
  return it
end

local function order(a, b) return a == b and 0 or a < b and -1 or 1 end

--- Identifiers in turn: numbers by value and below words, words bytewise, and fewer before more.
local function order_prereleases(a, b)
  local next_b = gmatch(b, '[^.]+')
  for one in gmatch(a, '[^.]+') do
    local other = next_b()
    if not other then return 1 end
    local x, y = find(one, '^%d+$') and #one, find(other, '^%d+$') and #other
    local r = x and y and (x ~= y and order(x, y) or order(one, other)) or x and -1 or y and 1 or order(one, other)
    if r ~= 0 then return r end
  end
  return next_b() and -1 or 0
end

local function order_versions(a, b)
  for _, part in ipairs { 'major', 'minor', 'patch' } do
    local r = order(a[part], b[part])
    if r ~= 0 then return r end
  end
  if not a.prerelease or not b.prerelease then return a.prerelease and -1 or b.prerelease and 1 or 0 end
  return order_prereleases(a.prerelease, b.prerelease)
end

--- -1, 0 or 1 when version a comes before b, is as good as b or comes after it; nil when one of them is not a version.
---@param a string
---@param b string
---@return integer?
function semver.compare(a, b)
  local x, y = semver.parse(a), semver.parse(b)
  return x and y and order_versions(x, y) or nil
end

--- Reads "1", "1.2", "1.2.x" or a whole version. Returns it with zeros for what is left open, and how many numbers it has; or nil.
local function partial(text)
  text = match(text, '^v?(.*)$')
  local whole = semver.parse(text)
  if whole then return whole, 3 end
  if text == '*' or text == 'x' or text == 'X' then return { major = 0, minor = 0, patch = 0 }, 0 end
  text = gsub(gsub(text, '%.[*xX]$', ''), '%.[*xX]$', '')
  local major, minor = match(text, '^(%d+)%.(%d+)$')
  local it, count = { major = number(major or text), minor = minor and number(minor) or 0, patch = 0 }, minor and 2 or 1
  if not it.major or (minor and not number(minor)) then return nil end
  return it, count
end

--- The version after all those that share the first `count` numbers.
local function after(version, count)
  if count == 0 then return nil end
  return {
    major = version.major + (count == 1 and 1 or 0), minor = count == 1 and 0 or version.minor + (count == 2 and 1 or 0),
    patch = count == 3 and version.patch + 1 or 0,
  }
end

--- How many numbers stay as they are under '^': up to the first that is not zero.
local function caret(version, count)
  if version.major > 0 or count <= 1 then return math.min(count, 1) end
  return (version.minor > 0 or count == 2) and 2 or 3
end

--- The interval of one comparator: from (counted in), to (counted out), version; or nil when it is malformed.
local function interval(text)
  local op, rest = match(text, '^([<>=^~]*)(.*)$')
  local it, count = partial(rest)
  if not it then return nil end
  local next_one = count < 3 and after(it, count) or nil
  if op == '' or op == '=' then return { from = it, to = next_one, equal = count == 3, named = it } end
  if op == '^' then return { from = it, to = after(it, caret(it, count)), named = it } end
  if op == '~' then return { from = it, to = after(it, math.min(count, 2)), named = it } end
  if op == '>=' then return { from = it, named = it } end
  if op == '<' then return { to = it, named = it, none = count == 0 } end
  if op == '>' then return count < 3 and { from = next_one, named = it, none = count == 0 } or { above = it, named = it } end
  if op == '<=' then return count < 3 and { to = next_one, named = it } or { up_to = it, named = it } end
  return nil
end

local function is_in(version, it)
  if it.none then return false end
  if it.equal then return order_versions(version, it.from) == 0 end
  return not (it.from and order_versions(version, it.from) < 0) and not (it.to and order_versions(version, it.to) >= 0)
    and not (it.above and order_versions(version, it.above) <= 0) and not (it.up_to and order_versions(version, it.up_to) > 0)
end

--- Does a version fit all of these comparators? A prerelease does only where one of them names a prerelease of the same version.
local function fits(version, comparators)
  local named = not version.prerelease
  for _, it in ipairs(comparators) do
    local by = it.named
    named = named or (by.prerelease and by.major == version.major and by.minor == version.minor and by.patch == version.patch) or false
    if not is_in(version, it) then return false end
  end
  return named
end

--- Does a version fit a range such as ">=1.2 <2", "^1.4.0", "~1.4", "1.x || 3.0.0"? nil when one of them is malformed.
-- A prerelease fits only where the range names one of the same version. Take semver.compare for versions with a vendor's suffix.
---@param version string
---@param range string
---@return boolean?
function semver.satisfies(version, range)
  local it = semver.parse(version)
  if type(range) ~= 'string' then error(('semver.satisfies takes a range as a text, not a %s'):format(plain.text(type(range))), 2) end
  if not it or #range > MAX or find(range, '\n', 1, true) then return nil end
  local found = false
  for part in gmatch(gsub(range, '||', '\n') .. '\n', '([^\n]*)\n') do
    local comparators = {}
    for each in gmatch(gsub(part, '([<>=^~])[ \t]+', '%1'), '[^ \t,]+') do
      local one = interval(each)
      if not one then return nil end
      comparators[#comparators + 1] = one
    end
    if #comparators == 0 then return nil end
    found = found or fits(it, comparators)
  end
  return found
end

return semver
