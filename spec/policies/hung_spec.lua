--- hung: what is said of an actor whose runtime may hang.
local json = require 'json'
local situation = require 'situation'

describe('the status of an actor whose runtime may hang', function()
  --- A pod whose sidecar has run from and to then, and runs again; the runtime has been running since `runtime`.
  local function pod_of(runtime, from, to, more)
    more = more or {}
    return situation.pod('p', { phase = 'Running', conditions = json.array { { type = 'Ready', status = 'True' } }, containerStatuses = json.array {
      { name = 'asya-runtime', restartCount = 0, state = { running = { startedAt = runtime } } },
      { name = 'asya-sidecar', restartCount = 1, state = more.state or { running = { startedAt = more.again or to } },
        lastState = { terminated = { exitCode = more.code or 1, startedAt = from, finishedAt = to } } } } })
  end
  local function seen(it, before, queue)
    local status, events, again = situation.judge { children = { situation.deployment(2, situation.full) }, pods = { it }, before = before,
      queues = queue and { queue } }
    local told = 0
    for _, event in ipairs(events) do told = told + (event.reason == 'RuntimeHung' and 1 or 0) end
    return situation.condition(status, 'RuntimeHung'), told, again, status
  end
  local EARLY, FROM, TO = '2026-01-02T02:00:00Z', '2026-01-02T02:50:00Z', '2026-01-02T03:00:00Z'

  it('says so from what the kubelet says, once, and forgets it when the sidecar has not ended for three timeouts', function()
    local c, told, again, status = seen(pod_of(EARLY, FROM, TO))
    assert.same({ 'True', 'NoAnswer', 1 }, { c.status, c.reason, told })
    for _, part in ipairs { 'pod p', 'exit code 1 at 2026-01-02T03:00:00Z', 'within 300 s', 'since 2026-01-02T02:00:00Z', 'kubectl delete pod p -n ns' } do
      assert.is_truthy(c.message:find(part, 1, true), c.message)
    end
    assert.equal(900 - 245, again) -- NOW is 245 s after TO
    local _, twice, _, after = seen(pod_of(EARLY, FROM, TO), status)
    assert.equal(0, twice)
    assert.equal(status.readySummary, after.readySummary)
    assert.is_nil(seen(pod_of(EARLY, '2026-01-02T02:30:00Z', '2026-01-02T02:45:00Z'), status))
  end)

  it('says it while the sidecar waits to be started again, too', function()
    assert.is_table(seen(pod_of(EARLY, FROM, TO, { state = { waiting = { reason = 'CrashLoopBackOff' } } })))
  end)

  it('says nothing of a sidecar that may have ended for want of its broker', function()
    local function since(at_, truth)
      return { conditions = json.array { { type = 'TransportReady', status = truth, reason = 'TransportValidated', lastTransitionTime = at_ } } }
    end
    local THERE <const>, GONE <const> = { name = 'asya-a', ready = true, reason = '', message = '' },
      { name = 'asya-a', ready = false, reason = 'TransportUnreachable', message = 'refused' }
    assert.is_table(seen(pod_of(EARLY, FROM, TO), since('2026-01-02T02:00:00Z', 'True'), THERE))
    assert.is_nil(seen(pod_of(EARLY, FROM, TO), since('2026-01-02T02:59:00Z', 'False'), GONE))
    assert.is_nil(seen(pod_of(EARLY, FROM, TO), since('2026-01-02T03:01:00Z', 'True'), THERE))
  end)

  local CASES = {
    ['whose sidecar ended before a timeout could have run down'] = { EARLY, '2026-01-02T02:58:00Z', TO },
    ['whose sidecar ended in another way'] = { EARLY, FROM, TO, { code = 137 } },
    ['whose runtime was restarted since'] = { '2026-01-02T03:00:02Z', FROM, TO },
    ['of which the server tells no times'] = { EARLY },
  }
  for what, at_ in pairs(CASES) do
    it('says nothing of one ' .. what, function() assert.is_nil(seen(pod_of(table.unpack(at_, 1, 4)))) end)
  end
end)
