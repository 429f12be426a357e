{{- define "fc.labels" -}}
app.kubernetes.io/name: fulfillment-cells
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- define "fc.selector" -}}
app.kubernetes.io/name: fulfillment-cells
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .component }}
{{- end }}

{{- define "fc.podSecurity" -}}
runAsNonRoot: true
runAsUser: 10001
runAsGroup: 10001
fsGroup: 10001
fsGroupChangePolicy: OnRootMismatch
seccompProfile: { type: RuntimeDefault }
{{- end }}

{{- define "fc.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- end }}

{{- define "fc.operatorImage" -}}
{{ .Values.image.operator | default .Values.image.cell }}
{{- end }}

{{- define "fc.kafkaBrokers" -}}
{{- if .Values.kafka.bootstrapServers -}}
{{ .Values.kafka.bootstrapServers }}
{{- else if .Values.kafka.local.enabled -}}
kafka.{{ .Release.Namespace }}.svc:9092
{{- else -}}
{{ fail "Set kafka.bootstrapServers to your brokers, or kafka.local.enabled=true for a single one to try things out." }}
{{- end -}}
{{- end }}

{{- define "fc.processorUrl" -}}
{{- if .Values.payments.processorUrl -}}
{{ .Values.payments.processorUrl }}
{{- else if .Values.pspSandbox.enabled -}}
http://psp-sandbox.{{ .Release.Namespace }}.svc:8090
{{- else -}}
{{ fail "Set payments.processorUrl to your payment processor, or pspSandbox.enabled=true for a stand-in." }}
{{- end -}}
{{- end }}

{{- define "fc.jwksUrl" -}}
{{- if .Values.gateway.jwksUrl -}}
{{ .Values.gateway.jwksUrl }}
{{- else if .Values.devIssuer.enabled -}}
http://dev-issuer:8091/jwks.json
{{- else -}}
{{ fail "Set gateway.jwksUrl to the key set of your identity provider, or devIssuer.enabled=true for a stand-in." }}
{{- end -}}
{{- end }}

{{- define "fc.regionDatabaseSecret" -}}
{{ .Values.regionDatabase.existingSecret | default "region-database" }}
{{- end }}

{{- define "fc.apiServer" -}}
{{- range .Values.networkPolicy.apiServer.cidrs }}
- ipBlock: { cidr: {{ . | quote }} }
{{- end }}
{{- end }}

{{- define "fc.apiServerPorts" -}}
{{- range .Values.networkPolicy.apiServer.ports }}
- { protocol: TCP, port: {{ . }} }
{{- end }}
{{- end }}
