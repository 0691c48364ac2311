--- processes: KWOK only plays pods, so the processes of one pod run here, with the environment of its containers.
local cluster = require 'cluster'

local M = {}

local HANDLERS = [[
def double(payload):
    return {"value": payload["value"] * 2}

def plus_one(payload):
    return {"value": payload["value"] + 1}
]]

local function env_of(container, extra)
  local out = {}
  for _, variable in ipairs(container.env) do
    local value = variable.value or ''
    local ref = variable.valueFrom and variable.valueFrom.secretKeyRef
    if ref then value = extra.secrets[ref.name .. '/' .. ref.key] end
    out[#out + 1] = variable.name .. '=' .. cluster.quote(variable.name == 'ASYA_SOCKET_DIR' and extra.socket_dir or value)
  end
  return table.concat(out, ' ')
end

--- Starts the two processes of an actor's pod. Returns what ends them.
-- @param secrets  "NAME/KEY" -> value
-- @param sidecar  its file in this folder; sidecar.py
function M.start(name, ns, secrets, sidecar)
  local spec = cluster.get('deployment', name, ns).spec.template.spec
  local dir = cluster.folder(name)
  cluster.write(dir .. '/handlers.py', HANDLERS)
  local script = cluster.write(dir .. '/asya_runtime.py', cluster.get('configmap', 'asya-runtime', ns).data['asya_runtime.py'])
  local extra, started = { secrets = secrets, socket_dir = dir }, {}
  local function start(container, command)
    started[#started + 1] = cluster.background('cd %s; %s PYTHONPATH=%s exec %s >%s/%s.log 2>&1',
      dir, env_of(container, extra):gsub('%%', '%%%%'), dir, command, dir, container.name)
  end
  start(spec.containers[1], 'python3 ' .. script)
  cluster.eventually('the runtime is ready', 10, function()
    return cluster.read(dir .. '/runtime-ready') == 'ready', cluster.read(dir .. '/asya-runtime.log')
  end)
  start(spec.containers[2], ('python3 %s/spec/cluster/%s 1'):format(os.getenv 'PWD', sidecar or 'sidecar.py'))
  return function()
    for _, each in ipairs(started) do each.stop() end
  end
end

return M
