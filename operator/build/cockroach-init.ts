import type { KubeObject } from "../../platform/kube/objects.ts";
import { type Cell, metadata } from "./cell.ts";
import { hashOf } from "./hash.ts";
import { buildPodTemplate, secretEnv } from "./pod.ts";
import { ADMIN_USER, DATABASE_NAME } from "./secrets.ts";

/** Secret with ca.crt, node.crt, node.key, client.root.crt and client.root.key, made by whoever runs the cluster's certificates. */
export const COCKROACH_CERTIFICATES = "database-certificates";
export const CERTIFICATES_DIR = "/certificates";
const ROOT_FILES = ["ca.crt", "client.root.crt", "client.root.key"];

/** Mounts these keys of the certificates' Secret. Root owns the files and the pod's group reads them, which CockroachDB takes. */
export function certificatesVolume(keys: readonly string[], optional = false): Record<string, unknown> {
  const items = keys.map((key) => ({ key, path: key }));
  return {
    name: "certificates",
    secret: {
      secretName: COCKROACH_CERTIFICATES,
      defaultMode: 0o440,
      items,
      ...(optional ? { optional: true } : {}),
    },
  };
}

/**
 * The Job that joins the nodes to one cluster and makes the role and the database that the provision Job works with. Everything in
 * it may be repeated. It starts without certificates too, to say that they are missing.
 */
export function buildCockroachInitJob(cell: Cell, replicas: number, host: string): KubeObject {
  const spec = {
    backoffLimit: 3,
    activeDeadlineSeconds: 900,
    template: buildPodTemplate(cell, {
      // The policy of provisioning lets it reach the database.
      component: "provision",
      serviceAccount: "provision",
      restartPolicy: "Never",
      container: {
        name: "init",
        image: cell.settings.images.cockroach,
        command: ["/bin/bash", "-c"],
        args: [replicas === 1 ? script(host, "") : script(host, INITIALIZE)],
        env: [
          { name: "HOME", value: "/tmp" },
          { name: "NAMESPACE", value: cell.namespace },
          secretEnv("PASSWORD", "database", "admin-password"),
        ],
        resources: { requests: { cpu: "50m", memory: "128Mi" }, limits: { memory: "512Mi" } },
        volumeMounts: [{ name: "certificates", mountPath: CERTIFICATES_DIR, readOnly: true }],
      },
      volumes: [certificatesVolume(ROOT_FILES, true)],
    }),
  };
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: metadata(cell, `database-init-${hashOf(spec)}`, "provision"),
    spec,
  };
}

const INITIALIZE = `
attempt() {
  said=$(/cockroach/cockroach init "\${secure[@]}" 2>&1) || [[ "$said" == *"already been initialized"* ]]
}
retry "cockroach init"
`;

/** Words of the password are letters and digits, so that it needs no quoting; the shell's own arguments never hold it. */
function script(host: string, initialize: string): string {
  return `set -u
secure=(--certs-dir=${CERTIFICATES_DIR} --host=${host})
fail() {
  printf '{"ok":false,"reason":"%s","message":"%s"}' "$1" "\${2//[^a-zA-Z0-9 .,:_-]/ }" > /dev/termination-log
  exit 1
}
retry() {
  for _ in {1..60}; do
    attempt && return
    sleep 2
  done
  fail DatabaseUnreachable "$1: \${said:0:400}"
}
for file in ${ROOT_FILES.join(" ")}; do
  [[ -s ${CERTIFICATES_DIR}/$file ]] || fail CertificatesMissing "Secret ${COCKROACH_CERTIFICATES} in namespace $NAMESPACE has no $file: make it with cockroach cert"
done
${initialize}
attempt() {
  said=$(/cockroach/cockroach sql "\${secure[@]}" 2>&1 <<SQL
CREATE ROLE IF NOT EXISTS ${ADMIN_USER.CockroachDB};
ALTER ROLE ${ADMIN_USER.CockroachDB} WITH LOGIN PASSWORD '$PASSWORD' CREATEDB CREATEROLE;
CREATE DATABASE IF NOT EXISTS ${DATABASE_NAME};
ALTER DATABASE ${DATABASE_NAME} OWNER TO ${ADMIN_USER.CockroachDB};
SQL
  )
}
retry "cockroach sql"
`;
}
