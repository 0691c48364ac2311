--- Writes C source that holds the text of files, by folder: lua5.4 embed.lua OUT lua/*.lua policies/*.* crds/openapi/schemas.json ...
-- The lists are declared in embedded.h. A file belongs to the first folder that it is in, and has its path below it as its name.
local lists = {
  { name = 'ao_embedded_testing', folder = 'lua/asya/' }, { name = 'ao_embedded_sdk', folder = 'lua/' },
  { name = 'ao_embedded_init', folder = 'policies/init/' },
  { name = 'ao_embedded_template', folder = 'policies/template/' }, { name = 'ao_embedded_policies', folder = 'policies/' },
  { name = 'ao_embedded_schemas', folder = 'crds/openapi/' },
  { name = 'ao_embedded_shells', folder = 'engine/cli/shells/' },
}
local out_path = assert(arg[1], 'usage: embed.lua OUT FILE...')

local function read(path)
  local file = assert(io.open(path, 'rb'))
  local text = assert(file:read('a'))
  file:close()
  return text
end

--- A C string literal in pieces of one source line each. Three digits always, so that no digit after an escape joins it.
local function literal(text)
  local pieces = {}
  for at = 1, #text, 80 do
    local piece = text:sub(at, at + 79):gsub('[^%w %.,;:_%-%+%*/%%=<>%(%)%[%]{}#&|!\'~^$@`]', function(c)
      return ('\\%03o'):format(c:byte())
    end)
    pieces[#pieces + 1] = '\t"' .. piece .. '"'
  end
  return #pieces > 0 and table.concat(pieces, '\n') or '\t""'
end

for i = 2, #arg do
  local known = false
  for _, list in ipairs(lists) do
    if not known and arg[i]:sub(1, #list.folder) == list.folder then
      known = true
      list[#list + 1] = { name = arg[i]:sub(#list.folder + 1), text = read(arg[i]) }
    end
  end
  assert(known, arg[i] .. ': in none of the folders that are embedded')
end

local c = { '/* Written by engine/script/embed.lua. */', '#include "script/embedded.h"', '' }
for _, list in ipairs(lists) do
  table.sort(list, function(a, b) return a.name < b.name end)
  c[#c + 1] = ('const ao_embedded %s[] = {'):format(list.name)
  for _, file in ipairs(list) do
    c[#c + 1] = ('\t{"%s",\n%s,\n\t%d},'):format(file.name, literal(file.text), #file.text)
  end
  c[#c + 1] = '\t{NULL, NULL, 0},\n};\n'
end
local out = assert(io.open(out_path, 'wb'))
out:write(table.concat(c, '\n'))
assert(out:close())
