{{- /* `helm upgrade --reuse-values` from the older chart hands over its values only: ours lie under them then. */ -}}
{{- define "asya.complete" -}}
{{- if not (hasKey .Values "policies") -}}
{{- range $key, $value := mergeOverwrite (.Files.Get "defaults.yaml" | fromYaml) (deepCopy .Values) -}}
{{- $_ := set $.Values $key $value -}}
{{- end -}}
{{- end -}}
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
{{- $own := dict
  "helm.sh/chart" (printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_")
  "app.kubernetes.io/version" .Chart.AppVersion
  "app.kubernetes.io/managed-by" .Release.Service -}}
{{- merge (include "asya.selector" . | fromYaml) $own (deepCopy .Values.commonLabels) | toYaml -}}
{{- end -}}

{{- /* Labels of a pod that no selector of the operator's pods may find. */ -}}
{{- define "asya.helperLabels" -}}
{{- set (include "asya.labels" .top | fromYaml) "app.kubernetes.io/name" .name | toYaml -}}
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
{{- if ne .Values.runtime.source "local" -}}
{{- fail (printf "runtime.source: %q is not supported by this version: use local" .Values.runtime.source) -}}
{{- end -}}
{{- end -}}
