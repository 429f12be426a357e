import type { KubeClient } from "../platform/kube/client.ts";
import type { KubeFailure, KubeResult } from "../platform/kube/failures.ts";
import { KINDS } from "../platform/kube/kinds.ts";
import { type KubeObject, type ResourceRef, resourceName, stripHistory } from "../platform/kube/objects.ts";
import { createStore, type WritableStore } from "../platform/kube/store.ts";
import { cellNamespace, ROUTING_TABLE } from "./api/names.ts";
import { gatewayKeySecret } from "./keys.ts";
import { type Following, type Stores, storesOver } from "./stores.ts";

/** What the operator would see of one center, read once. */
export interface Snapshot {
  readonly stores: Stores;
  /** Kinds that the caller may not read, as the API names them ("secrets", "pods"); their copies are empty. */
  readonly unreadable: readonly string[];
}

export type SnapshotResult = { readonly ok: true; readonly snapshot: Snapshot } | KubeFailure;

interface Reading {
  readonly ref: ResourceRef;
  readonly how: Following<KubeObject>;
  readonly store: WritableStore<KubeObject>;
}

/**
 * Fills the operator's own copies by plain GET and LIST, restricted to what concerns one center; the other centers are its neighbours. Kinds that are
 * forbidden to the caller stay empty and are named; any other failure ends the reading.
 */
export async function readSnapshot(options: {
  readonly client: KubeClient;
  readonly center: string;
  readonly region: string;
  /** Where the operator runs: the Secret of the region's gateways is there. */
  readonly operatorNamespace: string;
}): Promise<SnapshotResult> {
  const readings: Reading[] = [];
  const stores = storesOver(<T extends KubeObject>(ref: ResourceRef, how: Following<T>) => {
    const indexers = how.index === undefined ? {} : { indexers: { [how.index[0]]: how.index[1] } };
    const store = createStore<T>(indexers);
    readings.push({ ref, how, store } as unknown as Reading);
    return store;
  }, []);
  const unreadable = new Set<string>();
  const failures = await Promise.all(
    readings.map(async (reading): Promise<KubeFailure | undefined> => {
      const found = await read(reading, options);
      if (!found.ok) {
        if (found.code !== "forbidden") return found;
        unreadable.add(resourceName(reading.ref));
        return undefined;
      }
      reading.store.replace(found.value.map(reading.how.transform ?? stripHistory), "");
      return undefined;
    }),
  );
  const failure = failures.find((one) => one !== undefined);
  return failure ?? { ok: true, snapshot: { stores, unreadable: [...unreadable].sort() } };
}

async function read(
  { ref, how }: Reading,
  options: Parameters<typeof readSnapshot>[0],
): Promise<KubeResult<KubeObject[]>> {
  const { client, center, region, operatorNamespace } = options;
  const namespace = cellNamespace(center);
  const named = (name: string, inside?: string) =>
    present(client.get(ref, { name, ...(inside === undefined ? {} : { namespace: inside }) }));
  if (ref.kind === ROUTING_TABLE.kind) return named(region);
  if (ref.kind === KINDS.namespace.kind) return named(namespace);
  const selector = how.labelSelector === undefined ? {} : { labelSelector: how.labelSelector };
  const listed = await client.listAll(ref, { ...(ref.namespaced ? { namespace } : {}), ...selector });
  if (!listed.ok) return listed;
  if (ref.kind !== KINDS.secret.kind) return { ok: true, value: listed.value.items };
  const keys = await named(gatewayKeySecret(region), operatorNamespace);
  return keys.ok ? { ok: true, value: [...listed.value.items, ...keys.value] } : keys;
}

/** An object that is not there is an empty list, not a failure. */
async function present(answer: Promise<KubeResult<KubeObject>>): Promise<KubeResult<KubeObject[]>> {
  const found = await answer;
  if (found.ok) return { ok: true, value: [found.value] };
  return found.code === "notFound" ? { ok: true, value: [] } : found;
}
