--- deploy: what a cluster needs to run the operator of a bundle: CRD, account, rights of exactly the kinds named, the bundle, a Deployment.
local crd = require 'crd'
local json = require 'json'
local plain = require 'plain'

local error, ipairs, next, type = error, ipairs, next, type
local find, match = string.find, string.match
local format = plain.format

local deploy = {}

local MAX_BUNDLE <const> = 1000000 -- bytes; a ConfigMap holds 1 MiB
local RBAC <const> = 'rbac.authorization.k8s.io'
local FOLDER <const> = '/etc/asya-operator/bundle'

local OWNED = json.array { 'get', 'list', 'watch', 'create', 'patch', 'delete' }
local SHARED = json.array { 'get', 'list', 'watch', 'create', 'patch' }
local SEEN = json.array { 'list', 'watch' }

local function rule(group, resources, verbs, names)
  return { apiGroups = json.array { group }, resources = json.array(resources), verbs = json.array(verbs), resourceNames = names and json.array(names) }
end

local function group_of(row) return match(row.apiVersion, '^(.+)/') or '' end

--- The rights to work on the parents of a bundle and on what it makes: no kind and no verb that it does not name. `rights` of the manifest come last.
---@param manifest table
---@return table[]
function deploy.rules(manifest)
  local parent = manifest.parent
  local group, rules, by_key = group_of(parent), json.array {}, {}
  if manifest.decorate then
    rules[1] = rule(group, { parent.plural }, manifest.patches and { 'list', 'watch', 'patch' } or { 'list', 'watch' })
    if manifest.patches_status then rules[2] = rule(group, { parent.plural .. '/status' }, { 'patch' }) end
  else
    rules[1] = rule(group, { parent.plural }, { 'list', 'watch', 'patch' })
    rules[2] = rule(group, { parent.plural .. '/status' }, { 'patch' })
    rules[3] = rule(group, { parent.plural .. '/finalizers' }, { 'update' })
  end
  local function allow(row, what, verbs)
    local key = group_of(row) .. ' ' .. what
    local there = by_key[key]
    if not there then
      there = { rule = rule(group_of(row), {}, verbs), has = {} }
      by_key[key] = there
      rules[#rules + 1] = there.rule
    end
    if not there.has[row.plural] then
      there.has[row.plural] = true
      there.rule.resources[#there.rule.resources + 1] = row.plural
    end
  end
  for _, list in ipairs { manifest.children, manifest.kinds or {} } do
    for _, row in ipairs(list) do allow(row, row.shared and 'shared' or 'owned', row.shared and SHARED or OWNED) end
  end
  for _, row in ipairs(manifest.related or {}) do allow(row, 'seen', SEEN) end
  rules[#rules + 1] = rule('events.k8s.io', { 'events' }, { 'create', 'patch' })
  for _, right in ipairs(manifest.rights or {}) do rules[#rules + 1] = right end
  return rules
end

--- What it needs beside that, in its own namespace: its lease, and ConfigMaps with policies and its record.
local function own_rules(manifest)
  local lease = manifest.class and manifest.lease .. '-' .. manifest.class or manifest.lease
  return json.array {
    rule('coordination.k8s.io', { 'leases' }, { 'create' }),
    rule('coordination.k8s.io', { 'leases' }, { 'get', 'update' }, { lease }),
    rule('', { 'configmaps' }, { 'get', 'list', 'watch', 'create', 'patch' }),
  }
end

local function check_files(files)
  local size = 0
  for name, text in next, files do
    if not find(name, '^[%w._-]+$') then error(format("'%s' cannot be a key of a ConfigMap: use letters, digits, '.', '_' and '-'", name), 0) end
    size = size + #text
  end
  if size > MAX_BUNDLE then error(format('the bundle has %d bytes: a ConfigMap holds %d', size, MAX_BUNDLE), 0) end
end

local function container(options)
  return {
    name = 'manager', image = options.image,
    imagePullPolicy = 'IfNotPresent', -- no registry need have it, and the server would say Always of one without a version
    args = json.array {
      'run', '--bundle=' .. FOLDER, '--leader-elect', '--metrics-bind-address=:8080', '--health-probe-bind-address=:8081',
    },
    ports = json.array { { name = 'metrics', containerPort = 8080 }, { name = 'health', containerPort = 8081 } },
    livenessProbe = { httpGet = { path = '/healthz', port = 'health' }, initialDelaySeconds = 15, periodSeconds = 20 },
    readinessProbe = { httpGet = { path = '/readyz', port = 'health' }, initialDelaySeconds = 1, periodSeconds = 5 },
    resources = { requests = { cpu = '10m', memory = '32Mi' }, limits = { memory = '256Mi' } },
    securityContext = { allowPrivilegeEscalation = false, readOnlyRootFilesystem = true, capabilities = { drop = json.array { 'ALL' } } },
    volumeMounts = json.array { { name = 'bundle', mountPath = FOLDER, readOnly = true } },
  }
end

--- The Deployment. Its template names the digest of the bundle: another bundle is another pod.
local function deployment(name, labels, options)
  return {
    apiVersion = 'apps/v1', kind = 'Deployment', metadata = { name = name, namespace = options.namespace, labels = labels },
    spec = {
      replicas = 1, selector = { matchLabels = labels },
      template = {
        metadata = { labels = labels, annotations = { ['asya.sh/bundle-digest'] = options.digest } },
        spec = {
          serviceAccountName = name, securityContext = { runAsNonRoot = true, runAsUser = 65532, seccompProfile = { type = 'RuntimeDefault' } },
          containers = json.array { container(options) }, volumes = json.array { { name = 'bundle', configMap = { name = name .. '-bundle' } } },
        },
      },
    },
  }
end

--- A role and its binding to the account, cluster-wide or in the operator's namespace.
local function role(scope, name, account, labels, namespace, rules)
  return {
    apiVersion = RBAC .. '/v1', kind = scope .. 'Role', metadata = { name = name, namespace = namespace, labels = labels }, rules = rules,
  }, {
    apiVersion = RBAC .. '/v1', kind = scope .. 'RoleBinding', metadata = { name = name, namespace = namespace, labels = labels },
    roleRef = { apiGroup = RBAC, kind = scope .. 'Role', name = name }, subjects = json.array { account },
  }
end

--- What `kubectl apply` makes a running operator of, in the order to apply it. Raises what is wrong.
---@param manifest table as Bundle:manifest() returns it
---@param options { namespace: string?, image: string, digest: string, files: table<string, string>, crd: boolean? } crd: that alone
---@return table[]
function deploy.objects(manifest, options)
  local ours = not manifest.decorate and group_of(manifest.parent) ~= ''
  local definition = manifest.crd or ours and crd.definition(manifest) or nil
  if options.crd then return json.array { definition } end
  check_files(options.files)
  local name = manifest.component
  local labels = { ['app.kubernetes.io/name'] = name }
  options.namespace = type(options.namespace) == 'string' and options.namespace or name
  local account = { kind = 'ServiceAccount', name = name, namespace = options.namespace }
  local out = json.array { definition }
  local function add(...)
    for _, each in ipairs { ... } do out[#out + 1] = each end
  end
  add({ apiVersion = 'v1', kind = 'Namespace', metadata = { name = options.namespace } },
    { apiVersion = 'v1', kind = 'ServiceAccount', metadata = { name = name, namespace = options.namespace, labels = labels } })
  add(role('Cluster', name, account, labels, nil, deploy.rules(manifest)))
  add(role('', name, account, labels, options.namespace, own_rules(manifest)))
  add({ apiVersion = 'v1', kind = 'ConfigMap', metadata = { name = name .. '-bundle', namespace = options.namespace, labels = labels },
    data = options.files },
    deployment(name, labels, options))
  return out
end

return deploy
