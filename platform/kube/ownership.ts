import type { KubeClient } from "./client.ts";
import type { KubeResult } from "./failures.ts";
import type { KubeObject, ResourceRef } from "./objects.ts";
import { type FieldSet, type Owner, union } from "./owners.ts";

/** Versions of an object before and after a change of whose its fields are. */
export interface Moved {
  readonly from: string | undefined;
  readonly to: string | undefined;
}

/**
 * Gives the fields that `manager` wrote by create or update to its applies. Without it a field that a later apply no longer
 * wants would stay: the manager would still hold it by its create. Sends one request that changes nothing, to see who
 * holds what, and a second one where there is something to hand over. Answers the versions before and after.
 */
export async function handOver(
  client: KubeClient,
  ref: ResourceRef,
  object: KubeObject,
  options: { readonly manager: string; readonly signal?: AbortSignal | undefined },
): Promise<KubeResult<Moved>> {
  const call = options.signal === undefined ? {} : { signal: options.signal };
  // A patch of nothing is answered with the whole object and needs no right but that to patch.
  const whole = await client.patch(ref, object.metadata, {}, call);
  if (!whole.ok) return whole;
  const managedFields = handedOver(whole.value.metadata.managedFields ?? [], options.manager);
  const { resourceVersion } = whole.value.metadata;
  if (managedFields === undefined) return { ok: true, value: { from: resourceVersion, to: resourceVersion } };
  const change = { metadata: { resourceVersion, managedFields } };
  const handed = await client.patch(ref, object.metadata, change, call);
  if (!handed.ok) return handed;
  return { ok: true, value: { from: resourceVersion, to: handed.value.metadata.resourceVersion } };
}

/** The list with the manager's entries as one Apply entry; undefined when nothing has to be handed over. */
export function handedOver(list: readonly unknown[], manager: string): Owner[] | undefined {
  const entries = list as readonly Owner[];
  const isOurs = (entry: Owner) => entry.manager === manager && (entry.subresource ?? "") === "";
  const ours = entries.filter(isOurs);
  if (ours.every(({ operation }) => operation === "Apply")) return undefined;
  const applied = ours.find(({ operation }) => operation === "Apply") ?? ours[0];
  const fieldsV1 = ours.reduce<FieldSet>((all, { fieldsV1: set = {} }) => union(all, set), {});
  return [...entries.filter((entry) => !isOurs(entry)), { ...applied, operation: "Apply", fieldsV1 }];
}
