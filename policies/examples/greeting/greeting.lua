--- greeting: a page with a text, and something that serves it.
local policy, conditions, text = require 'policy', require 'conditions', require 'text'

return policy.define {
  name = 'greeting',
  params = { image = require 'schema'.string {}:default 'nginx:1.27':doc 'What serves the page.' },
  render = function(greeting, ctx, plan)
    local name, labels = greeting.metadata.name, { ['demo.example.com/greeting'] = greeting.metadata.name }
    plan:add('page', { apiVersion = 'v1', kind = 'ConfigMap', metadata = { name = name }, data = { ['index.html'] = greeting.spec.text } })
    plan:add('server', {
      apiVersion = 'apps/v1', kind = 'Deployment', metadata = { name = name },
      spec = {
        selector = { matchLabels = labels },
        template = {
          metadata = { labels = labels, annotations = { ['demo.example.com/page'] = text.hash(greeting.spec.text) } },
          spec = {
            containers = { { name = 'server', image = ctx.params.image, volumeMounts = { { name = 'page', mountPath = '/usr/share/nginx/html' } } } },
            volumes = { { name = 'page', configMap = { name = name } } },
          },
        },
      },
    })
  end,
  status = function(greeting, ctx, status)
    local server = ctx.child('Deployment', greeting.metadata.name)
    local ready = server ~= nil and conditions.of(server, 'Available') ~= nil and conditions.of(server, 'Available').status == 'True'
    local wrong = ctx.outcome.errors[1]
    status.conditions = {}
    conditions.set(status.conditions, greeting.status and greeting.status.conditions, {
      type = 'Ready', status = ready and 'True' or 'False', reason = ready and 'Serving' or 'Starting', message = wrong and wrong.message or '',
    }, ctx.now, greeting.metadata.generation)
  end,
}
