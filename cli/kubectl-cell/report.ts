import type { FulfillmentCenter } from "../../operator/api/fulfillment-center.ts";
import { cellNamespace } from "../../operator/api/names.ts";
import type { RoutingTable } from "../../operator/api/routing-table.ts";
import { type Condition, findCondition, type KubeObject } from "../../platform/kube/objects.ts";
import { type NextStep, nextStep } from "./next-step.ts";

/** One step towards a serving cell. */
export interface StepReport {
  readonly name: string;
  readonly state: "done" | "waiting" | "unknown";
  readonly message: string;
}

export interface EventReport {
  readonly time: string;
  readonly type: string;
  readonly reason: string;
  readonly object: string;
  readonly note: string;
}

/** How one center does, for people and programs alike. */
export interface CenterReport {
  readonly name: string;
  readonly phase: string;
  readonly mode: string;
  readonly paused: boolean;
  readonly region: string;
  readonly namespace: string;
  readonly created: string | undefined;
  /** False while the operator has not looked at the present spec. */
  readonly current: boolean;
  readonly summary: string;
  readonly steps: readonly StepReport[];
  /** Conditions that are no steps and say something: Degraded, Draining, Stalled and their like when True. */
  readonly remarks: readonly { readonly type: string; readonly reason: string; readonly message: string }[];
  readonly services: readonly { readonly name: string; readonly ready: number; readonly replicas: number }[];
  readonly database: {
    readonly engine: string;
    readonly storage: string;
    readonly external: string | undefined;
  };
  readonly release: { readonly current: string | undefined; readonly previous: string | undefined };
  readonly epoch: { readonly current: number | undefined; readonly fenced: number | undefined };
  /** The cell's entry in the routing table; undefined when it has none or the table may not be read. */
  readonly routing: { readonly mode: string; readonly weight: number; readonly version: number } | undefined;
  readonly blockers: readonly { readonly kind: string; readonly name: string; readonly reason: string }[];
  readonly events: readonly EventReport[];
  readonly next: NextStep;
}

/** Steps in the order in which a cell is made; any other condition is a remark. */
const STEPS = [
  "Provisioned",
  "DatabaseReady",
  "SchemaMigrated",
  "CacheReady",
  "TopicsReady",
  "ServicesReady",
  "Isolated",
];
/** Told by the headline. */
const HEADLINE: ReadonlySet<string> = new Set(["Ready", "Available", "Reconciling"]);
const MAX_EVENTS = 6;

/** Puts together what is known of one center. */
export function reportOf(
  fc: FulfillmentCenter,
  around: { readonly table: RoutingTable | undefined; readonly events: readonly KubeObject[] },
): CenterReport {
  const { spec, metadata } = fc;
  const status = fc.status ?? {};
  const conditions = status.conditions ?? [];
  const entry = around.table?.spec.cells.find(({ name }) => name === metadata.name);
  const isCurrent = (status.observedGeneration ?? -1) >= (metadata.generation ?? 0);
  const ready = findCondition(conditions, "Ready");
  return {
    name: metadata.name,
    phase: status.phase ?? "Pending",
    mode: spec.mode,
    paused: spec.paused,
    region: spec.region,
    namespace: status.namespace ?? cellNamespace(metadata.name),
    created: metadata.creationTimestamp,
    current: isCurrent,
    summary: isCurrent
      ? (ready?.message ?? "The operator has not judged it yet.")
      : "The operator has not looked at the present spec yet.",
    steps: STEPS.flatMap((type) => stepOf(type, findCondition(conditions, type))),
    remarks: conditions
      .filter(({ type, status: state }) => state === "True" && !STEPS.includes(type) && !HEADLINE.has(type))
      .map(({ type, reason, message }) => ({ type, reason, message })),
    services: (status.services ?? []).map(({ name, ready: up, replicas }) => ({ name, ready: up, replicas })),
    database: {
      engine: spec.database.engine,
      storage: spec.database.storage,
      external: spec.database.external?.host,
    },
    release: { current: status.release?.current, previous: status.release?.previous },
    epoch: { current: status.epoch, fenced: status.fencedEpoch },
    routing:
      entry === undefined || around.table === undefined
        ? undefined
        : { mode: entry.mode, weight: entry.weight, version: around.table.spec.version },
    blockers: status.blockers ?? [],
    events: newestEvents(around.events),
    next: nextStep(fc),
  };
}

function stepOf(type: string, condition: Condition | undefined): StepReport[] {
  if (condition === undefined) return [];
  const state = condition.status === "True" ? "done" : condition.status === "False" ? "waiting" : "unknown";
  return [{ name: type, state, message: condition.message }];
}

interface EventFields {
  type?: string;
  reason?: string;
  note?: string;
  message?: string;
  eventTime?: string | null;
  deprecatedLastTimestamp?: string | null;
  series?: { lastObservedTime?: string } | null;
  regarding?: { kind?: string; name?: string };
}

function newestEvents(events: readonly KubeObject[]): EventReport[] {
  return events
    .map((object) => {
      const event = object as KubeObject & EventFields;
      const time =
        event.series?.lastObservedTime ??
        event.eventTime ??
        event.deprecatedLastTimestamp ??
        object.metadata.creationTimestamp ??
        "";
      return {
        time,
        type: event.type ?? "Normal",
        reason: event.reason ?? "",
        object: `${event.regarding?.kind}/${event.regarding?.name}`,
        note: event.note ?? "",
      };
    })
    .sort((a, b) => a.time.localeCompare(b.time))
    .slice(-MAX_EVENTS);
}
