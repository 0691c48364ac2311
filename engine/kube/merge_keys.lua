--- Writes lua/merge_keys.lua as the C table that merge_keys.h declares: lua5.4 merge_keys.lua OUT lua/merge_keys.lua
local table_ = dofile(arg[2])
local out = assert(io.open(arg[1], 'w'))
out:write('/* Written by engine/kube/merge_keys.lua. */\n#include "kube/merge_keys.h"\n\nconst ao_merge_keys ao_merge_keys_rows[] = {\n')
for _, row in ipairs(table_.ROWS) do
  local keys = {}
  for i = 2, #row do keys[#keys + 1] = ('"%s", '):format(row[i]) end
  out:write(('\t{"%s", {%sNULL}},\n'):format(row[1], table.concat(keys)))
end
out:write('\t{NULL, {NULL}},\n};\n\nconst ao_merge_default ao_merge_defaults[] = {\n')
for key, value in pairs(table_.DEFAULTS) do out:write(('\t{"%s", "%s"},\n'):format(key, value)) end
out:write('\t{NULL, NULL},\n};\n')
assert(out:close())
