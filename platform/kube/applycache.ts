import { createHash } from "node:crypto";
import type { KubeClient } from "./client.ts";
import type { KubeResult } from "./failures.ts";
import { compareVersions, type KubeObject, keyOf, type ResourceRef, resourceName } from "./objects.ts";
import { type KubeMetrics, type KubeTime, systemTime } from "./ports.ts";
import type { Store } from "./store.ts";

/** What an apply did: `unchanged` sent nothing; `applied` sent it, and `changed` says whether the object moved. */
export type ApplyOutcome =
  | { readonly kind: "unchanged"; readonly object: KubeObject }
  | { readonly kind: "applied"; readonly changed: boolean; readonly object: KubeObject };

/**
 * Server-side apply that sends nothing when nothing would change, and remembers what was written until the
 * stores show it.
 */
export interface Applier {
  /**
   * Applies `object` unless the store's copy already is what the same desired object led to. `owner` is the
   * reconcile key that the write belongs to, for caughtUp.
   */
  apply(
    object: KubeObject,
    options: { owner: string; signal?: AbortSignal; force?: boolean },
  ): Promise<KubeResult<ApplyOutcome>>;
  /** Applies `object.status` on the status subresource, unless the store shows an equal status already. */
  applyStatus(
    object: KubeObject,
    options: { owner: string; signal?: AbortSignal },
  ): Promise<KubeResult<ApplyOutcome>>;
  /** Deletes by uid and forgets the object; an object already gone is success. */
  remove(
    object: KubeObject,
    options: { owner: string; signal?: AbortSignal; propagation?: "Background" | "Foreground" | "Orphan" },
  ): Promise<KubeResult<undefined>>;
  /**
   * False while a store still lags behind this owner's own writes (at most `maxLagMs`, default 5 s: then it
   * fails open). A reconcile that starts before that would act on the past.
   */
  caughtUp(owner: string): boolean;
  /** Drops everything known about an owner. */
  forget(owner: string): void;
}

export interface ApplierOptions {
  readonly client: KubeClient;
  readonly refOf: (object: Pick<KubeObject, "apiVersion" | "kind">) => ResourceRef;
  /** The store that follows this kind, when there is one. */
  readonly storeOf: (ref: ResourceRef) => Store<KubeObject> | undefined;
  readonly metrics: KubeMetrics;
  /**
   * Annotation that carries the hash of the desired object. With it a restarted process knows, without writing,
   * that an object is as desired.
   */
  readonly hashAnnotation?: string;
  readonly maxEntries?: number;
  readonly maxLagMs?: number;
  readonly time?: KubeTime;
}

interface Entry {
  /** What was desired when it was last applied. */
  readonly hash: string;
  /** The version that this led to; as long as the store shows it, nothing has changed since. */
  readonly version: string;
}

interface Written {
  readonly ref: ResourceRef;
  readonly key: string;
  /** Undefined for a deletion: caught up when the store has the object no more, or under another uid. */
  readonly version: string | undefined;
  readonly uid: string | undefined;
  readonly atMs: number;
}

const MAX_WRITTEN_PER_OWNER = 500;

/** Makes an applier over one client and the stores that show what it wrote. */
export function createApplier(options: ApplierOptions): Applier {
  const {
    client,
    refOf,
    storeOf,
    hashAnnotation,
    maxEntries = 200_000,
    maxLagMs = 5_000,
    time = systemTime,
  } = options;
  const entries = new Map<string, Entry>();
  const written = new Map<string, Map<string, Written>>();
  const applies = options.metrics.counter(
    "applier_applies_total",
    "Server-side applies, by what came of them.",
    ["resource", "outcome"],
  );

  const entryKey = (ref: ResourceRef, object: KubeObject, part: string) =>
    `${part} ${resourceName(ref)} ${keyOf(object)}`;

  function remember(key: string, entry: Entry): void {
    // Forgetting costs one needless apply later, nothing else.
    if (entries.size >= maxEntries) entries.clear();
    entries.set(key, entry);
  }

  function note(owner: string, ref: ResourceRef, object: KubeObject, version: string | undefined): void {
    if (storeOf(ref) === undefined) return;
    const own = written.get(owner) ?? new Map<string, Written>();
    if (own.size >= MAX_WRITTEN_PER_OWNER) own.clear();
    const key = keyOf(object);
    own.set(`${resourceName(ref)} ${key}`, {
      ref,
      key,
      version,
      uid: object.metadata.uid,
      atMs: time.monotonicMs(),
    });
    written.set(owner, own);
  }

  /** True when the store's copy is what the same desired object led to. */
  function isAsDesired(
    ref: ResourceRef,
    object: KubeObject,
    hash: string,
    key: string,
  ): KubeObject | undefined {
    const live = storeOf(ref)?.get(keyOf(object));
    if (live === undefined || live.metadata.deletionTimestamp !== undefined) return undefined;
    const entry = entries.get(key);
    if (entry?.hash === hash && entry.version === live.metadata.resourceVersion) return live;
    // Another writer moved the object, or this process is new: the fields themselves say whether that concerns us.
    if (hashAnnotation !== undefined && live.metadata.annotations?.[hashAnnotation] !== hash)
      return undefined;
    if (!covers(live, object)) return undefined;
    remember(key, { hash, version: live.metadata.resourceVersion ?? "" });
    return live;
  }

  return {
    async apply(object, { owner, signal, force = true }) {
      const ref = refOf(object);
      const hash = hashOf(object);
      const key = entryKey(ref, object, "main");
      const live = isAsDesired(ref, object, hash, key);
      if (live !== undefined) {
        applies.inc({ resource: resourceName(ref), outcome: "unchanged" });
        return { ok: true, value: { kind: "unchanged", object: live } };
      }
      const marked = hashAnnotation === undefined ? object : annotate(object, hashAnnotation, hash);
      const before = storeOf(ref)?.get(keyOf(object))?.metadata.resourceVersion;
      const result = await client.apply(ref, marked, { force, ...(signal ? { signal } : {}) });
      if (!result.ok) return result;
      const version = result.value.metadata.resourceVersion ?? "";
      remember(key, { hash, version });
      note(owner, ref, result.value, version);
      const changed = version !== before;
      applies.inc({ resource: resourceName(ref), outcome: changed ? "changed" : "same" });
      return { ok: true, value: { kind: "applied", changed, object: result.value } };
    },
    async applyStatus(object, { owner, signal }) {
      const ref = refOf(object);
      const live = storeOf(ref)?.get(keyOf(object));
      if (live !== undefined && canonical(live.status) === canonical(object.status))
        return { ok: true, value: { kind: "unchanged", object: live } };
      const result = await client.applyStatus(ref, object, signal ? { signal } : {});
      if (!result.ok) return result;
      note(owner, ref, result.value, result.value.metadata.resourceVersion ?? "");
      applies.inc({ resource: `${resourceName(ref)}/status`, outcome: "changed" });
      return { ok: true, value: { kind: "applied", changed: true, object: result.value } };
    },
    async remove(object, { signal, propagation }) {
      const ref = refOf(object);
      const { name, namespace, uid } = object.metadata;
      const result = await client.remove(
        ref,
        { name, ...(namespace === undefined ? {} : { namespace }) },
        { ...(uid ? { uid } : {}), ...(propagation ? { propagation } : {}), ...(signal ? { signal } : {}) },
      );
      entries.delete(entryKey(ref, object, "main"));
      if (!result.ok && result.code !== "notFound") return result;
      return { ok: true, value: undefined };
    },
    caughtUp(owner) {
      const own = written.get(owner);
      if (own === undefined) return true;
      for (const [name, write] of own) {
        if (!isShown(write, storeOf(write.ref)) && time.monotonicMs() - write.atMs < maxLagMs) return false;
        own.delete(name);
      }
      written.delete(owner);
      return true;
    },
    forget: (owner) => void written.delete(owner),
  };
}

function isShown(write: Written, store: Store<KubeObject> | undefined): boolean {
  const live = store?.get(write.key);
  if (live === undefined || write.version === undefined)
    return live === undefined && write.version === undefined;
  if (write.uid !== undefined && live.metadata.uid !== write.uid) return true;
  // A version that is no number cannot be compared: better a pass too many than one that never comes.
  return (compareVersions(live.metadata.resourceVersion, write.version) ?? 0) >= 0;
}

/** Whether every field of `desired` is in `live` with the same value. Lists must be as long; what the server defaulted beside is its own. */
function covers(live: unknown, desired: unknown): boolean {
  if (desired === undefined) return true;
  if (Array.isArray(desired))
    return (
      Array.isArray(live) &&
      live.length === desired.length &&
      desired.every((item, index) => covers(live[index], item))
    );
  if (typeof desired === "object" && desired !== null) {
    if (typeof live !== "object" || live === null)
      return Object.keys(desired).length === 0 && live === undefined;
    return Object.entries(desired).every(([name, value]) =>
      covers((live as Record<string, unknown>)[name], value),
    );
  }
  return live === desired;
}

function annotate(object: KubeObject, name: string, value: string): KubeObject {
  const { metadata } = object;
  return { ...object, metadata: { ...metadata, annotations: { ...metadata.annotations, [name]: value } } };
}

function hashOf(object: KubeObject): string {
  return createHash("sha256").update(canonical(object)).digest("base64url").slice(0, 22);
}

/** JSON with sorted keys: equal objects give equal text. */
function canonical(value: unknown): string {
  return (
    JSON.stringify(value, (_name, inner: unknown) =>
      typeof inner === "object" && inner !== null && !Array.isArray(inner)
        ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
        : inner,
    ) ?? "undefined"
  );
}
