import { randomUUID } from "node:crypto";
import { type Answer, type Api, type Person, pause } from "./api.ts";
import { parseMetrics, type Sample, sumOf, type World } from "./facts.ts";
import { between, type Center, orderOf, pointAt } from "./load.ts";

/** Takes a whole cell away and gives it back, by whatever means the place has. */
export interface Killer {
  /** All workloads to zero, held there for so long. Returns when none of its processes runs. */
  kill(center: string, holdSeconds: number): Promise<void>;
  /** True when the cell is whole again. */
  isReady(center: string): Promise<boolean>;
}

export type Phase = "before" | "during" | "after";

/** One row of the drill's table, as the client saw it. */
export interface PhaseCount {
  readonly phase: Phase;
  readonly area: string;
  sent: number;
  acceptedHere: number;
  acceptedElsewhere: number;
  refused: number;
  readonly reasons: Map<string, number>;
}

export interface DrillResult {
  readonly killed: string;
  readonly other: string;
  readonly rows: readonly PhaseCount[];
  readonly accepted: readonly string[];
  readonly otherCellErrors: number;
  readonly otherCellRetries: number;
  readonly rerouted: number;
  readonly detectSeconds: number;
  /** From whole again to the last accepted order delivered. */
  readonly recoverSeconds: number;
  readonly downSeconds: number;
  readonly acceptedLost: number;
}

export interface DrillOptions {
  readonly api: Api;
  readonly world: World;
  readonly killer: Killer;
  readonly killed: Center;
  readonly other: Center;
  readonly skus: readonly string[];
  readonly holdSeconds: number;
  note(text: string): void;
}

const INTERVAL_MS = 500;
const BEFORE_MS = 5_000;
const AFTER_MS = 5_000;
const READY_TIMEOUT_MS = 180_000;
const DELIVERED_TIMEOUT_MS = 150_000;

/** Kills one cell while orders flow to three places: its own area, the other's, and where both deliver. */
export async function runDrill(options: DrillOptions): Promise<DrillResult> {
  const { api, world, killer, killed, other, note } = options;
  const customer = await api.as("drill-customer", "customer");
  const flow = startFlow(options, customer);
  const baseline = parseMetrics(await world.metrics());

  note("orders flow to both cells");
  await pause(BEFORE_MS);
  flow.enter("during");
  const killedAtMs = Date.now();
  await killer.kill(killed.name, options.holdSeconds);
  note(`${killed.name} is gone, held for ${options.holdSeconds} s`);
  const readyAtMs = await untilReady(killer, killed.name);
  flow.enter("after");
  note(`${killed.name} is whole again after ${seconds(readyAtMs - killedAtMs)} s`);
  // The gateway takes a cell back when it has seen it well for a few seconds.
  await pause(AFTER_MS);
  await flow.stop();

  const { accepted, rows } = flow;
  const left = new Set(accepted);
  const untilMs = Date.now() + DELIVERED_TIMEOUT_MS;
  let lastAtMs = readyAtMs;
  while (left.size > 0 && Date.now() < untilMs) {
    for (const id of left) {
      const answer = await customer.get(`/v1/orders/${id}`);
      if (answer.status !== 200 || answer.body.state !== "delivered") continue;
      left.delete(id);
      lastAtMs = Date.now();
    }
    note(`${accepted.length - left.size} of ${accepted.length} accepted orders are delivered`);
    if (left.size > 0) await pause(250);
  }
  const end = parseMetrics(await world.metrics());
  const grown = (name: string, fits: (labels: Readonly<Record<string, string>>) => boolean) =>
    sumOf(end, name, fits) - sumOf(baseline, name, fits);
  return {
    killed: killed.name,
    other: other.name,
    rows,
    accepted,
    otherCellErrors: grown(
      "gateway_requests_total",
      ({ cell, code }) => cell === other.name && !/^2/.test(code ?? ""),
    ),
    otherCellRetries: grown("gateway_retries_total", ({ cell }) => cell === other.name),
    rerouted: grown("gateway_rerouted_total", ({ from }) => from === killed.name),
    detectSeconds: detectSeconds(end, killed.name),
    recoverSeconds: seconds(lastAtMs - readyAtMs),
    downSeconds: seconds(readyAtMs - killedAtMs),
    acceptedLost: left.size,
  };
}

function detectSeconds(samples: readonly Sample[], cell: string): number {
  const at = (name: string) => sumOf(samples, name, (labels) => labels.cell === cell);
  const removed = at("gateway_cell_removed_timestamp_seconds");
  const first = at("gateway_cell_first_refused_timestamp_seconds");
  return removed === 0 ? -1 : Math.round(Math.max(0, removed - first) * 10) / 10;
}

async function untilReady(killer: Killer, center: string): Promise<number> {
  const startedMs = Date.now();
  while (!(await killer.isReady(center))) {
    if (Date.now() - startedMs > READY_TIMEOUT_MS)
      throw new Error(`${center} did not come back in ${READY_TIMEOUT_MS / 1000} s`);
    await pause(500);
  }
  return Date.now();
}

function startFlow({ killed, other, skus }: DrillOptions, customer: Person) {
  const areas = [
    { name: `only ${killed.name}`, near: killed, at: outside(killed, other) },
    { name: "both", near: killed, at: shared(killed, other) },
    { name: `only ${other.name}`, near: other, at: outside(other, killed) },
  ];
  const rows: PhaseCount[] = [];
  const accepted: string[] = [];
  let phase: Phase = "before";
  let isStopped = false;
  let turn = 0;
  const underway = new Set<Promise<void>>();

  function rowOf(area: string): PhaseCount {
    const found = rows.find((row) => row.phase === phase && row.area === area);
    if (found) return found;
    const row = {
      phase,
      area,
      sent: 0,
      acceptedHere: 0,
      acceptedElsewhere: 0,
      refused: 0,
      reasons: new Map(),
    };
    rows.push(row);
    return row;
  }

  async function send(): Promise<void> {
    const area = areas[turn++ % areas.length];
    if (!area) return;
    const row = rowOf(area.name);
    row.sent++;
    const sku = skus[turn % skus.length] ?? "";
    const key = randomUUID();
    const body = orderOf({ deliverTo: area.at, skus: [sku] });
    let answer = await customer.post("/v1/orders", body, key);
    // "Not known yet" is no refusal: the same key brings the answer, if need be when the cell is back.
    while (isUnknown(answer)) {
      await pause(answer.retryAfterMs ?? 1_000);
      answer = await customer.post("/v1/orders", body, key);
      if (isStopped && answer.status >= 500) break;
    }
    if (answer.status === 201) {
      accepted.push(answer.body.id);
      if (answer.body.center === area.near.name) row.acceptedHere++;
      else row.acceptedElsewhere++;
      return;
    }
    row.refused++;
    const reason = String(answer.body?.code ?? answer.status);
    row.reasons.set(reason, (row.reasons.get(reason) ?? 0) + 1);
  }

  const loop = (async () => {
    while (!isStopped) {
      const sending = send().finally(() => underway.delete(sending));
      underway.add(sending);
      await pause(INTERVAL_MS);
    }
    await Promise.all(underway);
  })();
  return {
    rows,
    accepted,
    enter(next: Phase) {
      phase = next;
    },
    async stop() {
      isStopped = true;
      await loop;
    },
  };
}

function isUnknown({ status, body }: Answer): boolean {
  return status === 0 || body?.code === "outcome-unknown" || body?.code === "request-in-progress";
}

/** A place that only `center` reaches: on the side that looks away from the other. */
function outside(center: Center, other: Center) {
  const east = center.longitude > other.longitude ? 0 : 180;
  return pointAt(center, center.radiusMeters * 0.6, east);
}

/** A place that both reach, nearer to the one that will be killed. */
function shared(killed: Center, other: Center) {
  const middle = between(killed, other);
  return {
    latitude: middle.latitude * 0.9 + killed.latitude * 0.1,
    longitude: middle.longitude * 0.9 + killed.longitude * 0.1,
  };
}

function seconds(ms: number): number {
  return Math.round(ms / 100) / 10;
}
