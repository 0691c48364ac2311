--- api: requests to the API server past the operator and past the proxy. One curl carries many of them, where kubectl would start each time.
local cluster = require 'cluster'
local json = require 'json'

local M = {}

local PKI = (os.getenv 'BED_CA' or ''):gsub('/[^/]*$', '')
local TLS = ('cacert = "%s"\ncert = "%s/admin.crt"\nkey = "%s/admin.key"\n'):format(os.getenv 'BED_CA', PKI, PKI)
local TYPES = { PATCH = 'application/merge-patch+json' }
local GROUPS = {
  asyncactors = 'apis/asya.sh/v1alpha1', deployments = 'apis/apps/v1', scaledobjects = 'apis/keda.sh/v1alpha1', pods = 'api/v1',
  triggerauthentications = 'apis/keda.sh/v1alpha1', configmaps = 'api/v1', leases = 'apis/coordination.k8s.io/v1',
}

--- The path of a collection, or of the object of that name.
function M.path(plural, ns, name)
  return ('/%s/namespaces/%s/%s%s'):format(GROUPS[plural], ns, plural, name and '/' .. name or '')
end

local function escaped(text) return (text:gsub('[\\"]', '\\%0')) end

local function curl(config)
  return cluster.sh('curl -sS -m 60 -K %s', cluster.write(cluster.bed_dir .. '/api.curl', config))
end

--- Sends {method, path, object, type} one after the other over one connection; returns the status of each, 0 where nobody answered.
function M.send(requests)
  local config, codes = {}, {}
  for i, each in ipairs(requests) do
    config[i] = ('url = "%s%s"\nrequest = %s\nheader = "Content-Type: %s"\noutput = /dev/null\nwrite-out = "code=%%{http_code}\\n"\n%s%s')
      :format(os.getenv 'BED_SERVER', each[2], each[1], each[4] or TYPES[each[1]] or 'application/json', TLS,
        each[3] and ('data = "%s"\n'):format(escaped(json.encode(each[3]))) or '')
  end
  if #config == 0 then return codes end
  for code in curl(table.concat(config, 'next\n')):gmatch 'code=(%d+)' do codes[#codes + 1] = tonumber(code) end
  return codes
end

--- What the server says at a path, as a table; nil and what came instead.
function M.get(path)
  local text = curl(('url = "%s%s"\n%s'):format(os.getenv 'BED_SERVER', path, TLS))
  local ok, object = pcall(json.decode, text)
  if not ok or type(object) ~= 'table' or object.kind == 'Status' then return nil, text end
  return object
end

--- The items of a collection; an error when the server gives none.
function M.list(plural, ns)
  local list, text = M.get(M.path(plural, ns))
  if not list then error(('cannot list %s: %s'):format(plural, text), 2) end
  return list.items
end

--- Watches a collection from now on, into a file of events, a line each, until `stop`; a watch that ends begins again where it was,
-- as long as the spec runs.
function M.watch(plural, ns)
  local out, path = cluster.write(cluster.temp(plural .. '.watch'), ''), M.path(plural, ns)
  local version = assert(M.get(path .. '?limit=1')).metadata.resourceVersion
  local config = cluster.write(out .. '.curl', TLS)
  local url = ('%s%s?watch=1&timeoutSeconds=3600&resourceVersion='):format(os.getenv 'BED_SERVER', path)
  local loop = ([[while kill -0 $spec; do curl -sSN -K %s %s"$v" >>%s 2>>%s.errors
n=$(tail -n 1 %s | grep -o '"resourceVersion":"[0-9]*"' | head -n 1 | tr -dc 0-9)
v=${n:-$v}; sleep 0.5; done]]):format(config, cluster.quote(url), out, out, out)
  local pid = cluster.sh('v=%s spec=$PPID setsid sh -c %s >/dev/null 2>&1 & echo $!', version, cluster.quote(loop)):match '%d+'
  return { path = out, stop = function() cluster.sh('kill -- -%s', pid) end }
end

return M
