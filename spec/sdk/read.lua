--- read: the whole text of a file; an error says when it is not there. `dofile 'spec/sdk/read.lua'` from the top of the tree.
return function(path)
  local file = assert(io.open(path, 'r'))
  local text = file:read 'a'
  file:close()
  return text
end
