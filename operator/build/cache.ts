import type { KubeObject } from "../../platform/kube/objects.ts";
import { LABELS } from "../api/names.ts";
import type { Cell } from "./cell.ts";
import { tcpProbe } from "./pod.ts";
import { formatBytes, parseBytes } from "./quantity.ts";
import { CACHE_USERS } from "./secrets.ts";
import { buildService, buildStatefulSet } from "./statefulset.ts";
import { CACHE_PORT } from "./traffic.ts";

const USERS_DIR = "/etc/redis-users";

/** The cell's Redis: holds and positions. It never evicts: a hold that vanished would oversell. */
export function buildCache(cell: Cell): KubeObject[] {
  const { memory, persistence } = cell.spec.cache;
  const bytes = parseBytes(memory);
  const durability = persistence
    ? ["--appendonly", "yes", "--appendfsync", "everysec"]
    : ["--appendonly", "no"];
  const statefulSet = buildStatefulSet(cell, "cache", {
    replicas: 1,
    headlessService: "cache",
    // Twice the memory for the file, and as much again while it is rewritten.
    volume: persistence
      ? {
          size: formatBytes(Math.max(bytes * 4, parseBytes("256Mi"))),
          storageClassName: cell.spec.database.storageClassName,
        }
      : undefined,
    pod: {
      component: "cache",
      serviceAccount: "cache",
      container: {
        name: "redis",
        image: cell.settings.images.redis,
        args: [
          "redis-server",
          ...[
            "--dir",
            "/data",
            "--save",
            "",
            "--maxmemory",
            String(bytes),
            "--maxmemory-policy",
            "noeviction",
          ],
          ...durability,
          // A file that can be read again, so that a new password needs no restart.
          ...["--aclfile", `${USERS_DIR}/${CACHE_USERS}`],
        ],
        ports: [{ name: "redis", containerPort: CACHE_PORT }],
        resources: {
          requests: { cpu: "30m", memory: formatBytes(bytes + parseBytes("32Mi")) },
          // A rewrite of the file copies pages that change meanwhile.
          limits: { memory: formatBytes(bytes * 2 + parseBytes("64Mi")) },
        },
        volumeMounts: [
          { name: "data", mountPath: "/data" },
          { name: "users", mountPath: USERS_DIR, readOnly: true },
        ],
        startupProbe: tcpProbe("redis", 1, 120),
        readinessProbe: tcpProbe("redis", 2, 2),
        livenessProbe: tcpProbe("redis", 10, 6),
      },
      volumes: [
        {
          name: "users",
          secret: {
            secretName: "cache",
            items: [{ key: CACHE_USERS, path: CACHE_USERS }],
            defaultMode: 0o440,
          },
        },
        ...(persistence ? [] : [{ name: "data", emptyDir: { sizeLimit: "256Mi" } }]),
      ],
    },
  });
  const service = buildService(cell, "cache", {
    selector: { [LABELS.component]: "cache" },
    ports: [{ name: "redis", port: CACHE_PORT, targetPort: "redis" }],
  });
  return [service, statefulSet];
}
