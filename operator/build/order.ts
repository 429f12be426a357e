import type { KubeObject } from "../../platform/kube/objects.ts";

/**
 * Kinds in the order in which a new cell's objects are written. What bounds and closes pods is there before any of them. Services and
 * Secrets come before the quota, although it counts them: for each counted creation after it the API server writes the quota's status,
 * and tells everybody who follows quotas; what is there already its controller counts at once.
 */
const ORDER = [
  "Namespace",
  "LimitRange",
  "Secret",
  "Service",
  "ResourceQuota",
  "NetworkPolicy",
  "ServiceAccount",
];

/** The same objects in the order of writing; those of one kind, and all that are not named here, keep theirs. */
export function inOrderOfWriting(objects: readonly KubeObject[]): KubeObject[] {
  const rank = ({ kind }: KubeObject) => {
    const at = ORDER.indexOf(kind);
    return at < 0 ? ORDER.length : at;
  };
  return [...objects].sort((a, b) => rank(a) - rank(b));
}
