import type { KubeObject } from "../../platform/kube/objects.ts";
import { LABELS } from "../api/names.ts";
import type { Cell } from "./cell.ts";
import { buildCockroachInitJob, CERTIFICATES_DIR, certificatesVolume } from "./cockroach-init.ts";
import { buildService, buildStatefulSet } from "./statefulset.ts";
import { DATABASE_PORTS } from "./traffic.ts";

const PORT = DATABASE_PORTS.CockroachDB;
const PEERS = "database-peers";
/** More addresses to join do no good, and a list that follows `replicas` would restart every node when it changes. */
const JOINED = 3;

/**
 * A secure CockroachDB cluster: nodes find each other through a headless Service and prove themselves by certificate; a Job
 * initializes it and makes the role that provisions the cell.
 */
export function buildCockroach(cell: Cell, replicas: number): KubeObject[] {
  const { storage, storageClassName } = cell.spec.database;
  const statefulSet = buildStatefulSet(cell, "database", {
    replicas,
    headlessService: PEERS,
    volume: { size: storage, storageClassName },
    pod: {
      component: "database",
      serviceAccount: "database",
      // Long enough to hand its ranges' leases to the other nodes.
      graceSeconds: 300,
      spread: true,
      container: {
        name: "cockroach",
        image: cell.settings.images.cockroach,
        command: ["/cockroach/cockroach"],
        args: nodeArguments(replicas),
        env: [
          { name: "HOST_NAME", valueFrom: { fieldRef: { fieldPath: "metadata.name" } } },
          { name: "COCKROACH_CHANNEL", value: "kubernetes-operator" },
        ],
        ports: [
          { name: "sql", containerPort: PORT },
          { name: "http", containerPort: 8080 },
        ],
        // Cache and SQL memory are a quarter of the limit each; what is left is for Go and the rest of the process.
        resources: { requests: { cpu: "200m", memory: "2Gi" }, limits: { memory: "2Gi" } },
        volumeMounts: [
          { name: "data", mountPath: "/data" },
          { name: "certificates", mountPath: CERTIFICATES_DIR, readOnly: true },
        ],
        // Answers before the cluster is initialized too: readiness is what waits for that.
        startupProbe: healthProbe("/health", 2, 150),
        readinessProbe: healthProbe("/health?ready=1", 5, 2),
        livenessProbe: healthProbe("/health", 5, 6),
      },
      volumes: [certificatesVolume(["ca.crt", "node.crt", "node.key"])],
    },
  });
  const headless = buildService(cell, PEERS, {
    headless: true,
    selector: { [LABELS.component]: "database" },
    ports: [
      { name: "sql", port: PORT, targetPort: "sql" },
      { name: "http", port: 8080, targetPort: "http" },
    ],
  });
  return [headless, statefulSet, buildCockroachInitJob(cell, replicas, `database-0.${PEERS}:${PORT}`)];
}

function nodeArguments(replicas: number): string[] {
  const common = [
    `--certs-dir=${CERTIFICATES_DIR}`,
    "--store=/data",
    "--cache=.25",
    "--max-sql-memory=.25",
    "--logtostderr=INFO",
    `--advertise-host=$(HOST_NAME).${PEERS}`,
  ];
  if (replicas === 1) return ["start-single-node", ...common];
  const join = Array.from({ length: JOINED }, (_, index) => `database-${index}.${PEERS}:${PORT}`).join(",");
  return ["start", `--join=${join}`, ...common];
}

function healthProbe(path: string, periodSeconds: number, failureThreshold: number) {
  return {
    httpGet: { path, port: "http", scheme: "HTTPS" },
    periodSeconds,
    failureThreshold,
    timeoutSeconds: 3,
  };
}
