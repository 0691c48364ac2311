--- rows: each row of the contract's tables is named in the title of a case.
local case = require 'case'

local ROWS = {
  ['1.3'] = {
    'spec.transport', 'spec.sidecar.image', 'imagePullPolicy', 'spec.sidecar.resources', 'spec.sidecar.env', 'spec.timeout.processing',
    'spec.timeout.gracefulShutdown', 'spec.scaling.enabled', 'spec.scaling.minReplicas', 'maxReplicas', 'pollingInterval', 'cooldownPeriod',
    'queueLength', 'spec.scaling.advanced.formula', 'target', 'activationTarget', 'metricType', 'restoreToOriginalReplicaCount',
    'spec.workload.kind', 'spec.workload.replicas', 'workload.pythonExecutable', 'spec.workload.template.metadata', 'spec.workload.template.spec',
  },
  ['2 row'] = { '2 row 1:', '2 row 2:', '2 row 3:', '2 row 4:', '2 row 5:', '2 row 6:', '2 row 7:', '2 row 8', '2 row 9:' },
  ['3.3'] = {
    '3.3 base', '3.3 containers', '3.3 asya-runtime', '3.3 asya-sidecar', '3.3 volumes and mounts', '3.3 probes', '3.3 terminationGracePeriodSeconds',
    '3.3 serviceAccountName', 'other containers',
  },
  ['3.4'] = { 'the whole env', 'row 2', 'row 6', 'row 7', 'R1-R6', 'R5', 'Q1-Q6', 'last', "operator's image", 'default resources' },
  ['4'] = {
    'worked example A', 'scaling off', 'without a secret', 'modifiers', 'SQS with keys', 'SQS with IRSA', 'without any account', 'restoreToOriginal',
    'management API', 'TLS',
  },
}

local titles = {}
for path in io.popen('ls spec/policies/cases/*.yaml'):lines() do
  for _, document in ipairs(case.load(path)) do titles[#titles + 1] = document.title end
end

describe('the cases', function()
  for section, rows in pairs(ROWS) do
    it('name each row of section ' .. section, function()
      for _, row in ipairs(rows) do
        local found
        for _, title in ipairs(titles) do
          found = found or title:find(section:match '^[%d.]+', 1, true) and title:find(row, 1, true)
        end
        assert.is_truthy(found, ('no case names %s of section %s'):format(row, section))
      end
    end)
  end
end)
