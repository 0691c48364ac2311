--- pages: the shell blocks of the installer's pages, run as they are typed: in a folder that holds a checkout and what `make` has built, nothing else.
local chart = require 'chart'
local cluster = require 'cluster'
local json = require 'json'

local M = {}

local ENV = 'OPERATOR_ROLE_ARN=arn:aws:iam::123456789012:role/asya-operator ACTORS_ROLE_ARN=arn:aws:iam::123456789012:role/asya-actor'
-- Clusters that no test can have: these lines alone are run nowhere.
local ELSEWHERE = { kind = true, minikube = true, k3d = true }

local PAGES = { 'README.md', 'chart/README.md' }
for path in io.popen('ls chart/docs/*.md'):lines() do PAGES[#PAGES + 1] = path end

local sections = {} -- the blocks of all pages by the title of their section
for _, page in ipairs(PAGES) do
  for title, section in ('\n' .. cluster.read(page) .. '\n#'):gsub('\n#+ ', '\0%0'):gmatch '\n#+ ([^\n]+)\n(%Z*)' do
    for block in section:gmatch '```bash\n(.-)```' do
      sections[title] = sections[title] or { page = page }
      assert(sections[title].page == page, title .. ' is a title of two pages')
      table.insert(sections[title], block)
    end
  end
end

local ran = {
  ['Try it'] = true,     -- by whoever reads this
  ['What stays'] = true, -- by installer_spec.lua, which has an operator that leaves something
  ['As a plugin of kubectl'] = true, ['Completion of asya-operator itself'] = true, -- by kubectl_spec.lua, and spec/cli/completion_spec.lua
}

--- The shell blocks of a section; from now on it counts as run.
function M.blocks(title)
  ran[title] = true
  return assert(sections[title], title)
end

--- "page: title" of the sections that were run nowhere.
function M.unrun()
  local list = {}
  for title, section in pairs(sections) do
    if not ran[title] then list[#list + 1] = section.page .. ': ' .. title end
  end
  return list
end

local folder
--- Where people are: a checkout, with the binary that `make` builds.
function M.folder()
  if folder then return folder end
  local path = cluster.temp 'checkout'
  local said, ok = cluster.sh([[rm -rf %s && mkdir -p %s/build && git ls-files -z --cached --others --exclude-standard | xargs -0 ls -d 2>/dev/null |
    tar -cf - -T - | tar -xf - -C %s && ln -s "$(realpath %s/asya-operator)" %s/build/]], path, path, path, cluster.build, path)
  assert(ok, said)
  folder = path
  return folder
end

local logs = {} -- what pods that were played have said
--- Does what the node would with a `kubectl run`: the pod's command runs here, with its rights. Of one that would be removed at once, the server
-- only says whether it takes it.
local function play(command, namespace)
  local arguments = command:gsub('^kubectl run', 'run -o json'):gsub('%-%-rm %-i', '--dry-run=server'):gsub('%%', '%%%%')
  local pod = json.decode(cluster.kubectl(arguments))
  if command:find(' --rm ', 1, true) then return chart.play(pod.spec, namespace) end
  local said, ok = chart.play_pod(pod, namespace)
  logs[pod.metadata.name] = said
  return said, ok
end

--- A block as it stands, ended at the first command that fails. Where nodes are played, `kubectl run` may fail: its end is returned.
function M.run(block)
  local kept, rest, output, ok = {}, block:gsub('\\\n%s*', ''), '', true
  for line in block:gmatch '[^\n]+' do
    if not ELSEWHERE[line:match '^%S+'] then kept[#kept + 1] = line .. '\n' end
  end
  if not block:find('kubectl run', 1, true) or os.getenv 'BED_NODE' then
    local said, good = cluster.sh('cd %s && %s bash -euo pipefail %s', M.folder(), ENV, cluster.write(cluster.temp 'block.sh', table.concat(kept)))
    if not good then error(block .. '\n' .. said, 2) end
    return said
  end
  for command in rest:gmatch '[^\n]+' do
    local said, good
    if command:find '^kubectl run' then
      said, good = play(command, command:match ' %-n (%S+)')
      ok = ok and good
    elseif command:find '^kubectl logs' then
      said = assert(logs[command:match '^kubectl logs (%S+)'], command)
    else
      said = M.run(command)
    end
    output = output .. said
  end
  return output, ok
end

return M
