import type { KubeObject } from "../platform/kube/objects.ts";
import { LABELS } from "./api/names.ts";
import { parseBytes } from "./build/quantity.ts";
import { find, type Observed } from "./observed.ts";

interface ClaimTemplate {
  spec: { resources: { requests: { storage: string } } };
}
interface WithClaims {
  volumeClaimTemplates?: ClaimTemplate[];
}

/**
 * A StatefulSet's claim templates cannot change once it exists. Keeps those that are there, and grows the claims
 * themselves to the size asked for.
 */
export function growVolumes(objects: readonly KubeObject[], observed: Observed): KubeObject[] {
  return objects.flatMap((object) => {
    const live = find(observed, "StatefulSet", object.metadata.name);
    const spec = object.spec as WithClaims | undefined;
    const wanted = spec?.volumeClaimTemplates?.[0]?.spec.resources.requests.storage;
    const existing = (live?.spec as WithClaims | undefined)?.volumeClaimTemplates;
    if (object.kind !== "StatefulSet" || wanted === undefined || existing === undefined) return [object];
    const kept = { ...object, spec: { ...spec, volumeClaimTemplates: existing } };
    const grown = observed.claims
      .filter((claim) => claim.metadata.labels?.[LABELS.component] === object.metadata.name)
      .filter((claim) => parseBytes(sizeOf(claim)) < parseBytes(wanted))
      .map((claim) => ({
        apiVersion: "v1",
        kind: "PersistentVolumeClaim",
        metadata: { name: claim.metadata.name, namespace: claim.metadata.namespace! },
        spec: { resources: { requests: { storage: wanted } } },
      }));
    return [kept, ...grown];
  });
}

function sizeOf(claim: KubeObject): string {
  return (claim.spec as ClaimTemplate["spec"]).resources.requests.storage;
}
