--- service-per-pod: a Service for each pod of a StatefulSet, by the label that its annotation names and the ports that another one lists.
local policy, json, text = require 'policy', require 'json', require 'text'

--- "80:8080,443" as the ports of a Service.
local function ports_of(list)
  local ports = json.array {}
  for i, item in ipairs(text.split(list, ',')) do
    local port, target = item:match '^%s*(%d+):?(%d*)%s*$'
    if not port then return nil, item end
    ports[i] = { name = 'port-' .. port, port = tonumber(port), targetPort = tonumber(target) or tonumber(port), protocol = 'TCP' }
  end
  return ports
end

return policy.define {
  name = 'service-per-pod',
  validate = function(set)
    local list = set.metadata.annotations['service-per-pod-ports']
    local ports, wrong = ports_of(list)
    if not ports then
      return policy.invalid { path = 'metadata.annotations.service-per-pod-ports', reason = 'BadPort',
        message = ("service-per-pod-ports '%s': '%s' is not PORT or PORT:TARGET"):format(list, wrong) }
    end
  end,
  render = function(set, _, plan)
    local notes = set.metadata.annotations
    for i = 0, (set.spec.replicas or 1) - 1 do
      local name = ('%s-%d'):format(set.metadata.name, i)
      plan:add('service ' .. i, {
        apiVersion = 'v1', kind = 'Service', metadata = { name = name, labels = { app = 'service-per-pod' } },
        spec = { selector = { [notes['service-per-pod-label']] = name }, ports = ports_of(notes['service-per-pod-ports']) },
      })
    end
  end,
  status = function(_, ctx, _, plan)
    local wrong = ctx.outcome.invalid or ctx.outcome.errors[1]
    if wrong then plan:event { type = 'Warning', reason = wrong.reason or 'Failed', note = wrong.message } end
  end,
}
