{{- define "esker.name" -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- end -}}

{{- define "esker.selector" -}}
app.kubernetes.io/name: esker
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "esker.labels" -}}
{{ include "esker.selector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}

{{- define "esker.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "esker.domain" -}}
{{ include "esker.name" . }}-headless.{{ .Release.Namespace }}.svc
{{- end -}}

{{- define "esker.quorum" -}}
{{- $voters := list -}}
{{- range $id := untilStep 1 (int (add1 .Values.voters)) 1 -}}
{{- $voters = append $voters (printf "%d@%s-%d.%s:%d" $id (include "esker.name" $) $id (include "esker.domain" $) (int $.Values.peerPort)) -}}
{{- end -}}
{{- join "," $voters -}}
{{- end -}}

{{/* What a schema can't say: how values fit together, and what a live cluster allows. */}}
{{- define "esker.check" -}}
{{- $v := .Values -}}
{{- if gt (int $v.voters) (int $v.replicas) -}}
{{- fail (printf "voters: %d voters need as many brokers, replicas is %d" (int $v.voters) (int $v.replicas)) -}}
{{- end -}}
{{- if gt (int $v.replicationFactor) (int $v.replicas) -}}
{{- fail (printf "replicationFactor: %d replicas need as many brokers, replicas is %d" (int $v.replicationFactor) (int $v.replicas)) -}}
{{- end -}}
{{- if and (gt (int $v.replicationFactor) 1) (ge (int $v.minInsyncReplicas) (int $v.replicationFactor)) -}}
{{- fail (printf "minInsyncReplicas: with %d of %d no broker could be restarted without stopping acks=all" (int $v.minInsyncReplicas) (int $v.replicationFactor)) -}}
{{- end -}}
{{- range $key := list "node.id" "cluster.id" "broker.rack" "listeners" "advertised.listeners" "peer.listener" "peer.advertised.listener" "controller.quorum.voters" "log.dirs" "tier.store.url" "admin.listeners" "admin.metrics.anonymous" -}}
{{- if hasKey $v.settings $key -}}
{{- fail (printf "settings: %s is set by the chart" $key) -}}
{{- end -}}
{{- end -}}
{{- $live := lookup "apps/v1" "StatefulSet" .Release.Namespace (include "esker.name" .) -}}
{{- if $live -}}
{{- $annotations := $live.metadata.annotations | default dict -}}
{{- if not (hasKey $annotations "esker/cluster-id") -}}
{{- fail (printf "release: the StatefulSet %s of namespace %s is not of this chart; choose another name" (include "esker.name" .) .Release.Namespace) -}}
{{- end -}}
{{- $was := get $annotations "esker/cluster-id" -}}
{{- if ne $was $v.clusterId -}}
{{- fail (printf "clusterId: release %s runs cluster %q; another cluster's id would not start on its disks" .Release.Name $was) -}}
{{- end -}}
{{- $voters := get $annotations "esker/voters" -}}
{{- if ne $voters (toString (int $v.voters)) -}}
{{- fail (printf "voters: the quorum was formed with %s" $voters) -}}
{{- end -}}
{{- if and (lt (int $v.replicas) (int $live.spec.replicas)) (ne (get $annotations "esker/drained-to") (toString (int $v.replicas))) -}}
{{- fail (printf "replicas: there are %d brokers; drain those above %d (deploy/scripts/remove-broker), then annotate the StatefulSet with esker/drained-to=%d" (int $live.spec.replicas) (int $v.replicas) (int $v.replicas)) -}}
{{- end -}}
{{- end -}}
{{- end -}}
