--- property: whatever users write, valid actors become children that the server takes, and wrong ones stall only themselves.
local cluster = require 'cluster'
local json = require 'json'
local actors = require 'actors'

local TRANSPORTS = [[{"transports":{
  "rabbitmq":{"enabled":true,"config":{"host":"h","username":"guest","passwordSecretRef":{"name":"s","key":"k"}}},
  "sqs":{"enabled":true,"config":{"region":"us-east-1","accountId":"123456789012","visibilityTimeout":30}}}}]]

--- A folder with a file for each actor.
local function write_all(items)
  local folder = cluster.folder 'actors'
  for i, actor in ipairs(items) do cluster.write(('%s/%04d.json'):format(folder, i), json.encode(actor)) end
  return folder
end

local function render(path)
  local out = cluster.temp 'rendered.json'
  local message, ok = cluster.sh('ASYA_TRANSPORT_CONFIG=%s timeout 20 %s/asya-operator render -o json -f %s >%s',
    cluster.quote(TRANSPORTS), cluster.build, path, out)
  return ok and cluster.read(out), message
end

describe('random valid actors', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  math.randomseed(20261123)
  local items = json.array {}
  for i = 1, 150 do items[i] = actors.valid(i) end
  local documents = {}
  for i, actor in ipairs(items) do documents[i] = json.encode(actor) end
  local path = cluster.write(cluster.temp 'valid.yaml', table.concat(documents, '\n---\n'))

  it('are valid to the API server', function()
    local output, ok = cluster.sh('kubectl create --dry-run=server -f %s', path)
    assert.is_true(ok, output)
  end)

  it('become children that the API server takes', function()
    local text, message = render(path)
    assert.is_truthy(text, message)
    local output, ok = cluster.sh('kubectl apply --dry-run=server --validate=strict -f %s', cluster.write(cluster.temp 'children.json', text))
    assert.is_true(ok, output:gsub('[^\n]*dry run%)\n', ''))
  end)

  it('are rendered the same each time', function() assert.equal(render(path), (render(path))) end)
end)

describe('wrong actors', function()
  if not cluster.available then return end
  after_each(cluster.stop_all)

  it('end render with a message, never with a crash or a hang', function()
    local wrong = actors.wrong()
    local folder = write_all(wrong)
    local one = ('timeout 10 %s/asya-operator render -f $0 >/dev/null 2>$0.err; echo "$? $0"'):format(cluster.build)
    local output = cluster.sh('ls %s/*.json | ASYA_TRANSPORT_CONFIG=%s xargs -P 2 -n 1 sh -c %s', folder, cluster.quote(TRANSPORTS), cluster.quote(one))
    local count = 0
    for code, file in output:gmatch '(%d+) (%S+)' do
      count = count + 1
      assert.is_true(code == '0' or code == '1', ('exit %s for %s: %s'):format(code, file, cluster.read(file .. '.err')))
      assert.is_true(code == '0' or #cluster.read(file .. '.err') > 20, file)
    end
    assert.equal(#wrong, count)
  end)

  it('get a condition and no half of their children, while others go on', function()
    local ns = cluster.namespace 'wrong'
    local items = json.array {}
    for i, actor in ipairs(actors.wrong()) do
      if i % 4 == 0 or i > #actors.wrong() - 8 then
        actor.metadata.namespace = ns
        items[#items + 1] = actor
      end
    end
    cluster.sh('kubectl apply --server-side --validate=false -f %s', write_all(items)) -- the API server refuses many of them
    local taken = cluster.list('asyncactors', ns)
    assert.is_true(#taken > 30, #taken .. ' actors')
    local op = cluster.operator { transports = TRANSPORTS }
    cluster.apply(cluster.actor('healthy', ns))
    local function all_judged()
      for _, actor in ipairs(cluster.list('asyncactors', ns)) do
        if not cluster.condition(actor, 'Ready') then return false, actor.metadata.name end
      end
      return true
    end
    cluster.eventually('each actor has a condition', 90, all_judged)
    assert.is_true(op.alive(), op.log())
    local have = {}
    for _, kind in ipairs { 'deployments', 'scaledobjects', 'triggerauthentications' } do
      for _, object in ipairs(cluster.list(kind, ns)) do have[object.metadata.name] = (have[object.metadata.name] or '') .. ' ' .. kind end
    end
    for _, actor in ipairs(cluster.list('asyncactors', ns)) do
      local ready, name = cluster.condition(actor, 'WorkloadReady'), actor.metadata.name
      if ready and ready.reason:find 'Error$' then
        assert.is_nil(have[name], ('%s has%s although: %s'):format(name, have[name] or '', ready.message))
        assert.is_true(#ready.message > 20)
      end
    end
    assert.is_truthy(have.healthy)
    cluster.kubectl('delete asyncactors --all -n %s --timeout=60s', ns) -- the next specs' operators would work on them
  end)
end)
