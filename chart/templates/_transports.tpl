{{- /* Lays .from over .into, and changes .into: maps are merged key by key, null removes a key, anything else replaces. */ -}}
{{- define "asya.overlay" -}}
{{- range $key, $value := .from -}}
{{- $old := get $.into $key -}}
{{- if kindIs "invalid" $value -}}
{{- $_ := unset $.into $key -}}
{{- else if and (kindIs "map" $value) (kindIs "map" $old) -}}
{{- include "asya.overlay" (dict "into" $old "from" $value) -}}
{{- else -}}
{{- $_ := set $.into $key $value -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- /* Makes an entry as the operator takes it: with its type, and without empty fields. Fails when the entry could not work. */ -}}
{{- define "asya.transport" -}}
{{- $name := .name -}}
{{- $entry := .entry -}}
{{- if not $entry.type -}}
{{- $_ := set $entry "type" $name -}}
{{- end -}}
{{- if not (has $entry.type (list "rabbitmq" "sqs")) -}}
{{- fail (printf "transports.%s.type: %q is not a type of transport: set it to rabbitmq or sqs" $name $entry.type) -}}
{{- end -}}
{{- $config := $entry.config | default dict -}}
{{- if hasKey $config "password" -}}
{{- fail (printf "transports.%s.config.password: a password does not belong in values: put it into a Secret and name it in passwordSecretRef" $name) -}}
{{- end -}}
{{- if and $entry.enabled (eq $entry.type "sqs") (not $config.region) -}}
{{- fail (printf "transports.%s.config.region is empty: set it to the AWS region of the queues (--set transports.%s.config.region=us-east-1)" $name $name) -}}
{{- end -}}
{{- if and $entry.enabled (eq $entry.type "rabbitmq") (not $config.host) -}}
{{- fail (printf "transports.%s.config.host is empty: set it to the host of RabbitMQ (--set transports.%s.config.host=rabbitmq.asya.svc)" $name $name) -}}
{{- end -}}
{{- if not ($config.passwordSecretRef).name -}}
{{- $_ := unset $config "passwordSecretRef" -}}
{{- end -}}
{{- range $key, $value := $config -}}
{{- if or (kindIs "invalid" $value) (eq (toString $value) "") -}}
{{- $_ := unset $config $key -}}
{{- end -}}
{{- end -}}
{{- $_ := set $entry "config" $config -}}
{{- $_ := set $entry "enabled" (default false $entry.enabled) -}}
{{- end -}}

{{- /* The registry: transports over operator.transports. An entry of `transports` that names its type is complete, as the older operator demanded:
nothing is laid under it, so that actors keep exactly the settings they were made with. */ -}}
{{- define "asya.transports" -}}
{{- $all := deepCopy (.Values.operator.transports | default dict) -}}
{{- range $name, $entry := .Values.transports -}}
{{- if kindIs "invalid" $entry -}}
{{- $_ := unset $all $name -}}
{{- else if and (kindIs "map" (get $all $name)) (not $entry.type) -}}
{{- include "asya.overlay" (dict "into" (get $all $name) "from" (deepCopy $entry)) -}}
{{- else -}}
{{- $_ := set $all $name (deepCopy $entry) -}}
{{- end -}}
{{- end -}}
{{- $enabled := 0 -}}
{{- range $name, $entry := $all -}}
{{- if kindIs "invalid" $entry -}}
{{- $_ := unset $all $name -}}
{{- else -}}
{{- include "asya.transport" (dict "name" $name "entry" $entry) -}}
{{- if $entry.enabled -}}{{- $enabled = add $enabled 1 -}}{{- end -}}
{{- end -}}
{{- end -}}
{{- if not $enabled -}}
{{- fail "no transport is enabled, so no actor could run: set transports.rabbitmq.enabled=true or transports.sqs.enabled=true" -}}
{{- end -}}
{{- dict "transports" $all | toJson -}}
{{- end -}}

{{- /* The ports of the enabled transports: brokers, their management API, AWS or its stand-in. */ -}}
{{- define "asya.ports" -}}
{{- $ports := list -}}
{{- range $name, $entry := (include "asya.transports" . | fromJson).transports -}}
{{- if $entry.enabled -}}
{{- $config := $entry.config -}}
{{- $urls := list (($config.management).url | default "") -}}
{{- if eq $entry.type "rabbitmq" -}}
{{- $ports = append $ports ($config.port | default (ternary 5671 5672 (default false ($config.tls).enabled)) | int) -}}
{{- else -}}
{{- $urls = append $urls ($config.endpoint | default "https://sqs.amazonaws.com") -}}
{{- end -}}
{{- range compact $urls -}}
{{- $port := get (urlParse .) "host" | regexFind ":[0-9]+$" | trimPrefix ":" -}}
{{- $ports = append $ports ($port | default (ternary 80 443 (hasPrefix "http:" .)) | int) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- uniq $ports | toJson -}}
{{- end -}}
