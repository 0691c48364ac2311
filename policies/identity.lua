--- identity: the ServiceAccount through which an SQS actor takes on its AWS role (IRSA).
local policy = require 'policy'
local k8s = require 'k8s'
local actors = require 'actor'
local names = require 'names'

local POD = 'spec.workload.template.spec.serviceAccountName'

--- The role of the actor's pods, or nil when they have none of their own.
local function role_arn(actor, ctx)
  local transport = actors.transport(actor, ctx)
  local arn = transport and transport.type == 'sqs' and k8s.get(transport.config, 'actorRoleArn')
  return arn ~= '' and arn or nil
end

return policy.define {
  name = 'identity',
  after = { 'validate' },
  doc = 'ServiceAccount asya-<actor> with the AWS role, for SQS with actorRoleArn.',

  validate = function(actor, ctx)
    local own = k8s.get(actor, POD)
    if not role_arn(actor, ctx) or own == nil or own == '' then return nil end
    return policy.invalid {
      path = POD, condition = 'WorkloadReady', reason = 'ReconcileError',
      message = ("%s: '%s' cannot be used: with actorRoleArn (IRSA) the operator runs the pods as %s; remove the field")
        :format(POD, own, names.service_account(actor)),
    }
  end,

  render = function(actor, ctx, plan)
    local arn = role_arn(actor, ctx)
    if not arn then return end
    plan:add('identity', {
      apiVersion = 'v1',
      kind = 'ServiceAccount',
      metadata = { name = names.service_account(actor), annotations = { ['eks.amazonaws.com/role-arn'] = arn } },
    })
  end,
}
