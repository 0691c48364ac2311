---@meta
--- globals: what a policy finds beside Lua's own globals and `require`. Editors read this file, nothing loads it.
-- luacheck: globals log

--- Lines in the operator's log, with the name of the policy. The arguments are those of string.format.
---@class Log
---@field debug fun(format: string, ...: any)
---@field info fun(format: string, ...: any)
---@field warn fun(format: string, ...: any)
---@field error fun(format: string, ...: any)
log = {}
