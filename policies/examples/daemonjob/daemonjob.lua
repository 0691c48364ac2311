--- daemonjob: runs a template once on each node.
local policy, k8s, conditions, ready = require 'policy', require 'k8s', require 'conditions', require 'ready'

return policy.define {
  name = 'daemonjob',
  doc = 'A Job NAME-NODE on each node. That of a node that goes, goes.',
  relate = function(job) return { { kind = 'Node', namespace = '*', labels = job.spec.nodes } } end,
  render = function(job, ctx, plan)
    for _, node in ipairs(ctx.related) do
      plan:add('job on ' .. node.metadata.name, {
        apiVersion = 'batch/v1', kind = 'Job',
        metadata = { name = k8s.name({ job.metadata.name, node.metadata.name }), labels = { ['ctl.example.com/daemonjob'] = job.metadata.name } },
        spec = { template = k8s.merge(job.spec.template, {
          spec = { nodeName = node.metadata.name, restartPolicy = k8s.get(job, 'spec.template.spec.restartPolicy', 'OnFailure') },
        }) },
      })
    end
  end,
  status = function(job, ctx, status)
    status.nodes, status.succeeded = #ctx.related, 0
    for _, child in ipairs(ctx.children) do status.succeeded = status.succeeded + (ready.of(child) and 1 or 0) end
    local done = status.nodes > 0 and status.succeeded >= status.nodes
    status.conditions = {}
    conditions.set(status.conditions, job.status and job.status.conditions, {
      type = 'Complete', status = done and 'True' or 'False', reason = done and 'AllSucceeded' or 'Running',
      message = ('done on %d of %d nodes'):format(status.succeeded, status.nodes),
    }, ctx.now, job.metadata.generation)
  end,
}
