import type { KubeObject, ResourceRef } from "./objects.ts";
import { createReflector, type ReflectorOptions } from "./reflector.ts";
import { createStore, type Indexers, type Store } from "./store.ts";

/** A store and the reflector that fills it. */
export interface Informer<T extends KubeObject> {
  readonly ref: ResourceRef;
  readonly store: Store<T>;
  /** Follows the resource until the signal aborts. */
  run(signal: AbortSignal): Promise<void>;
  /** Milliseconds since anything was heard from the server; Infinity before the first answer. */
  ageMs(): number;
  /** Resolves true when the first list is in the store, false when the signal aborts first. */
  synced(signal: AbortSignal): Promise<boolean>;
}

/** Follows one kind (in one namespace or all, by selectors) and keeps it in a store with indexes. */
export function createInformer<T extends KubeObject = KubeObject>(
  options: Omit<ReflectorOptions<T>, "store"> & { indexers?: Indexers<T> },
): Informer<T> {
  const store = createStore<T>(options.indexers === undefined ? {} : { indexers: options.indexers });
  const waiting = new Set<() => void>();
  const observed = {
    ...store,
    get size() {
      return store.size;
    },
    replace(objects: readonly T[], resourceVersion: string) {
      store.replace(objects, resourceVersion);
      for (const wake of waiting) wake();
    },
  };
  const reflector = createReflector<T>({ ...options, store: observed });
  return {
    ref: options.ref,
    store,
    run: (signal) => reflector.run(signal),
    ageMs: () => reflector.ageMs(),
    synced: (signal) =>
      new Promise((resolve) => {
        const finish = () => {
          waiting.delete(finish);
          signal.removeEventListener("abort", finish);
          resolve(store.hasSynced());
        };
        if (store.hasSynced() || signal.aborted) return finish();
        waiting.add(finish);
        signal.addEventListener("abort", finish, { once: true });
      }),
  };
}
