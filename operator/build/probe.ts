import { canonicalJson } from "../../platform/canonical.ts";
import type { KubeObject } from "../../platform/kube/objects.ts";
import { SLICE_NAMES, SLICE_PORTS } from "../../platform/slices.ts";
import { ANNOTATIONS, cellNamespace } from "../api/names.ts";
import { type Cell, cellImage, metadata } from "./cell.ts";
import { hashOfText } from "./hash.ts";
import { buildNetworkPolicies } from "./network.ts";
import { perCell, perCellAnd } from "./percell.ts";
import { buildPodTemplate } from "./pod.ts";
import { CACHE_PORT, DATABASE_PORT, PROBED } from "./traffic.ts";

/** Component of the probe's pods and name of their account. */
export const ISOLATION_PROBE = "isolation-probe";

/** Another cell that the probe tries to reach. */
export interface Neighbour {
  readonly name: string;
  /** Whether its database is in its namespace. */
  readonly database: boolean;
}

const RESOURCES = { requests: { cpu: "20m", memory: "64Mi" }, limits: { memory: "128Mi" } };

/**
 * The Job that tries what must be denied. Whatever its answer depends on is hashed into its name: other policies,
 * neighbours or another image are another Job.
 */
export const buildIsolationJob = perCellAnd<readonly Neighbour[], KubeObject>(JSON.stringify, probeJob);

/** Neighbours come and go while a fleet is made, and the policies stay: they are most of what is hashed. */
const policiesOf = perCell((cell) => ({
  text: canonicalJson(buildNetworkPolicies(cell).map((policy) => policy.spec)),
}));

function probeJob(cell: Cell, neighbours: readonly Neighbour[]): KubeObject {
  const spec = {
    // A store that is just being restarted makes an attempt unclear: it is repeated after 10, 20 and 40 seconds.
    backoffLimit: 3,
    activeDeadlineSeconds: 600,
    template: buildPodTemplate(cell, {
      component: ISOLATION_PROBE,
      serviceAccount: ISOLATION_PROBE,
      restartPolicy: "Never",
      graceSeconds: 1,
      container: {
        name: "probe",
        image: cellImage(cell),
        args: ["cell/main.ts", "probe-isolation", ...attemptsOf(cell, neighbours)],
        resources: RESOURCES,
      },
    }),
  };
  const name = `${ISOLATION_PROBE}-${hashOfText(`[${canonicalJson(spec)},${policiesOf(cell).text}]`)}`;
  const tried = neighbours.map((neighbour) => neighbour.name).join(",");
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: {
      ...metadata(cell, name, ISOLATION_PROBE),
      ...(tried === "" ? {} : { annotations: { [ANNOTATIONS.neighbours]: tried } }),
    },
    spec,
  };
}

/** What the probe tries, each as kind:host:port. */
function attemptsOf(cell: Cell, neighbours: readonly Neighbour[]): string[] {
  const own = (service: string, port: number) => `${service}.${cell.namespace}.svc:${port}`;
  return [
    `control:${own(PROBED.control, CACHE_PORT)}`,
    `egress:${own(PROBED.egress, SLICE_PORTS[PROBED.egress])}`,
    `ingress:${own(PROBED.ingress, SLICE_PORTS[PROBED.ingress])}`,
    ...neighbours.flatMap(({ name, database }) =>
      [
        ...(database ? [["database", DATABASE_PORT] as const] : []),
        ["cache", CACHE_PORT] as const,
        ...SLICE_NAMES.map((slice) => [slice, SLICE_PORTS[slice]] as const),
      ].map(([service, port]) => `cells:${service}.${cellNamespace(name)}.svc:${port}`),
    ),
  ];
}
