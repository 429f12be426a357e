import { createHash } from "node:crypto";
import { z } from "zod";
import type { Clock } from "../../platform/clock.ts";
import type { ServiceClient } from "../../platform/fetch.ts";
import type { Logger } from "../../platform/log.ts";
import { appendEvent } from "../../platform/outbox.ts";
import { type Failure, fail, type ProblemCode } from "../../platform/problem.ts";
import { createSagaRunner, later, type SagaRunner, step } from "../../platform/saga.ts";
import type { Sql, Tx } from "../../platform/sql.ts";
import { binSchema } from "../inventory/contract.ts";
import { orderLinesCancelled } from "./contract.ts";
import { decide, type ShortLine, unitsOf, without } from "./domain.ts";
import { holdIdOf } from "./effects.ts";
import { type BinState, cutReview } from "./review.ts";
import { findOrder, lockOrder, type Order, saveCancelledLines } from "./store.ts";
import { transition } from "./transitions.ts";
import { isVisible, UNKNOWN_ORDER, type Viewer } from "./view.ts";
import { waitFor } from "./waiting.ts";

/** A part of an order that is being cancelled. */
export interface Cut {
  readonly orderId: string;
  readonly lines: readonly ShortLine[];
  readonly actor: string;
  readonly bins?: readonly BinState[];
}

export interface CuttingDeps {
  readonly sql: Sql;
  readonly inventory: ServiceClient;
  readonly holder: string;
  readonly clock: Clock;
  readonly log: Logger;
  /** For tests that end the process there. */
  afterStep?(id: string, moment: string): void;
}

export interface CutRequest {
  readonly orderId: string;
  readonly viewer: Viewer;
  /** Of the request: the same key is the same cut. */
  readonly key: string;
  readonly lines: readonly ShortLine[];
  readonly expectedVersion?: number | undefined;
  readonly deadlineMs: number;
}

/** `whole`: nothing would be left, so that this is the end of the order and belongs to `cancel`. */
type CutResult = { readonly ok: true; readonly order: Order } | { readonly ok: "whole" } | Failure;

export interface Cutting {
  readonly saga: SagaRunner<Cut>;
  cancelLines(request: CutRequest): Promise<CutResult>;
}

const allocation = z.looseObject({
  lines: z.array(z.looseObject({ sku: z.string(), bin: binSchema, quantity: z.int(), released: z.int() })),
});

const FINAL: ReadonlySet<ProblemCode> = new Set([
  "conflict",
  "unprocessable",
  "invalid-request",
  "not-found",
]);

/**
 * Cancels units of an order. Inventory decides, since a picker may be reaching for them: what it has given back nobody can pick any
 * more, and what is picked it does not give back. Only then the order knows, and tells the floor.
 */
export function createCutting(deps: CuttingDeps): Cutting {
  const { sql, clock } = deps;
  const saga = createCutSaga(deps);

  async function begin(
    tx: Tx,
    id: string,
    request: CutRequest,
  ): Promise<{ ok: true } | { ok: "whole" } | Failure> {
    const { orderId, viewer, lines, expectedVersion } = request;
    const order = await lockOrder(tx, orderId);
    if (!order || !isVisible(order, viewer)) return UNKNOWN_ORDER;
    if (expectedVersion !== undefined && expectedVersion !== order.version) return changedMeanwhile(order);
    const left = without(order.lines, order.cancelledLines);
    const refused = notThere(left, lines);
    if (refused) return refused;
    const { outcome } = decide(order.state, "lines.cancel");
    if (outcome === "too-early")
      return fail("too-early", "The order is still being placed; try again in a moment.", undefined, 1);
    if (outcome === "stale")
      return fail("conflict", `Of an order that is ${order.state} no lines can be cancelled any more.`, {
        state: order.state,
      });
    if (without(left, lines).length === 0) return { ok: "whole" };
    const actor = viewer.isStaff ? "staff" : "customer";
    await saga.start(tx, id, { orderId, lines: without(lines), actor });
    return { ok: true };
  }

  return {
    saga,
    async cancelLines(request) {
      const { orderId, viewer, key, deadlineMs } = request;
      const id = cutIdOf(orderId, viewer.sub, key);
      if (!(await saga.find(id))) {
        const begun = await sql.transaction((tx) => begin(tx, id, request));
        if (begun.ok !== true) return begun;
      }
      const outcome = await waitFor(saga, id, clock, deadlineMs);
      if (outcome.status === "pending")
        return fail("outcome-unknown", "It is being cancelled: repeat the request to learn how it ended.");
      if (outcome.status === "undone") return outcome.failure;
      const order = await findOrder(sql, orderId);
      return order && isVisible(order, viewer) ? { ok: true, order } : UNKNOWN_ORDER;
    },
  };
}

/** Also the id under which inventory knows what it gives back. */
function cutIdOf(orderId: string, sub: string, key: string): string {
  const digest = createHash("sha256").update(`${sub}\n${key}`).digest("hex").slice(0, 24);
  return `${orderId}:cut:${digest}`;
}

/** The order is not what the caller has seen. */
export function changedMeanwhile({ version, state }: Order): Failure {
  const detail = `The order is at version ${version} by now: look at it again and decide anew.`;
  return fail("stale-transition", detail, { version, state });
}

function notThere(left: readonly ShortLine[], lines: readonly ShortLine[]): Failure | undefined {
  const there = unitsOf(left);
  for (const [sku, quantity] of unitsOf(lines)) {
    const found = there.get(sku) ?? 0;
    if (quantity > found)
      return fail("unprocessable", `The order has ${found} units of ${sku} left, not ${quantity}.`, {
        left: [...left],
      });
  }
  return undefined;
}

function createCutSaga({ sql, inventory, holder, log, afterStep }: CuttingDeps): SagaRunner<Cut> {
  const release = step<Cut>({
    name: "release-lines",
    async run(state, { id }) {
      const result = await inventory.call({
        method: "POST",
        path: `/internal/allocations/${holdIdOf(state.orderId)}/release`,
        body: { reason: "lines cancelled", releaseId: id, lines: state.lines },
        idempotencyKey: id,
      });
      if (result.ok) return state;
      if (!FINAL.has(result.code)) return later(`${result.code}: ${result.detail}`);
      return fail("conflict", "Some of these units are picked already and stay in the order.", {
        reason: result.code,
      });
    },
  });
  const look = step<Cut>({
    name: "look-at-bins",
    async run(state) {
      const result = await inventory.call({
        method: "GET",
        path: `/internal/allocations/${holdIdOf(state.orderId)}`,
        response: allocation,
      });
      if (!result.ok) return later(`${result.code}: ${result.detail}`);
      const bins = result.body.lines
        .filter(({ released }) => released > 0)
        .map(({ sku, bin, quantity, released }) => ({ sku, bin, quantity, released }));
      return { ...state, bins };
    },
  });
  return createSagaRunner<Cut>({
    sql,
    schema: "orders",
    name: "cut",
    holder,
    log,
    steps: [release, look],
    ...(afterStep ? { afterStep } : {}),
    // What inventory may have given back cannot be given up: the order would go on waiting for it.
    maxAttempts: Number.MAX_SAFE_INTEGER,
    async finish(tx, id, cut) {
      const { orderId, actor } = cut;
      const request = { orderId, event: "lines.cancel", eventId: id, actor } as const;
      const { order, outcome } = await transition(tx, request, { park: false, log });
      if (!order) throw new Error(`order ${orderId} is gone while a part of it is cancelled`);
      // The whole of it was cancelled meanwhile.
      if (outcome === "applied") await take(tx, order, id, cut, log);
    },
  });
}

/** Writes down what was cancelled, and says so to the floor; with nothing left the order itself ends. */
async function take(tx: Tx, order: Order, id: string, cut: Cut, log: Logger): Promise<void> {
  const cancelled = without([...order.cancelledLines, ...cut.lines]);
  await saveCancelledLines(tx, order.id, cancelled);
  const bins = cut.bins ?? [];
  if (without(order.lines, cancelled).length === 0) {
    const request = { orderId: order.id, event: "cancel", eventId: `${id}:last`, actor: cut.actor } as const;
    await transition(tx, request, { park: false, log });
    return;
  }
  if (order.state === "review") return cutReview(tx, order.id, bins);
  await appendEvent(tx, "orders", {
    type: orderLinesCancelled.type,
    subject: order.id,
    version: order.version,
    data: orderLinesCancelled.parse({
      orderId: order.id,
      bins: bins.map(({ sku, bin, released }) => ({ sku, bin, cancelled: released })),
    }),
  });
}
