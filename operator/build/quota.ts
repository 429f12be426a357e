import type { KubeObject } from "../../platform/kube/objects.ts";
import { type Cell, metadata } from "./cell.ts";
import { formatBytes, formatMillicores, parseBytes, parseMillicores } from "./quantity.ts";

export interface Sum {
  readonly pods: number;
  readonly cpuMillicores: number;
  readonly memoryBytes: number;
  readonly memoryLimitBytes: number;
  readonly storageBytes: number;
  readonly volumes: number;
}

const NOTHING: Sum = {
  pods: 0,
  cpuMillicores: 0,
  memoryBytes: 0,
  memoryLimitBytes: 0,
  storageBytes: 0,
  volumes: 0,
};

interface WorkloadSpec {
  replicas?: number;
  parallelism?: number;
  template: {
    spec: {
      containers: { resources: { requests: Record<string, string>; limits: Record<string, string> } }[];
    };
  };
  volumeClaimTemplates?: { spec: { resources: { requests: { storage: string } } } }[];
}

/** What the pods of these Deployments, StatefulSets and Jobs ask for together. */
export function sumOfWorkloads(objects: readonly KubeObject[]): Sum {
  return objects
    .filter(({ kind }) => kind === "Deployment" || kind === "StatefulSet" || kind === "Job")
    .reduce((sum, object) => {
      const spec = object.spec as WorkloadSpec;
      const count = spec.replicas ?? spec.parallelism ?? 1;
      const { containers } = spec.template.spec;
      const total = (pick: (resources: (typeof containers)[number]["resources"]) => number) =>
        containers.reduce((all, { resources }) => all + pick(resources), 0) * count;
      const claims = spec.volumeClaimTemplates ?? [];
      return {
        pods: sum.pods + count,
        cpuMillicores: sum.cpuMillicores + total(({ requests }) => parseMillicores(requests.cpu ?? "0")),
        memoryBytes: sum.memoryBytes + total(({ requests }) => parseBytes(requests.memory ?? "0")),
        memoryLimitBytes: sum.memoryLimitBytes + total(({ limits }) => parseBytes(limits.memory ?? "0")),
        storageBytes:
          sum.storageBytes +
          count * claims.reduce((all, claim) => all + parseBytes(claim.spec.resources.requests.storage), 0),
        volumes: sum.volumes + count * claims.length,
      };
    }, NOTHING);
}

/**
 * Keeps one cell from starving its neighbours. Without numbers in the spec: twice what the workloads ask for, which
 * is a whole rollout side by side, plus room for Jobs and a debugging pod.
 */
export function buildQuota(cell: Cell, workloads: readonly KubeObject[]): KubeObject {
  const sum = sumOfWorkloads(workloads);
  const asked = cell.spec.isolation.quota ?? {};
  const memoryHeadroomBytes = parseBytes("512Mi");
  return {
    apiVersion: "v1",
    kind: "ResourceQuota",
    metadata: metadata(cell, "cell"),
    spec: {
      hard: {
        "requests.cpu": formatMillicores(
          asked.cpu === undefined ? sum.cpuMillicores * 2 + 200 : parseMillicores(asked.cpu),
        ),
        "requests.memory": formatBytes(
          asked.memory === undefined ? sum.memoryBytes * 2 + memoryHeadroomBytes : parseBytes(asked.memory),
        ),
        "limits.memory": formatBytes(sum.memoryLimitBytes * 2 + memoryHeadroomBytes * 2),
        "requests.storage": formatBytes(
          asked.storage === undefined ? sum.storageBytes + parseBytes("1Gi") : parseBytes(asked.storage),
        ),
        persistentvolumeclaims: String(sum.volumes + 2),
        pods: String(asked.pods ?? sum.pods * 2 + 8),
        services: "24",
        "services.loadbalancers": "0",
        "services.nodeports": "0",
        "count/jobs.batch": "8",
        "count/secrets": "24",
        "count/configmaps": "16",
      },
    },
  };
}
