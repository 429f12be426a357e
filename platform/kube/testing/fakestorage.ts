import { randomUUID } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import type { ApiStatus } from "../failures.ts";
import { formatTime, type KubeObject } from "../objects.ts";
import {
  applyFields,
  changedPaths,
  type FieldOwners,
  type Fields,
  leafPaths,
  managedFieldsOf,
  mergePatch,
  ownerName,
  ownersOf,
  takeFields,
} from "./fieldowners.ts";

/** One change, as a watch tells it; `previous` is the object before. */
export interface FakeChange {
  readonly type: "ADDED" | "MODIFIED" | "DELETED";
  readonly version: number;
  readonly collection: string;
  readonly object: KubeObject;
  readonly previous: KubeObject | undefined;
}

export type FakeAnswer =
  | { readonly ok: true; readonly status: number; readonly object: KubeObject }
  | { readonly ok: false; readonly status: number; readonly body: ApiStatus };

type Part = "main" | "status";

/** The state of a fake API server: objects, their versions, who owns which field, and the history that watches read. */
export interface FakeStorage {
  get(collection: string, key: string): KubeObject | undefined;
  list(collection: string): KubeObject[];
  /** As it was at a version, which must not be older than `oldest`. */
  listAt(collection: string, version: number): KubeObject[];
  collections(): string[];
  create(collection: string, object: KubeObject, manager?: string): FakeAnswer;
  update(collection: string, object: KubeObject, part: Part, manager?: string): FakeAnswer;
  merge(
    collection: string,
    key: string,
    patch: Record<string, unknown>,
    part: Part,
    manager?: string,
  ): FakeAnswer;
  apply(collection: string, object: KubeObject, manager: string, force?: boolean): FakeAnswer;
  remove(collection: string, key: string, uid: string | undefined): FakeAnswer;
  /** Sets the whole status without asking whose fields they are, as the cluster's own controllers do. */
  report(collection: string, key: string, status: unknown): void;
  /** Whose fields an object's are, as its managedFields show it. */
  managedFields(collection: string, key: string): unknown[];
  /** Takes an object away that only lingered. */
  erase(collection: string, key: string): void;
  readonly version: number;
  /** Oldest version from which a watch may start. */
  readonly oldest: number;
  /** Changes after a version. */
  since(version: number): FakeChange[];
  /** Forgets the history: watches and pages of older versions are refused with 410. */
  compact(): void;
  onChange(handler: (change: FakeChange) => void): () => void;
  /** Everything it holds, to begin another storage with. */
  snapshot(): FakeSnapshot;
}

export interface FakeSnapshot {
  readonly version: number;
  readonly collections: ReadonlyMap<string, ReadonlyMap<string, KubeObject>>;
  readonly owners: ReadonlyMap<string, FieldOwners>;
}

export interface FakeStorageOptions {
  readonly nowMs?: () => number;
  readonly uid?: () => string;
  /** What there is at the beginning; default nothing. */
  readonly from?: FakeSnapshot;
  /** Completes a new object, or refuses a write; `before` is absent for a creation. */
  readonly admit?: (
    storage: FakeStorage,
    collection: string,
    object: KubeObject,
    before: KubeObject | undefined,
  ) => KubeObject | FakeAnswer;
  /** True for an object whose deletion somebody has to complete with `erase`. */
  readonly lingers?: (collection: string, object: KubeObject) => boolean;
}

const keyOf = (object: KubeObject) => `${object.metadata.namespace ?? ""}/${object.metadata.name}`;

/** A refusal as the API server words it. */
export function refuse(status: number, reason: string, message: string): FakeAnswer {
  return { ok: false, status, body: { kind: "Status", code: status, reason, message } };
}

const isAnswer = (value: KubeObject | FakeAnswer): value is FakeAnswer => "ok" in value;
const NOT_FOUND = refuse(404, "NotFound", "not found");

/** Makes a storage. Lists are atomic for apply, which is what our own kinds declare. */
export function createFakeStorage(options: FakeStorageOptions = {}): FakeStorage {
  const { nowMs = Date.now, uid: newUid = randomUUID, from } = options;
  const collections = new Map([...(from?.collections ?? [])].map(([name, all]) => [name, new Map(all)]));
  const owners = new Map<string, FieldOwners>(from?.owners);
  const handlers = new Set<(change: FakeChange) => void>();
  let history: FakeChange[] = [];
  let base: FakeSnapshot["collections"] = from?.collections ?? new Map();
  let version = from?.version ?? 100;
  let oldest = version;
  const objectsOf = (collection: string) => {
    const found = collections.get(collection) ?? new Map<string, KubeObject>();
    collections.set(collection, found);
    return found;
  };
  const ownersKey = (collection: string, object: KubeObject) => `${collection} ${keyOf(object)}`;
  const sorted = (objects: Iterable<KubeObject>) =>
    [...objects].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));

  function tell(type: FakeChange["type"], collection: string, object: KubeObject, previous?: KubeObject) {
    const change = { type, version, collection, object, previous };
    history.push(change);
    for (const handler of handlers) handler(change);
  }

  function erase(collection: string, before: KubeObject): KubeObject {
    const object = { ...before, metadata: { ...before.metadata, resourceVersion: String(++version) } };
    objectsOf(collection).delete(keyOf(before));
    owners.delete(ownersKey(collection, before));
    tell("DELETED", collection, object, before);
    return object;
  }

  function store(
    collection: string,
    before: KubeObject | undefined,
    next: KubeObject,
    own: (after: KubeObject) => FieldOwners,
  ): FakeAnswer {
    const admitted = options.admit?.(storage, collection, next, before) ?? next;
    if (isAnswer(admitted)) return admitted;
    const { resourceVersion: _version, ...metadata } = admitted.metadata;
    if (before !== undefined) {
      const { resourceVersion: _before, ...old } = before.metadata;
      if (isDeepStrictEqual({ ...admitted, metadata }, { ...before, metadata: old })) {
        owners.set(ownersKey(collection, before), own(before));
        return { ok: true, status: 200, object: before };
      }
    }
    const leaving = metadata.deletionTimestamp !== before?.metadata.deletionTimestamp;
    const changed = before === undefined || leaving || !isDeepStrictEqual(admitted.spec, before.spec);
    const object: KubeObject = {
      ...admitted,
      metadata: {
        ...metadata,
        generation: (before?.metadata.generation ?? 0) + (changed ? 1 : 0),
        resourceVersion: String(version + 1),
      },
    };
    const isGone =
      object.metadata.deletionTimestamp !== undefined &&
      !object.metadata.finalizers?.length &&
      options.lingers?.(collection, object) !== true;
    if (isGone) return { ok: true, status: 200, object: erase(collection, object) };
    version++;
    objectsOf(collection).set(keyOf(object), object);
    owners.set(ownersKey(collection, object), own(object));
    tell(before === undefined ? "ADDED" : "MODIFIED", collection, object, before);
    return { ok: true, status: before === undefined ? 201 : 200, object };
  }

  /** As a new object: what only the server may set is set, a status is dropped where it has its own door. */
  function born(object: KubeObject): KubeObject {
    const metadata = {
      ...object.metadata,
      uid: newUid(),
      creationTimestamp: formatTime(nowMs()),
      managedFields: [{ manager: "someone", operation: "Apply" }],
    };
    return { ...object, metadata };
  }

  function put(
    collection: string,
    before: KubeObject | undefined,
    next: KubeObject,
    part: Part,
    own: (after: KubeObject) => FieldOwners,
  ): FakeAnswer {
    if (before === undefined) return NOT_FOUND;
    const wanted = next.metadata;
    if (wanted.uid !== undefined && wanted.uid !== before.metadata.uid)
      return refuse(409, "Conflict", "uid mismatch");
    if (wanted.resourceVersion !== undefined && wanted.resourceVersion !== before.metadata.resourceVersion)
      return refuse(409, "Conflict", "the object has been modified");
    if (part === "status") return store(collection, before, { ...before, status: next.status }, own);
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
    return store(collection, before, { ...rest, ...status, metadata }, own);
  }

  /** Ownership after a plain write. */
  const taken =
    (collection: string, before: KubeObject | undefined, manager: string) => (after: KubeObject) => {
      const changed = changedPaths(before === undefined ? {} : saidBy(before), saidBy(after));
      const known = owners.get(ownersKey(collection, after)) ?? new Map();
      return takeFields(known, ownerName("Update", undefined, manager), changed, saidBy(after));
    };

  const storage: FakeStorage = {
    get: (collection, key) => objectsOf(collection).get(key),
    list: (collection) => sorted(objectsOf(collection).values()),
    listAt(collection, at) {
      const objects = new Map(base.get(collection));
      for (const change of history) {
        if (change.version > at) break;
        if (change.collection !== collection) continue;
        if (change.type === "DELETED") objects.delete(keyOf(change.object));
        else objects.set(keyOf(change.object), change.object);
      }
      return sorted(objects.values());
    },
    collections: () => [...collections.keys()].sort(),
    create(collection, object, manager = "unknown") {
      if (objectsOf(collection).has(keyOf(object)))
        return refuse(409, "AlreadyExists", `${object.kind} "${object.metadata.name}" already exists`);
      // What the server adds (a Service's address) belongs to nobody.
      const own = new Map([[ownerName("Update", undefined, manager), leafPaths(saidBy(object))]]);
      return store(collection, undefined, born(object), () => own);
    },
    update(collection, object, part, manager = "unknown") {
      const before = objectsOf(collection).get(keyOf(object));
      if (before !== undefined && part === "status" && object.metadata.resourceVersion === undefined)
        return refuse(422, "Invalid", "metadata.resourceVersion: must be specified for an update");
      return put(collection, before, object, part, taken(collection, before, manager));
    },
    merge(collection, key, patch, part, manager = "unknown") {
      const before = objectsOf(collection).get(key);
      if (before === undefined) return NOT_FOUND;
      const { resourceVersion: _version, ...metadata } = before.metadata;
      const next = mergePatch({ ...before, metadata }, patch) as KubeObject;
      const { managedFields } = (patch.metadata ?? {}) as { managedFields?: unknown[] };
      const own =
        managedFields === undefined ? taken(collection, before, manager) : () => ownersOf(managedFields);
      return put(collection, before, next, part, own);
    },
    apply(collection, object, manager, force = true) {
      const before = objectsOf(collection).get(keyOf(object));
      const { uid, resourceVersion } = object.metadata;
      // A version alone is no condition for an object that is not there: the API server makes it.
      if (before === undefined && uid !== undefined)
        return refuse(409, "Conflict", "uid mismatch: no such object");
      const who = ownerName("Apply", "main", manager);
      const wish = saidBy(object);
      if (before === undefined)
        return store(collection, undefined, born(object), () => new Map([[who, leafPaths(wish)]]));
      const known = owners.get(ownersKey(collection, before)) ?? new Map();
      const { resourceVersion: _version, ...metadata } = before.metadata;
      const applied = applyFields({ ...before, metadata }, known, who, wish);
      if (applied.conflicts.length > 0 && !force)
        return refuse(409, "Conflict", `Apply failed with conflicts: ${applied.conflicts.join(", ")}`);
      const next = applied.object as unknown as KubeObject;
      const conditions = {
        ...(uid === undefined ? {} : { uid }),
        ...(resourceVersion === undefined ? {} : { resourceVersion }),
      };
      return put(
        collection,
        before,
        { ...next, metadata: { ...next.metadata, ...conditions } },
        "main",
        () => applied.owners,
      );
    },
    remove(collection, key, uid) {
      const before = objectsOf(collection).get(key);
      if (before === undefined) return NOT_FOUND;
      if (uid !== undefined && uid !== before.metadata.uid)
        return refuse(409, "Conflict", "the UID in the precondition does not match");
      if (before.metadata.deletionTimestamp !== undefined) return { ok: true, status: 200, object: before };
      const metadata = { ...before.metadata, deletionTimestamp: formatTime(nowMs()) };
      return store(
        collection,
        before,
        { ...before, metadata },
        (after) => owners.get(ownersKey(collection, after)) ?? new Map(),
      );
    },
    report(collection, key, status) {
      const before = objectsOf(collection).get(key);
      if (before === undefined) return;
      const known = owners.get(ownersKey(collection, before)) ?? new Map();
      store(collection, before, { ...before, status }, () => known);
    },
    managedFields: (collection, key) => managedFieldsOf(owners.get(`${collection} ${key}`) ?? new Map()),
    erase(collection, key) {
      const before = objectsOf(collection).get(key);
      if (before !== undefined) erase(collection, before);
    },
    get version() {
      return version;
    },
    get oldest() {
      return oldest;
    },
    since: (after) => history.filter((change) => change.version > after),
    compact() {
      history = [];
      oldest = version + 1;
      version = oldest;
      base = new Map([...collections].map(([name, all]) => [name, new Map(all)]));
    },
    onChange(handler) {
      handlers.add(handler);
      return () => handlers.delete(handler);
    },
    snapshot: () => ({
      version,
      collections: new Map([...collections].map(([name, all]) => [name, new Map(all)])),
      owners: new Map(owners),
    }),
  };
  return storage;
}

/** What a writer says of an object apart from which one it is: the fields that have owners. */
function saidBy(object: KubeObject): Fields {
  const { apiVersion: _apiVersion, kind: _kind, status: _status, metadata, ...rest } = object;
  const { labels, annotations, finalizers, ownerReferences } = metadata;
  const said = { labels, annotations, finalizers, ownerReferences };
  const known = Object.fromEntries(Object.entries(said).filter(([, value]) => value !== undefined));
  return { ...rest, ...(Object.keys(known).length === 0 ? {} : { metadata: known }) };
}
