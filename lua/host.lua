--- host: the plain-Lua stand-in for what C provides in the binary, so that bundles run under lua5.4 and busted.
-- Nothing is limited here: spent() is never true.
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

--- Writes a policy's log line to stderr.
---@param level string 'debug'|'info'|'warn'|'error'
---@param policy string
---@param text string
function host.log(level, policy, text)
  io.stderr:write(level, ' ', policy, ': ', text, '\n')
end

return host
