import type { KubeObject } from "../platform/kube/objects.ts";
import { hasField, type Owner, ownersOf } from "../platform/kube/owners.ts";
import { MANAGER } from "./api/names.ts";
import { find, type Observed } from "./observed.ts";

interface AutoscalerSpec {
  readonly scaleTargetRef?: { readonly apiVersion?: string; readonly kind?: string; readonly name?: string };
}

/**
 * Leaves the number of replicas to a HorizontalPodAutoscaler that targets the Deployment, once somebody else holds the
 * field: under server-side apply a sole owner that lets go of a field resets it to its default. Without an autoscaler the
 * number is ours again.
 */
export function leaveReplicas(
  deployment: KubeObject,
  observed: Pick<Observed, "objects" | "autoscalers">,
): KubeObject {
  const { name } = deployment.metadata;
  if (!observed.autoscalers.some((autoscaler) => targets(autoscaler, name))) return deployment;
  const live = find(observed, "Deployment", name);
  if (live === undefined) return deployment;
  const holders = ownersOf(live).filter((owner) => hasField(owner.fieldsV1, "f:spec", "f:replicas"));
  if (holders.some(isOurs) && !holders.some((owner) => !isOurs(owner))) return deployment;
  const { replicas: _theirs, ...spec } = deployment.spec as Record<string, unknown>;
  return { ...deployment, spec };
}

function isOurs({ manager }: Owner): boolean {
  return manager === MANAGER;
}

function targets(autoscaler: KubeObject, deployment: string): boolean {
  const { scaleTargetRef } = (autoscaler.spec ?? {}) as AutoscalerSpec;
  return (
    scaleTargetRef?.kind === "Deployment" &&
    scaleTargetRef.name === deployment &&
    (scaleTargetRef.apiVersion ?? "").startsWith("apps/")
  );
}
