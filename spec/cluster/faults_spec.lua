--- faults: what the proxy of `bed faults` does to requests and answers, with curl and kubectl as its clients.
local brokers = require 'brokers'
local cluster = require 'cluster'
local json = require 'json'

local eventually, quote, sh = cluster.eventually, cluster.quote, cluster.sh
local CURL = ('curl -sSN --http2 --cacert %s '):format(os.getenv 'BED_CA' or '')

--- One curl over HTTP/2. Returns its output and its exit status: 7 refused, 92 the stream was reset, 28 too slow.
local function curl(url, flags, ...)
  local output = sh('{ %s -m 20 %s %s; echo " exit=$?"; }', CURL, (flags or ''):format(...), quote(url))
  local text, code = output:match '^(.*) exit=(%d+)\n$'
  return text, tonumber(code)
end

local function status(url, flags) return (curl(url, '-o /dev/null -w "%%{http_code}" ' .. (flags or ''))) end

--- How long fn took, in seconds.
local function took(fn)
  local function now() return tonumber((sh 'date +%%s.%%N')) end
  local start = now()
  fn()
  return now() - start
end

describe('a fault', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end
  local faults, ns, maps
  local watches = {}

  lazy_setup(function()
    faults, ns = cluster.faults(), cluster.namespace 'faults'
    maps = ('%s/api/v1/namespaces/%s/configmaps'):format(faults.server, ns)
  end)
  after_each(function()
    cluster.stop_all()
    for _, each in ipairs(watches) do each.stop() end
    watches = {}
  end)

  local function create(name, flags)
    local object = { apiVersion = 'v1', kind = 'ConfigMap', metadata = { name = name } }
    return curl(maps, '-X POST -H content-type:application/json -d %s %s', quote(json.encode(object)), flags or '')
  end
  local function exists(name) return status(maps .. '/' .. name) == '200' end
  local function hits(id)
    for _, rule in ipairs(faults.list()) do
      if rule.id == id then return rule.hits end
    end
  end

  --- A watch of the namespace's ConfigMaps, from now on. The result counts what came (`seen(name)`) and is a process (cluster.background).
  local function watch(more)
    local version = json.decode((curl(maps .. '?limit=1'))).metadata.resourceVersion
    local url = ('%s?watch=1&resourceVersion=%s'):format(maps, version)
    local out = cluster.temp 'watch.out'
    local handle = cluster.background('%s -D %s.header %s %s >%s 2>&1', CURL, out, quote(url), more or '', out)
    table.insert(watches, handle)
    eventually('the watch is open', 10, function() return cluster.read(out .. '.header'):find '200' end)
    function handle.text() return cluster.read(out) end
    function handle.seen(name) return select(2, handle.text():gsub('"type":"ADDED"[^\n]*"name":"' .. name:gsub('%-', '%%-') .. '"', '')) end
    function handle.sees(name) eventually('the watch sees ' .. name, 10, function() return handle.seen(name) > 0, handle.text() end) end
    function handle.ends() eventually('the watch ends', 10, function() return not handle.alive() end) end
    return handle
  end

  describe('proxy', function()
    it('speaks HTTP/2 and passes on what nobody told it to spoil', function()
      local text = curl(faults.server .. '/version', '-w " over %%{http_version}"')
      assert.truthy(text:find '"minor"' and text:find ' over 2$', text)
      assert.truthy(cluster.kubectl('--kubeconfig %s auth whoami', faults.kubeconfig):find 'bed%-admin')
      assert.equal('200', status(faults.server .. '/version', '--http1.1'))
    end)

    it('lets a token speak for itself', function()
      local kubeconfig = cluster.account('default', ns, faults.server)
      assert.truthy(cluster.kubectl('--kubeconfig %s auth whoami', kubeconfig):find(('serviceaccount:%s:default'):format(ns), 1, true))
    end)

    it('keeps the user agent, by which a rule may choose', function()
      local mark = cluster.audit_mark()
      curl(maps, '-A faults-agent/1')
      assert.truthy(sh('spec/bed/bed requests %s --agent faults-agent --since-byte %d', cluster.bed_dir, mark):find 'configmaps')
      faults.add { act = 'status', status = 503, agent = '^faults%-agent' }
      faults.add { act = 'status', status = 500, agent = '^faults-agent' }
      assert.equal('500', status(maps, '-A faults-agent/1'))
      assert.equal('200', status(maps))
    end)

    it('refuses rules that say nothing it knows, and goes on', function()
      assert.error_matches(function() faults.add { act = 'status', status = 500, methud = 'GET' } end, 'methud')
      assert.error_matches(function() faults.add { act = 'explode' } end, 'unknown act "explode"')
      assert.error_matches(function() faults.add { act = 'status' } end, 'needs a status')
      assert.error_matches(function() faults.add { act = 'reset', path = '(' } end, 'missing closing')
      assert.error_matches(function() faults.remove(4711) end, 'no rule 4711')
      assert.same({}, faults.list())
      assert.equal('200', status(maps))
    end)

    it('is clean for go vet and gofmt', function()
      local output, ok = sh 'cd spec/bed/faults && GOFLAGS= GOPROXY=off go vet . && gofmt -l .'
      assert.is_true(ok, output)
      assert.equal('', output)
    end)
  end)

  describe('of a request', function()
    it('status answers without the server, as often as told', function()
      local id = faults.add { act = 'status', status = 429, retry_after = 7, method = 'POST', path = '/configmaps$', times = 2 }
      local text = create('limited', '-i')
      assert.truthy(text:find '^HTTP/2 429' and text:find 'retry%-after: 7' and text:find '"reason":"TooManyRequests"', text)
      assert.equal('200', status(maps))
      create 'limited'
      assert.equal(2, hits(id))
      assert.is_false(exists 'limited')
      create 'limited'
      assert.is_true(exists 'limited')
      assert.equal(2, hits(id))
    end)

    it('status answers with any body and type', function()
      faults.add { act = 'status', status = 404, body = '<html>no</html>' }
      local text = curl(maps, '-i')
      assert.truthy(text:find '^HTTP/2 404' and text:find 'content%-type: text/html' and text:find '<html>no</html>$', text)
    end)

    it('replace answers wrongly after the server did the work', function()
      faults.add { act = 'replace', status = 500, method = 'POST' }
      local text = create('replaced', '-i')
      assert.truthy(text:find '^HTTP/2 500' and text:find '"reason":"InternalError"', text)
      assert.is_true(exists 'replaced')
    end)

    it('drop loses the answer after the server did the work', function()
      faults.add { act = 'drop', method = 'POST' }
      local text, code = create 'dropped'
      assert.equal(92, code, text)
      assert.is_true(exists 'dropped')
    end)

    it('reset cuts before the server knows of it', function()
      faults.add { act = 'reset', method = 'POST' }
      local text, code = create 'reset'
      assert.equal(92, code, text)
      assert.is_false(exists 'reset')
    end)

    it('drop and reset end the connection where it is HTTP/1.1', function()
      faults.add { act = 'reset', method = 'POST', times = 1 }
      assert.equal(52, select(2, create('http1', '--http1.1'))) -- an empty answer
    end)

    it('delay waits before the server is asked, or after', function()
      local id = faults.add { act = 'delay', ms = 700, method = 'POST' }
      assert.is_true(took(function() create('late', '-m 0.3') end) < 0.7)
      assert.is_false(exists 'late')
      assert.is_true(took(function() create 'late' end) >= 0.7)
      assert.is_true(exists 'late')
      faults.remove(id)
      faults.add { act = 'delay', ms = 700, after = true, method = 'POST' }
      assert.is_true(took(function() create('later', '-m 0.3') end) < 0.7)
      eventually('the server did it', 5, function() return exists 'later' end)
    end)

    it('drip sends a byte at a time', function()
      local whole = curl(faults.server .. '/api')
      faults.add { act = 'drip', ms = 5, path = '^/api$' }
      local dripped
      assert.is_true(took(function() dripped = curl(faults.server .. '/api') end) >= 0.005 * #whole)
      assert.equal(whole, dripped)
    end)

    it('cut sends the first bytes and no more', function()
      local whole = curl(faults.server .. '/api')
      faults.add { act = 'cut', bytes = 11, path = '^/api$' }
      local text, code = curl(faults.server .. '/api')
      assert.equal(92, code)
      assert.equal(whole:sub(1, 11), (text:gsub('curl: .*', '')))
    end)

    it('share throws dice that a seed loads', function()
      local function run(seed)
        local id = faults.add { act = 'status', status = 503, share = 0.5, seed = seed }
        local codes = curl(faults.server .. '/version?[1-40]', '-o /dev/null -w "%%{http_code} "')
        local count = hits(id)
        faults.remove(id)
        return codes, count
      end
      local first, count = run(1)
      assert.is_true(count > 8 and count < 32, count .. ' of 40')
      assert.equal(first, (run(1)))
      assert.not_equal(first, (run(2)))
    end)

    it('refuse listens no more, until it is cleared', function()
      local open = watch()
      faults.add { act = 'refuse' }
      open.ends()
      assert.equal(7, select(2, curl(maps)))
      faults.clear()
      assert.equal('200', status(maps))
    end)

    it('goaway wants a new connection, and lets streams run on', function()
      local function connections() -- of two requests, one after the other
        return (curl(faults.server .. '/version?[1-2]', '-o /dev/null -w "%%{num_connects} "'))
      end
      assert.equal('1 0 ', connections())
      faults.add { act = 'goaway', path = '/version' }
      assert.equal('1 1 ', connections())
      -- With -Z the second request goes over the watch's connection.
      local open = watch(('-Z -o - -o /dev/null -w "%%{stderr}connects=%%{num_connects}\\n" %s/version'):format(faults.server))
      eventually('the other request is done', 10, function() return open.text():find 'connects=0' end)
      create 'after-goaway'
      open.sees 'after-goaway'
    end)
  end)

  describe('of a watch', function()
    it('event ends those that run with an ERROR, and new ones at their start', function()
      local open = watch()
      faults.add { act = 'event', path = 'watch=1', times = 2 }
      open.ends()
      assert.truthy(open.text():find '{"object":{.*"code":410,.*"reason":"Expired".*"type":"ERROR"}\n$', open.text())
      watch().ends()
      local third = watch()
      create 'third'
      third.sees 'third'
    end)

    it('cut ends it in the middle of an object, also as if that was all', function()
      for _, clean in ipairs { false, true } do
        local name, open = 'cut-' .. tostring(clean), watch()
        faults.add { act = 'cut', bytes = 40, clean = clean, path = 'watch=1', times = 1 }
        create(name)
        open.ends()
        local text, errors = open.text():gsub('curl: %(92%).*', '')
        assert.equal(40, #text, text)
        assert.equal(clean and 0 or 1, errors)
        faults.clear()
      end
    end)

    it('cut with no bytes ends it at once', function()
      local open = watch()
      faults.add { act = 'cut', path = 'watch=1', times = 1 }
      open.ends()
    end)

    it('hold keeps events back, in their order, and gives all of them when it is lifted', function()
      local open = watch()
      local id = faults.add { act = 'hold', ms = 1500, path = 'watch=1' }
      assert.is_true(took(function() create 'held-1'; open.sees 'held-1' end) >= 1.5)
      faults.remove(id)
      faults.add { act = 'hold', ms = 60000, path = 'watch=1' }
      create 'held-2'
      cluster.sleep(0.5)
      assert.equal(0, open.seen 'held-2')
      faults.clear()
      open.sees 'held-2'
    end)

    it('duplicate tells each event twice', function()
      local open = watch()
      faults.add { act = 'duplicate', path = 'watch=1' }
      create 'twice'
      eventually('the watch sees it twice', 10, function() return open.seen 'twice' == 2, open.text() end)
    end)

    it('drip slows it', function()
      local open = watch()
      faults.add { act = 'drip', ms = 10, path = 'watch=1' }
      assert.is_true(took(function() create 'slow'; open.sees 'slow' end) >= 0.8) -- its name comes after 80 bytes
    end)
  end)

  it('that is no fault: the certificate is renewed for new connections', function()
    local function serial()
      local address = faults.server:match '//(.*)'
      return sh('openssl s_client -connect %s </dev/null 2>/dev/null | openssl x509 -noout -serial', address):match '=(%x+)'
    end
    local open, before = watch(), serial()
    local new = faults.recert()
    assert.not_equal(before, serial())
    assert.equal(new, serial():lower():gsub('^0+', ''))
    assert.equal('200', status(maps)) -- of the same CA
    create 'renewed'
    open.sees 'renewed'
    faults.recert(true)
    open.ends()
  end)

  it('of SQS is one of a request, chosen by its action', function()
    local sqs = cluster.faults 'sqs'
    local function call(action, body)
      local header = '-H "X-Amz-Target: AmazonSQS.%s" -H "Content-Type: application/x-amz-json-1.0" ' ..
        '-H "Authorization: AWS4-HMAC-SHA256 Credential=bed/20260101/us-east-1/sqs/aws4_request" -d %s'
      return (curl(sqs.server .. '/', '-i ' .. header, action, quote(json.encode(body))))
    end
    local body = { QueueName = ns }
    local throttled = '{"__type":"com.amazonaws.sqs#RequestThrottled","message":"slow down"}'
    assert.truthy(call('CreateQueue', body):find 'QueueUrl')
    sqs.add { act = 'status', status = 400, body = throttled, action = '[.]GetQueueUrl$', times = 1 }
    assert.truthy(call('CreateQueue', body):find 'QueueUrl')
    assert.truthy(call('GetQueueUrl', body):find 'RequestThrottled')
    assert.truthy(call('GetQueueUrl', body):find 'QueueUrl')
    sqs.add { act = 'drop', action = 'CreateQueue' }
    body = { QueueName = ns .. '-dropped' }
    assert.truthy(call('CreateQueue', body):find 'Empty reply')
    assert.truthy(call('GetQueueUrl', body):find 'QueueUrl')
  end)

  describe('of RabbitMQ', function()
    local rabbitmq
    lazy_setup(function() rabbitmq = cluster.faults 'rabbitmq' end)
    lazy_teardown(function()
      for name in pairs(brokers.queues()) do
        if name:find '^f%-' then brokers.rabbitmqctl('delete_queue %s', name) end
      end
    end)

    --- What a client is told that declares queues of these names, one answer a word.
    local function declare(...)
      local output = sh('python3 spec/cluster/amqp_client.py %d %s', rabbitmq.port, table.concat({ ... }, ' '))
      local lines = {}
      for line in output:gmatch '[^\n]+' do lines[#lines + 1] = line end
      return lines
    end
    local function queue_exists(name) return brokers.queues()[name] ~= nil end

    it('none passes all on', function() assert.same({ 'queue.declare-ok', 'queue.declare-ok' }, declare('f-1', '2:f-2')) end)

    it('drop loses a request, or the answer to what was done', function()
      rabbitmq.add { act = 'drop', method = 'queue[.]declare', path = '^f-lost$' }
      rabbitmq.add { act = 'drop', method = 'queue[.]declare-ok', path = '^f-done$', times = 1 }
      assert.same({ 'silence', 'silence', 'queue.declare-ok', 'queue.declare-ok' }, declare('f-lost', 'f-done', 'f-done', '2:f-other'))
      assert.is_false(queue_exists 'f-lost')
      assert.is_true(queue_exists 'f-done')
    end)

    it('status closes the channel, which may be opened again at once', function()
      rabbitmq.add { act = 'status', status = 406, body = 'PRECONDITION_FAILED', method = 'queue[.]declare', path = 'f-closed', times = 1 }
      assert.same({ 'channel.close 406 PRECONDITION_FAILED', 'queue.declare-ok', 'queue.declare-ok' },
        declare('f-closed', 'f-closed', '2:f-other'))
      rabbitmq.add { act = 'status', status = 404, method = 'queue[.]declare-ok', times = 1 }
      assert.same({ 'channel.close 404 a fault of the test bed', 'queue.declare-ok' }, declare('f-made', 'f-other'))
      assert.is_true(queue_exists 'f-made')
    end)

    it('status of a code that is the connection\'s closes that', function()
      rabbitmq.add { act = 'status', status = 320, body = 'CONNECTION_FORCED', method = 'queue[.]declare', times = 1 }
      assert.same({ 'connection.close 320 CONNECTION_FORCED', 'end' }, declare('f-forced', 'f-other'))
      assert.same({ 'queue.declare-ok' }, declare 'f-forced')
    end)

    it('cut ends the connection within a frame, reset before it', function()
      rabbitmq.add { act = 'cut', bytes = 9, method = 'queue[.]declare-ok', times = 1 }
      assert.same({ 'cut after 2' }, declare 'f-cut') -- of the payload, after a header of 7
      rabbitmq.add { act = 'reset', method = 'queue[.]declare', times = 1 }
      assert.same({ 'reset' }, declare 'f-reset')
      assert.is_false(queue_exists 'f-reset')
      rabbitmq.add { act = 'cut', bytes = 3, method = 'connection[.]start', times = 1 }
      assert.same({ 'cut after 3' }, declare 'f-start')
    end)

    it('delay and drip slow it, refuse refuses', function()
      rabbitmq.add { act = 'delay', ms = 800, method = 'queue[.]declare' }
      assert.is_true(took(function() assert.same({ 'queue.declare-ok' }, declare 'f-1') end) >= 0.8)
      rabbitmq.clear()
      local id = rabbitmq.add { act = 'drip', ms = 20, method = '.*-ok' }
      assert.is_true(took(function() assert.same({ 'queue.declare-ok' }, declare 'f-1') end) >= 0.4)
      rabbitmq.remove(id)
      rabbitmq.add { act = 'refuse' }
      assert.same({ 'ConnectionRefusedError' }, declare 'f-1')
      rabbitmq.clear()
      assert.same({ 'queue.declare-ok' }, declare 'f-1')
      assert.error_matches(function() rabbitmq.add { act = 'hold', ms = 1 } end, 'unknown act "hold"')
    end)
  end)

  it('does not outlive its test', function()
    faults.add { act = 'reset' }
    cluster.stop_all()
    assert.same({}, faults.list())
    assert.equal('200', status(maps))
  end)
end)
