local policy, k8s, schema = require 'policy', require 'k8s', require 'schema'

return policy.define {
  name = 'cost-centre',
  after = { 'workload' },
  doc = 'Marks workloads with who pays for them.',
  params = { default = schema.string():default('shared'):doc 'Who pays when the actor does not say.' },
  render = function(actor, ctx, plan)
    local who = k8s.get(actor, { 'metadata', 'labels', 'cost-centre' }, ctx.params.default)
    plan:merge('workload', { metadata = { annotations = { ['example.com/cost-centre'] = who } } })
    log.debug('%s pays', who)
  end,
}
