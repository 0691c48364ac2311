--- init: a team's own operator, from nothing to pods that it has made: what is typed where there are kubectl and the program of the image.
package.path = 'spec/node/?.lua;' .. package.path
local node = require 'node'
local chart = require 'chart'
local cluster = require 'cluster'
local json = require 'json'
local yaml = require 'asya.yaml'

local eventually = cluster.eventually
local OWN, KIND = 'gadget-operator', 'gadgets.node.example.com' -- its namespace, account and Deployment are called so
local VERSION = cluster.read('chart/Chart.yaml'):match 'appVersion: "(.-)"'
local MANIFEST = 'asya-operator manifest --bundle gadgets --image asya-operator:' .. VERSION

describe("a team's own operator", function()
  if not node.available then
    pending 'needs a real node: run it through spec/run node'
    return
  end

  local ns, commands = 'default', 0
  local folder, programs, mark
  local said = '' -- what the log of a pod said that is no more

  local function run(line)
    return cluster.sh('cd %s && PATH=%s:$PATH bash -euo pipefail %s', folder, programs, cluster.write(cluster.temp 'line.sh', line))
  end

  --- A line as it is typed; it must work, and each command of it counts.
  local function typed(line)
    for _ in line:gmatch '[^|]+' do commands = commands + 1 end
    local output, ok = run(line)
    if not ok then error(line .. '\n' .. output .. '\n' .. node.tell(OWN, OWN), 2) end
    return output
  end

  --- Where people are: a folder in which nothing of ours is, but the program is found. It is that of the image, with the libraries there.
  setup(function()
    node.load_images()
    folder, programs = node.unpack_image(), cluster.folder 'programs'
    cluster.write(programs .. '/asya-operator', ('#!/bin/sh\nexec chroot %s /manager "$@"\n'):format(folder))
    cluster.sh('chmod +x %s/asya-operator', programs)
    mark = cluster.audit_mark()
  end)
  teardown(function() -- what a story that went wrong leaves
    cluster.sh('kubectl patch %s sample --type=merge -p %s', KIND, cluster.quote '{"metadata":{"finalizers":null}}')
    cluster.sh('kubectl delete namespace/%s crd/%s clusterrole/%s clusterrolebinding/%s --wait=false', OWN, KIND, OWN, OWN)
  end)

  local function operator() return node.pods(OWN, 'app.kubernetes.io/name=' .. OWN)[1] end
  local function digest() return cluster.get('deployment', OWN, OWN).spec.template.metadata.annotations['asya.sh/bundle-digest'] end
  local function gadget() return cluster.get(KIND, 'sample', ns) end
  local function log() return (cluster.sh('kubectl logs -n %s %s', OWN, operator().metadata.name)) end

  it('runs, and makes what its policy says', function()
    typed 'asya-operator init gadgets --kind Gadget --group node.example.com'
    typed 'sed -i s#nginx:1.27#localhost/bed/pause:1# gadgets/samples/gadget.yaml' -- an image of theirs
    typed 'asya-operator check --bundle gadgets'
    typed(MANIFEST .. ' | kubectl apply --server-side -f -')
    typed('kubectl rollout status deployment/gadget-operator -n gadget-operator --timeout=90s')
    typed 'kubectl apply -f gadgets/samples/'
    typed 'kubectl wait gadget/sample --for=condition=Ready --timeout=90s'
    assert.matches('sample%s+Running%s+localhost/bed/pause:1%s+2%s', typed 'kubectl get gadgets')

    local pods = node.pods(ns, 'node.example.com/gadget=sample')
    assert.equal(2, #pods)
    for _, pod in ipairs(pods) do assert.equal(os.getenv 'BED_NODE', pod.spec.nodeName) end
    assert.equal(80, cluster.get('service', 'sample', ns).spec.ports[1].port)
    assert.equal(digest(), gadget().status.bundleDigest)
    assert.is_true(node.ready(operator()))
    assert.equal(0, operator().status.containerStatuses[1].restartCount)
    local lease = cluster.get('lease', 'gadget-operator.node.example.com', OWN)
    assert.is_truthy(lease.spec.holderIdentity:find(operator().metadata.name, 1, true), lease.spec.holderIdentity)
  end)

  it('runs where pods are restricted', function()
    local warned = cluster.kubectl('label namespace %s --dry-run=server --overwrite pod-security.kubernetes.io/enforce=restricted', OWN)
    assert.is_nil(warned:find('violate', 1, true), warned)
  end)

  it('follows edits of the object, and of its policy when the manifest is applied again', function()
    typed [[kubectl patch gadget sample --type=merge -p '{"spec":{"replicas":1}}']]
    eventually('one pod is left', 60, function() return #node.pods(ns, 'node.example.com/gadget=sample') == 1, log() end)

    local before, old = node.lives(ns), digest()
    said = log()
    typed [[sed -i "s#'Service', metadata = { name = name }#'Service', metadata = { name = name, labels = labels }#" gadgets/workload.lua]]
    typed(MANIFEST .. ' | kubectl apply --server-side -f -')
    typed('kubectl rollout status deployment/gadget-operator -n gadget-operator --timeout=90s')
    eventually('the Service has the label', 90, function()
      return (cluster.get('service', 'sample', ns).metadata.labels or {})['node.example.com/gadget'], log()
    end)
    assert.not_equal(old, digest())
    eventually('the status names the bundle of the pod', 30, function()
      return gadget().status.bundleDigest == digest(), json.encode(gadget().status)
    end)
    assert.same(before, node.lives(ns))
  end)

  --- What the server lets an account of the operator's namespace do in a namespace.
  local function allowed(account, namespace)
    local review = { apiVersion = 'authorization.k8s.io/v1', kind = 'SelfSubjectRulesReview', spec = { namespace = namespace } }
    local answer = cluster.kubectl('create --validate=false -o json --as=system:serviceaccount:%s:%s -f %s', OWN, account,
      cluster.write(cluster.temp 'review.json', json.encode(review)))
    return chart.rights(json.decode(answer).status.resourceRules)
  end

  it('may do what was printed, and nothing else', function()
    local printed = {}
    for _, object in ipairs(yaml.load_all((run(MANIFEST)))) do printed[object.kind] = chart.rights(object.rules or {}) end
    assert.same(printed.ClusterRole, chart.beyond(allowed(OWN, ns), allowed('default', ns)))
    local own = chart.beyond(allowed(OWN, OWN), allowed('default', OWN))
    assert.same(printed.Role, chart.beyond(own, printed.ClusterRole))
    local function may(what)
      return (cluster.sh('kubectl auth can-i %s -n %s --as=system:serviceaccount:%s:%s', what, ns, OWN, OWN)):match '%S+'
    end
    assert.equal('yes', may('list ' .. KIND))
    for _, what in ipairs { 'delete ' .. KIND, 'get secrets', 'list configmaps', 'create pods' } do assert.equal('no', may(what), what) end
  end)

  it('goes, its objects first, and was denied nothing meanwhile', function()
    typed 'kubectl delete gadgets --all -A --timeout=60s'
    said = said .. log()
    assert.is_nil(cluster.get('deployment', 'sample', ns))
    --- Admission may not yet have heard of a kind that was made just now.
    local function is_new(text)
      return text:find('cannot find RESTMapping for APIVersion node.example.com/v1alpha1 Kind Gadget', 1, true) ~= nil
    end
    local was_new = is_new(said)
    assert.equal(2, select(2, said:gsub(' acquired by ', '')), said)
    for line in said:gmatch '[^\n]*orbidden[^\n]*' do assert.is_truthy(is_new(line), line) end
    for _, event in ipairs(cluster.list 'events.events.k8s.io') do
      local note = event.reportingController == OWN and event.note or ''
      assert.is_truthy(not note:find('orbidden', 1, true) or is_new(note), note)
    end
    local all = json.decode((cluster.sh('spec/bed/bed requests %s --user system:serviceaccount:%s:%s --since-byte %d -o json',
      cluster.bed_dir, OWN, OWN, mark)))
    assert.is_true(all.total > 0)
    for _, each in ipairs(all.requests) do
      assert.is_true(each.code ~= 403 or was_new and each.verb == 'create', each.verb .. ' ' .. each.resource)
    end

    typed(MANIFEST .. ' | kubectl delete --timeout=90s -f -')
    for _, kind in ipairs { 'namespace', 'clusterrole', 'clusterrolebinding' } do assert.is_nil(cluster.get(kind, OWN), kind) end
    assert.is_nil(cluster.get('crd', KIND))
    print(('init: %d commands'):format(commands))
    assert.is_true(commands < 20, commands)
  end)
end)
