--- subject: what the bench measures: actors, or the example that EXAMPLE names. Each says how a parent is made, what children it gets,
-- when all are made, and what an edit of one is.
local cluster = require 'cluster'

local RABBIT <const> = ('ASYA_DISABLE_QUEUE_MANAGEMENT=true ASYA_RUNTIME_NAMESPACE=default ASYA_TRANSPORT_CONFIG=%s')
  :format(cluster.quote(cluster.TRANSPORTS))
local POD <const> = '{restartPolicy: OnFailure, containers: [{name: work, image: "example/work:1"}]}'

--- A query of a namespace that yields a line for each object that has this field.
local function query(resource, field)
  return ("kubectl get %s -n %%s -o jsonpath='{range .items[*]}{%s}{\"\\n\"}{end}'"):format(resource, field)
end

-- title     what there will be
-- each      how one is called
-- resource  of parents, as people and the audit log call it; path: where the API has it
-- env, flags  of our operator
-- parent    (name, namespace) -> YAML
-- children  { kind = path in the API }, `made` of them each; they are made when `done` says so
-- there     what is so before an operator starts; done: what is so when all are made; told: what ours say then.
--           Each: { what, query, pattern of a line, lines for each parent }
-- edit      (nth time) -> JSON merge patch, which changes or makes a child of the resource `edited` whose name begins with the parent's
-- finalizer whether a parent gets one
-- requests  for each parent, Events included: no more than that; instructions: millions of them
local SUBJECTS <const> = {
  actors = {
    title = 'actors, each with a Deployment of one pod, a ScaledObject and a TriggerAuthentication',
    each = 'an actor', resource = 'asyncactors', path = 'apis/asya.sh/v1alpha1/namespaces/%s/asyncactors',
    env = RABBIT, flags = '', finalizer = true, requests = 6.5, instructions = { cold = 12, restart = 4 },
    parent = function(name, ns) return cluster.actor(name, ns, '  scaling: {enabled: true, minReplicas: 1, maxReplicas: 10}') end,
    made = 3,
    children = {
      Deployment = 'apis/apps/v1/namespaces/%s/deployments', ScaledObject = 'apis/keda.sh/v1alpha1/namespaces/%s/scaledobjects',
      TriggerAuthentication = 'apis/keda.sh/v1alpha1/namespaces/%s/triggerauthentications',
    },
    done = { 'all pods are ready', query('deployments', '.status.readyReplicas'), '%d+', 1 },
    told = { 'all run', query('asyncactors', '.status.status'), 'Running', 1 },
    edited = 'deployments',
    edit = function(nth) return ('{"spec":{"sidecar":{"image":"example/sidecar:%d"}}}'):format(nth) end,
  },
  indexedjob = {
    title = 'IndexedJobs, each with two pods at a time',
    each = 'a job', resource = 'indexedjobs', path = 'apis/ctl.example.com/v1/namespaces/%s/indexedjobs',
    crd = 'indexedjobs.ctl.example.com', env = '', flags = '--bundle policies/examples/indexedjob', finalizer = true,
    parent = function(name, ns)
      return ('{apiVersion: ctl.example.com/v1, kind: IndexedJob, metadata: {name: %s, namespace: %s}, '
        .. 'spec: {completions: 8, parallelism: 2, template: {spec: %s}}}\n'):format(name, ns, POD)
    end,
    made = 2,
    children = { Pod = 'api/v1/namespaces/%s/pods' },
    done = { 'all pods run', query('pods', '.status.phase'), 'Running', 2 },
    told = { 'all are told', query('indexedjobs', '.status.active'), '%d+', 1 },
    edited = 'pods',
    edit = function(nth) return ('{"spec":{"parallelism":%d}}'):format(2 + nth) end,
  },
  ['service-per-pod'] = {
    title = 'StatefulSets of two pods, with a Service for each pod',
    each = 'a set', resource = 'statefulsets', path = 'apis/apps/v1/namespaces/%s/statefulsets',
    env = '', flags = '--bundle policies/examples/service-per-pod',
    parent = function(name, ns)
      return ('{apiVersion: apps/v1, kind: StatefulSet, metadata: {name: %s, namespace: %s, annotations: '
        .. '{service-per-pod-ports: "80:8080", service-per-pod-label: statefulset.kubernetes.io/pod-name}}, '
        .. 'spec: {replicas: 2, serviceName: %s, selector: {matchLabels: {app: %s}}, '
        .. 'template: {metadata: {labels: {app: %s}}, spec: {containers: [{name: work, image: "example/work:1"}]}}}}\n')
        :format(name, ns, name, name, name)
    end,
    made = 2,
    children = { Service = 'api/v1/namespaces/%s/services' },
    there = { 'all pods are ready', query('statefulsets', '.status.readyReplicas'), '2', 1 },
    done = { 'all Services are made', 'kubectl get services -n %s -o name', 'service/', 2 },
    edited = 'services',
    edit = function(nth) return ('{"metadata":{"annotations":{"service-per-pod-ports":"80:%d"}}}'):format(8080 + nth) end,
  },
}

local name = os.getenv 'EXAMPLE'
name = name ~= '' and name or 'actors'
local M = assert(SUBJECTS[name], ("EXAMPLE is 'indexedjob' or 'service-per-pod', not '%s'"):format(name))

M.query = query

--- What the cluster has to know before there are parents.
function M.install()
  if not M.crd then return end
  local crd, ok = cluster.sh('%s/asya-operator manifest %s --crd', cluster.build, M.flags)
  assert(ok, crd)
  cluster.kubectl('apply --server-side -f %s', cluster.write(cluster.temp 'crd.yaml', crd))
  cluster.kubectl('wait --for=condition=Established crd %s --timeout=30s', M.crd)
end

function M.remove()
  if M.crd then cluster.sh('kubectl delete crd %s --timeout=60s', M.crd) end
end

--- Parents PREFIX1, PREFIX2, ... as YAML, in a file whose path is returned.
function M.write(prefix, ns, count)
  local list = {}
  for i = 1, count do list[i] = M.parent(prefix .. i, ns) end
  return cluster.write(cluster.temp 'parents.yaml', table.concat(list, '---\n'))
end

--- Makes them, and waits for what somebody else makes of them.
function M.create(prefix, ns, count)
  cluster.kubectl('create -f %s', M.write(prefix, ns, count))
  if M.there then M.await(M.there, ns, count) end
end

--- Deletes the parents of a namespace, and it, where no operator is there to release them.
function M.discard(ns)
  cluster.kubectl('delete %s --all -n %s --wait=false', M.resource, ns)
  for _, it in ipairs(cluster.list(M.resource, ns)) do
    cluster.kubectl("patch %s %s -n %s --type=merge -p '{\"metadata\":{\"finalizers\":null}}'", M.resource, it.metadata.name, ns)
  end
  cluster.sh('kubectl delete namespace %s --wait=true --timeout=120s', ns)
end

--- How many lines of a state's query, such as `done`, are as they are to be.
function M.count(state, ns)
  local _, found = cluster.sh(state[2], ns):gsub(state[3], '')
  return found
end

function M.await(state, ns, count)
  cluster.eventually(state[1], 1800, function()
    local found, wanted = M.count(state, ns), count * state[4]
    if found < wanted then cluster.sleep(1) end
    return found >= wanted, found
  end)
end

--- Waits until each has its children; ours say so, too.
function M.await_made(ns, count, ours)
  M.await(M.done, ns, count)
  if ours and M.told then M.await(M.told, ns, count) end
end

return M
