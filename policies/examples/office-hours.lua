--- office-hours: actors with the label run only while people work: an example of policies that depend on the time.
-- A render that has read ctx.now is made again in each pass over the actor; plan:requeue_after asks for a pass at the time that matters.
local policy, k8s, schema, times = require 'policy', require 'k8s', require 'schema', require 'times'

local DAY <const> = 86400
local LABEL <const> = 'example.com/office-hours'
local WEEKEND <const> = { [2] = true, [3] = true } -- days since 1970-01-01, a Thursday, modulo 7

--- Seconds after midnight of "08:30" or "08:30:15".
local function clock(text)
  local hour, minute, second = text:match '^(%d%d?):(%d%d):?(%d*)$'
  if not hour then error(("office-hours: '%s' is no time like 08:30"):format(text), 0) end
  return tonumber(hour) * 3600 + tonumber(minute) * 60 + (tonumber(second) or 0)
end

local function is_open(at, params)
  local second = at % DAY
  return second >= clock(params.from) and second < clock(params.to) and (params.weekend or not WEEKEND[at // DAY % 7])
end

--- Seconds until it opens or closes.
local function until_then(now, params)
  local open, midnight = is_open(now, params), now - now % DAY
  for day = 0, 7 do
    for _, edge in ipairs { clock(params.from), clock(params.to) } do
      local at = midnight + day * DAY + edge
      if at > now and is_open(at, params) ~= open then return at - now end
    end
  end
end

--- Without an autoscaler the workload has no replicas; an autoscaler is told to rest, since it would start them again.
local function close(plan)
  local workload, scaler = plan:get 'workload', plan:get 'scaler'
  if scaler then
    plan:merge('scaler', { metadata = { annotations = { ['autoscaling.keda.sh/paused-replicas'] = '0' } } })
  elseif workload.kind == 'ScaledJob' then
    plan:merge('workload', { metadata = { annotations = { ['autoscaling.keda.sh/paused'] = 'true' } } })
  elseif workload.kind ~= 'Job' then
    plan:merge('workload', { spec = { replicas = 0 } })
  end
end

return policy.define {
  name = 'office-hours',
  after = { 'scaling' },
  doc = 'Actors with the label example.com/office-hours rest at night and on weekends.',
  params = {
    from = schema.string():default('08:00'):doc 'When they begin, local time.',
    to = schema.string():default('18:00'):doc 'When they end.',
    utc_offset = schema.number():default(0):doc 'Hours that local time is ahead of UTC.',
    weekend = schema.boolean():default(false):doc 'Whether they run on Saturday and Sunday, too.',
  },
  render = function(actor, ctx, plan)
    if not k8s.get(actor, { 'metadata', 'labels', LABEL }) then return end
    local now = times.seconds(ctx.now) + math.floor(ctx.params.utc_offset * 3600)
    if not is_open(now, ctx.params) then close(plan) end
    local wait = until_then(now, ctx.params)
    if wait then plan:requeue_after(wait) end
  end,
}
