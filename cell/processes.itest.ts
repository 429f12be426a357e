import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { topicOf } from "../platform/events.ts";
import { newUuid } from "../platform/ids.ts";
import { createKafka } from "../platform/kafka.ts";
import { silentLogger } from "../platform/log.ts";
import { SLICE_NAMES, type SliceName } from "../platform/slices.ts";
import { startTestCell, type TestCell } from "../platform/testing/cell.ts";
import { eventually } from "../platform/testing/stores.ts";
import { createSigner, type PrivateKey } from "../platform/trust.ts";
import { startTestPsp, type TestPsp } from "../region/psp-sandbox/testing/psp.ts";
import type { OrderAnswer } from "./orders/contract.ts";
import { type CellProcess, startCellProcess } from "./testing/process.ts";

/** The orders slice alone, and beside it three slices as one process: both topologies, and calls between processes. */
const TOGETHER = ["inventory", "payments", "fulfillment"] as const;
const LIVENESS_MS = 60_000;
const DRAIN_MS = 1_000;

let cell: TestCell;
let psp: TestPsp;
let orders: CellProcess;
let together: CellProcess;
beforeAll(async () => {
  psp = await startTestPsp();
  cell = await startTestCell({ slices: [], env: { PSP_URL: psp.url, LOG_LEVEL: "debug" } });
  const env = { ...cell.env, DRAIN_MS: String(DRAIN_MS) };
  orders = startCellProcess("orders", env);
  together = startCellProcess(TOGETHER.join(","), env);
  await eventually(
    async () => (await readyz("orders")).ok && (await readyz("fulfillment")).ok,
    LIVENESS_MS,
    100,
  );
});
afterAll(async () => {
  await Promise.all([orders?.stop(), together?.stop()]);
  await cell?.stop();
  await psp?.stop();
});

async function readyz(slice: SliceName): Promise<{ ok: boolean; checks: Record<string, string> }> {
  const response = await fetch(`${cell.url(slice)}/readyz`);
  const report = (await response.json()) as { ok: boolean; checks: Record<string, string> };
  expect(response.status).toBe(report.ok ? 200 : 503);
  return report;
}

/** As the gateway sends it for a user, with the trace of the request that it has got. */
async function post(slice: SliceName, role: string, path: string, body: object, traceId?: string) {
  const jwk = JSON.parse(await readFile(join(cell.trustDir, "cell-key.jwk"), "utf8")) as PrivateKey;
  const signer = await createSigner({ jwk, issuer: "gateway", subject: "gateway" });
  const response = await fetch(`${cell.url(slice)}${path}`, {
    method: "POST",
    headers: {
      authorization: `Bearer ${await signer.token(cell.center)}`,
      "content-type": "application/json",
      "idempotency-key": newUuid(),
      "x-cells-user": `u-${role}`,
      "x-cells-roles": role,
      ...(traceId ? { traceparent: `00-${traceId}-00000000000000aa-01` } : {}),
    },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as unknown };
}

async function placeOrder(traceId?: string): Promise<OrderAnswer> {
  const placed = await post(
    "orders",
    "customer",
    "/v1/orders",
    {
      deliverTo: { latitude: 37.51, longitude: 127.04 },
      contact: { name: "Test Person", phone: "+82 2 555 0100", address: "1 Example Street" },
      lines: [{ sku: "trace", quantity: 1 }],
      payment: { method: "tok_visa" },
    },
    traceId,
  );
  expect(placed).toMatchObject({ status: 201, body: { state: "confirmed" } });
  return placed.body as OrderAnswer;
}

/** One SKU with stock and a price. */
async function fill(): Promise<void> {
  const sku = { sku: "trace", barcode: "b-trace", name: "trace", weightGrams: 500, temperature: "ambient" };
  const line = { sku: "trace", bin: { aisle: 1, position: 1, level: 0 }, quantity: 10 };
  const price = { sku: "trace", price: { amountMinor: 1_000, currency: "KRW" } };
  const answers = [
    await post("inventory", "staff", "/v1/skus", { skus: [sku] }),
    await post("inventory", "staff", "/v1/receipts", { receiptId: newUuid(), lines: [line] }),
    await post("orders", "staff", "/v1/prices", { prices: [price] }),
  ];
  for (const { status } of answers) expect(status).toBeLessThan(300);
}

test("every slice tells about itself, also one of several in a process", async () => {
  for (const slice of ["orders", ...TOGETHER] as const) {
    const get = (path: string) => fetch(`${cell.url(slice)}${path}`);
    expect((await get("/livez")).status).toBe(200);
    expect((await readyz(slice)).checks).toMatchObject({ database: "ok", slices: "ok" });
    expect(await (await get("/metrics")).text()).toContain(`service="${slice}"`);
    const document = (await (await get("/openapi.json")).json()) as { openapi: string; paths: object };
    expect(document.openapi).toMatch(/^3\./);
    expect(Object.keys(document.paths).length).toBeGreaterThan(1);
  }
});

test("one trace goes with an order: request, call, transaction, outbox, Kafka, consumer, log lines", async () => {
  await fill();
  const traceId = newUuid().replaceAll("-", "");
  const placed = await placeOrder(traceId);

  const consumed = "consume orders.confirmed.v1";
  const spans = await eventually(async () => {
    const all = [...orders.spans(), ...together.spans()].filter((span) => span.traceId === traceId);
    return all.some(({ name }) => name === consumed) && all;
  }, LIVENESS_MS);
  const byId = new Map(spans.map((span) => [span.spanId, span]));
  /** The names of a span and of all that it came from, up to the request. */
  const wayTo = (span: (typeof spans)[number] | undefined): string[] =>
    span === undefined ? [] : [...wayTo(byId.get(span.parentSpanId ?? "")), span.name];

  // The request and what it asked of a sibling in the other process.
  const root = spans.find(({ name }) => name === "POST /v1/orders");
  expect(root).toMatchObject({ parentSpanId: "00000000000000aa", service: "orders", kind: 1 });
  const held = spans.find(({ name }) => name === "POST /internal/holds");
  expect(held).toMatchObject({ service: "cell", kind: 1 });
  expect(wayTo(held)).toEqual(["POST /v1/orders", "place hold", "POST inventory", "POST /internal/holds"]);
  // SQL, on both sides.
  const transactions = spans.filter(({ name }) => name === "transaction");
  expect(new Set(transactions.map(({ service }) => service))).toEqual(new Set(["orders", "cell"]));
  for (const one of transactions) expect(one.attributes["db.namespace"]).toBe(cell.env.DATABASE_NAME);
  // The event, as it lay in the outbox and went through Kafka, names the span that made it true.
  const headers = await headersOf(placed.id);
  const [, carried, parent = ""] = headers.traceparent?.split("-") ?? [];
  expect(carried).toBe(traceId);
  expect(byId.get(parent)).toMatchObject({ name: "transaction", service: "orders" });
  const consumer = spans.find(({ name }) => name === consumed);
  expect(consumer).toMatchObject({ service: "cell", kind: 4, parentSpanId: parent });
  expect(consumer?.attributes["messaging.message.id"]).toBe(headers.ce_id);
  const applied = transactions.find(({ parentSpanId }) => parentSpanId === consumer?.spanId);
  expect(wayTo(applied)).toEqual(["POST /v1/orders", "transaction", consumed, "transaction"]);

  // Log lines are JSON, and those of this order carry its trace, in both processes.
  const services = [...orders.logs(), ...together.logs()]
    .filter((line) => line.traceId === traceId)
    .map(({ service }) => service);
  expect(new Set(services)).toEqual(new Set(["orders", "inventory", "payments", "fulfillment"]));
});

/** The headers of the event that confirmed the order, read from its topic. */
async function headersOf(orderId: string): Promise<Readonly<Record<string, string>>> {
  const kafka = createKafka({
    brokers: (cell.env.KAFKA_BROKERS ?? "").split(","),
    clientId: "test",
    log: silentLogger(),
  });
  const found: Readonly<Record<string, string>>[] = [];
  try {
    await kafka.drain({
      topic: topicOf(cell.center, "orders"),
      group: `${cell.center}.look`,
      timeoutMs: LIVENESS_MS,
      async handler({ key, headers }) {
        if (key === orderId && headers.ce_type === "orders.confirmed.v1") found.push(headers);
      },
    });
  } finally {
    await kafka.close();
  }
  expect(found).toHaveLength(1);
  return found[0] ?? {};
}

test("a process of several slices is ready on every port or on none", async () => {
  const database = cell.env.DATABASE_NAME;
  const others = SLICE_NAMES.filter((slice) => slice !== "fulfillment").join(", ");
  await cell.sql.query(`GRANT CONNECT ON DATABASE ${database} TO ${others}`);
  await cell.sql.query(`REVOKE CONNECT ON DATABASE ${database} FROM PUBLIC`);
  await cell.sql.query(
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'fulfillment' AND datname = current_database()",
  );
  await eventually(async () => !(await readyz("inventory")).ok, LIVENESS_MS);
  const { checks } = await readyz("inventory");
  expect(checks.database).toBe("ok");
  expect(checks.slices).toContain("fulfillment is not ready: database");
  // The other process has nothing to do with it, and nobody is to be restarted.
  expect((await readyz("orders")).ok).toBe(true);
  expect((await fetch(`${cell.url("inventory")}/livez`)).status).toBe(200);

  await cell.sql.query(`GRANT CONNECT ON DATABASE ${database} TO PUBLIC`);
  await eventually(async () => (await readyz("inventory")).ok, LIVENESS_MS);
});

test("told to stop it is first not ready, ends what is under way, and leaves with 0", async () => {
  const { id } = await placeOrder();
  let isAnswered = false;
  let isHeld = true;
  let lock = () => {};
  const locked = new Promise<void>((resolve) => {
    lock = resolve;
  });
  const holding = cell.sql.transaction(
    async (tx) => {
      await tx.query("SELECT id FROM orders.orders WHERE id = $1 FOR UPDATE", [id]);
      lock();
      // A transaction that says nothing for two seconds is ended by the database.
      while (isHeld) await tx.query("SELECT pg_sleep(0.1)");
    },
    { epoch: null },
  );
  await locked;
  const cancelling = post("orders", "customer", `/v1/orders/${id}/cancel`, {}).finally(() => {
    isAnswered = true;
  });
  await eventually(
    async () =>
      (
        await cell.sql.query(
          "SELECT pid FROM pg_stat_activity WHERE usename = 'orders' AND wait_event_type = 'Lock' AND datname = current_database()",
        )
      ).length > 0,
    LIVENESS_MS,
  );
  orders.signal("SIGTERM");
  const report = await eventually(async () => {
    const { ok, checks } = await readyz("orders");
    return !ok && checks;
  }, LIVENESS_MS);
  expect(report.process).toBe("stopping");
  expect((await fetch(`${cell.url("orders")}/livez`)).status).toBe(200);
  expect(isAnswered).toBe(false);
  isHeld = false;
  await holding;
  expect((await cancelling).status).toBe(200);
  expect(await orders.exited).toBe(0);
  await expect(fetch(`${cell.url("orders")}/readyz`)).rejects.toThrow();

  together.signal("SIGTERM");
  expect(await together.exited).toBe(0);
  // Nothing but JSON lines on standard output (`logs` throws otherwise), and no warning of the runtime.
  for (const one of [orders, together]) {
    expect(one.logs().some(({ message }) => message === "stopping")).toBe(true);
    expect(one.stderr()).toBe("");
  }
});
