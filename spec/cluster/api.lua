--- api: requests to the API server past the operator and past the proxy. One curl carries many of them, where kubectl would start each time.
local json = require 'json'
local lyaml = require 'lyaml'
local shell = require 'shell'

local M = {}

local PKI = (os.getenv 'BED_CA' or ''):gsub('/[^/]*$', '')
local TLS = ('cacert = "%s"\ncert = "%s/admin.crt"\nkey = "%s/admin.key"\n'):format(os.getenv 'BED_CA', PKI, PKI)
local CURL = os.getenv 'BED_NODE' and 'bed-curl' or 'curl' -- a bed with a node has a network of its own
local LINE <const> = 60 * 1024 -- of a file for curl, whose bound is 100 KiB
local TYPES = { PATCH = 'application/merge-patch+json' }
local GROUPS = {} -- of collections that are in namespaces
for group, plurals in pairs {
  ['api/v1'] = 'configmaps persistentvolumeclaims pods resourcequotas secrets serviceaccounts services',
  ['apis/apps/v1'] = 'deployments replicasets statefulsets', ['apis/batch/v1'] = 'jobs', ['apis/asya.sh/v1alpha1'] = 'asyncactors',
  ['apis/coordination.k8s.io/v1'] = 'leases', ['apis/events.k8s.io/v1'] = 'events.events.k8s.io',
  ['apis/keda.sh/v1alpha1'] = 'scaledjobs scaledobjects triggerauthentications', ['apis/rbac.authorization.k8s.io/v1'] = 'rolebindings roles',
} do
  for plural in plurals:gmatch '%S+' do GROUPS[plural] = group end
end

--- The path of a collection, or of the object of that name; nil where only kubectl knows. `kind` as for kubectl, `ns` nil: of all namespaces.
function M.path(kind, ns, name)
  local plural = GROUPS[kind] and kind or kind .. 's'
  if not GROUPS[plural] then return nil end
  return ('/%s%s/%s%s'):format(GROUPS[plural], ns and '/namespaces/' .. ns or '', plural:match '^[^.]*', name and '/' .. name or '')
end

local function escaped(text) return (text:gsub('[\\"]', '\\%0'):gsub('\n', '\\n')) end

local function curl(config, flags)
  return shell.sh('%s -sS -m 60 %s -K %s', CURL, flags or '', shell.write(shell.bed_dir .. '/api.curl', config))
end

--- Sends {method, path, object, type} one after the other over one connection; returns the status of each, 0 where nobody answered.
-- `at_once`: so many of them at a time, in no order; the statuses are in that of the answers.
function M.send(requests, at_once)
  local config, codes = {}, {}
  for i, each in ipairs(requests) do
    config[i] = ('url = "%s%s"\nrequest = %s\nheader = "Content-Type: %s"\noutput = /dev/null\nwrite-out = "code=%%{http_code}\\n"\n%s%s')
      :format(os.getenv 'BED_SERVER', each[2], each[1], each[4] or TYPES[each[1]] or 'application/json', TLS,
        each[3] and ('data = "%s"\n'):format(escaped(json.encode(each[3]))) or '')
  end
  if #config == 0 then return codes end
  local flags = at_once and ('-Z --no-progress-meter --parallel-max %d'):format(at_once) -- -s does not silence that one
  for code in curl(table.concat(config, 'next\n'), flags):gmatch 'code=(%d+)' do codes[#codes + 1] = tonumber(code) end
  return codes
end

--- Where an object belongs, as its YAML says; nil where only kubectl knows.
local function path_of(object)
  local metadata, kind = object.metadata or {}, (object.kind or ''):lower() .. 's'
  local group = GROUPS[kind]
  if not group or group:gsub('^apis?/', '') ~= object.apiVersion or not metadata.name then return nil end
  return M.path(kind, metadata.namespace or 'default', metadata.name)
end

--- Applies YAML on the server's side as kubectl does, which takes thirty times the CPU. Returns whether all was taken, and what the server said
-- of what was not; nil where only kubectl knows how.
function M.apply(yaml)
  local config = {}
  for text in ('\n' .. yaml .. '\n---'):gmatch '(.-)\n%-%-%-%f[%s\0]' do
    local read, object = pcall(lyaml.load, text)
    local path = read and type(object) == 'table' and path_of(object)
    if path then
      local data = #text < LINE and ('data-raw = "%s"'):format(escaped(text)) or ('data-binary = "@%s"'):format(shell.write(shell.temp 'yaml', text))
      config[#config + 1] = ('url = "%s%s?fieldManager=kubectl&force=true&fieldValidation=Strict"\nrequest = PATCH\nretry = 5\n%s%s\n'
        .. 'header = "Content-Type: application/apply-patch+yaml"\nwrite-out = "\\ncode=%%{http_code}\\n"\n')
        :format(os.getenv 'BED_SERVER', path, TLS, data)
    elseif text:find '%S' then
      return nil
    end
  end
  local said, taken = {}, 0
  for body, code in curl(table.concat(config, 'next\n')):gmatch '(.-)\ncode=(%d+)\n' do
    local done = code:sub(1, 1) == '2'
    taken = taken + (done and 1 or 0)
    if not done then said[#said + 1] = code .. ' ' .. (body:match '"message":%s*(".-[^\\]")' or body) end
  end
  return taken == #config, table.concat(said, '\n')
end

--- What the server says at a path, as a table; nil and what came instead. One that says "later", as when it has just met a kind, is asked again.
function M.get(path)
  local text = curl(('url = "%s%s"\n%s'):format(os.getenv 'BED_SERVER', path, TLS), '-f --retry 5')
  local ok, object = pcall(json.decode, text:match '{.*' or text) -- curl's words about tries that failed are before it
  if not ok or type(object) ~= 'table' or object.kind == 'Status' then return nil, text end
  return object
end

--- The items of a collection, each with apiVersion and kind, which lists leave out; an error when the server gives none. `query` begins with '?'.
function M.list(plural, ns, query)
  local list, text = M.get(M.path(plural, ns) .. (query or ''))
  if not list then error(('cannot list %s: %s'):format(plural, text), 2) end
  for _, each in ipairs(list.items) do
    each.apiVersion, each.kind = each.apiVersion or list.apiVersion, each.kind or list.kind:gsub('List$', '')
  end
  return list.items
end

--- Watches a collection from now on, into a file of events, a line each, until `stop`; a watch that ends begins again where it was,
-- as long as the spec runs.
function M.watch(plural, ns)
  local out, path = shell.write(shell.temp(plural .. '.watch'), ''), M.path(plural, ns)
  local version = assert(M.get(path .. '?limit=1')).metadata.resourceVersion
  local config = shell.write(out .. '.curl', TLS)
  local url = ('%s%s?watch=1&timeoutSeconds=3600&resourceVersion='):format(os.getenv 'BED_SERVER', path)
  local loop = ([[while kill -0 $spec; do curl -sSN -K %s %s"$v" >>%s 2>>%s.errors
n=$(tail -n 1 %s | grep -o '"resourceVersion":"[0-9]*"' | head -n 1 | tr -dc 0-9)
v=${n:-$v}; sleep 0.5; done]]):format(config, shell.quote(url), out, out, out)
  local pid = shell.sh('v=%s spec=$PPID setsid sh -c %s >/dev/null 2>&1 & echo $!', version, shell.quote(loop)):match '%d+'
  return { path = out, stop = function() shell.sh('kill -- -%s', pid) end }
end

return M
