--- chain: a message goes the whole way, queue, sidecar, runtime script, next queue, with what the operator made of two actors.
local cluster = require 'cluster'
local json = require 'json'
local messages = require 'messages'
local processes = require 'processes'

local function chain(transports, transport, secrets, queue)
  local ns = cluster.namespace 'chain'
  if secrets then
    cluster.kubectl('create secret generic broker -n %s --from-literal=password=%s', ns, secrets['broker/password'])
  end
  local op = cluster.operator { transports = transports, queues = true, env = 'AWS_ACCESS_KEY_ID=test AWS_SECRET_ACCESS_KEY=test' }
  local function actor(name, handler)
    cluster.apply((cluster.actor(name, ns, nil, ([[
        - name: asya-runtime
          image: example/app:1.0
          env: [{name: ASYA_HANDLER, value: handlers.%s}]
]]):format(handler)):gsub('transport: rabbitmq', 'transport: ' .. transport)))
  end
  actor('chain-double', 'double')
  actor('chain-plus', 'plus_one')
  actor('happy-end', 'double')
  for _, name in ipairs { 'chain-double', 'chain-plus', 'happy-end' } do
    cluster.eventually(name .. ' is Running', 30, function()
      local live = cluster.get('asyncactor', name, ns)
      return live and live.status and live.status.status == 'Running', live and json.encode(live.status or {})
    end)
  end
  local ends = { processes.start('chain-double', ns, secrets), processes.start('chain-plus', ns, secrets) }
  local value = messages.through(queue, 20, 'chain-double', 'chain-plus')
  for _, stop in ipairs(ends) do stop() end
  assert.equal(41, value)
  cluster.kubectl('delete asyncactors --all -n %s --timeout=30s', ns)
  op.stop()
end

describe('the whole chain', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end
  after_each(cluster.stop_all)

  it('brings a message through two actors and out at happy-end, over RabbitMQ', function()
    local host, port = os.getenv 'BED_RABBITMQ_HOST', os.getenv 'BED_RABBITMQ_PORT'
    local password = os.getenv 'BED_RABBITMQ_PASSWORD'
    chain(([[{"transports":{"rabbitmq":{"enabled":true,"config":{"host":"%s","port":%s,"username":"%s","exchange":"asya",
      "passwordSecretRef":{"name":"broker","key":"password"},"queues":{"autoCreate":true,"dlq":{"enabled":true}}}}}}]])
      :format(host, port, os.getenv 'BED_RABBITMQ_USER'), 'rabbitmq', { ['broker/password'] = password }, messages.rabbitmq)
  end)

  it('brings a message through two actors and out at happy-end, over SQS', function()
    chain(([[{"transports":{"sqs":{"enabled":true,"config":{"region":"us-east-1","endpoint":"%s","accountId":"123456789012",
      "visibilityTimeout":30,"queues":{"autoCreate":true,"dlq":{"enabled":true}}}}}}]]):format(os.getenv 'BED_SQS_URL'), 'sqs', nil, messages.sqs)
  end)
end)
