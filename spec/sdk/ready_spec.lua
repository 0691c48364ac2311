--- ready: when others can use an object, kind by kind.
local json = require 'json'
local ready = require 'ready'

--- Kind, then the rest of the object, then what must be said: true, or a part of why not.
local CASES = {
  { 'apps/v1 Deployment', { spec = { replicas = 2 }, status = {} }, '0 of 2 replicas are updated' },
  { 'apps/v1 Deployment', { status = { replicas = 1, updatedReplicas = 1, availableReplicas = 1 } }, true },
  { 'apps/v1 Deployment', { spec = { replicas = 2 }, status = { replicas = 3, updatedReplicas = 2, availableReplicas = 3 } }, '1 old replicas have yet' },
  { 'apps/v1 Deployment', { spec = { replicas = 2 }, status = { replicas = 2, updatedReplicas = 2, availableReplicas = 1 } }, '1 of 2 replicas are avail' },
  { 'apps/v1 Deployment', { spec = { replicas = 0 }, status = {} }, true },
  { 'apps/v1 Deployment', { metadata = { generation = 3 }, status = { observedGeneration = 2, replicas = 1, updatedReplicas = 1, availableReplicas = 1 } },
    'has not seen its last change' },
  { 'apps/v1 StatefulSet', { spec = { replicas = 2 }, status = { readyReplicas = 1 } }, '1 of 2 replicas are ready' },
  { 'apps/v1 StatefulSet', { spec = { replicas = 2 }, status = { readyReplicas = 2, currentRevision = 'a', updateRevision = 'b', updatedReplicas = 1 } },
    '1 of 2 replicas are updated' },
  { 'apps/v1 StatefulSet', { spec = { replicas = 2, updateStrategy = { rollingUpdate = { partition = 1 } } },
    status = { readyReplicas = 2, currentRevision = 'a', updateRevision = 'b', updatedReplicas = 1 } }, true },
  { 'apps/v1 StatefulSet', { spec = { replicas = 1, updateStrategy = { type = 'OnDelete' } },
    status = { readyReplicas = 1, currentRevision = 'a', updateRevision = 'b' } }, true },
  { 'apps/v1 DaemonSet', { status = { desiredNumberScheduled = 3, updatedNumberScheduled = 3, numberAvailable = 2 } }, '2 of 3 nodes' },
  { 'apps/v1 DaemonSet', { status = { desiredNumberScheduled = 3, updatedNumberScheduled = 3, numberAvailable = 3 } }, true },
  { 'batch/v1 Job', { status = {} }, 'no condition Complete' },
  { 'batch/v1 Job', { status = { conditions = { { type = 'Complete', status = 'True' } } } }, true },
  { 'batch/v1 Job', { status = { conditions = { { type = 'Failed', status = 'True', message = 'too often' } } } }, 'it has failed: too often' },
  { 'v1 PersistentVolumeClaim', { status = { phase = 'Pending' } }, 'its phase is Pending, not Bound' },
  { 'v1 PersistentVolumeClaim', { status = { phase = 'Bound' } }, true },
  { 'v1 Service', { spec = { clusterIP = '10.0.0.1' } }, true },
  { 'v1 Service', { spec = { clusterIP = 'None' } }, true },
  { 'v1 Service', { spec = {} }, 'no clusterIP yet' },
  { 'v1 Service', { spec = { type = 'LoadBalancer', clusterIP = '10.0.0.1' }, status = { loadBalancer = {} } }, 'no address yet' },
  { 'v1 Service', { spec = { type = 'ExternalName' } }, true },
  { 'v1 Pod', { status = { phase = 'Running', conditions = { { type = 'Ready', status = 'False', reason = 'ContainersNotReady' } } } },
    'Ready is False: ContainersNotReady' },
  { 'v1 Pod', { status = { phase = 'Running', conditions = { { type = 'Ready', status = 'True' } } } }, true },
  { 'v1 Pod', { status = { phase = 'Succeeded' } }, true },
  { 'v1 Pod', { status = { phase = 'Failed', conditions = { { type = 'Ready', status = 'True' } } } }, 'it has failed' },
  { 'v1 ConfigMap', {}, true },
  { 'v1 ConfigMap', { metadata = { deletionTimestamp = 't' } }, 'it is being deleted' },
  { 'example.com/v1 Database', {}, 'none of the conditions Ready, Available, Established, Complete' },
  { 'example.com/v1 Database', { status = { conditions = { { type = 'Available', status = 'Unknown', message = 'starting' } } } }, 'is Unknown: starting' },
  { 'example.com/v1 Database', { status = { conditions = { { type = 'Ready', status = 'True' } } } }, true },
  { 'serving.example.com/v1 Service', { spec = { clusterIP = '10.0.0.1' } }, 'none of the conditions' },
}

describe('ready', function()
  it('says of each kind when it can be used, and why not', function()
    for _, it in ipairs(CASES) do
      local version, kind = it[1]:match '^(.*) (.*)$'
      local object = { apiVersion = version, kind = kind, metadata = {} }
      for key, value in pairs(it[2]) do object[key] = value end
      local is, why = ready.of(object)
      local text = ('%s %s: %s'):format(it[1], json.encode(it[2]), tostring(why))
      assert.equal(it[3] == true, is, text)
      assert.is_truthy(it[3] == true and why == nil or it[3] ~= true and why:find(it[3], 1, true), text)
    end
  end)

  it('says of what does not exist that it is not there', function()
    local is, why = ready.of(nil)
    assert.is_false(is)
    assert.equal('it is not there yet', why)
  end)
end)
