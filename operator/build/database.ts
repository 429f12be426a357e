import type { KubeObject } from "../../platform/kube/objects.ts";
import { LABELS } from "../api/names.ts";
import type { Cell } from "./cell.ts";
import { buildCockroach } from "./cockroach.ts";
import { perCell } from "./percell.ts";
import { secretEnv, tcpProbe } from "./pod.ts";
import { ADMIN_USER, DATABASE_NAME } from "./secrets.ts";
import { buildService, buildStatefulSet } from "./statefulset.ts";
import { DATABASE_PORT } from "./traffic.ts";

/** Number of database pods: one for PostgreSQL, three for CockroachDB unless the spec says otherwise. */
export function databaseReplicas(cell: Cell): number {
  if (cell.spec.database.external !== undefined) return 0;
  return cell.spec.database.replicas ?? (cell.spec.database.engine === "CockroachDB" ? 3 : 1);
}

/** The cell's shard; nothing when somebody else runs it. */
export const buildDatabase = perCell<readonly KubeObject[]>(databaseOf);

function databaseOf(cell: Cell): KubeObject[] {
  if (cell.spec.database.external !== undefined) return [];
  const client = buildService(cell, "database", {
    selector: { [LABELS.component]: "database" },
    ports: [{ name: "sql", port: DATABASE_PORT, targetPort: "sql" }],
  });
  const workload =
    cell.spec.database.engine === "CockroachDB"
      ? buildCockroach(cell, databaseReplicas(cell))
      : [buildPostgres(cell)];
  return [client, ...workload];
}

function buildPostgres(cell: Cell): KubeObject {
  return buildStatefulSet(cell, "database", {
    replicas: databaseReplicas(cell),
    headlessService: "database",
    volume: { size: cell.spec.database.storage, storageClassName: cell.spec.database.storageClassName },
    pod: {
      component: "database",
      serviceAccount: "database",
      // A fast shutdown with a final checkpoint; killed half-way it would replay its log on the next start.
      graceSeconds: 60,
      container: {
        name: "postgres",
        image: cell.settings.images.postgres,
        args: ["postgres", ...POSTGRES_SETTINGS.flatMap((setting) => ["-c", setting])],
        env: [
          { name: "POSTGRES_USER", value: ADMIN_USER.PostgreSQL },
          { name: "POSTGRES_DB", value: DATABASE_NAME },
          { name: "PGDATA", value: "/data/pgdata" },
          secretEnv("POSTGRES_PASSWORD", "database", "admin-password"),
        ],
        ports: [{ name: "sql", containerPort: DATABASE_PORT }],
        resources: { requests: { cpu: "100m", memory: "192Mi" }, limits: { memory: "512Mi" } },
        volumeMounts: [
          { name: "data", mountPath: "/data" },
          { name: "socket", mountPath: "/var/run/postgresql" },
        ],
        startupProbe: tcpProbe("sql", 1, 120),
        readinessProbe: tcpProbe("sql", 2, 2),
        livenessProbe: tcpProbe("sql", 10, 6),
      },
      volumes: [{ name: "socket", emptyDir: { sizeLimit: "16Mi" } }],
    },
  });
}

const POSTGRES_SETTINGS = [
  "listen_addresses=*",
  "max_connections=200",
  "shared_buffers=64MB",
  "default_transaction_isolation=serializable",
  // A slice that vanished without closing its connection must not hold its locks for the two hours of TCP's default.
  "tcp_keepalives_idle=10",
  "tcp_keepalives_interval=5",
  "tcp_keepalives_count=3",
];
