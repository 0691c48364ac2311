--- bluegreen: brings up a second set of pods beside the one that serves, and lets it serve when it is available.
local policy, k8s, conditions, json, text = require 'policy', require 'k8s', require 'conditions', require 'json', require 'text'

local COLOR <const>, TEMPLATE <const> = 'ctl.example.com/color', 'ctl.example.com/template'
local OTHER <const> = { blue = 'green', green = 'blue' }

local function labels_of(it, color) return { ['ctl.example.com/bluegreen'] = it.metadata.name, [COLOR] = color } end
local function name_of(it, color) return it.metadata.name .. '-' .. color end
local function digest_of(set) return k8s.get(set, { 'metadata', 'annotations', TEMPLATE }) end
local function active_of(it, ctx) return k8s.get(ctx.child('Service', it.metadata.name), { 'spec', 'selector', COLOR }, 'blue') end

--- The set of a color: with the template that is wanted, or with the one that it has.
local function add_set(it, plan, color, replicas, as)
  local labels = labels_of(it, color)
  plan:add(color, {
    apiVersion = 'apps/v1', kind = 'ReplicaSet',
    metadata = { name = name_of(it, color), annotations = { [TEMPLATE] = as and digest_of(as) or text.hash(json.encode(it.spec.template)) } },
    spec = {
      replicas = replicas, selector = { matchLabels = labels },
      template = as and as.spec.template or k8s.merge(it.spec.template, { metadata = { labels = labels } }),
    },
  })
end

--- Brings up the other color. Returns the color that is to serve.
local function go_over(it, ctx, plan, active)
  local color, replicas = OTHER[active], it.spec.replicas
  local set = ctx.child('ReplicaSet', name_of(it, color))
  local is_new = set and digest_of(set) == text.hash(json.encode(it.spec.template))
  if set and not is_new then -- pods of a template that nobody wants any more go first
    add_set(it, plan, color, 0, set)
    local left = plan:observed(color)
    if left.spec.replicas > 0 or k8s.get(left, 'status.replicas', 0) > 0 then return active end
    plan:remove(color)
  end
  add_set(it, plan, color, replicas)
  local is_ready = plan:ready(color) -- asked in any case: the plan is made again when it changes
  return is_new and is_ready and color or active
end

return policy.define {
  name = 'bluegreen',
  render = function(it, ctx, plan)
    local active = active_of(it, ctx)
    local serves, rests = ctx.child('ReplicaSet', name_of(it, active)), ctx.child('ReplicaSet', name_of(it, OTHER[active]))
    if serves and digest_of(serves) ~= text.hash(json.encode(it.spec.template)) then
      add_set(it, plan, active, it.spec.replicas, serves)
      active = go_over(it, ctx, plan, active)
    else
      add_set(it, plan, active, it.spec.replicas)
      if rests then add_set(it, plan, OTHER[active], 0, rests) end
    end
    plan:add('service', {
      apiVersion = 'v1', kind = 'Service', metadata = { name = it.metadata.name }, spec = { selector = labels_of(it, active), ports = it.spec.ports },
    })
  end,
  status = function(it, ctx, status)
    status.active = active_of(it, ctx)
    status.readyReplicas = k8s.get(ctx.child('ReplicaSet', name_of(it, status.active)), 'status.readyReplicas', 0)
    local whole = status.readyReplicas >= it.spec.replicas
    status.conditions = {}
    conditions.set(status.conditions, it.status and it.status.conditions, {
      type = 'Ready', status = whole and 'True' or 'False', reason = whole and 'Serving' or 'Starting',
      message = ('%d of %d %s pods are ready'):format(status.readyReplicas, it.spec.replicas, status.active),
    }, ctx.now, it.metadata.generation)
  end,
}
