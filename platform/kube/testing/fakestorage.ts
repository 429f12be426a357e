import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { ApiStatus } from "../failures.ts";
import { formatTime, type KubeObject } from "../objects.ts";

/** One change, as a watch tells it. */
export interface FakeChange {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly version: number;
  readonly collection: string;
  readonly object: KubeObject;
}

export type FakeAnswer =
  | { readonly ok: true; readonly status: number; readonly object: KubeObject }
  | { readonly ok: false; readonly status: number; readonly body: ApiStatus };

/** The state of a fake API server: objects, their versions, who owns which field, and the history that watches read. */
export interface FakeStorage {
  get(collection: string, key: string): KubeObject | undefined;
  list(collection: string): KubeObject[];
  create(collection: string, object: KubeObject): FakeAnswer;
  update(collection: string, object: KubeObject, part: "main" | "status"): FakeAnswer;
  merge(collection: string, key: string, patch: Record<string, unknown>, part: "main" | "status"): FakeAnswer;
  apply(collection: string, object: KubeObject, manager: string, part: "main" | "status"): FakeAnswer;
  remove(collection: string, key: string, uid: string | undefined): FakeAnswer;
  readonly version: number;
  /** Oldest version from which a watch may start. */
  readonly oldest: number;
  /** Changes after a version. */
  since(version: number): FakeChange[];
  /** Forgets the history: watches and pages of older versions are refused with 410. */
  compact(): void;
  onChange(handler: (change: FakeChange) => void): () => void;
}

type Fields = Record<string, unknown>;
const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const keyOf = (object: KubeObject) => `${object.metadata.namespace ?? ""}/${object.metadata.name}`;

function refuse(status: number, reason: string, message: string): FakeAnswer {
  return { ok: false, status, body: { kind: "Status", code: status, reason, message } };
}

/** Makes an empty storage. Lists are atomic for apply, which is what our own kinds declare. */
export function createFakeStorage(): FakeStorage {
  const collections = new Map<string, Map<string, KubeObject>>();
  const owned = new Map<string, Fields>();
  const handlers = new Set<(change: FakeChange) => void>();
  let history: FakeChange[] = [];
  let version = 100;
  let oldest = 100;
  const objectsOf = (collection: string) => {
    const found = collections.get(collection) ?? new Map<string, KubeObject>();
    collections.set(collection, found);
    return found;
  };
  const tell = (type: FakeChange["type"], collection: string, object: KubeObject) => {
    const change = { type, version, collection, object };
    history.push(change);
    for (const handler of handlers) handler(change);
  };

  function store(collection: string, before: KubeObject | undefined, next: KubeObject): FakeAnswer {
    const { resourceVersion: _version, ...metadata } = next.metadata;
    if (before !== undefined) {
      const { resourceVersion: _before, ...old } = before.metadata;
      if (isDeepStrictEqual({ ...next, metadata }, { ...before, metadata: old }))
        return { ok: true, status: 200, object: before };
    }
    const changed = before === undefined || !isDeepStrictEqual(next.spec, before.spec);
    const object: KubeObject = {
      ...next,
      metadata: {
        ...metadata,
        generation: (before?.metadata.generation ?? 0) + (changed ? 1 : 0),
        resourceVersion: String(++version),
      },
    };
    if (object.metadata.deletionTimestamp !== undefined && !object.metadata.finalizers?.length) {
      objectsOf(collection).delete(keyOf(object));
      tell("DELETED", collection, object);
    } else {
      objectsOf(collection).set(keyOf(object), object);
      tell(before === undefined ? "ADDED" : "MODIFIED", collection, object);
    }
    return { ok: true, status: before === undefined ? 201 : 200, object };
  }

  function create(collection: string, object: KubeObject): FakeAnswer {
    if (objectsOf(collection).has(keyOf(object)))
      return refuse(409, "AlreadyExists", `${object.kind} "${object.metadata.name}" already exists`);
    const metadata = {
      ...object.metadata,
      uid: randomUUID(),
      creationTimestamp: formatTime(Date.now()),
      managedFields: [{ manager: "someone", operation: "Apply" }],
    };
    return store(collection, undefined, { ...object, metadata });
  }

  function put(
    collection: string,
    before: KubeObject | undefined,
    next: KubeObject,
    part: "main" | "status",
  ): FakeAnswer {
    if (before === undefined) return refuse(404, "NotFound", "not found");
    const wanted = next.metadata;
    if (wanted.uid !== undefined && wanted.uid !== before.metadata.uid)
      return refuse(409, "Conflict", "uid mismatch");
    if (wanted.resourceVersion !== undefined && wanted.resourceVersion !== before.metadata.resourceVersion)
      return refuse(409, "Conflict", "the object has been modified");
    if (part === "status") return store(collection, before, { ...before, status: next.status });
    const { uid, creationTimestamp, deletionTimestamp } = before.metadata;
    const metadata = {
      ...wanted,
      ...(uid === undefined ? {} : { uid }),
      ...(creationTimestamp === undefined ? {} : { creationTimestamp }),
      ...(deletionTimestamp === undefined ? {} : { deletionTimestamp }),
      ...(before.metadata.managedFields ? { managedFields: before.metadata.managedFields } : {}),
      generation: before.metadata.generation ?? 1,
    };
    const status = before.status === undefined ? {} : { status: before.status };
    const { status: _status, ...rest } = next;
    return store(collection, before, { ...rest, ...status, metadata });
  }

  return {
    get: (collection, key) => objectsOf(collection).get(key),
    list: (collection) => [...objectsOf(collection).values()].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1)),
    create,
    update: (collection, object, part) =>
      put(collection, objectsOf(collection).get(keyOf(object)), object, part),
    merge(collection, key, patch, part) {
      const before = objectsOf(collection).get(key);
      if (before === undefined) return refuse(404, "NotFound", "not found");
      const { resourceVersion: _version, ...metadata } = before.metadata;
      return put(collection, before, mergePatch({ ...before, metadata }, patch) as KubeObject, part);
    },
    apply(collection, object, manager, part) {
      const key = `${part} ${manager} ${collection} ${keyOf(object)}`;
      const before = objectsOf(collection).get(keyOf(object));
      if (before === undefined && part === "status") return refuse(404, "NotFound", "not found");
      if (before === undefined && object.metadata.uid !== undefined)
        return refuse(409, "Conflict", "uid mismatch: no such object");
      const others = [...owned]
        .filter(
          ([name]) =>
            name !== key && name.startsWith(part) && name.endsWith(` ${collection} ${keyOf(object)}`),
        )
        .map(([, fields]) => fields);
      const previous = owned.get(key) ?? {};
      const { metadata: _metadata, ...fields } = object;
      const { uid, resourceVersion, ...labels } = object.metadata;
      owned.set(key, { ...fields, metadata: labels });
      if (before === undefined) return create(collection, object);
      const { resourceVersion: _version, ...metadata } = before.metadata;
      const kept = dropUnowned({ ...before, metadata }, previous, owned.get(key) ?? {}, others);
      const next = overlay(kept, owned.get(key)) as KubeObject;
      const conditions = {
        ...(uid === undefined ? {} : { uid }),
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      };
      return put(collection, before, { ...next, metadata: { ...next.metadata, ...conditions } }, part);
    },
    remove(collection, key, uid) {
      const before = objectsOf(collection).get(key);
      if (before === undefined) return refuse(404, "NotFound", "not found");
      if (uid !== undefined && uid !== before.metadata.uid)
        return refuse(409, "Conflict", "the UID in the precondition does not match");
      if (before.metadata.deletionTimestamp !== undefined) return { ok: true, status: 200, object: before };
      const metadata = { ...before.metadata, deletionTimestamp: formatTime(Date.now()) };
      for (const name of [...owned.keys()])
        if (name.endsWith(` ${collection} ${key}`) && !before.metadata.finalizers?.length) owned.delete(name);
      return store(collection, before, { ...before, metadata });
    },
    get version() {
      return version;
    },
    get oldest() {
      return oldest;
    },
    since: (from) => history.filter((change) => change.version > from),
    compact() {
      history = [];
      oldest = version + 1;
      version = oldest;
    },
    onChange(handler) {
      handlers.add(handler);
      return () => handlers.delete(handler);
    },
  };
}

/** RFC 7396. */
function mergePatch(target: unknown, patch: unknown): unknown {
  if (!isFields(patch)) return patch;
  const merged: Fields = isFields(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete merged[name];
    else merged[name] = mergePatch(merged[name], value);
  }
  return merged;
}

function overlay(target: unknown, wish: unknown): unknown {
  if (!isFields(wish)) return wish;
  const merged: Fields = isFields(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(wish)) merged[name] = overlay(merged[name], value);
  return merged;
}

/** Removes what this manager asked for before, asks for no more, and nobody else asks for. */
function dropUnowned(live: Fields, previous: Fields, next: Fields, others: readonly Fields[]): Fields {
  const kept: Fields = { ...live };
  for (const [name, value] of Object.entries(previous)) {
    const wanted = next[name];
    const elsewhere = others.map((fields) => fields[name]).filter((field) => field !== undefined);
    if (isFields(value) && isFields(kept[name]))
      kept[name] = dropUnowned(kept[name], value, isFields(wanted) ? wanted : {}, elsewhere.filter(isFields));
    else if (wanted === undefined && elsewhere.length === 0) delete kept[name];
  }
  return kept;
}
