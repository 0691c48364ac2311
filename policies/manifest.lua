--- manifest: what this bundle operates on, and which settings of the operator its policies read.
local policy = require 'policy'
local json = require 'json'

return policy.manifest {
  parent = { apiVersion = 'asya.sh/v1alpha1', kind = 'AsyncActor', plural = 'asyncactors' },
  install = 'kubectl apply --server-side -f chart/crds/', -- for people whose cluster does not know that kind

  -- Made by us and owned by an actor; pruned from the last to the first.
  children = {
    { apiVersion = 'v1', kind = 'ConfigMap', plural = 'configmaps', shared = true,
      selector = 'app.kubernetes.io/name=asya-runtime' },
    { apiVersion = 'v1', kind = 'ServiceAccount', plural = 'serviceaccounts' },
    { apiVersion = 'apps/v1', kind = 'Deployment', plural = 'deployments' },
    { apiVersion = 'apps/v1', kind = 'StatefulSet', plural = 'statefulsets' },
    { apiVersion = 'batch/v1', kind = 'Job', plural = 'jobs' },
    { apiVersion = 'keda.sh/v1alpha1', kind = 'TriggerAuthentication', plural = 'triggerauthentications' },
    { apiVersion = 'keda.sh/v1alpha1', kind = 'ScaledObject', plural = 'scaledobjects' },
    { apiVersion = 'keda.sh/v1alpha1', kind = 'ScaledJob', plural = 'scaledjobs' },
  },

  -- Only looked at, for the status.
  related = {
    { apiVersion = 'v1', kind = 'Pod', plural = 'pods', label = 'asya.sh/asya', projection = 'pod' },
    { apiVersion = 'v1', kind = 'Pod', plural = 'pods', same_label = 'asya.sh/actor', projection = 'pod' }, -- profile 0.4
    { apiVersion = 'autoscaling/v2', kind = 'HorizontalPodAutoscaler', plural = 'horizontalpodautoscalers', owner = 'ScaledObject',
      projection = 'status' },
  },

  finalizer = 'asya.sh/finalizer',
  field_manager = 'asya-operator',
  legacy_managers = { 'manager' }, -- the Go operator's binary gave this name to the server
  lease = 'asya-operator.asya.sh',
  component = 'asya-operator',
  rendered_digest = 'status.renderedDigest',
  bundle_digest = 'status.bundleDigest',
  settled_digest = 'status.settledDigest',
  queue_records = 'status.queues',
  queue_counts = { waiting = 'status.queuedMessages', in_flight = 'status.processingMessages' },
  claim = 'status.operator',
  policies_label = 'asya.sh/policies',
  gauge = { name = 'asya_actors', help = 'Actors by namespace and status.', label = 'status', path = 'status.status' },
  debug_path = 'actors', -- /debug/actors/NAMESPACE/NAME
  class_annotation = 'asya.sh/operator-class',
  -- Which release of the platform an actor is for. The files of this folder are the base, those of profiles/NAME lie over them.
  profile = { setting = 'profile', annotation = 'asya.sh/profile', base = '0.1',
    names = 'asya.sh/reachable-as' }, -- ... and by whose names actors are to be reached as well

  -- The variables whose values /debug/ and records show. All others may hold a secret.
  public_env = {
    'ASYA_ACTOR_ERROR_END', 'ASYA_ACTOR_HAPPY_END', 'ASYA_ACTOR_NAME', 'ASYA_AWS_REGION', 'ASYA_CHUNK_SIZE', 'ASYA_ENABLE_VALIDATION',
    'ASYA_GATEWAY_URL', 'ASYA_HANDLER', 'ASYA_HANDLER_MODE', 'ASYA_IS_END_ACTOR', 'ASYA_LOG_LEVEL', 'ASYA_MAX_FRAME', 'ASYA_QUEUE_AUTO_CREATE',
    'ASYA_RABBITMQ_EXCHANGE', 'ASYA_RABBITMQ_HOST', 'ASYA_RABBITMQ_PORT', 'ASYA_RABBITMQ_TLS', 'ASYA_RABBITMQ_USERNAME', 'ASYA_RABBITMQ_VHOST',
    'ASYA_RUNTIME_TIMEOUT', 'ASYA_SOCKET_CHMOD', 'ASYA_SOCKET_DIR', 'ASYA_SOCKET_NAME', 'ASYA_SQS_ENDPOINT', 'ASYA_SQS_VISIBILITY_TIMEOUT',
    'ASYA_SQS_WAIT_TIME_SECONDS', 'ASYA_TRANSPORT',
  },

  -- What lies under the actors and settings of cases.
  cases = {
    parent = {
      metadata = { name = 'resize' },
      spec = { transport = 'rabbitmq', workload = { template = { spec = { containers = json.array { { name = 'asya-runtime', image = 'app:1' } } } } } },
    },
    -- `check` renders every case as each of these, too.
    shapes = json.array {
      { name = 'Deployment', parent = { spec = { workload = { kind = 'Deployment' }, scaling = { enabled = false } } } },
      { name = 'Deployment with scaling', parent = { spec = { workload = { kind = 'Deployment' }, scaling = { enabled = true } } } },
      { name = 'StatefulSet', parent = { spec = { workload = { kind = 'StatefulSet' }, scaling = { enabled = false } } } },
      { name = 'StatefulSet with scaling', parent = { spec = { workload = { kind = 'StatefulSet' }, scaling = { enabled = true } } } },
      { name = 'Job', parent = { spec = { workload = { kind = 'Job' }, scaling = { enabled = false } } } },
      { name = 'Job with scaling', parent = { spec = { workload = { kind = 'Job' }, scaling = { enabled = true } } } },
    },
    settings = {
      transports = { transports = {
        rabbitmq = {
          enabled = true, type = 'rabbitmq',
          config = {
            host = 'rmq.svc', port = 5672, username = 'guest', passwordSecretRef = { name = 'rmq', key = 'password' },
            queues = { autoCreate = true, dlq = { enabled = true } },
          },
        },
        off = { enabled = false, type = 'rabbitmq', config = {} },
      } },
    },
  },

  settings = {
    rollout = { env = 'ASYA_POLICY_ROLLOUT', type = 'json', engine = true,
      doc = 'How a new bundle reaches actors: {maxRestarting: 5, maxFailed: 1, readySeconds: 300}.' },
    transports = { env = 'ASYA_TRANSPORT_CONFIG', type = 'json',
      doc = 'The transport registry: {"transports": {NAME: {type, enabled, config}}}; null is as good as absent.' },
    operator = { type = 'json', doc = 'Older spelling in configuration files: transports is laid over operator.transports.' },
    profile = { env = 'ASYA_PROFILE', flag = 'profile', default = '0.1',
      doc = 'The release of the platform whose names actors have: 0.1 or 0.4. The annotation asya.sh/profile on an actor, or on its namespace, wins.' },
    namespaceProfiles = { type = 'json', namespaces = 'asya.sh/profile',
      doc = 'What namespaces say with the annotation asya.sh/profile: the profile of their actors, {NAMESPACE: PROFILE}.' },
    credentialsNamespace = { env = { 'ASYA_CREDENTIALS_NAMESPACE', 'POD_NAMESPACE' }, default = 'asya-system',
      doc = 'Profile 0.4: the namespace of the Secrets that transports name; each actor gets a copy of what it needs.' },
    gatewayURL = { env = 'ASYA_GATEWAY_URL', doc = 'Gateway that sidecars report to; wins over the one on the runtime container.' },
    sidecarImage = { env = 'ASYA_SIDECAR_IMAGE', doc = 'Sidecar image of actors that do not name one.' },
    sidecarResources = { env = 'ASYA_SIDECAR_RESOURCES', type = 'json',
      doc = 'Resources of sidecars whose actor sets none: {limits, requests}.' },
    runtimeNamespace = { env = 'ASYA_RUNTIME_NAMESPACE', flag = 'runtime-namespace', default = 'asya',
      doc = 'Namespace that holds the runtime ConfigMap even without actors.' },
    runtimeSource = { env = 'ASYA_RUNTIME_SOURCE', flag = 'runtime-source', default = 'local', values = { 'local', 'github' },
      doc = 'Where the runtime script comes from: local (runtimeScript, or the one that comes with the policies) or github (a release).' },
    runtimeScript = { env = { 'ASYA_RUNTIME_LOCAL_PATH', 'ASYA_RUNTIME_SCRIPT_PATH' }, flag = 'runtime-local-path', type = 'file',
      label = 'runtime ConfigMap',
      remote = { when = { runtimeSource = 'github' },
        url = '{runtimeGitHub}/{runtimeRepo}/releases/download/{runtimeVersion}/asya_runtime.py',
        release = '{runtimeGitHubAPI}/repos/{runtimeRepo}/releases/tags/{runtimeVersion}',
        sha256 = 'runtimeChecksum', token_file = 'runtimeTokenFile', token_env = 'ASYA_RUNTIME_GITHUB_TOKEN', ca_file = 'runtimeCAFile' },
      doc = 'File that replaces the runtime script that comes with the policies; watched.' },
    runtimeGitHub = { env = 'ASYA_RUNTIME_GITHUB_URL', default = 'https://github.com',
      doc = 'GitHub, GitHub Enterprise, or a mirror with the same paths.' },
    runtimeGitHubAPI = { env = 'ASYA_RUNTIME_GITHUB_API_URL', default = 'https://api.github.com',
      doc = 'API of that host, where a token opens private repositories; for GitHub Enterprise https://HOST/api/v3.' },
    runtimeRepo = { env = 'ASYA_RUNTIME_GITHUB_REPO', flag = 'runtime-github-repo', default = 'deliveryhero/asya',
      doc = 'owner/name of the repository whose release holds asya_runtime.py.' },
    runtimeVersion = { env = { 'ASYA_RUNTIME_VERSION', 'ASYA_RUNTIME_GITHUB_RELEASE' }, flag = 'runtime-version',
      doc = 'The release, for example v1.0.0; fetched once, because a release does not change.' },
    runtimeChecksum = { env = 'ASYA_RUNTIME_CHECKSUM', flag = 'runtime-checksum',
      doc = 'SHA-256 that the file of the release must have.' },
    runtimeTokenFile = { env = 'ASYA_RUNTIME_GITHUB_TOKEN_FILE',
      doc = 'File with a token for runtimeGitHub; without it the variable ASYA_RUNTIME_GITHUB_TOKEN, if it is set.' },
    runtimeCAFile = { env = 'ASYA_RUNTIME_CA_FILE', doc = 'File with CAs to trust beside those of the system when the release is fetched.' },
    disableQueueManagement = { env = 'ASYA_DISABLE_QUEUE_MANAGEMENT', type = 'string',
      doc = 'Exactly "true": queues are never created, repaired or deleted.' },
    healthCheckInterval = { env = 'ASYA_QUEUE_HEALTH_CHECK_INTERVAL', type = 'string', engine = true,
      doc = 'How often queues are looked at, as "5m" or "30s"; 5m. "0": only when something else happens.' },
    resyncInterval = { env = 'ASYA_RESYNC_INTERVAL', type = 'string', engine = true,
      doc = 'How often each actor is compared with what is known of it though nothing happened, as "10h"; 10h. "0": never.' },
  },
}
