{{- /* `helm upgrade --reuse-values` from the older chart hands over only the values of that chart. Then ours lie under them. */ -}}
{{- define "asya.complete" -}}
{{- if not (hasKey .Values "policies") -}}
{{- range $key, $value := mergeOverwrite (.Files.Get "defaults.yaml" | fromYaml) (deepCopy .Values) -}}
{{- $_ := set $.Values $key $value -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* What records may take. An upgrade that reuses the values of an earlier release may lack it. */ -}}
{{- define "asya.record.size" -}}
{{- (.Values.policies.record).sizeLimit | default "64Mi" -}}
{{- end -}}

{{- define "asya.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "asya.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "asya.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "asya.selector" -}}
app.kubernetes.io/name: {{ include "asya.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "asya.labels" -}}
{{- $chart := printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" -}}
{{- $own := dict "helm.sh/chart" $chart "app.kubernetes.io/version" .Chart.AppVersion "app.kubernetes.io/managed-by" .Release.Service -}}
{{- merge (include "asya.selector" . | fromYaml) $own (deepCopy (.Values.commonLabels | default dict)) | toYaml -}}
{{- end -}}

{{- /* Labels of a pod that no selector of the operator's pods may find. */ -}}
{{- define "asya.helperLabels" -}}
{{- set (include "asya.labels" .top | fromYaml) "app.kubernetes.io/name" .name | toYaml -}}
{{- end -}}

{{- /* Which actors and policies are ours: for the operator, and for the pods that release actors and that test the release. */ -}}
{{- define "asya.scope" -}}
- name: ASYA_OPERATOR_CLASS
  value: {{ .Values.operatorClass | quote }}
- name: ASYA_WATCH_NAMESPACES
  value: {{ join "," .Values.watchNamespaces | quote }}
{{- end -}}

{{- define "asya.lease" -}}
asya-operator.asya.sh{{ with .Values.operatorClass }}-{{ . }}{{ end }}
{{- end -}}

{{- define "asya.serviceAccount" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "asya.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end -}}

{{- define "asya.image" -}}
{{- if .Values.image.digest -}}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest -}}
{{- else -}}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) -}}
{{- end -}}
{{- end -}}

{{- define "asya.check" -}}
{{- $_ := include "asya.transports" . -}}
{{- if and .Values.metrics.enabled (eq (int .Values.metrics.port) (int .Values.health.port)) -}}
{{- fail (printf "metrics.port is %v, and so is health.port: set one of them to another port" .Values.metrics.port) -}}
{{- end -}}
{{- if and (gt (int .Values.replicaCount) 1) (not .Values.leaderElection.enabled) -}}
{{- fail "replicaCount above 1 needs leaderElection.enabled: two operators would undo each other's work" -}}
{{- end -}}
{{- if and (eq .Values.runtime.source "github") (not (include "asya.runtime.version" .)) -}}
{{- fail "runtime.github.version is empty and runtime.source is github: set it to a release (--set runtime.github.version=v1.0.0), or set runtime.source=local" -}}
{{- end -}}
{{- $places := dict -}}
{{- range $bundle := .Values.bundles -}}
{{- if eq (empty .files) (empty .configMap) -}}
{{- fail (printf "bundles: %s needs files or configMap, and not both" .name) -}}
{{- end -}}
{{- $kind := include "asya.kind" .parent | fromJson -}}
{{- if not (or .lease (and $kind.group (not .decorate))) -}}
{{- fail (printf "bundles: %s: its parent is of %s, so set lease as its manifest does" .name (ternary "somebody else" "the core group" (.decorate | default false))) -}}
{{- end -}}
{{- if and (or .patches .patchesStatus) (not .decorate) -}}
{{- fail (printf "bundles: %s: patches and patchesStatus are for objects of somebody else: they go with decorate" .name) -}}
{{- end -}}
{{- range list (printf "the name %s" .name) (printf "the parent %s %s%s" $kind.group $kind.kind (.class | default "" | printf " %s" | trimSuffix " ")) (printf "the lease %s; set lease and component as their manifests do" (include "asya.bundle.lease" .)) -}}
{{- if hasKey $places . -}}
{{- fail (printf "bundles: two have %s" .) -}}
{{- end -}}
{{- $_ := set $places . true -}}
{{- end -}}
{{- end -}}
{{- if and .Values.releaseOnUninstall (not .Values.leaderElection.enabled) -}}
{{- fail "releaseOnUninstall needs leaderElection.enabled: the lease tells the running operator to stop" -}}
{{- end -}}
{{- end -}}

{{- define "asya.runtime.version" -}}
{{- (.Values.runtime.github).version | default .Values.runtime.githubRelease | default "" -}}
{{- end -}}

{{- /* The file of the script. Empty when it is the one in the policies, and for the paths where the older chart and its image had their script. */ -}}
{{- define "asya.runtime.path" -}}
{{- $path := (.Values.runtime.local).path | default .Values.runtime.localPath | default "" -}}
{{- if and (eq .Values.runtime.source "local") (not (has $path (list "/runtime/asya_runtime.py" "../src/asya-runtime/asya_runtime.py"))) -}}
{{- $path -}}
{{- end -}}
{{- end -}}

{{- /* The folder of that file on the node, when no volumeMount holds it. */ -}}
{{- define "asya.runtime.folder" -}}
{{- $path := include "asya.runtime.path" . -}}
{{- $held := not $path -}}
{{- range .Values.volumeMounts -}}
{{- if or (eq .mountPath $path) (hasPrefix (printf "%s/" (trimSuffix "/" .mountPath)) $path) -}}
{{- $held = true -}}
{{- end -}}
{{- end -}}
{{- if and (not $held) (ne (dir $path) "/") -}}
{{- dir $path -}}
{{- end -}}
{{- end -}}

{{- define "asya.runtime.token" -}}
{{- $secret := (.Values.runtime.github).tokenSecretRef | default dict -}}
{{- if and (eq .Values.runtime.source "github") $secret.name -}}
{{- dict "name" $secret.name "key" ($secret.key | default "token") | toJson -}}
{{- end -}}
{{- end -}}

{{- /* These are in the watched file, not in the environment, so that another version is live without a restart. */ -}}
{{- define "asya.runtime" -}}
{{- $github := .Values.runtime.github | default dict -}}
{{- if eq .Values.runtime.source "github" -}}
runtimeSource: github
runtimeRepo: {{ $github.repo | default "deliveryhero/asya" | quote }}
runtimeVersion: {{ include "asya.runtime.version" . | quote }}
{{- $base := $github.baseURL | default "https://github.com" | trimSuffix "/" }}
runtimeGitHub: {{ $base | quote }}
runtimeGitHubAPI: {{ $github.apiURL | default (ternary "https://api.github.com" (printf "%s/api/v3" $base) (eq $base "https://github.com")) | trimSuffix "/" | quote }}
{{- with $github.checksum }}
runtimeChecksum: {{ . | quote }}
{{- end }}
{{- with $github.caFile }}
runtimeCAFile: {{ . | quote }}
{{- end }}
{{- if include "asya.runtime.token" . }}
runtimeTokenFile: /etc/asya-runtime-token/token
{{- end }}
{{- else -}}
{{- with include "asya.runtime.path" . }}
runtimeScript: {{ . | quote }}
{{- end }}
{{- end -}}
{{- end -}}

{{- /* A kind as a manifest has it, "apps/v1 Deployment" or a map: with its group, and its plural by the rule of lua/defaults.lua. */ -}}
{{- define "asya.kind" -}}
{{- $kind := . -}}
{{- if kindIs "string" . -}}
{{- $kind = dict "apiVersion" (splitList " " . | first) "kind" (splitList " " . | last) -}}
{{- end -}}
{{- $word := lower $kind.kind -}}
{{- $plural := printf "%ss" $word -}}
{{- if eq $word "endpoints" -}}
{{- $plural = $word -}}
{{- else if regexMatch "([sxz]|[cs]h)$" $word -}}
{{- $plural = printf "%ses" $word -}}
{{- else if regexMatch "[^aeiou]y$" $word -}}
{{- $plural = printf "%sies" (trimSuffix "y" $word) -}}
{{- end -}}
{{- $group := contains "/" $kind.apiVersion | ternary (splitList "/" $kind.apiVersion | first) "" -}}
{{- dict "group" $group "kind" $kind.kind "plural" ($kind.plural | default $plural) "shared" ($kind.shared | default false) | toJson -}}
{{- end -}}

{{- /* What a bundle's manifest calls its component and its lease, unless the values say otherwise. */ -}}
{{- define "asya.bundle.component" -}}
{{- .component | default (printf "%s-%s" (include "asya.kind" .parent | fromJson).kind (ternary "decorator" "operator" (.decorate | default false)) | lower) -}}
{{- end -}}
{{- define "asya.bundle.lease" -}}
{{- .lease | default (printf "%s.%s" (include "asya.bundle.component" .) (include "asya.kind" .parent | fromJson).group) -}}
{{- end -}}
