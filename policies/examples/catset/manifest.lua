--- A set of pods, each with a volume of its own; they come one after the other, and are replaced one after the other.
return require 'policy'.manifest {
  parent = 'ctl.example.com/v1 CatSet',
  children = {
    'v1 PersistentVolumeClaim',
    { apiVersion = 'v1', kind = 'Pod', update = 'RollingRecreate' },
  },
  cases = { parent = { metadata = { name = 'tom' }, spec = { replicas = 2, storage = '1Gi', image = 'nginx:1.27' } } },
}
