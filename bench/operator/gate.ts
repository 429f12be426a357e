import { LABELS, MANAGER } from "../../operator/api/names.ts";
import { CELL_KINDS } from "../../operator/stores.ts";
import type { KubeClient } from "../../platform/kube/client.ts";
import { KINDS } from "../../platform/kube/kinds.ts";
import { must } from "./must.ts";

/** Number of objects that each center has, counted on the API server; throws when centers differ. */
export async function objectsPerCenter(client: KubeClient, names: readonly string[]): Promise<number> {
  const counts = new Map(names.map((name) => [name, 0]));
  for (const ref of [KINDS.namespace, ...CELL_KINDS]) {
    const labelSelector = `${LABELS.managedBy}=${MANAGER}`;
    const { items } = must(await client.listAll(ref, { labelSelector }));
    for (const { metadata } of items) {
      const name = metadata.labels?.[LABELS.center] ?? "";
      const count = counts.get(name);
      if (count !== undefined) counts.set(name, count + 1);
    }
  }
  const different = new Set(counts.values());
  const [first = 0] = different;
  if (different.size !== 1)
    throw new Error(
      `Not every center has the same number of objects: ${[...different].sort((a, b) => a - b).join(", ")}. The figures would not compare.`,
    );
  return first;
}
