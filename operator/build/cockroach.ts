import type { KubeObject } from "../../platform/kube/objects.ts";
import { LABELS } from "../api/names.ts";
import type { Cell } from "./cell.ts";
import { tcpProbe } from "./pod.ts";
import { buildService, buildStatefulSet } from "./statefulset.ts";
import { DATABASE_PORTS } from "./traffic.ts";

/** Secret with ca.crt, node.crt and node.key, made by whoever runs the cluster's certificates. */
export const COCKROACH_CERTIFICATES = "database-certificates";
const PORT = DATABASE_PORTS.CockroachDB;

/** A secure CockroachDB cluster: nodes find each other through a headless Service and prove themselves by certificate. */
export function buildCockroach(cell: Cell, replicas: number): KubeObject[] {
  const peers = "database-peers";
  const join = Array.from({ length: replicas }, (_, index) => `database-${index}.${peers}:${PORT}`).join(",");
  const common = ["--certs-dir=/certificates", "--store=/data", "--cache=.25", "--max-sql-memory=.25"];
  const statefulSet = buildStatefulSet(cell, "database", {
    replicas,
    headlessService: peers,
    volume: { size: cell.spec.database.storage, storageClassName: cell.spec.database.storageClassName },
    pod: {
      component: "database",
      serviceAccount: "database",
      // Long enough to hand its ranges' leases to the other nodes.
      graceSeconds: 300,
      container: {
        name: "cockroach",
        image: cell.settings.images.cockroach,
        args:
          replicas === 1
            ? ["start-single-node", ...common]
            : ["start", `--join=${join}`, `--advertise-host=$(HOST_NAME).${peers}`, ...common],
        env: [{ name: "HOST_NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } }],
        ports: [
          { name: "sql", containerPort: PORT },
          { name: "http", containerPort: 8080 },
        ],
        resources: { requests: { cpu: "200m", memory: "512Mi" }, limits: { memory: "2Gi" } },
        volumeMounts: [
          { name: "data", mountPath: "/data" },
          { name: "certificates", mountPath: "/certificates", readOnly: true },
        ],
        startupProbe: tcpProbe("sql", 2, 120),
        readinessProbe: {
          httpGet: { path: "/health?ready=1", port: "http", scheme: "HTTPS" },
          periodSeconds: 5,
        },
        livenessProbe: tcpProbe("sql", 10, 6),
      },
      volumes: [{ name: "certificates", secret: { secretName: COCKROACH_CERTIFICATES, defaultMode: 0o440 } }],
    },
  });
  const headless = buildService(cell, peers, {
    headless: true,
    selector: { [LABELS.component]: "database" },
    ports: [
      { name: "sql", port: PORT, targetPort: "sql" },
      { name: "http", port: 8080, targetPort: "http" },
    ],
  });
  return [headless, statefulSet];
}
