--- indexedjob: runs a template once for each index from 0 on.
local policy, k8s, conditions = require 'policy', require 'k8s', require 'conditions'

local function pod(job, index)
  local made = k8s.copy(job.spec.template)
  made.spec.restartPolicy = made.spec.restartPolicy or 'OnFailure'
  for _, container in ipairs(made.spec.containers) do k8s.add_env(container, { { name = 'JOB_INDEX', value = tostring(index) } }) end
  return k8s.merge(made, {
    apiVersion = 'v1', kind = 'Pod',
    metadata = { name = ('%s-%d'):format(job.metadata.name, index), labels = { ['ctl.example.com/indexedjob'] = job.metadata.name } },
  })
end

local function phase_of(child) return k8s.get(child, 'status.phase', 'Pending') end

return policy.define {
  name = 'indexedjob',
  doc = 'Pods NAME-0, NAME-1, ...: as many at a time as may run. One that has failed is made anew.',
  render = function(job, ctx, plan)
    local active, missing = 0, {}
    for index = 0, job.spec.completions - 1 do
      local object, role = pod(job, index), 'pod ' .. index
      if ctx.child('Pod', object.metadata.name) then
        plan:add(role, object)
        local phase = phase_of(plan:observed(role))
        if phase == 'Failed' then plan:remove(role) end
        active = active + (phase == 'Succeeded' and 0 or 1)
      else
        missing[#missing + 1] = { role, object }
      end
    end
    for i = 1, math.min(#missing, job.spec.parallelism - active) do
      plan:add(table.unpack(missing[i]))
      plan:observed(missing[i][1]) -- the plan is made again when it changes
    end
  end,
  status = function(job, ctx, status)
    status.active, status.succeeded = 0, 0
    for _, child in ipairs(ctx.children) do
      local field = phase_of(child) == 'Succeeded' and 'succeeded' or 'active'
      status[field] = status[field] + 1
    end
    local done = status.succeeded >= job.spec.completions
    status.conditions = {}
    conditions.set(status.conditions, job.status and job.status.conditions, {
      type = 'Complete', status = done and 'True' or 'False', reason = done and 'AllSucceeded' or 'Running',
      message = ('%d of %d have succeeded'):format(status.succeeded, job.spec.completions),
    }, ctx.now, job.metadata.generation)
  end,
}
