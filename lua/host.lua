--- host: stands in for what C provides in the binary, so that bundles run under plain lua5.4 and busted.
-- Nothing is limited here: spent() is never true.
local find, sub = string.find, string.sub

local host = { max_string = 262144 }
local at = { policy = '', hook = '' }

--- Remembers which policy and hook run, for error messages; empty strings mean none.
---@param policy string
---@param hook string
function host.enter(policy, hook)
  at.policy, at.hook = policy, hook
end

--- Where the last call is, or where it failed.
---@return string policy
---@return string hook
function host.where()
  return at.policy, at.hook
end

--- True once the budget of this call is used up: never here.
---@return boolean
function host.spent()
  return false
end

--- Finds a plain text in another one. The time of C's version grows with the sum of both lengths, that of stock find with their product.
---@param s string
---@param text string
---@param from integer 1 to #s + 1
---@return integer? first
---@return integer? last
function host.find(s, text, from) return string.find(s, text, from, true) end

--- The value at a dotted path; nil when there is none. Policies ask this a hundred times a plan.
---@param object any
---@param path string
---@return any
function host.get(object, path)
  local from = 1
  repeat
    if type(object) ~= 'table' then return nil end
    local dot = find(path, '.', from, true)
    object = object[sub(path, from, dot and dot - 1 or -1)]
    from = dot and dot + 1
  until not from
  return object
end

--- Writes a policy's log line to stderr.
---@param level string 'debug'|'info'|'warn'|'error'
---@param policy string
---@param text string
function host.log(level, policy, text)
  io.stderr:write(level, ' ', policy, ': ', text, '\n')
end

--- The constants of SHA-256: the first 32 bits of the fractional parts of the roots of the first primes.
local function root_bits(count, power)
  local bits, n = {}, 2
  while #bits < count do
    local prime = true
    for d = 2, math.floor(n ^ 0.5) do prime = prime and n % d ~= 0 end
    if prime then bits[#bits + 1] = math.floor((n ^ power) % 1 * 0x100000000) end
    n = n + 1
  end
  return bits
end

local ROUND, START = root_bits(64, 1 / 3), root_bits(8, 1 / 2)

local function rotate(x, n) return (x >> n | x << (32 - n)) & 0xffffffff end

local function compress(state, block)
  local w = { string.unpack('>I4I4I4I4I4I4I4I4I4I4I4I4I4I4I4I4', block) }
  for i = 17, 64 do
    local x, y = w[i - 15], w[i - 2]
    w[i] = (w[i - 16] + (rotate(x, 7) ~ rotate(x, 18) ~ x >> 3) + w[i - 7] + (rotate(y, 17) ~ rotate(y, 19) ~ y >> 10)) & 0xffffffff
  end
  local a, b, c, d, e, f, g, h = table.unpack(state)
  for i = 1, 64 do
    local one = h + (rotate(e, 6) ~ rotate(e, 11) ~ rotate(e, 25)) + (e & f ~ ~e & g) + ROUND[i] + w[i]
    local two = (rotate(a, 2) ~ rotate(a, 13) ~ rotate(a, 22)) + (a & b ~ a & c ~ b & c)
    a, b, c, d, e, f, g, h = (one + two) & 0xffffffff, a, b, c, (d + one) & 0xffffffff, e, f, g
  end
  for i, x in ipairs { a, b, c, d, e, f, g, h } do state[i] = (state[i] + x) & 0xffffffff end
end

--- The SHA-256 of a text in hex.
---@param s string
---@return string
function host.sha256(s)
  local state = { table.unpack(START) }
  local padded = s .. '\128' .. ('\0'):rep((55 - #s) % 64) .. string.pack('>I8', #s * 8)
  for i = 1, #padded, 64 do compress(state, padded:sub(i, i + 63)) end
  return (('%08x'):rep(8):format(table.unpack(state)))
end

local ALPHABET <const> = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'

--- The base64 text of some bytes.
---@param s string
---@return string
function host.base64_encode(s)
  local out = {}
  for i = 1, #s, 3 do
    local a, b, c = s:byte(i, i + 2)
    local bits = a << 16 | (b or 0) << 8 | (c or 0)
    for k = 0, 3 do
      local index = (bits >> (18 - 6 * k)) & 63
      out[#out + 1] = ((k == 2 and not b) or (k == 3 and not c)) and '=' or sub(ALPHABET, index + 1, index + 1)
    end
  end
  return table.concat(out)
end

--- The bytes of a base64 text, or nil when the text is not base64.
---@param s string
---@return string?
function host.base64_decode(s)
  local digits, out, bits, have = s:match '^([%w+/]*)=*$', {}, 0, 0
  if not digits or #digits % 4 == 1 then return nil end
  for i = 1, #digits do
    bits, have = (bits << 6 | (find(ALPHABET, sub(digits, i, i), 1, true) - 1)) & 0xffffff, have + 6
    if have >= 8 then
      have = have - 8
      out[#out + 1] = string.char((bits >> have) & 255)
    end
  end
  return table.concat(out)
end

return host
