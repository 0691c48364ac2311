--- chart: what helm makes of the chart, for the specs of this folder.
local cluster = require 'cluster'
local json = require 'json'
local yaml = require 'asya.yaml'

local M = {}

--- The YAML that helm makes of these arguments, or nil and what it said. `folder`: another chart; `release`: another name.
function M.text(arguments, folder, release)
  local path = cluster.temp 'template.yaml'
  local said, ok = cluster.sh('(helm template %s %s -n asya-system %s >%s)', release or 'asya-operator', folder or cluster.PACKAGE, arguments or '', path)
  if ok then return cluster.read(path) end
  return nil, said
end

--- The flag for values given as YAML.
function M.values(text)
  return '--values ' .. cluster.write(cluster.temp 'values.yaml', text)
end

--- The objects; fails with helm's message.
function M.objects(...)
  local text, said = M.text(...)
  if not text then error(said, 2) end
  local list = json.array {}
  for _, object in ipairs(yaml.load_all(text)) do
    if object ~= json.null then list[#list + 1] = object end
  end
  return list
end

--- The object of a kind, of a name if given, or nil.
function M.find(objects, kind, name)
  for _, object in ipairs(objects) do
    if object.kind == kind and (not name or object.metadata.name == name) then return object end
  end
end

--- The operator's container, its environment by name, and its pod.
function M.manager(...)
  local pod = M.find(M.objects(...), 'Deployment').spec.template.spec
  local env = {}
  for _, variable in ipairs(pod.containers[1].env) do env[variable.name] = variable.value end
  return pod.containers[1], env, pod
end

--- The configuration file of the operator.
function M.config(...)
  return yaml.load_all(M.find(M.objects(...), 'ConfigMap', 'asya-operator-config').data['config.yaml'])[1]
end

--- Uninstalls every release that a spec, or one that failed, has left: their cluster roles have one name.
function M.clean()
  for _, release in ipairs(json.decode((cluster.sh 'helm list -A -a -o json'))) do
    cluster.sh('helm uninstall %s -n %s', release.name, release.namespace)
  end
end

--- Every right that rules give, as text.
function M.rights(rules)
  local all = {}
  for _, rule in ipairs(rules) do
    for _, resource in ipairs(rule.resources) do
      for _, verb in ipairs(rule.verbs) do
        all[#all + 1] = ('%s %s/%s %s'):format(verb, rule.apiGroups[1], resource, table.concat(rule.resourceNames or {}, ','))
      end
    end
  end
  table.sort(all)
  return all
end

--- Those of `all` that are not among `known`.
function M.beyond(all, known)
  local seen, left = {}, {}
  for _, right in ipairs(known) do seen[right] = true end
  for _, right in ipairs(all) do
    if not seen[right] then left[#left + 1] = right end
  end
  return left
end

--- Mounts what the operator's pod mounts of its bundles, or what there is of it by now, as a kubelet does: files are links through a link
--- that is exchanged, so that all of them change at once. Returns the flags of the operator. `folders`: where they are, as it was returned before.
function M.mount_bundles(namespace, folders)
  local pod = cluster.get('deployment', 'asya-operator', namespace).spec.template.spec
  local places, flags = {}, {}
  for _, mount in ipairs(pod.containers[1].volumeMounts) do places[mount.mountPath] = mount.name end
  folders = folders or {}
  for _, flag in ipairs(pod.containers[1].args) do
    local path = flag:match '^%-%-bundle=(.+)$'
    local volume = path and places[path]
    for _, each in ipairs(volume and pod.volumes or {}) do
      if each.name == volume then
        local folder, data = folders[volume] or cluster.temp(volume), cluster.temp '..data'
        local map = cluster.get('configmap', each.configMap.name, namespace)
        folders[volume] = folder
        cluster.sh('mkdir -p %s %s', folder, data)
        for name, text in pairs(map and map.data or {}) do
          cluster.write(data .. '/' .. name, text)
          cluster.sh('ln -sfn ..data/%s %s/%s', name, folder, name)
        end
        cluster.sh('ln -s %s %s/..data_tmp && mv -T %s/..data_tmp %s/..data', data, folder, folder, folder)
        path = folder
      end
    end
    if path then flags[#flags + 1] = '--bundle ' .. path end
  end
  return table.concat(flags, ' '), folders
end

--- The operator as an installed release runs it: with its configuration, its settings, and its account's rights.
--- `options` as in cluster.operator, and `bundles`: the flags of its bundles.
function M.operator(namespace, options)
  local deployment = cluster.get('deployment', 'asya-operator', namespace)
  local config = cluster.get('configmap', 'asya-operator-config', namespace).data['config.yaml']
  local env = {}
  for _, variable in ipairs(deployment.spec.template.spec.containers[1].env) do
    if variable.name ~= 'ASYA_DISABLE_QUEUE_MANAGEMENT' then env[#env + 1] = variable.name .. '=' .. cluster.quote(variable.value or '') end
  end
  options = options or {}
  options.args = ('%s --leader-elect --config %s --kubeconfig %s')
    :format(options.bundles or '', cluster.write(cluster.temp 'config.yaml', config), cluster.account('asya-operator', namespace))
  options.env = table.concat(env, ' ')
  options.transports = json.encode { transports = yaml.load_all(config)[1].transports }
  return cluster.operator(options)
end

--- Runs what a pod would run, under the rights of its account: the nodes are played. `spec` is the pod's; returns output and success.
function M.play(spec, namespace)
  local container, command = spec.containers[1], { 'env', 'KUBECONFIG=' .. cluster.account(spec.serviceAccountName, namespace) }
  for _, each in ipairs(container.env or {}) do command[#command + 1] = cluster.quote(each.name .. '=' .. (each.value or '')) end
  command[#command + 1] = cluster.build .. '/san/asya-operator'
  for _, each in ipairs(container.args) do command[#command + 1] = cluster.quote(each) end
  return cluster.sh('%s', table.concat(command, ' '))
end

--- The same for a pod that is there, which is then told to have ended as its command did.
function M.play_pod(pod, namespace)
  local output, ok = M.play(pod.spec, namespace)
  cluster.kubectl('patch pod %s -n %s --subresource=status --type=merge -p %s', pod.metadata.name, namespace,
    cluster.quote(json.encode { status = { phase = ok and 'Succeeded' or 'Failed' } }))
  return output, ok
end

--- A chart that plays the Go operator's: its names and its values, and none of ours. `values`: those of another release than 0.1.
function M.older(values)
  local folder = cluster.temp 'older-chart'
  local said, ok = cluster.sh([[rm -rf %s && cp -rL chart %s && rm %s/values.schema.json && cp spec/cluster/%s %s/values.yaml &&
    sed -i 's/^version:.*/version: 0.1.0/' %s/Chart.yaml]], folder, folder, folder, values or 'older_values.yaml', folder, folder)
  assert(ok, said)
  return folder
end

return M
