import { deepFreeze, type KubeObject, onceFrozen } from "../platform/kube/objects.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import { ANNOTATIONS } from "./api/names.ts";
import { type Cell, cellImage } from "./build/cell.ts";
import { hashOf } from "./build/hash.ts";
import type { EnvVar } from "./build/pod.ts";
import { credentialsChecksum } from "./build/secrets.ts";
import { buildSliceDeployments } from "./build/slices.ts";
import { leaveReplicas } from "./handover.ts";
import { find, identity, type Observed } from "./observed.ts";
import { planRollout, type RolloutPlan } from "./rollout.ts";
import { rolloutOf } from "./workloads.ts";

/** How far the Deployments may go in this pass; those of the image before, to keep what waits as it was. */
export function rolloutFor(
  fc: FulfillmentCenter,
  cell: Cell,
  parts: { readonly base: readonly KubeObject[]; readonly deployments: readonly KubeObject[] },
  observed: Observed,
  provisioned: boolean,
): RolloutPlan {
  const { admittedEpoch, release } = fc.status ?? {};
  const serving =
    admittedEpoch === cell.epoch && !observed.objects.some((live) => isOfOlderEpoch(live, cell));
  const image = release?.current;
  const cache = find(observed, "StatefulSet", "cache");
  // While another topology still serves, what is missing has never been.
  const known = new Set(parts.deployments.map(identity));
  const same = observed.objects.every(
    (object) => object.kind !== "Deployment" || known.has(identity(object)),
  );
  const input = {
    wanted: parts.deployments,
    earlier: serving && same && image !== undefined ? earlierOf(image, cell, parts, observed) : [],
    provisioned,
    serving,
    blockedBy: rolloutOf(cache).complete ? undefined : "the cell is Degraded: its cache is not ready",
  };
  return planRollout(input, observed);
}

/** The Deployments as they were with the image before. */
function earlierOf(
  image: string,
  cell: Cell,
  parts: { readonly base: readonly KubeObject[]; readonly deployments: readonly KubeObject[] },
  observed: Observed,
): readonly KubeObject[] {
  if (image === cellImage(cell)) return parts.deployments;
  return deploymentsOf({ ...cell, spec: { ...cell.spec, release: { image } } }, parts.base, observed);
}

/** Its pods can write nothing any more: going slowly would only keep them longer. */
function isOfOlderEpoch(live: KubeObject, cell: Cell): boolean {
  if (live.kind !== "Deployment") return false;
  const { template } = live.spec as { template?: { spec?: { containers?: { env?: EnvVar[] }[] } } };
  const epoch = template?.spec?.containers?.[0]?.env?.find(({ name }) => name === "CELL_EPOCH")?.value;
  return epoch !== undefined && Number(epoch) < cell.epoch;
}

/** Every Deployment of the cell, each with the hash of what is wanted of it. */
export function deploymentsOf(
  cell: Cell,
  base: readonly KubeObject[],
  observed: Pick<Observed, "objects" | "autoscalers">,
): KubeObject[] {
  return buildSliceDeployments(cell, credentialsChecksum(cell, base)).map((deployment) =>
    withRevision(leaveReplicas(deployment, observed)),
  );
}

/** Marks a workload with the hash of what is wanted of it, as far as that can change. */
export const withRevision = onceFrozen((object: KubeObject): KubeObject => {
  if (object.kind !== "Deployment" && object.kind !== "StatefulSet") return object;
  const spec = object.spec as Record<string, unknown>;
  const { volumeClaimTemplates: _fixed, ...changeable } = spec;
  const annotations = { ...object.metadata.annotations, [ANNOTATIONS.revision]: hashOf(changeable) };
  const marked = { ...object, metadata: { ...object.metadata, annotations } };
  return Object.isFrozen(object) ? deepFreeze(marked) : marked;
});
