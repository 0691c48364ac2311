--- chart_docs: prints chart/README.md from the comments in chart/values.yaml.
--
--    lua5.4 spec/chart_docs.lua > chart/README.md
local M = {}

local HEAD = [[
# Helm chart of asya-operator

Written by `lua5.4 spec/chart_docs.lua > chart/README.md` from `values.yaml`; a test says when it is out of date.

```bash
kubectl apply --server-side -f chart/crds/
helm install asya-operator chart -n asya-system --create-namespace
```

helm installs the CRD with the first release and never upgrades it: the first command, before `helm upgrade`, does.
`transports` lies over `operator.transports`, the older spelling; further entries (`transports.NAME: {type, enabled, config}`) are further
transports. Two replicas with `podDisruptionBudget.enabled` and a spread over nodes make the operator highly available:

```bash
helm upgrade asya-operator chart -n asya-system --reuse-values --set replicaCount=2 --set podDisruptionBudget.enabled=true
```

`helm uninstall` leaves actors and their workloads. Actors keep the finalizer `asya.sh/finalizer`, and cannot be deleted without an operator:
set `releaseOnUninstall`, or run `asya-operator release -A` afterwards. The main README has a section each about this, about several operators
in a cluster (`operatorClass`), and about namespaced mode (`watchNamespaces`).

## Values

| value | default | |
|---|---|---|
]]

function M.page()
  local out, path, doc = { HEAD }, {}, nil
  for line in io.lines 'chart/values.yaml' do
    local comment = line:match '^%s*# %-%- (.*)$'
    local indent, key, value = line:match '^(%s*)([%w_-]+):%s*(.*)$'
    if comment then
      doc = comment
    elseif key then
      local depth = #indent // 2 + 1
      path[depth] = key
      for i = depth + 1, #path do path[i] = nil end
      if doc then out[#out + 1] = ('| `%s` | %s | %s |\n'):format(table.concat(path, '.'), value ~= '' and '`' .. value .. '`' or '', doc) end
      doc = nil
    end
  end
  return table.concat(out)
end

if arg and arg[0] and arg[0]:find 'chart_docs%.lua$' then io.write(M.page()) end

return M
