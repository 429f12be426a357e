import type { KubeObject } from "./objects.ts";

/** What changed in a store. `previous` is the object before; for deletions `object` is the last state known. */
export interface Change<T extends KubeObject> {
  readonly type: "added" | "modified" | "deleted";
  readonly key: string;
  readonly object: T;
  readonly previous?: T;
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
  put(object: T): void;
  delete(key: string, last?: T): void;
  /** Makes the store equal to `objects`: adds, updates and synthesises deletions. */
  replace(objects: T[], resourceVersion: string): void;
  setVersion(resourceVersion: string): void;
}

export type Indexers<T extends KubeObject> = Record<string, (object: T) => string[]>;

export declare function createStore<T extends KubeObject>(options?: {
  indexers?: Indexers<T>;
}): WritableStore<T>;
