--- StatefulSets that ask for it get a Service for each pod. They are somebody else's: nothing is written to them.
return require 'policy'.manifest {
  parent = 'apps/v1 StatefulSet',
  domain = 'ctl.example.com',
  component = 'service-per-pod',
  decorate = { annotations = { ['service-per-pod-label'] = true, ['service-per-pod-ports'] = true } },
  children = { 'v1 Service' },
  cases = {
    parent = {
      metadata = {
        name = 'web',
        annotations = { ['service-per-pod-label'] = 'statefulset.kubernetes.io/pod-name', ['service-per-pod-ports'] = '80:8080' },
      },
      spec = { replicas = 2, serviceName = 'web' },
    },
  },
}
