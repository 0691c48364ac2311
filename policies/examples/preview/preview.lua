--- preview: an image behind a name, for a while.
local policy, times = require 'policy', require 'times'

local function ends_of(preview) return times.add(preview.metadata.creationTimestamp, preview.spec.ttl) end
local function left_of(preview, ctx) return times.between(ctx.now, ends_of(preview)) end

local function service_of(name, labels)
  return { apiVersion = 'v1', kind = 'Service', metadata = { name = name }, spec = { selector = labels, ports = { { port = 80, targetPort = 'http' } } } }
end

local function ingress_of(name, host)
  local backend = { service = { name = name, port = { number = 80 } } }
  return {
    apiVersion = 'networking.k8s.io/v1', kind = 'Ingress', metadata = { name = name },
    spec = { rules = { { host = host, http = { paths = { { path = '/', pathType = 'Prefix', backend = backend } } } } } },
  }
end

return policy.define {
  name = 'preview',
  doc = 'Makes a Deployment, a Service and an Ingress, and takes them away when the time is over.',
  validate = function(preview)
    if not ends_of(preview) then
      return policy.invalid { path = 'spec.ttl', message = ("'%s' is no duration: write 90m, 8h or 2d"):format(preview.spec.ttl) }
    end
  end,
  render = function(preview, ctx, plan)
    local left, name, labels = left_of(preview, ctx), preview.metadata.name, { ['preview.example.com/name'] = preview.metadata.name }
    if left <= 0 then return end
    plan:requeue_after(left)
    local container = { name = 'app', image = preview.spec.image, ports = { { name = 'http', containerPort = preview.spec.port } } }
    plan:add('app', {
      apiVersion = 'apps/v1', kind = 'Deployment', metadata = { name = name },
      spec = { selector = { matchLabels = labels }, template = { metadata = { labels = labels }, spec = { containers = { container } } } },
    })
    plan:add('service', service_of(name, labels))
    if preview.spec.host then plan:add('ingress', ingress_of(name, preview.spec.host)) end
  end,
  status = function(preview, ctx, status)
    status.expiresAt = ends_of(preview)
    status.phase = not status.expiresAt and 'Invalid' or left_of(preview, ctx) > 0 and 'Running' or 'Expired'
  end,
}
