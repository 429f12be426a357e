import type { KubeObject } from "../platform/kube/objects.ts";
import { identity, type Observed } from "./observed.ts";

/** Kinds that are deleted when nothing wants them any more. Secrets and claims hold what cannot be made again. */
const PRUNABLE = new Set([
  "ResourceQuota",
  "LimitRange",
  "NetworkPolicy",
  "ServiceAccount",
  "Service",
  "StatefulSet",
  "Deployment",
  "Job",
  "PodDisruptionBudget",
]);

/** Kinds that serve traffic or admit it: they stay until their successors stand. */
const SERVING = new Set(["Deployment", "ServiceAccount", "PodDisruptionBudget"]);

/**
 * Our objects that are no longer part of the cell. `wanted` is the whole cell, also what this pass does not
 * apply yet; what served until now goes only when `rolledOut` says that the new workloads do.
 */
export function supersededObjects(
  observed: Pick<Observed, "objects">,
  plan: { readonly wanted: readonly KubeObject[]; readonly rolledOut: boolean },
): KubeObject[] {
  const wanted = new Set(plan.wanted.map(identity));
  return observed.objects.filter(
    (object) =>
      PRUNABLE.has(object.kind) &&
      !wanted.has(identity(object)) &&
      object.metadata.deletionTimestamp === undefined &&
      (plan.rolledOut || !SERVING.has(object.kind)),
  );
}
