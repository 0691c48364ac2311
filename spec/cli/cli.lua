--- cli: runs the binary, built with sanitizers, as somebody at a terminal does, without a cluster.
local cluster = require 'cluster'

local M = { quote = cluster.quote, read = cluster.read, write = cluster.write, sh = cluster.sh }

M.root = cluster.sh('pwd'):gsub('\n', '')
local build = cluster.build:sub(1, 1) == '/' and cluster.build or M.root .. '/' .. cluster.build
M.program = build .. '/san/asya-operator'

M.VERBS = {}
for name in cluster.sh('%s help', cluster.quote(M.program)):gmatch '\n  (%l+) ' do M.VERBS[#M.VERBS + 1] = name end

--- A folder that goes when the spec ends.
function M.folder()
  local path = cluster.sh('mktemp -d'):gsub('\n', '')
  require('busted').subscribe({ 'suite', 'end' }, function() cluster.sh('rm -rf %s', cluster.quote(path)) end)
  return path
end

--- Runs a command line in a folder. Returns both streams and the exit code.
function M.run(folder, command, ...)
  local output = cluster.sh('{ cd %s; %s; printf " exit %%d" $?; }', cluster.quote(folder), command:format(...))
  local text, code = output:match '^(.*) exit (%d+)$'
  return text, tonumber(code)
end

return M
