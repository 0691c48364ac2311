--- catset: pods with an order, and a claim of a volume for each that stays when the set gets smaller.
local policy, conditions, ready = require 'policy', require 'conditions', require 'ready'

local LABEL <const> = 'ctl.example.com/catset'

local function claim(set, name)
  return {
    apiVersion = 'v1', kind = 'PersistentVolumeClaim', metadata = { name = name, labels = { [LABEL] = set.metadata.name } },
    spec = { accessModes = { 'ReadWriteOnce' }, resources = { requests = { storage = set.spec.storage } } },
  }
end

local function pod(set, name)
  return {
    apiVersion = 'v1', kind = 'Pod', metadata = { name = name, labels = { [LABEL] = set.metadata.name } },
    spec = {
      containers = { { name = 'cat', image = set.spec.image, volumeMounts = { { name = 'data', mountPath = '/data' } } } },
      volumes = { { name = 'data', persistentVolumeClaim = { claimName = name } } },
    },
  }
end

return policy.define {
  name = 'catset',
  doc = 'Pods NAME-0, NAME-1, ..., each of which is made when the one before it is ready.',
  render = function(set, ctx, plan)
    local wanted = {}
    for i = 0, set.spec.replicas - 1 do
      local name = ('%s-%d'):format(set.metadata.name, i)
      wanted[name] = true
      plan:add('claim ' .. i, claim(set, name))
      plan:add('pod ' .. i, pod(set, name), { after = 'claim ' .. i })
      -- one that is there already stays in the plan, whatever those before it do: what is updated one by one needs to see them all
      local next_name = ('%s-%d'):format(set.metadata.name, i + 1)
      if i + 1 < set.spec.replicas and not ctx.child('Pod', next_name) and not plan:after('pod ' .. i) then break end
    end
    for _, child in ipairs(ctx.children) do
      if child.kind == 'PersistentVolumeClaim' and not wanted[child.metadata.name] then plan:keep(child) end
    end
  end,
  status = function(set, ctx, status)
    status.readyReplicas = 0
    for _, child in ipairs(ctx.children) do
      if child.kind == 'Pod' and ready.of(child) then status.readyReplicas = status.readyReplicas + 1 end
    end
    local waits = (ctx.outcome.waits or ctx.outcome.outdated or {})[1]
    local whole = status.readyReplicas == set.spec.replicas and not waits
    status.conditions = {}
    conditions.set(status.conditions, set.status and set.status.conditions, {
      type = 'Ready', status = whole and 'True' or 'False', reason = whole and 'AllReady' or 'Waiting',
      message = waits and ('%s: %s'):format(waits.name, waits.message) or ('%d of %d are ready'):format(status.readyReplicas, set.spec.replicas),
    }, ctx.now, set.metadata.generation)
  end,
}
