--- shell: commands and files, and names for files in the folder of the bed that spec/run has started.
local M = {}

local BED = os.getenv 'BED'
M.bed_dir = BED

function M.quote(text)
  return "'" .. tostring(text):gsub("'", [['\'']]) .. "'"
end

--- Runs a shell command. Returns its output (both streams) and whether it ended well.
function M.sh(command, ...)
  local pipe = assert(io.popen(command:format(...) .. ' 2>&1', 'r'))
  local output = pipe:read 'a'
  local ok = pipe:close()
  return output, ok == true
end

function M.read(path)
  local file = io.open(path, 'r')
  if not file then return '' end
  local text = file:read 'a'
  file:close()
  return text
end

function M.write(path, text)
  local file = assert(io.open(path, 'w'))
  file:write(text)
  file:close()
  return path
end

local counter = 0
--- A path of a new file in the bed's folder, where nothing is: not even what an earlier spec on this bed has left.
function M.temp(suffix)
  counter = counter + 1
  local path = ('%s/tmp-%d-%s'):format(BED, counter, suffix)
  local left = io.open(path)
  if left then
    left:close()
    M.sh('rm -rf %s', path)
  end
  return path
end

function M.sleep(seconds)
  os.execute('sleep ' .. seconds)
end

return M
