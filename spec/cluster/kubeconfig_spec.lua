--- kubeconfig: each verb reaches a cluster through the plugin that EKS, GKE and AKS put into a kubeconfig.
local cluster = require 'cluster'

local eventually, sh = cluster.eventually, cluster.sh

-- What the clouds' own tools write. The plugins themselves are stubs of the same name, which know what they must be told.
local CLOUDS = {
  {
    name = 'EKS', command = 'aws', told = '--region eu-west-1 eks get-token --cluster-name demo --output json', env = 'AWS_PROFILE=team',
    exec = [[
      apiVersion: client.authentication.k8s.io/v1beta1
      args: [--region, eu-west-1, eks, get-token, --cluster-name, demo, --output, json]
      command: aws
      env: [{name: AWS_PROFILE, value: team}]
      interactiveMode: IfAvailable
      provideClusterInfo: false]],
  },
  {
    name = 'GKE', command = 'gke-gcloud-auth-plugin', told = '', env = 'KUBERNETES_EXEC_INFO={',
    exec = [[
      apiVersion: client.authentication.k8s.io/v1beta1
      command: gke-gcloud-auth-plugin
      installHint: Install gke-gcloud-auth-plugin for use with kubectl
      provideClusterInfo: true]],
  },
  {
    name = 'AKS', command = 'kubelogin', told = 'get-token --environment AzurePublicCloud --server-id 6dae42f8 --login azurecli', env = '',
    exec = [[
      apiVersion: client.authentication.k8s.io/v1beta1
      args: [get-token, --environment, AzurePublicCloud, --server-id, 6dae42f8, --login, azurecli]
      command: kubelogin
      env: null
      installHint: kubelogin is not installed
      provideClusterInfo: false]],
  },
}

local STUB = [[
#!/bin/sh
[ "$*" = '%s' ] || { echo "wrong arguments: $*" >&2; exit 1; }
env | grep -qF '%s' || { echo 'wrong environment' >&2; exit 1; }
echo run >>%s
cat <<END
{"apiVersion": "client.authentication.k8s.io/v1beta1", "kind": "ExecCredential",
 "status": {"token": "%s", "expirationTimestamp": "$(date -u -d '+14 minutes' +%%Y-%%m-%%dT%%H:%%M:%%SZ)"}}
END
]]

-- Each verb: its arguments, its exit code, and what it must say.
local VERBS = {
  { 'check --live --operator-namespace OWN', 0, 'configmap team: live' },
  { 'diff -n NS --operator-namespace OWN', 0, '1 asyncactors looked at, 0 children differ' },
  { 'replay RECORD --live --operator-namespace OWN', 0, 'byte for byte' },
  { 'rollout status --operator-namespace OWN', 0, 'is live' },
  { 'rollout pause --operator-namespace OWN', 0, '' },
  { 'rollout resume --operator-namespace OWN', 0, '' },
  { 'release -n NS --dry-run --operator-namespace OWN', 0, 'asya' },
}

describe('a kubeconfig with a plugin of', function()
  if not cluster.available then
    pending 'needs a control plane: run it through spec/run cluster'
    return
  end

  local own, ns, bin, token
  setup(function()
    cluster.clear()
    own, ns, bin = cluster.namespace 'operator', cluster.namespace 'clouds', cluster.folder 'bin'
    cluster.kubectl('create serviceaccount person -n %s', own)
    cluster.kubectl('create clusterrolebinding %s --clusterrole=cluster-admin --serviceaccount=%s:person', own, own)
    token = cluster.kubectl('create token person -n %s', own):gsub('%s+$', '')
    cluster.kubectl('create configmap team -n %s --from-literal=team.lua=%s', own, cluster.quote "return require 'policy'.define { name = 'team' }")
    cluster.kubectl('label configmap team -n %s asya.sh/policies=true', own)
  end)
  teardown(function()
    cluster.kubectl('delete clusterrolebinding %s', own)
    cluster.clear()
  end)
  after_each(cluster.stop_all)

  --- Its kubeconfig, and how often its plugin has run so far.
  local function prepare(cloud)
    local runs = cluster.temp 'runs'
    sh('chmod 755 %s', cluster.write(bin .. '/' .. cloud.command, STUB:format(cloud.told, cloud.env, runs, token)))
    local path = cluster.write(cluster.temp 'kubeconfig', ([[
apiVersion: v1
kind: Config
preferences: {}
current-context: c
contexts: [{name: c, context: {cluster: c, user: u}}]
clusters: [{name: c, cluster: {server: "%s", certificate-authority: "%s"}}]
users:
- name: u
  user:
    exec:
%s
]]):format(os.getenv 'BED_SERVER', os.getenv 'BED_CA', cloud.exec))
    return path, function() return select(2, cluster.read(runs):gsub('run\n', '')) end
  end

  for _, cloud in ipairs(CLOUDS) do
    it(cloud.name .. ' serves run, check, diff, replay, rollout and release', function()
      local kubeconfig, runs = prepare(cloud)
      local records, actor = cluster.folder 'records', cloud.name:lower()
      cluster.operator { env = ('PATH=%s:$PATH'):format(bin), args = ('--kubeconfig %s --namespace %s --record %s'):format(kubeconfig, own, records) }
      cluster.apply(cluster.actor(actor, ns))
      eventually('run serves the actor', 30, function()
        local it = cluster.get('asyncactor', actor, ns)
        return it.status and it.status.status == 'Running' and runs() > 0
      end)
      local words = { NS = ns, OWN = own, RECORD = ('%s/%s_%s.json'):format(records, ns, actor) }
      for _, verb in ipairs(VERBS) do
        local before = runs()
        local settings = 'ASYA_DISABLE_QUEUE_MANAGEMENT=true ASYA_RUNTIME_NAMESPACE=default ASYA_TRANSPORT_CONFIG=' .. cluster.quote(cluster.TRANSPORTS)
        local arguments = verb[1]:gsub('%u%u+', words)
        local command = ('PATH=%s:$PATH %s %s/asya-operator %s --kubeconfig %s'):format(bin, settings, cluster.build, arguments, kubeconfig)
        local text, code = sh('sh -c %s', cluster.quote(command .. '; echo " exit $?"')):match '^(.*) exit (%d+)\n$'
        assert.equal(verb[2], tonumber(code), verb[1] .. ': ' .. tostring(text))
        assert.is_truthy(text:find(verb[3], 1, true), verb[1] .. ': ' .. text)
        assert.equal(before + 1, runs(), verb[1] .. ' asks the plugin once')
      end
      cluster.kubectl('delete asyncactor %s -n %s --timeout=30s', actor, ns)
    end)
  end
end)
