import { compareVersions, deepFreeze, type KubeObject, keyOf } from "./objects.ts";

/** What changed in a store. `previous` is the object before; for deletions `object` is the last state known. */
export interface Change<T extends KubeObject> {
  readonly type: "added" | "modified" | "deleted";
  readonly key: string;
  readonly object: T;
  readonly previous?: T;
  /** Set when the object came with the first complete list: nobody waits for it more than for the others. */
  readonly initial?: true;
}

/** The reading side of a local copy of the API's objects. Objects are frozen: never change one. */
export interface Store<T extends KubeObject> {
  get(key: string): T | undefined;
  list(): T[];
  keys(): string[];
  /** Objects whose indexer gave `value`; throws for an unknown index name. */
  byIndex(index: string, value: string): T[];
  readonly size: number;
  /** True after the first complete LIST. */
  hasSynced(): boolean;
  /** Newest resource version seen, also from bookmarks. */
  resourceVersion(): string | undefined;
  /** Calls `handler` on every change; it must be quick and must not throw. Returns the way to stop it. */
  onChange(handler: (change: Change<T>) => void): () => void;
}

/** The writing side, used by the reflector alone. */
export interface WritableStore<T extends KubeObject> extends Store<T> {
  /** Takes a state over unless a newer one of the same object is known. */
  put(object: T): void;
  /** Removes the object unless a newer state of it is known. */
  remove(last: T): void;
  /** Makes the store equal to `objects`: adds, updates and synthesises deletions. */
  replace(objects: readonly T[], resourceVersion: string): void;
  /** Moves the version forward (bookmarks); an older one is ignored. */
  advance(resourceVersion: string): void;
}

/** Name of an index -> the values under which an object is found. */
export type Indexers<T extends KubeObject> = Record<string, (object: T) => readonly string[]>;

/** Deletions remembered against late frames of the same objects. */
const MAX_TOMBSTONES = 1_000;

/** Makes an empty store. */
export function createStore<T extends KubeObject>(
  options: { indexers?: Indexers<T> } = {},
): WritableStore<T> {
  const objects = new Map<string, T>();
  const indexes = Object.entries(options.indexers ?? {}).map(([name, indexer]) => ({
    name,
    indexer,
    keys: new Map<string, Set<string>>(),
  }));
  const handlers = new Set<(change: Change<T>) => void>();
  /** Key -> version of the deletion. A frame that was overtaken by it must not revive the object. */
  const tombstones = new Map<string, string>();
  let synced = false;
  let version: string | undefined;

  const emit = (change: Change<T>) => {
    for (const handler of handlers) handler(change);
  };
  const reindex = (key: string, previous: T | undefined, next: T | undefined) => {
    for (const { indexer, keys } of indexes) {
      for (const value of previous === undefined ? [] : indexer(previous)) {
        keys.get(value)?.delete(key);
        if (keys.get(value)?.size === 0) keys.delete(value);
      }
      for (const value of next === undefined ? [] : indexer(next)) {
        const found = keys.get(value);
        if (found === undefined) keys.set(value, new Set([key]));
        else found.add(key);
      }
    }
  };
  const set = (object: T) => {
    const key = keyOf(object);
    const previous = objects.get(key);
    if (
      previous !== undefined &&
      previous.metadata.resourceVersion === object.metadata.resourceVersion &&
      previous.metadata.uid === object.metadata.uid
    )
      return;
    objects.set(key, deepFreeze(object));
    tombstones.delete(key);
    reindex(key, previous, object);
    if (previous !== undefined) emit({ type: "modified", key, object, previous });
    else emit(synced ? { type: "added", key, object } : { type: "added", key, object, initial: true });
  };
  const drop = (key: string, last: T) => {
    const previous = objects.get(key);
    if (previous === undefined) return;
    objects.delete(key);
    reindex(key, previous, undefined);
    emit({ type: "deleted", key, object: deepFreeze(last), previous });
  };
  const advance = (next: string | undefined) => {
    if (next === undefined || next === "") return;
    if (version === undefined || (compareVersions(next, version) ?? 1) > 0) version = next;
  };

  return {
    get: (key) => objects.get(key),
    list: () => [...objects.values()],
    keys: () => [...objects.keys()],
    byIndex(name, value) {
      const index = indexes.find((one) => one.name === name);
      if (index === undefined) throw new Error(`the store has no index "${name}"`);
      const found: T[] = [];
      for (const key of index.keys.get(value) ?? []) {
        const object = objects.get(key);
        if (object !== undefined) found.push(object);
      }
      return found;
    },
    get size() {
      return objects.size;
    },
    hasSynced: () => synced,
    resourceVersion: () => version,
    onChange(handler) {
      handlers.add(handler);
      return () => handlers.delete(handler);
    },
    put(object) {
      const key = keyOf(object);
      const known = objects.get(key)?.metadata.resourceVersion ?? tombstones.get(key);
      advance(object.metadata.resourceVersion);
      if ((compareVersions(object.metadata.resourceVersion, known) ?? 1) > 0) set(object);
    },
    remove(last) {
      const key = keyOf(last);
      const deletedAt = last.metadata.resourceVersion;
      advance(deletedAt);
      const known = objects.get(key)?.metadata.resourceVersion ?? tombstones.get(key);
      if ((compareVersions(deletedAt, known) ?? 0) < 0) return;
      if (deletedAt !== undefined) tombstones.set(key, deletedAt);
      if (tombstones.size > MAX_TOMBSTONES) tombstones.delete(tombstones.keys().next().value ?? "");
      drop(key, last);
    },
    replace(next, resourceVersion) {
      // A list is the truth even when its versions are older: the server's data may have been restored.
      tombstones.clear();
      version = resourceVersion;
      const present = new Set(next.map(keyOf));
      for (const [key, object] of objects) if (!present.has(key)) drop(key, object);
      for (const object of next) set(object);
      synced = true;
    },
    advance,
  };
}
