import { type ReconcileContext, type ReconcileResult, soonest } from "../platform/kube/controller.ts";
import type { EventRecorder } from "../platform/kube/events.ts";
import type { KubeFailure } from "../platform/kube/failures.ts";
import { isConditionTrue, isDeleting } from "../platform/kube/objects.ts";
import type { KubeLog, KubeMetrics } from "../platform/kube/ports.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import type { OperatorSettings } from "./api/settings.ts";
import { applyPlan, type Writer, writeFinalizer, writeStatus } from "./apply.ts";
import type { BrokerWatch } from "./brokers.ts";
import { forgetCell, kafkaBrokers } from "./build/cell.ts";
import type { Chance } from "./chance.ts";
import { desired } from "./desired.ts";
import { driftNotice } from "./drift.ts";
import { gatewayPublicKeys } from "./keys.ts";
import { leftoverOf, withoutLeaving } from "./leftover.ts";
import { noticesBetween } from "./notices.ts";
import { type Drains, observe } from "./observe.ts";
import type { Notice, Plan } from "./plan.ts";
import type { SecretMemory } from "./secret-memory.ts";
import { isSettled } from "./settled.ts";
import { withWriteFailures } from "./status-failures.ts";
import type { Stores } from "./stores.ts";

export interface ReconcileDeps {
  readonly settings: OperatorSettings;
  readonly stores: Stores;
  readonly writer: Writer;
  readonly events: EventRecorder;
  readonly drains: Drains;
  /** Looks at the centers' Kafka; without it nothing is said about one that goes away. */
  readonly brokers?: Pick<BrokerWatch, "of"> | undefined;
  readonly log: KubeLog;
  readonly metrics: KubeMetrics;
  readonly memory: SecretMemory;
  readonly nowMs: () => number;
  readonly chance: Chance;
}

/** For a local copy that lags behind our own writes: what it waits for wakes the center, and this is for when it does not. */
const LAG_MS = 250;
/** For the wake-up by the Secret of the region's gateways that never came. */
const KEY_WAIT_MS = 1000;
/** Watches wake a cell that is on its way; this is for the wake-up that never came. */
const SAFETY_MS = 60_000;
const MAX_TOLD = 4096;

/** One pass over one center: observe, decide, apply, report. */
export function createReconcile(deps: ReconcileDeps) {
  const { settings, stores, writer, log, memory } = deps;
  const corrections = deps.metrics.counter(
    "cell_drift_corrections_total",
    "Changes inside cells that somebody made by hand and the operator took back, by kind of object.",
    ["kind"],
  );
  let corrected = 0;
  const tell = createTeller(deps.events);

  return async (name: string, context: ReconcileContext): Promise<ReconcileResult> => {
    const { signal } = context;
    if (!writer.applier.caughtUp(name)) return { requeueAfterMs: LAG_MS };
    const fc = stores.centers.get(name);
    if (fc === undefined) {
      writer.applier.forget(name);
      memory.forget(name);
      forgetCell(name);
      return {};
    }
    // While nothing is acted on, a person may set what is to be taken for right.
    if (fc.spec.paused || isDeleting(fc)) memory.forget(name);
    // Made by the controller of routing tables, which this center has woken too; its Secret wakes the center.
    const keys = gatewayPublicKeys(stores, settings.namespace, fc.spec.region);
    if (keys === undefined) return { requeueAfterMs: KEY_WAIT_MS };
    const observed = await observe(stores, fc, keys, deps.chance, deps.drains, memory, kafkaOf(deps, fc));
    const wanted = desired(fc, observed, settings, deps.nowMs(), deps.chance.word);
    const left = await leftoverOf(writer.client, wanted.leaves, signal);
    if (!left.ok) return { retry: true };
    const plan = withoutLeaving(wanted, left.value);

    const { failures, drifts } = await applyPlan(writer, name, plan, observed, signal);
    for (const drift of drifts) {
      corrections.inc({ kind: drift.object.kind });
      const notice = driftNotice(drift, ++corrected);
      log.info({ center: name, by: drift.by, correction: notice.note }, "drift was corrected");
      tell(fc, notice);
    }
    const status = withWriteFailures(fc, plan.status, failures, deps.nowMs());
    for (const { object, failure } of failures)
      log.warn({ center: name, object, code: failure.code, error: failure.message }, "a write was refused");
    // A lease that lapsed is mostly had again a moment later, and by then nothing else may look at this center any more.
    if (failures.some(({ failure }) => failure.code === "notLeader" || failure.code === "aborted"))
      return { retry: true };
    const change = plan.finalizer === "remove" && failures.length > 0 ? "keep" : plan.finalizer;
    const problem = await writeCenter(writer, fc, { change, status }, signal);
    for (const notice of [...noticesBetween(fc.status, status), ...plan.notices]) tell(fc, notice);
    // What a copy has missed wakes nobody when it goes.
    const refused = failures.length > 0 || left.value.length > 0;
    return resultOf(plan, status, refused, problem, log, name);
  };
}

function kafkaOf({ brokers, settings }: ReconcileDeps, { spec }: FulfillmentCenter) {
  return brokers?.of(kafkaBrokers({ spec, settings }));
}

/** The finalizer and the status, each only on the center as this pass saw it. */
async function writeCenter(
  writer: Writer,
  fc: FulfillmentCenter,
  { change, status }: { readonly change: Plan["finalizer"]; readonly status: Plan["status"] },
  signal: AbortSignal,
): Promise<KubeFailure | undefined> {
  if (change === "keep") return writeStatus(writer, fc, status, signal);
  const written = await writeFinalizer(writer, fc, change, signal);
  if (!written.ok) return written;
  // One that was let go may be gone by now.
  return change === "remove"
    ? undefined
    : writeStatus(writer, { ...fc, metadata: written.value.metadata }, status, signal);
}

function resultOf(
  plan: Plan,
  status: Plan["status"],
  refused: boolean,
  problem: KubeFailure | undefined,
  log: KubeLog,
  center: string,
): ReconcileResult {
  if (problem !== undefined && problem.code !== "notFound") {
    log.debug({ center, code: problem.code, error: problem.message }, "the center was not written");
    return { retry: true };
  }
  if (refused) return { retry: true };
  const ready = isConditionTrue(status.conditions, "Ready");
  if (isSettled(status.conditions)) forgetCell(center);
  return soonest(plan.requeueAfterMs, ready ? undefined : SAFETY_MS);
}

/** Records each notice once; what was told is forgotten, oldest first, when there is too much of it. */
function createTeller(events: EventRecorder) {
  const told = new Set<string>();
  return (fc: FulfillmentCenter, notice: Notice) => {
    const key = `${fc.metadata.uid} ${notice.key}`;
    if (told.has(key)) return;
    told.add(key);
    if (told.size > MAX_TOLD) for (const oldest of [...told].slice(0, MAX_TOLD / 2)) told.delete(oldest);
    const { type, reason, action, note } = notice;
    events.record({ regarding: fc, type, reason, action, note });
  };
}
