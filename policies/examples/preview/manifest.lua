--- What somebody wants to look at for a while: it goes by itself.
local policy, schema = require 'policy', require 'schema'

return policy.manifest {
  parent = 'preview.example.com/v1 Preview',
  children = { 'apps/v1 Deployment', 'v1 Service', 'networking.k8s.io/v1 Ingress' },
  crd = {
    spec = {
      image = schema.string { min_len = 1 }:required(),
      port = schema.integer { min = 1, max = 65535 }:default(8080):doc 'Where the image listens.',
      host = schema.string { min_len = 1 }:doc 'The name in the Ingress; without one there is no Ingress.',
      ttl = schema.string { min_len = 2 }:default('8h'):doc 'How long it lives, such as 90m, 8h or 2d. A longer one revives it.',
    },
    status = { phase = schema.string(), expiresAt = schema.string() },
    columns = { 'status.phase', 'status.expiresAt' },
  },
  cases = { parent = { metadata = { name = 'pr-7', creationTimestamp = '2026-01-02T00:00:00Z' }, spec = { image = 'app:7', port = 8080, ttl = '8h' } } },
}
