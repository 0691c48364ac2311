--- messages: sends and receives as a sidecar does, with the classes of the test sidecar.
local cluster = require 'cluster'
local json = require 'json'

local M = {}

--- One request in Python.
local function ask(env, code, ...)
  local script = ('import sys; sys.path.insert(0, "spec/cluster"); import sidecar; ' .. code):format(...)
  return (cluster.sh('%s python3 -c %s', env:gsub('%%', '%%%%'), cluster.quote(script):gsub('%%', '%%%%')):gsub('%s+$', ''))
end

--- { send(actor, text), receive(actor) -> text or nil and what was said }
local function queue(class, env, first)
  first = first or ''
  return {
    send = function(actor, text) ask(env, first .. 'sidecar.%s().send("%s", %q)', class, actor, text) end,
    receive = function(actor)
      local code = first .. 'b = sidecar.%s(); text, receipt = b.receive("%s"); text and b.done("%s", receipt); print(text or "")'
      local text = ask(env, code, class, actor, actor)
      return text:find '^{' and text, text
    end,
  }
end

--- Sends a value through two actors; what comes out at happy-end.
function M.through(of, value, first, second)
  of.send(first, json.encode { id = 'm1', payload = { value = value }, route = { actors = json.array { first, second }, current = 0 } })
  local result = cluster.eventually('the result is in the queue of happy-end', 20, function() return of.receive 'happy-end' end)
  return json.decode(result).payload.value
end

local RABBITMQ = ('ASYA_RABBITMQ_USERNAME=%s ASYA_RABBITMQ_PASSWORD=%s ASYA_RABBITMQ_EXCHANGE=asya')
  :format(os.getenv 'BED_RABBITMQ_USER', os.getenv 'BED_RABBITMQ_PASSWORD')
local SQS = ('ASYA_AWS_REGION=us-east-1 ASYA_SQS_ENDPOINT=%s'):format(os.getenv 'BED_SQS_URL')

M.rabbitmq = queue('RabbitMQ', RABBITMQ)
M.sqs = queue('Sqs', SQS)

--- The same as sidecars of release 0.4 do it in a namespace.
function M.in_namespace(ns)
  local env, first = 'ASYA_NAMESPACE=' .. ns .. ' ', 'import sidecar_0_4; '
  return { rabbitmq = queue('RabbitMQ', env .. RABBITMQ, first), sqs = queue('Sqs', env .. SQS, first) }
end

return M
