import { hash as digest } from "node:crypto";
import { canonicalJson } from "../canonical.ts";
import type { KubeClient } from "./client.ts";
import { isWithin } from "./differences.ts";
import type { KubeResult } from "./failures.ts";
import {
  compareVersions,
  type KubeObject,
  keyOf,
  onceFrozen,
  type ResourceRef,
  resourceName,
} from "./objects.ts";
import { additionsOf, type Claim, ownersOf, takenOver } from "./owners.ts";
import { handedOver, handOver, type Moved } from "./ownership.ts";
import { type KubeMetrics, type KubeTime, systemTime } from "./ports.ts";
import type { Store } from "./store.ts";

/** What an apply did: `unchanged` sent nothing; `applied` sent it, and `changed` says whether the object moved. */
export type ApplyOutcome =
  | { readonly kind: "unchanged"; readonly object: KubeObject }
  | {
      readonly kind: "applied";
      readonly changed: boolean;
      readonly object: KubeObject;
      /** The same wish had been written before: what this write corrected is another's doing. */
      readonly repeated: boolean;
      /** The copy before, when there was one. */
      readonly before: KubeObject | undefined;
      /** It was not there and was made. */
      readonly made: boolean;
    };

/**
 * Server-side apply that sends nothing when nothing would change, and remembers what was written until the
 * stores show it.
 */
export interface Applier {
  /**
   * Applies `object` unless the store's copy already is what the same desired object led to. `owner` is the
   * reconcile key that the write belongs to, for caughtUp. With `onlyIfUnchanged` it is refused as a conflict when the
   * object is not at the version that the store shows, and as `alreadyExists` when the store shows none: for what was
   * decided by looking at it.
   */
  apply(
    object: KubeObject,
    options: { owner: string; signal?: AbortSignal; force?: boolean; onlyIfUnchanged?: boolean },
  ): Promise<KubeResult<ApplyOutcome>>;
  /** Makes an object that must not exist yet, and remembers the write for caughtUp; `alreadyExists` when it does. */
  create(
    object: KubeObject,
    options: { owner: string; signal?: AbortSignal },
  ): Promise<KubeResult<KubeObject>>;
  /**
   * Writes `object.status`, unless the store shows an equal status already; `conflict` when the object is no longer at the version
   * that its metadata names.
   */
  writeStatus(
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
  /**
   * The client's field manager. When it is given, an object that the store does not show is made by create, which costs
   * the server a quarter less than an apply, and its fields are handed over before the first apply that wants
   * something else.
   */
  readonly manager?: string;
  /** Fields that others may not add; `manager` takes them away from them. */
  readonly claim?: Claim;
  readonly maxEntries?: number;
  readonly maxLagMs?: number;
  readonly time?: KubeTime;
}

interface Entry {
  /** What was desired when it was last applied. */
  readonly hash: string;
  /** The version that this led to; as long as the store shows it, nothing has changed since. */
  readonly version: string;
  readonly atMs: number;
  /** This process knows that our fields are held by applies alone. */
  readonly applied: boolean;
}

interface Written {
  readonly ref: ResourceRef;
  readonly key: string;
  /** Undefined for a deletion: caught up when the store shows the object as leaving, no more, or under another uid. */
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
    manager,
    claim,
    maxEntries = 200_000,
    maxLagMs = 5_000,
    time = systemTime,
  } = options;
  const entries = new Map<string, Entry>();
  const hashOfFrozen = onceFrozen(hashOf);
  const prints = new Map<string, { readonly print: string; readonly hash: string }>();
  const written = new Map<string, Map<string, Written>>();
  const applies = options.metrics.counter(
    "applier_applies_total",
    "Server-side applies, by what came of them.",
    ["resource", "outcome"],
  );

  const entryKey = (ref: ResourceRef, object: KubeObject, part: string) =>
    `${part} ${resourceName(ref)} ${keyOf(object)}`;

  function remember(
    key: string,
    hash: string,
    version = "",
    applied = entries.get(key)?.applied ?? false,
  ): void {
    // Forgetting costs one needless apply later, nothing else.
    if (entries.size >= maxEntries) entries.clear();
    entries.set(key, { hash, version, atMs: time.monotonicMs(), applied });
  }

  /**
   * True while a store's copy is from before our last write of the object. Not for ever: versions that stay behind
   * are those of a server whose data was restored, and then the copy is right.
   */
  function isBehind(live: KubeObject | undefined, entry: Entry | undefined): boolean {
    if (live === undefined || entry === undefined || time.monotonicMs() - entry.atMs > maxLagMs) return false;
    return (compareVersions(live.metadata.resourceVersion, entry.version) ?? 0) < 0;
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
    // The copy is from before our last write: that write is what the server has.
    if (isBehind(live, entry)) return entry?.hash === hash ? live : undefined;
    // Another writer moved the object, or this process is new: the fields themselves say whether that concerns us.
    if (hashAnnotation !== undefined && live.metadata.annotations?.[hashAnnotation] !== hash)
      return undefined;
    if (!isWithin(live, object)) return undefined;
    if (claim !== undefined && additionsOf(live, claim).length > 0) return undefined;
    remember(key, hash, live.metadata.resourceVersion);
    return live;
  }

  /** The hash of what is desired; text that was hashed for this object the last time is not sorted again. */
  function hashFor(key: string, object: object): string {
    if (Object.isFrozen(object)) return hashOfFrozen(object);
    const print = digest("sha1", JSON.stringify(object) ?? "", "base64url");
    const known = prints.get(key);
    if (known?.print === print) return known.hash;
    const canonical = hashOf(object);
    if (prints.size >= maxEntries) prints.clear();
    prints.set(key, { print, hash: canonical });
    return canonical;
  }

  const mark = (object: KubeObject, hash: string) =>
    hashAnnotation === undefined ? object : annotate(object, hashAnnotation, hash);

  async function createMarked(
    ref: ResourceRef,
    object: KubeObject,
    hash: string,
    { owner, signal }: { owner: string; signal?: AbortSignal },
  ): Promise<KubeResult<KubeObject>> {
    const result = await client.create(ref, mark(object, hash), signal ? { signal } : {});
    if (!result.ok) return result;
    const { resourceVersion } = result.value.metadata;
    remember(entryKey(ref, object, "main"), hash, resourceVersion, false);
    note(owner, ref, result.value, resourceVersion);
    applies.inc({ resource: resourceName(ref), outcome: "created" });
    return result;
  }

  /** What a create of ours holds would outlive an apply that no longer wants it. */
  function mustHandOver(before: KubeObject | undefined, hash: string, key: string): boolean {
    if (manager === undefined || entries.get(key)?.applied === true) return false;
    return hashAnnotation === undefined || before?.metadata.annotations?.[hashAnnotation] !== hash;
  }

  function wasWished(before: KubeObject | undefined, hash: string, entry: Entry | undefined): boolean {
    if (entry !== undefined) return entry.hash === hash;
    return hashAnnotation !== undefined && before?.metadata.annotations?.[hashAnnotation] === hash;
  }

  /** Makes ours what others added against the claim: the apply that follows drops it. */
  async function takeOver(
    ref: ResourceRef,
    live: KubeObject | undefined,
    signal: AbortSignal | undefined,
  ): Promise<KubeResult<Moved>> {
    const at = live?.metadata.resourceVersion;
    if (manager === undefined || claim === undefined || additionsOf(live, claim).length === 0 || !live)
      return { ok: true, value: { from: at, to: at } };
    const call = signal === undefined ? {} : { signal };
    // A patch that changes nothing answers the whole object; a local copy lacks most of its history.
    const whole = await client.patch(ref, live.metadata, {}, call);
    if (!whole.ok) return whole;
    const { resourceVersion } = whole.value.metadata;
    const held = ownersOf(whole.value);
    const managedFields = takenOver(whole.value, handedOver(held, manager) ?? held, manager, claim);
    const change = { metadata: { resourceVersion, managedFields } };
    const taken = await client.patch(ref, live.metadata, change, call);
    if (!taken.ok) return taken;
    return { ok: true, value: { from: resourceVersion, to: taken.value.metadata.resourceVersion } };
  }

  return {
    create: (object, options) => createMarked(refOf(object), object, hashOf(object), options),
    async apply(object, { owner, signal, force = true, onlyIfUnchanged = false }) {
      const ref = refOf(object);
      const key = entryKey(ref, object, "main");
      const hash = hashFor(key, object);
      const live = isAsDesired(ref, object, hash, key);
      if (live !== undefined) {
        applies.inc({ resource: resourceName(ref), outcome: "unchanged" });
        return { ok: true, value: { kind: "unchanged", object: live } };
      }
      const store = storeOf(ref);
      const before = store?.get(keyOf(object));
      const repeated = wasWished(before, hash, entries.get(key));
      if (manager !== undefined && store?.hasSynced() === true && before === undefined) {
        const made = await createMarked(ref, object, hash, signal ? { owner, signal } : { owner });
        if (made.ok) {
          const value = { changed: true, object: made.value, repeated, before, made: true };
          return { ok: true, value: { kind: "applied", ...value } };
        }
        if (made.code !== "alreadyExists" || onlyIfUnchanged) return made;
      }
      // Both below move the version; what somebody else wrote meanwhile does too, and must still be met.
      let seen = before?.metadata.resourceVersion;
      const taken = await takeOver(ref, before, signal);
      if (!taken.ok) return taken;
      if (taken.value.from === seen) seen = taken.value.to;
      if (manager !== undefined && mustHandOver(before, hash, key)) {
        const handed = await handOver(client, ref, object, { manager, signal });
        if (!handed.ok) return handed;
        if (handed.value.from === seen) seen = handed.value.to;
      }
      const marked = mark(object, hash);
      const condition = onlyIfUnchanged && seen !== undefined ? { ifVersion: seen } : {};
      const result = await client.apply(ref, marked, { force, ...condition, ...(signal ? { signal } : {}) });
      if (!result.ok) return result;
      const version = result.value.metadata.resourceVersion;
      remember(key, hash, version, mustHandOver(before, hash, key) || entries.get(key)?.applied === true);
      note(owner, ref, result.value, version);
      const changed = version !== before?.metadata.resourceVersion;
      applies.inc({ resource: resourceName(ref), outcome: changed ? "changed" : "same" });
      const made = before === undefined && store === undefined;
      return { ok: true, value: { kind: "applied", changed, object: result.value, repeated, before, made } };
    },
    async writeStatus(object, { owner, signal }) {
      const ref = refOf(object);
      const live = storeOf(ref)?.get(keyOf(object));
      const key = entryKey(ref, object, "status");
      const hash = hashOf(object.status);
      const entry = entries.get(key);
      const same = isBehind(live, entry) || entry?.version === live?.metadata.resourceVersion;
      // The server may store a status differently from how it was written (pruned fields): then the entry knows.
      if (live !== undefined && (same && entry ? entry.hash === hash : hashOf(live.status) === hash))
        return { ok: true, value: { kind: "unchanged", object: live } };
      const result = await client.updateStatus(ref, object, signal ? { signal } : {});
      if (!result.ok) return result;
      remember(key, hash, result.value.metadata.resourceVersion);
      note(owner, ref, result.value, result.value.metadata.resourceVersion);
      applies.inc({ resource: `${resourceName(ref)}/status`, outcome: "changed" });
      const value = { changed: true, object: result.value, repeated: false, before: live, made: false };
      return { ok: true, value: { kind: "applied", ...value } };
    },
    async remove(object, { owner, signal, propagation }) {
      const ref = refOf(object);
      const { name, namespace, uid } = object.metadata;
      const result = await client.remove(
        ref,
        { name, ...(namespace === undefined ? {} : { namespace }) },
        { ...(uid ? { uid } : {}), ...(propagation ? { propagation } : {}), ...(signal ? { signal } : {}) },
      );
      entries.delete(entryKey(ref, object, "main"));
      prints.delete(entryKey(ref, object, "main"));
      entries.delete(entryKey(ref, object, "status"));
      if (!result.ok && result.code !== "notFound") return result;
      note(owner, ref, object, undefined);
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
  // Gone although the store has come past the write: somebody deleted it right after, and that is the present.
  if (live === undefined)
    return (
      write.version === undefined || (compareVersions(store?.resourceVersion(), write.version) ?? -1) >= 0
    );
  if (write.uid !== undefined && live.metadata.uid !== write.uid) return true;
  if (write.version === undefined) return live.metadata.deletionTimestamp !== undefined;
  // A version that is no number cannot be compared: better a pass too many than one that never comes.
  return (compareVersions(live.metadata.resourceVersion, write.version) ?? 0) >= 0;
}

function annotate(object: KubeObject, name: string, value: string): KubeObject {
  const { metadata } = object;
  return { ...object, metadata: { ...metadata, annotations: { ...metadata.annotations, [name]: value } } };
}

function hashOf(object: unknown): string {
  return digest("sha256", canonicalJson(object), "base64url").slice(0, 22);
}
