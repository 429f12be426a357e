import type { KubeClient } from "../platform/kube/client.ts";
import type { KubeResult } from "../platform/kube/failures.ts";
import { isDeleting, type KubeObject } from "../platform/kube/objects.ts";
import { LABELS, MANAGER } from "./api/names.ts";
import type { Plan } from "./plan.ts";

/**
 * What of ours the API server itself has left of the kinds that a plan leaves behind for good; empty for a plan that
 * does not. One list a kind, once in the life of a retained cell.
 */
export async function leftoverOf(
  client: Pick<KubeClient, "listAll">,
  leaves: Plan["leaves"],
  signal: AbortSignal,
): Promise<KubeResult<KubeObject[]>> {
  const left: KubeObject[] = [];
  if (leaves === undefined) return { ok: true, value: left };
  const { namespace } = leaves;
  for (const ref of leaves.kinds) {
    const listed = await client.listAll(ref, {
      namespace,
      labelSelector: `${LABELS.managedBy}=${MANAGER}`,
      signal,
    });
    if (!listed.ok) return listed;
    left.push(...listed.value.items);
  }
  return { ok: true, value: left };
}

/** The same plan where nothing is left; otherwise one that deletes what is. */
export function withoutLeaving(plan: Plan, left: readonly KubeObject[]): Plan {
  if (left.length === 0) return plan;
  return { ...plan, objects: [], prune: left.filter((object) => !isDeleting(object)), finalizer: "keep" };
}
