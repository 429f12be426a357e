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
    // Written again with the server's defaults the same templates would be another wish, and one more write.
    const fits = isWithin(spec?.volumeClaimTemplates, existing);
    const kept = fits ? object : { ...object, spec: { ...spec, volumeClaimTemplates: existing } };
    const grown = smallerClaims(object, observed)
      // The API server changes a claim's size only once it has a volume.
      .filter(isBound)
      .map((claim) => ({
        apiVersion: "v1",
        kind: "PersistentVolumeClaim",
        metadata: { name: claim.metadata.name, namespace: claim.metadata.namespace! },
        spec: { resources: { requests: { storage: wanted } } },
      }));
    return [kept, ...grown];
  });
}

/** Name of a claim that has to grow and cannot yet, because it has no volume. */
export function unboundClaim(
  desired: KubeObject | undefined,
  observed: Pick<Observed, "claims">,
): string | undefined {
  if (desired === undefined) return undefined;
  return smallerClaims(desired, observed).find((claim) => !isBound(claim))?.metadata.name;
}

/** Claims of a StatefulSet that are smaller than it asks for now. */
function smallerClaims(desired: KubeObject, observed: Pick<Observed, "claims">): KubeObject[] {
  const wanted = (desired.spec as WithClaims).volumeClaimTemplates?.[0]?.spec.resources.requests.storage;
  if (wanted === undefined) return [];
  return observed.claims
    .filter((claim) => claim.metadata.labels?.[LABELS.component] === desired.metadata.name)
    .filter((claim) => parseBytes(sizeOf(claim)) < parseBytes(wanted));
}

function isBound(claim: KubeObject): boolean {
  return (claim.status as { phase?: string } | undefined)?.phase === "Bound";
}

function sizeOf(claim: KubeObject): string {
  return (claim.spec as ClaimTemplate["spec"]).resources.requests.storage;
}

/** Whether everything that is wanted is there in the same words; what the server defaulted beside is its own. */
function isWithin(wanted: unknown, existing: unknown): boolean {
  if (typeof wanted !== "object" || wanted === null) return wanted === existing;
  if (typeof existing !== "object" || existing === null) return false;
  if (Array.isArray(wanted) && wanted.length !== (existing as unknown[]).length) return false;
  return Object.entries(wanted).every(([name, value]) =>
    isWithin(value, (existing as Record<string, unknown>)[name]),
  );
}
