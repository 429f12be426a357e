import type { KubeObject } from "../../platform/kube/objects.ts";
import { SLICE_NAMES, SLICE_PORTS, type SliceName } from "../../platform/slices.ts";
import { LABELS } from "../api/names.ts";
import { COMPACT } from "./accounts.ts";
import { type Cell, cellImage, metadata } from "./cell.ts";
import { cellEnvironment, TRUST_DIR } from "./environment.ts";
import { perCellAnd } from "./percell.ts";
import { buildPodTemplate, httpProbe, type Resources } from "./pod.ts";
import { formatBytes, formatMillicores, parseBytes, parseMillicores } from "./quantity.ts";
import { buildService } from "./statefulset.ts";

interface Share {
  readonly cpu: number;
  readonly memory: number;
  readonly memoryLimit: number;
}
/** A process of its own costs about 110 MB before its first request; a further slice in one process about 40 MB. */
const SEPARATE: Share = { cpu: 30, memory: parseBytes("112Mi"), memoryLimit: parseBytes("256Mi") };
const TOGETHER: Share = { cpu: 20, memory: parseBytes("48Mi"), memoryLimit: parseBytes("112Mi") };

/** One Service for each slice, the same in both topologies: pods are found by the key of the slice's label. */
export function buildSliceServices(cell: Cell): KubeObject[] {
  return SLICE_NAMES.map((slice) =>
    buildService(cell, slice, {
      selector: { [LABELS.slice(slice)]: "" },
      ports: [{ name: "http", port: SLICE_PORTS[slice], targetPort: slice }],
    }),
  );
}

/** A Deployment for each slice, or one that runs all of them in one process. The text: hash of their configuration. */
export const buildSliceDeployments = perCellAnd<string, readonly KubeObject[]>(
  (configChecksum) => configChecksum,
  (cell, configChecksum) =>
    cell.spec.topology === "Separate"
      ? SLICE_NAMES.map((slice) => buildDeployment(cell, slice, [slice], configChecksum))
      : [buildDeployment(cell, COMPACT, SLICE_NAMES, configChecksum)],
);

/** Names of the Deployments of this topology. */
export function deploymentNames(cell: Pick<Cell, "spec">): readonly string[] {
  return cell.spec.topology === "Separate" ? SLICE_NAMES : [COMPACT];
}

function buildDeployment(
  cell: Cell,
  name: string,
  slices: readonly SliceName[],
  configChecksum: string,
): KubeObject {
  const settings = slices.map((slice) => cell.spec.services.find((service) => service.name === slice));
  const [first] = slices;
  if (first === undefined) throw new Error("a Deployment runs at least one slice");
  return {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: metadata(cell, name, name),
    spec: {
      replicas: Math.max(1, ...settings.map((service) => service?.replicas ?? 1)),
      revisionHistoryLimit: 2,
      progressDeadlineSeconds: 300,
      strategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 0, maxSurge: 1 } },
      selector: { matchLabels: { [LABELS.component]: name } },
      template: buildPodTemplate(cell, {
        component: name,
        serviceAccount: name,
        slices,
        configChecksum,
        container: {
          name,
          image: cellImage(cell),
          args: ["cell/main.ts", slices.join(",")],
          env: cellEnvironment(cell, slices, cell.epoch),
          ports: slices.map((slice) => ({ name: slice, containerPort: SLICE_PORTS[slice] })),
          resources: resourcesOf(cell, slices),
          volumeMounts: [{ name: "trust", mountPath: TRUST_DIR, readOnly: true }],
          startupProbe: httpProbe("/livez", first, 1, 120),
          readinessProbe: httpProbe("/readyz", first, 2, 2),
          livenessProbe: httpProbe("/livez", first, 10, 3),
        },
        volumes: [{ name: "trust", secret: { secretName: "trust", defaultMode: 0o440 } }],
      }),
    },
  };
}

/** What the spec asks for, slice by slice, with our own figure where it says nothing; added up for one process. */
function resourcesOf(cell: Cell, slices: readonly SliceName[]): Resources {
  const share = slices.length === 1 ? SEPARATE : TOGETHER;
  const each = slices.map((slice) => {
    const { requests, limits } = cell.spec.services.find(({ name }) => name === slice)?.resources ?? {};
    const memory = requests?.memory === undefined ? share.memory : parseBytes(requests.memory);
    return {
      cpu: requests?.cpu === undefined ? share.cpu : parseMillicores(requests.cpu),
      memory,
      memoryLimit:
        limits?.memory === undefined ? Math.max(share.memoryLimit, memory) : parseBytes(limits.memory),
      cpuLimit: limits?.cpu === undefined ? undefined : parseMillicores(limits.cpu),
    };
  });
  const add = (pick: (one: (typeof each)[number]) => number) => each.reduce((sum, one) => sum + pick(one), 0);
  const cpuLimited = each.every(({ cpuLimit }) => cpuLimit !== undefined);
  return {
    requests: {
      cpu: formatMillicores(add(({ cpu }) => cpu)),
      memory: formatBytes(add(({ memory }) => memory)),
    },
    limits: {
      memory: formatBytes(add(({ memoryLimit }) => memoryLimit)),
      // A limit on cpu throttles a process that has idle cores beside it: only where the spec wants one.
      ...(cpuLimited ? { cpu: formatMillicores(add(({ cpuLimit }) => cpuLimit ?? 0)) } : {}),
    },
  };
}
