import type { Applier } from "../platform/kube/applycache.ts";
import type { KubeClient } from "../platform/kube/client.ts";
import { isTemporary, type KubeFailure } from "../platform/kube/failures.ts";
import { type KubeObject, keyOf, type ResourceRef } from "../platform/kube/objects.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import type { FulfillmentCenterStatus } from "./api/fulfillment-center-status.ts";
import { API_VERSION, FINALIZER, FULFILLMENT_CENTER } from "./api/names.ts";
import { identity } from "./observed.ts";
import type { Plan } from "./plan.ts";
import type { Stores } from "./stores.ts";

export interface Writer {
  readonly client: KubeClient;
  readonly applier: Applier;
  readonly stores: Pick<Stores, "of">;
  readonly refOf: (object: Pick<KubeObject, "apiVersion" | "kind">) => ResourceRef;
}

export interface WriteFailure {
  /** Which object, for people. */
  readonly object: string;
  readonly failure: KubeFailure;
  /** Passes by itself: the pass is repeated and the status does not speak of it. */
  readonly temporary: boolean;
}

/** Made with create when absent: a copy that is not up to date must never overwrite a password or take over a namespace. */
const CREATED = new Set(["Namespace", "Secret"]);

/**
 * Writes what a plan wants, in its order. Stops at a failure that passes by itself, because later objects build on
 * earlier ones; goes on after one that does not, so that one refused object does not keep back the rest.
 */
export async function applyPlan(
  writer: Writer,
  owner: string,
  plan: Pick<Plan, "objects" | "prune">,
  signal: AbortSignal,
): Promise<WriteFailure[]> {
  const failures: WriteFailure[] = [];
  const steps: [KubeObject, () => Promise<KubeFailure | undefined>][] = [
    ...plan.objects.map(
      (object) =>
        [object, () => put(writer, owner, object, signal)] as [
          KubeObject,
          () => Promise<KubeFailure | undefined>,
        ],
    ),
    ...plan.prune.map(
      (object) =>
        [object, () => remove(writer, owner, object, signal)] as [
          KubeObject,
          () => Promise<KubeFailure | undefined>,
        ],
    ),
  ];
  for (const [object, write] of steps) {
    const failure = await write();
    if (failure === undefined) continue;
    const temporary = isPassing(failure);
    failures.push({ object: identity(object), failure, temporary });
    if (temporary || object.kind === "Namespace") break;
  }
  return failures;
}

async function put(
  writer: Writer,
  owner: string,
  object: KubeObject,
  signal: AbortSignal,
): Promise<KubeFailure | undefined> {
  const ref = writer.refOf(object);
  const absent = writer.stores.of(ref)?.get(keyOf(object)) === undefined;
  const result =
    absent && CREATED.has(object.kind)
      ? await writer.applier.create(object, { owner, signal })
      : await writer.applier.apply(object, { owner, signal, onlyIfUnchanged: object.kind === "Secret" });
  return result.ok ? undefined : result;
}

async function remove(
  writer: Writer,
  owner: string,
  object: KubeObject,
  signal: AbortSignal,
): Promise<KubeFailure | undefined> {
  const result = await writer.applier.remove(object, { owner, signal, propagation: "Background" });
  return result.ok ? undefined : result;
}

function isPassing(failure: KubeFailure): boolean {
  // alreadyExists and notFound mean that the local copy lags behind: the next pass sees better.
  return (
    isTemporary(failure) || ["alreadyExists", "notFound", "notLeader", "unauthorized"].includes(failure.code)
  );
}

/** Writes the status when it says something new. */
export async function applyStatus(
  writer: Writer,
  fc: FulfillmentCenter,
  status: FulfillmentCenterStatus,
  signal: AbortSignal,
): Promise<KubeFailure | undefined> {
  const { name, uid, resourceVersion } = fc.metadata;
  // A number is issued once: on a stale copy this write must be refused instead of replacing a newer one.
  const issues =
    status.epoch !== fc.status?.epoch ||
    status.fencedEpoch !== fc.status?.fencedEpoch ||
    status.credentials?.generation !== fc.status?.credentials?.generation;
  const result = await writer.applier.applyStatus(
    {
      apiVersion: API_VERSION,
      kind: FULFILLMENT_CENTER.kind,
      metadata: {
        name,
        ...(uid === undefined ? {} : { uid }),
        ...(issues && resourceVersion !== undefined ? { resourceVersion } : {}),
      },
      status,
    },
    { owner: name, signal },
  );
  return result.ok ? undefined : result;
}

/** Adds or removes our finalizer; refused with a conflict when the center has changed since it was read. */
export async function writeFinalizer(
  writer: Writer,
  fc: FulfillmentCenter,
  change: "add" | "remove",
  signal: AbortSignal,
): Promise<KubeFailure | undefined> {
  const others = (fc.metadata.finalizers ?? []).filter((finalizer) => finalizer !== FINALIZER);
  const { name, resourceVersion } = fc.metadata;
  const result = await writer.client.patch(
    FULFILLMENT_CENTER,
    { name },
    { metadata: { resourceVersion, finalizers: change === "add" ? [...others, FINALIZER] : others } },
    { signal },
  );
  return result.ok || (change === "remove" && result.code === "notFound") ? undefined : result;
}
