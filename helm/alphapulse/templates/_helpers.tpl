{{/* Names. */}}
{{- define "alphapulse.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 40 | trimSuffix "-" }}
{{- end }}

{{- define "alphapulse.fullname" -}}
{{- if .Values.fullnameOverride }}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" }}
{{- else if contains (include "alphapulse.name" .) .Release.Name }}
{{- .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else }}
{{- printf "%s-%s" .Release.Name (include "alphapulse.name" .) | trunc 40 | trimSuffix "-" }}
{{- end }}
{{- end }}

{{- define "alphapulse.serviceAccountName" -}}
{{- if .Values.serviceAccount.create }}
{{- default (include "alphapulse.fullname" .) .Values.serviceAccount.name }}
{{- else }}
{{- default "default" .Values.serviceAccount.name }}
{{- end }}
{{- end }}

{{/* Labels. Those of a component take (dict "root" $ "component" "relay"). */}}
{{- define "alphapulse.selectorLabels" -}}
app.kubernetes.io/name: {{ include "alphapulse.name" .root }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "alphapulse.labels" -}}
{{ include "alphapulse.selectorLabels" . }}
app.kubernetes.io/part-of: alphapulse
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "alphapulse.image" -}}
{{- if .Values.image.digest }}
{{- printf "%s@%s" .Values.image.repository .Values.image.digest }}
{{- else }}
{{- printf "%s:%s" .Values.image.repository (default .Chart.AppVersion .Values.image.tag) }}
{{- end }}
{{- end }}

{{/* Secrets: the chart's own unless one is named. */}}
{{- define "alphapulse.databaseUrl" -}}
{{- if .Values.devStores.enabled }}
{{- printf "postgresql://alphapulse:%s@%s-postgres:5432/alphapulse" .Values.devStores.password (include "alphapulse.fullname" .) }}
{{- else }}
{{- .Values.database.url }}
{{- end }}
{{- end }}

{{- define "alphapulse.redisUrl" -}}
{{- if .Values.devStores.enabled }}
{{- printf "redis://%s-valkey:6379/0" (include "alphapulse.fullname" .) }}
{{- else }}
{{- .Values.redis.url }}
{{- end }}
{{- end }}

{{- define "alphapulse.logUrl" -}}
{{- if .Values.devStores.enabled }}
{{- printf "redis://%s-valkey-log:6379/0" (include "alphapulse.fullname" .) }}
{{- else }}
{{- .Values.relay.log.url }}
{{- end }}
{{- end }}

{{/* One variable from a secret; takes (dict "root" $ "variable" "REDIS_URL" "given" .Values.redis "value" ""). Nothing when there is none. */}}
{{- define "alphapulse.secretVariable" -}}
{{- $existing := and .given.existingSecret (not (and .root.Values.devStores.enabled (ne .variable "TOKEN_SECRET"))) }}
{{- if or $existing .value }}
- name: {{ .variable }}
  valueFrom:
    secretKeyRef:
      name: {{ ternary .given.existingSecret (include "alphapulse.fullname" .root) (not (empty $existing)) }}
      key: {{ ternary .given.existingSecretKey .variable (not (empty $existing)) }}
{{- end }}
{{- end }}

{{/* Variables. */}}
{{- define "alphapulse.env" -}}
{{- range $name, $value := . }}
- name: {{ $name }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}

{{- define "alphapulse.registryAddresses" -}}
{{- range $name, $registry := .Values.registries }}
- name: {{ upper $name }}_REGISTRY_ADDRESS
  value: {{ printf "%s-%s:%v" (include "alphapulse.fullname" $) $name $registry.port | quote }}
{{- end }}
{{- end }}

{{- define "alphapulse.sharedVariables" -}}
- configMapRef:
    name: {{ include "alphapulse.fullname" . }}
{{- end }}

{{/* Pods. */}}
{{- define "alphapulse.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
seccompProfile:
  type: RuntimeDefault
{{- end }}

{{- define "alphapulse.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
runAsNonRoot: true
capabilities:
  drop: [ALL]
{{- end }}

{{/* Liveness is whether the process answers, readiness whether it has started and is not draining. Takes the port. */}}
{{- define "alphapulse.probes" -}}
startupProbe:
  grpc: {port: {{ . }}, service: ""}
  periodSeconds: 2
  failureThreshold: 60
livenessProbe:
  grpc: {port: {{ . }}, service: ""}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
readinessProbe:
  grpc: {port: {{ . }}, service: readiness}
  periodSeconds: 5
  timeoutSeconds: 3
{{- end }}

{{- define "alphapulse.podMetadata" -}}
labels:
  {{- include "alphapulse.labels" . | nindent 2 }}
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  {{- /* A pod starts anew when its variables change. */}}
  checksum/config: {{ include (print .root.Template.BasePath "/configmap.yaml") .root | sha256sum }}
  checksum/secret: {{ include (print .root.Template.BasePath "/secret.yaml") .root | sha256sum }}
  {{- with .root.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{/* What all pods of processes share; takes (dict "root" $ "component" "relay"). */}}
{{- define "alphapulse.podSpec" -}}
serviceAccountName: {{ include "alphapulse.serviceAccountName" .root }}
automountServiceAccountToken: false
enableServiceLinks: false
terminationGracePeriodSeconds: {{ add (ceil .root.Values.common.drainSeconds) 10 }}
securityContext:
  {{- include "alphapulse.podSecurity" . | nindent 2 }}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
affinity:
  {{- if .root.Values.affinity }}
  {{- toYaml .root.Values.affinity | nindent 2 }}
  {{- else }}
  podAntiAffinity:
    preferredDuringSchedulingIgnoredDuringExecution:
      - weight: 100
        podAffinityTerm:
          topologyKey: kubernetes.io/hostname
          labelSelector:
            matchLabels:
              {{- include "alphapulse.selectorLabels" . | nindent 14 }}
  {{- end }}
{{- end }}

{{/* What stands behind names of a partition, of its socket too; takes its number: nothing for the first. */}}
{{- define "alphapulse.partitionSuffix" -}}
{{- if . }}-{{ . }}{{ end }}
{{- end }}

{{/* The port on which a relay's metrics are; takes the number of its partition. */}}
{{- define "alphapulse.relayMetricsPort" -}}
{{- if . }}{{ add 9180 . }}{{ else }}9090{{ end }}
{{- end }}

{{/* The ingress sockets of a pod's relays, in the order of their partitions. */}}
{{- define "alphapulse.ingressSockets" -}}
{{- $paths := list }}
{{- range $k := until (int .Values.relay.partitions) }}
{{- $paths = append $paths (printf "/run/alphapulse/ingress%s.sock" (include "alphapulse.partitionSuffix" $k)) }}
{{- end }}
{{- join "," $paths }}
{{- end }}

{{/* Where clients subscribe: the edges where there are any, else the relay; of each partition, in their order. */}}
{{- define "alphapulse.relayAddresses" -}}
{{- $found := list }}
{{- range $k := until (int .Values.relay.partitions) }}
{{- if $.Values.edges.enabled }}
{{- $found = append $found (printf "%s-edge%s:%v" (include "alphapulse.fullname" $) (include "alphapulse.partitionSuffix" $k) $.Values.edges.port) }}
{{- else }}
{{- $found = append $found (printf "%s-relay:%v" (include "alphapulse.fullname" $) (add (int $.Values.relay.port) $k)) }}
{{- end }}
{{- end }}
{{- join ";" $found }}
{{- end }}
