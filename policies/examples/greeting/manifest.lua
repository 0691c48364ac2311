--- The smallest manifest: what is left out has a default. policies/README.md has the table.
return require 'policy'.manifest {
  parent = 'demo.example.com/v1 Greeting',
  children = { 'v1 ConfigMap', 'apps/v1 Deployment' },
  cases = { parent = { metadata = { name = 'hello' }, spec = { text = 'Hello' } } },
}
