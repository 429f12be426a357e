import type { Applier } from "../platform/kube/applycache.ts";
import type { KubeClient } from "../platform/kube/client.ts";
import { isTemporary, type KubeFailure } from "../platform/kube/failures.ts";
import type { KubeObject, ResourceRef } from "../platform/kube/objects.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import type { FulfillmentCenterStatus } from "./api/fulfillment-center-status.ts";
import { API_VERSION, FINALIZER, FULFILLMENT_CENTER } from "./api/names.ts";
import { identity, type Observed } from "./observed.ts";
import type { Plan } from "./plan.ts";

export interface Writer {
  readonly client: KubeClient;
  readonly applier: Applier;
  readonly refOf: (object: Pick<KubeObject, "apiVersion" | "kind">) => ResourceRef;
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
): Promise<WriteFailure[]> {
  const seen = new Set(
    [...observed.objects, observed.namespace].flatMap((one) => (one ? [identity(one)] : [])),
  );
  const failures: WriteFailure[] = [];
  const steps: [KubeObject, () => Promise<KubeFailure | undefined>][] = [
    ...plan.objects.map(
      (object) =>
        [object, () => put(writer, owner, object, seen, signal)] as [
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
  seen: ReadonlySet<string>,
  signal: AbortSignal,
): Promise<KubeFailure | undefined> {
  const result =
    CREATED.has(object.kind) && !seen.has(identity(object))
      ? await writer.applier.create(object, { owner, signal })
      : await writer.applier.apply(object, { owner, signal });
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
  const issues = status.epoch !== fc.status?.epoch || status.fencedEpoch !== fc.status?.fencedEpoch;
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
