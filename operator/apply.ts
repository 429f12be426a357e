import type { Applier } from "../platform/kube/applycache.ts";
import type { KubeClient } from "../platform/kube/client.ts";
import { isTemporary, type KubeFailure, type KubeResult } from "../platform/kube/failures.ts";
import { KINDS } from "../platform/kube/kinds.ts";
import { type KubeObject, keyOf, type ResourceRef } from "../platform/kube/objects.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import type { FulfillmentCenterStatus } from "./api/fulfillment-center-status.ts";
import { API_VERSION, FINALIZER, FULFILLMENT_CENTER } from "./api/names.ts";
import { type Drift, driftOf } from "./drift.ts";
import { holdsOf } from "./hold.ts";
import { identity, type Observed } from "./observed.ts";
import type { Plan } from "./plan.ts";
import type { SecretMemory } from "./secret-memory.ts";
import type { Stores } from "./stores.ts";

export interface Writer {
  readonly client: KubeClient;
  readonly applier: Applier;
  readonly stores: Pick<Stores, "of">;
  readonly memory: Pick<SecretMemory, "knows" | "remember">;
  readonly refOf: (object: Pick<KubeObject, "apiVersion" | "kind">) => ResourceRef;
  readonly nowMs: () => number;
}

export interface WriteFailure {
  /** Which object, for people. */
  readonly object: string;
  readonly failure: KubeFailure;
  /** Passes by itself: the pass is repeated and the status does not speak of it. */
  readonly temporary: boolean;
}

/**
 * Made with create when the pass saw none: it drew a password for it, which must never replace one that is there. What
 * counts is what the pass saw when it began, not what the copy shows by now.
 */
const CREATED = new Set(["Namespace", "Secret"]);

export interface Applied {
  readonly failures: readonly WriteFailure[];
  /** What somebody had changed and is as it should be again. */
  readonly drifts: readonly Drift[];
}

/** What one write came to. */
interface Put {
  readonly failure?: KubeFailure;
  readonly drift?: Drift | undefined;
}

/**
 * Writes what a plan wants, in its order. Stops at a failure that passes by itself, because later objects build on
 * earlier ones; goes on after one that does not, so that one refused object does not keep back the rest.
 */
export async function applyPlan(
  writer: Writer,
  owner: string,
  plan: Pick<Plan, "objects" | "prune">,
  observed: Pick<Observed, "namespace" | "objects">,
  signal: AbortSignal,
): Promise<Applied> {
  const seen = new Set(
    [...observed.objects, observed.namespace].flatMap((one) => (one ? [identity(one)] : [])),
  );
  const failures: WriteFailure[] = [];
  const drifts: Drift[] = [];
  const steps = [
    ...plan.objects.map((object) => ({ object, write: () => put(writer, owner, object, seen, signal) })),
    ...plan.prune.map((object) => ({ object, write: () => remove(writer, owner, object, signal) })),
  ];
  for (const { object, write } of steps) {
    const { failure, drift } = await write();
    if (drift !== undefined) drifts.push(drift);
    if (failure === undefined) continue;
    const temporary = isPassing(failure);
    failures.push({ object: identity(object), failure, temporary });
    if (temporary || object.kind === "Namespace") break;
  }
  return { failures, drifts };
}

async function put(
  writer: Writer,
  owner: string,
  object: KubeObject,
  seen: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<Put> {
  const ref = writer.refOf(object);
  const live = writer.stores.of(ref)?.get(keyOf(object));
  if (CREATED.has(object.kind) && (live === undefined || !seen.has(identity(object))))
    return create(writer, owner, object, signal);
  // Somebody may have taken hold of it since the pass began.
  if (live !== undefined && holdsOf([live], writer.nowMs()).held.size > 0) return {};
  const onlyIfUnchanged = object.kind === "Secret";
  const result = await writer.applier.apply(object, { owner, signal, onlyIfUnchanged });
  if (!result.ok) return { failure: result };
  remember(writer, owner, object);
  const { value } = result;
  return value.kind === "applied" && value.changed && value.repeated ? { drift: driftOf(object, value) } : {};
}

async function create(writer: Writer, owner: string, object: KubeObject, signal: AbortSignal): Promise<Put> {
  const ref = writer.refOf(object);
  const known = object.kind === "Secret" && writer.memory.knows(owner, object);
  const result = await writer.applier.create(object, { owner, signal });
  if (result.ok) {
    remember(writer, owner, object);
    return known ? { drift: { object, what: "deleted", fields: [] } } : {};
  }
  if (result.code !== "alreadyExists" || !known) return { failure: result };
  // It is there and is not seen: somebody took the label off that it is followed by. Nothing but labels is written,
  // because what it holds may be newer than what is known here.
  const { labels } = object.metadata;
  const marked = await writer.client.patch(ref, object.metadata, { metadata: { labels } }, { signal });
  return marked.ok
    ? { failure: result, drift: { object, what: "changed", fields: ["metadata.labels"] } }
    : { failure: marked };
}

function remember(writer: Writer, owner: string, object: KubeObject): void {
  if (object.kind !== "Secret") return;
  const namespace = writer.stores.of(KINDS.namespace)?.get(object.metadata.namespace ?? "");
  writer.memory.remember(namespace?.metadata.uid, owner, object);
}

async function remove(writer: Writer, owner: string, object: KubeObject, signal: AbortSignal): Promise<Put> {
  const result = await writer.applier.remove(object, { owner, signal, propagation: "Background" });
  return result.ok ? {} : { failure: result };
}

function isPassing(failure: KubeFailure): boolean {
  // alreadyExists and notFound mean that the local copy lags behind: the next pass sees better.
  return (
    isTemporary(failure) || ["alreadyExists", "notFound", "notLeader", "unauthorized"].includes(failure.code)
  );
}

/** Writes the status when it says something new; refused with a conflict when the center has changed since it was read. */
export async function writeStatus(
  writer: Writer,
  fc: FulfillmentCenter,
  status: FulfillmentCenterStatus,
  signal: AbortSignal,
): Promise<KubeFailure | undefined> {
  const { metadata } = fc;
  const result = await writer.applier.writeStatus(
    // A number is issued once: on a stale copy, whose version is another, the write is refused.
    { apiVersion: API_VERSION, kind: FULFILLMENT_CENTER.kind, metadata, status },
    { owner: metadata.name, signal },
  );
  return result.ok ? undefined : result;
}

/**
 * Adds or removes our finalizer; refused with a conflict when the center has changed since it was read. Returns the center
 * as it is then; one that is gone is success for a removal.
 */
export async function writeFinalizer(
  writer: Writer,
  fc: FulfillmentCenter,
  change: "add" | "remove",
  signal: AbortSignal,
): Promise<KubeResult<FulfillmentCenter>> {
  const others = (fc.metadata.finalizers ?? []).filter((finalizer) => finalizer !== FINALIZER);
  const { name, resourceVersion } = fc.metadata;
  const result = await writer.client.patch<FulfillmentCenter>(
    FULFILLMENT_CENTER,
    { name },
    { metadata: { resourceVersion, finalizers: change === "add" ? [...others, FINALIZER] : others } },
    { signal },
  );
  return change === "remove" && !result.ok && result.code === "notFound" ? { ok: true, value: fc } : result;
}
