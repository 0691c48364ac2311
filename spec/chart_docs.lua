--- chart_docs: prints chart/README.md from the comments in chart/values.yaml.
--
--    lua5.4 spec/chart_docs.lua > chart/README.md
package.path = package.path .. ';lua/?.lua;spec/policies/?.lua'
local case = require 'case'
local json = require 'json'
local k8s = require 'k8s'
local schema = require 'schema'

local M = {}

local HEAD = [[
# Helm chart of asya-operator

Written by `lua5.4 spec/chart_docs.lua > chart/README.md` from `values.yaml`; a test says when it is out of date.

| page | about |
|---|---|
| [`../README.md`](../README.md#install) | how to install it |
| [`docs/image.md`](docs/image.md) | how to build the image and give it to a cluster; what to do with the image alone |
| [`docs/configuration.md`](docs/configuration.md) | SQS, two replicas, parameters and policies of your own; upgrade; the runtime script |
| [`docs/bundles.md`](docs/bundles.md) | operators for other kinds beside the one for actors (`bundles`) |
| [`docs/operators.md`](docs/operators.md) | several operators in a cluster (`operatorClass`), some namespaces only (`watchNamespaces`) |
| [`docs/migration.md`](docs/migration.md) | coming from the Go operator, and back |
| [`docs/metrics.md`](docs/metrics.md) | metrics, probes, debug pages |
| [`docs/troubleshooting.md`](docs/troubleshooting.md) | what to do when something is wrong |
| [`docs/uninstall.md`](docs/uninstall.md) | what an uninstall leaves, and `releaseOnUninstall` |

The pages are in the source tree, not in the packaged chart: helm stores what is in the package with each revision.

## Rights

The operator has a ClusterRole for the objects that it makes of actors, and a Role in the release's namespace for the lease and for policies.

- The operator finds ConfigMaps by label. Outside of the release's namespace it reads and changes only `asya-runtime`.
- Secrets are read one by one by name, or never (`rbac.readSecrets=false`). They are written only for actors of profile 0.4, which get a copy of what their
  transport names (`profile: "0.4"`, or `rbac.copySecrets` where only some actors have that profile).
- Namespaces are listed only with `rbac.readNamespaces`, which makes a ClusterRole for that, also beside `watchNamespaces`. Without it an annotation
  `asya.sh/profile` on a namespace is not seen, and the log says so once: give actors the annotation, or the operator the `profile`.
- Actors get a finalizer and a status, those of profile 0.4 the label `asya.sh/actor`. Nothing else of them is changed.
- A policy of your own that declares other kinds (`kinds` of `policy.define`) needs `rbac.extraRules`, for example
  `{apiGroups: [policy], resources: [poddisruptionbudgets], verbs: [get, list, watch, create, patch, delete]}`.
- Each entry of `bundles` gives the rights to the kinds that it names.

A test runs the operator with exactly these rights, and fails when one of them is not used. The pod passes the Pod Security level "restricted".

## Kubernetes versions

Tests run on 1.37. Helm refuses a server before 1.19. What an older server lacks:

| before | |
|---|---|
| 1.34 | lists are not streamed: the operator asks for them page by page |
| 1.29 | no native sidecars: the pods of Job actors do not end by themselves |
| 1.25 | the CRD's rules are checked by the operator only (in the actor's status); unknown fields of a child are dropped instead of refused |
| 1.24 | objects are checked against the schemas in the binary, not the server's |
| 1.22 | server-side apply is a beta feature, on by default |
| 1.21 | the PodDisruptionBudget is `policy/v1beta1` |

## Values

`transports` is laid over `operator.transports`, which is the older spelling. Further entries (`transports.NAME: {type, enabled, config}`) are further
transports.

| value | default | |
|---|---|---|
]]

--- A value as the tables show it.
local function cell(value) return '`' .. json.encode(value):gsub('|', '\\|') .. '`' end

--- The rows of values.yaml: path, default and comment.
local function values()
  local tree, path, rows, doc = case.load('chart/values.yaml')[1], {}, {}, nil
  for line in io.lines 'chart/values.yaml' do
    local comment = line:match '^%s*# %-%- (.*)$'
    local indent, key = line:match '^(%s*)([%w_-]+):'
    if comment then
      doc = comment
    elseif key then
      local depth = #indent // 2 + 1
      path[depth] = key
      for i = depth + 1, #path do path[i] = nil end
      local shown = table.concat(path, '.'):gsub('^operator%.(transports%.)', '%1')
      if doc then rows[#rows + 1] = { path = shown, default = k8s.get(tree, path, json.null), doc = doc } end
      doc = nil
    end
  end
  return rows
end

function M.page()
  local out = { HEAD }
  for _, row in ipairs(values()) do out[#out + 1] = ('| `%s` | %s | %s |\n'):format(row.path, cell(row.default), row.doc) end
  out[#out + 1] = '\n## Parameters of policies\n\n| in `policyParams` | default | |\n|---|---|---|\n'
  local seen = {}
  for _, policy in ipairs(case.bundle().all) do
    for _, row in ipairs(seen[policy.file] and {} or schema.describe(policy.def.params, policy.name)) do
      out[#out + 1] = ('| `%s` | %s | %s |\n'):format(row.path, row.default ~= nil and cell(row.default) or '', row.doc or '')
    end
    seen[policy.file] = true
  end
  return table.concat(out)
end

if arg and arg[0] and arg[0]:find 'chart_docs%.lua$' then io.write(M.page()) end

return M
