--- job: names a Job after its content, because a Job cannot be changed. Runs after every policy that shapes the pod.
local policy = require 'policy'
local k8s = require 'k8s'
local json = require 'json'
local text = require 'text'

return policy.define {
  name = 'job',
  after = { 'workload', 'sidecar' },
  doc = 'A changed Job is a new Job; one that still runs is left to finish.',

  render = function(actor, ctx, plan)
    local job = plan:get 'workload'
    if job.kind ~= 'Job' then return end
    job.metadata.name = k8s.name({ actor.metadata.name, text.hash(json.encode(job.spec)):sub(1, 8) })
    for _, child in ipairs(ctx.children) do
      local other = child.kind == 'Job' and child.metadata.name ~= job.metadata.name
      if other and (k8s.get(child, 'status.active') or 0) > 0 then plan:keep(child) end
    end
  end,
}
