---@meta
--- globals: what a policy finds beside Lua's own globals and `require`. Editors read this file, nothing loads it.
-- luacheck: globals log

---@type Log
log = {}
