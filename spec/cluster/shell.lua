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

--- What /proc/PID/stat tells of a process from its state on: [1] that, [12] and [13] its ticks of CPU, [20] when it began. Empty: it is gone.
function M.stat(pid)
  local fields = {}
  for each in (M.read('/proc/' .. pid .. '/stat'):match '%) (.*)' or ''):gmatch '%S+' do fields[#fields + 1] = each end
  return fields
end

--- When a process began; nil of one that is gone, or of which only the entry is left.
local function born(pid)
  local fields = M.stat(pid)
  return fields[1] ~= 'Z' and fields[20] or nil
end

--- Starts a shell command beside the spec; its output goes where it says. Only what was started gets signals: pids come again within minutes,
-- even as those of threads of a server of the bed, which a signal to them would end. `asked`: it has got a signal to end.
function M.background(command, ...)
  local pid = M.sh(command .. ' & echo $!', ...):match '%d+'
  local handle, began = { pid = pid }, born(pid)
  function handle.alive() return began ~= nil and born(pid) == began end
  function handle.signal(name)
    if not handle.alive() then return end
    handle.asked = handle.asked or name == 'TERM' or name == 'KILL'
    M.sh('kill -%s %s', name, pid)
  end
  function handle.stop() handle.signal 'TERM' end
  function handle.kill() handle.signal 'KILL' end
  return handle
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

--- A new folder in the bed's; `files` has texts by their names, or is nil.
function M.folder(suffix, files)
  local path = M.temp(suffix)
  M.sh('mkdir -p %s', path)
  for name, text in pairs(files or {}) do M.write(path .. '/' .. name, text) end
  return path
end

function M.sleep(seconds)
  os.execute('sleep ' .. seconds)
end

return M
