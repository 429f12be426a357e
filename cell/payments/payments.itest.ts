import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { eventually } from "../../platform/testing/stores.ts";
import { claimOperation } from "./store.ts";
import { startPayments, type TestPayments, won } from "./testing/center.ts";

let center: TestPayments;
beforeAll(async () => {
  center = await startPayments();
});
afterAll(() => center.stop());
beforeEach(async () => {
  for (const kind of ["down", "slow", "decline", "timeout_after_effect"] as const)
    await center.psp.fault(kind, 0);
});

const of = (intentId: string) => center.psp.ledger(`?reference=ord-${intentId}`);

/** Leaves a capture of 1,000 in the queue, the slice stopped and the processor up again. */
async function leaveQueued(intentId: string): Promise<void> {
  await center.authorize(intentId);
  await center.psp.fault("down", 600);
  await center.post(`/internal/intents/${intentId}/capture`, { amount: won(1_000) });
  await center.until(intentId, "capture_queued");
  await center.cell.stopSlice("payments");
  await center.psp.fault("down", 0);
}

/** A replica's worker, and how often it has asked the processor. */
function countingReplica() {
  let asked = 0;
  const worker = center.replica((port) => ({
    perform(operation, intent) {
      asked++;
      return port.perform(operation, intent);
    },
  }));
  return { worker, asked: () => asked };
}

test("twenty at once for one intent: one authorization, one answer", async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, () => center.authorize("int-twenty")));
  for (const answer of answers) expect(answer.ok).toBe(true);
  expect((await center.intent("int-twenty")).status).toBe("authorised");
  expect((await of("int-twenty")).totals.authorizations).toBe(1);
  expect(await center.events("ord-int-twenty")).toEqual(["payments.authorised.v1"]);
});

test("another body for an intent is refused", async () => {
  await center.authorize("int-reused");
  expect(await center.authorize("int-reused", 2_000)).toMatchObject({ code: "idempotency-key-reused" });
  expect((await of("int-reused")).entries).toHaveLength(1);
});

test("a declined method is declined, and stays so", async () => {
  const first = await center.authorize("int-declined", 1_000, { method: "tok_declined" });
  const again = await center.authorize("int-declined", 1_000, { method: "tok_declined" });
  for (const answer of [first, again])
    expect(answer).toMatchObject({ ok: true, body: { status: "declined" } });
  expect(await center.post("/internal/intents/int-declined/capture", { amount: won(1_000) })).toMatchObject({
    code: "conflict",
  });
  const voided = await center.post("/internal/intents/int-declined/void");
  expect(voided).toMatchObject({ ok: true, body: { status: "declined" } });
});

test("captures are bounded by the authorization, refunds by the captures", async () => {
  await center.authorize("int-bound", 1_000);
  const path = "/internal/intents/int-bound";
  expect(await center.post(`${path}/capture`, { amount: won(1_001) })).toMatchObject({
    code: "unprocessable",
  });
  expect(await center.post(`${path}/capture`, { amount: won(700) })).toMatchObject({ ok: true });
  await center.until("int-bound", "captured");
  expect(await center.post(`${path}/capture`, { amount: won(699) })).toMatchObject({
    code: "idempotency-key-reused",
  });
  expect(await center.post(`${path}/capture`, { amount: won(301), captureId: "2" })).toMatchObject({
    code: "unprocessable",
  });
  const refunds = await Promise.all(
    Array.from({ length: 10 }, (_, index) =>
      center.post(`${path}/refund`, { refundId: `r${index}`, amount: won(100) }),
    ),
  );
  expect(refunds.filter(({ ok }) => ok)).toHaveLength(7);
  for (const refund of refunds) if (!refund.ok) expect(refund.code).toBe("unprocessable");
  await center.until("int-bound", "refunded");
  expect((await of("int-bound")).totals).toMatchObject({
    capturedMinor: 700,
    refundedMinor: 700,
    refunds: 7,
  });
});

test("with the processor down a capture waits, and is done exactly once", async () => {
  await center.authorize("int-queued");
  await center.psp.fault("down", 600);
  const asked = await Promise.all(
    Array.from({ length: 5 }, () =>
      center.post("/internal/intents/int-queued/capture", { amount: won(1_000) }),
    ),
  );
  for (const answer of asked) expect(answer.ok).toBe(true);
  await center.until("int-queued", "capture_queued");
  await center.psp.fault("down", 0);
  const captured = await center.until("int-queued", "captured");
  expect(captured.captured).toEqual(won(1_000));
  expect((await of("int-queued")).totals).toMatchObject({ captures: 1, capturedMinor: 1_000 });
});

test("a lost answer to an authorization costs nothing: asked again, it is found", async () => {
  await center.psp.fault("timeout_after_effect", 600);
  const first = await center.authorize("int-lost");
  expect(first).toMatchObject({ ok: true, body: { status: "unknown" } });
  await center.psp.fault("timeout_after_effect", 0);
  await center.until("int-lost", "authorised");
  const again = await center.authorize("int-lost");
  expect(again).toMatchObject({ ok: true, body: { status: "authorised" } });
  expect((await of("int-lost")).totals).toMatchObject({ authorizations: 1, open: 1 });
});

test("a capture whose answer was lost is found by its key, not sent again", async () => {
  await center.authorize("int-lost-capture");
  // In force to the end: a second send would never be answered, so only a look-up by key can settle it.
  await center.psp.fault("timeout_after_effect", 600);
  await center.post("/internal/intents/int-lost-capture/capture", { amount: won(1_000) });
  await center.until("int-lost-capture", "captured");
  expect((await of("int-lost-capture")).totals).toMatchObject({ captures: 1, capturedMinor: 1_000 });
});

test("a void while the answer is unknown leaves no money reserved", async () => {
  await center.psp.fault("timeout_after_effect", 600);
  await center.authorize("int-void-lost");
  expect(await center.post("/internal/intents/int-void-lost/void")).toMatchObject({ ok: true });
  await center.psp.fault("timeout_after_effect", 0);
  await center.until("int-void-lost", "voided");
  expect((await of("int-void-lost")).totals).toMatchObject({ authorizations: 1, voided: 1, open: 0 });
  expect(await center.authorize("int-void-lost")).toMatchObject({ code: "conflict" });
});

test("a void that overtakes its authorization closes the intent", async () => {
  expect(await center.post("/internal/intents/int-early/void")).toMatchObject({ ok: true });
  expect(await center.authorize("int-early")).toMatchObject({ code: "conflict" });
  expect((await of("int-early")).entries).toHaveLength(0);
});

test("what was captured cannot be voided", async () => {
  await center.authorize("int-late-void");
  await center.post("/internal/intents/int-late-void/capture", { amount: won(1_000) });
  await center.until("int-late-void", "captured");
  expect(await center.post("/internal/intents/int-late-void/void")).toMatchObject({ code: "conflict" });
});

test("queued captures outlive the slice", async () => {
  await center.authorize("int-restart");
  await center.psp.fault("down", 600);
  await center.post("/internal/intents/int-restart/capture", { amount: won(400) });
  await center.cell.stopSlice("payments");
  await center.psp.fault("down", 0);
  await center.cell.startSlice("payments");
  await center.until("int-restart", "captured");
  expect((await of("int-restart")).totals).toMatchObject({ captures: 1, capturedMinor: 400 });
});

test("a replica that dies between the processor's answer and its own note costs nothing", async () => {
  await leaveQueued("int-killed");
  const dying = center.replica((port) => ({
    async perform(operation, intent) {
      await port.perform(operation, intent);
      throw new Error("ended here");
    },
  }));
  await center.expireClaims("int-killed");
  await expect(dying.runDue()).rejects.toThrow("ended here");
  expect((await of("int-killed")).totals.captures).toBe(1);
  await center.cell.startSlice("payments");
  expect((await center.intent("int-killed")).status).toBe("capture_queued");
  await center.expireClaims("int-killed");
  await center.until("int-killed", "captured");
  expect((await of("int-killed")).totals).toMatchObject({ captures: 1, capturedMinor: 1_000 });
  expect(await center.events("ord-int-killed")).toEqual(["payments.authorised.v1", "payments.captured.v1"]);
});

test("who wants a movement that is under way in the same process shares its attempt", async () => {
  await leaveQueued("int-shared");
  try {
    const { worker, asked } = countingReplica();
    const [row] = await center.cell.sql.query<{ id: string }>(
      "SELECT operation_id AS id FROM payments.operation WHERE intent_id = 'int-shared' AND kind = 'capture'",
    );
    const operation = await center.cell.sql.transaction((tx) => claimOperation(tx, String(row?.id)));
    if (!operation) throw new Error("the capture could not be claimed");
    await Promise.all(Array.from({ length: 20 }, () => worker.attempt(operation)));
    expect(asked()).toBe(1);
  } finally {
    await center.cell.startSlice("payments");
  }
  expect((await center.until("int-shared", "captured")).captured).toEqual(won(1_000));
  expect((await of("int-shared")).totals).toMatchObject({ captures: 1, capturedMinor: 1_000 });
});

test("a long queue asks a processor that is away one question at a time, and is emptied when it is back", async () => {
  await center.authorize("int-long");
  await center.cell.stopSlice("payments");
  await center.cell.sql.transaction(async (tx) => {
    await tx.query(
      "UPDATE payments.intent SET status = 'capturing', capture_asked_minor = 1000 WHERE intent_id = 'int-long'",
    );
    await tx.query(
      `INSERT INTO payments.operation (operation_id, intent_id, kind, amount_minor, state)
       SELECT 'int-long:capture:' || n, 'int-long', 'capture', 20, 'pending' FROM generate_series(1, 50) AS n`,
    );
  });
  await center.psp.fault("down", 600);
  try {
    const { worker, asked } = countingReplica();
    const rounds: number[] = [];
    for (let round = 0; round < 6; round++) {
      const before = asked();
      expect(await worker.runDue()).toBe(0);
      rounds.push(asked() - before);
    }
    expect(rounds).toEqual([32, 1, 1, 1, 1, 1]);
    await center.psp.fault("down", 0);
    await eventually(async () => {
      await center.expireClaims("int-long");
      while ((await worker.runDue()) > 0);
      return (await of("int-long")).totals.captures === 50;
    });
  } finally {
    await center.cell.startSlice("payments");
  }
  expect((await center.until("int-long", "captured")).captured).toEqual(won(1_000));
  expect((await of("int-long")).totals).toMatchObject({ captures: 50, capturedMinor: 1_000 });
});

test("one refund asked for by twenty at once is one refund; another amount under its id is none", async () => {
  await center.authorize("int-refund");
  const path = "/internal/intents/int-refund";
  await center.post(`${path}/capture`, { amount: won(600) });
  await center.until("int-refund", "captured");
  const twenty = await Promise.all(
    Array.from({ length: 20 }, () => center.post(`${path}/refund`, { refundId: "once", amount: won(250) })),
  );
  for (const answer of twenty) expect(answer.ok).toBe(true);
  await center.until("int-refund", "partially_refunded");
  expect(await center.post(`${path}/refund`, { refundId: "once", amount: won(251) })).toMatchObject({
    code: "idempotency-key-reused",
  });
  expect(await center.post(`${path}/refund`, { refundId: "rest", amount: won(351) })).toMatchObject({
    code: "unprocessable",
    extra: { leftMinor: 350 },
  });
  expect((await of("int-refund")).totals).toMatchObject({
    refunds: 1,
    refundedMinor: 250,
    capturedMinor: 600,
  });
});

test.each([
  [100, "partially_refunded"],
  [1_000, "refunded"],
] as const)(
  "a refund of %i that comes while more is captured shows in the status at the end",
  async (minor, status) => {
    const id = `int-between-${minor}`;
    const path = `/internal/intents/${id}`;
    await center.authorize(id, 1_400);
    await center.post(`${path}/capture`, { amount: won(minor === 100 ? 600 : 1_000), captureId: "a" });
    const first = await center.until(id, "captured");
    await center.psp.fault("down", 600);
    await center.post(`${path}/capture`, { amount: won(400), captureId: "b" });
    await center.post(`${path}/refund`, { refundId: "r", amount: won(minor) });
    await center.cell.stopSlice("payments");
    try {
      await center.psp.fault("down", 0);
      const refunds = center.replica((port) => ({
        perform: async (operation, intent) =>
          operation.kind === "capture"
            ? { kind: "no-answer", reason: "the test stands in between" }
            : port.perform(operation, intent),
      }));
      await eventually(async () => {
        await center.expireClaims(id);
        await refunds.runDue();
        return (await of(id)).totals.refunds === 1;
      });
      // The rest of what was asked is refused, or done: neither forgets the refund.
      const rest = center.replica((port) => ({
        perform: async (operation, intent) =>
          operation.kind === "capture" && status === "refunded"
            ? { kind: "refused", reason: "the test says no" }
            : port.perform(operation, intent),
      }));
      await eventually(async () => {
        await center.expireClaims(id);
        return (await rest.runDue()) === 0;
      });
    } finally {
      await center.cell.startSlice("payments");
    }
    const captured = first.captured.amountMinor + (status === "refunded" ? 0 : 400);
    expect(await center.until(id, status)).toMatchObject({ captured: won(captured), refunded: won(minor) });
  },
);

const CARD = "4111 1111 1111 1111";
test.each<[string, string, unknown, number]>([
  ["nothing", "refund", won(0), 400],
  ["less than nothing", "refund", won(-1), 400],
  ["a fraction", "refund", won(0.5), 400],
  ["more than there is", "refund", won(1e15), 400],
  ["another currency", "refund", { amountMinor: 1, currency: "USD" }, 422],
  ["no currency at all", "refund", { amountMinor: 1, currency: "won" }, 400],
  ["nothing", "capture", won(0), 400],
  ["less than nothing", "capture", won(-1), 400],
  ["a fraction", "capture", won(0.5), 400],
  ["more than there is", "capture", won(1e15), 400],
  ["another currency", "capture", { amountMinor: 1, currency: "USD" }, 422],
  ["a word", "capture", { amountMinor: "1", currency: "KRW" }, 400],
  ["a card's number", "capture", { amountMinor: 1, currency: "KRW", note: CARD }, 400],
])("the amount %s to %s is refused and changes nothing", async (_what, kind, amount, status) => {
  await center.authorize("int-amounts");
  await center.post("/internal/intents/int-amounts/capture", { amount: won(400), captureId: "first" });
  await eventually(async () => (await center.intent("int-amounts")).captured.amountMinor === 400);
  const body = JSON.stringify({ amount, refundId: "r", captureId: "c" });
  const answer = await center.send(`/internal/intents/int-amounts/${kind}`, body);
  expect(answer.status).toBe(status);
  expect(String(answer.body.detail).length).toBeGreaterThan(10);
  expect(JSON.stringify(answer.body)).not.toContain("4111");
  expect(await center.intent("int-amounts")).toMatchObject({ captured: won(400), refunded: won(0) });
  expect((await of("int-amounts")).totals).toMatchObject({ captures: 1, refunds: 0, capturedMinor: 400 });
});

const intentWith = (change: object) =>
  JSON.stringify({
    ...{ intentId: "int-never", orderId: "ord-never", amount: won(1_000), method: "tok_visa" },
    ...change,
  });
test.each<[string, string, number]>([
  ["a card instead of a token", intentWith({ method: CARD }), 400],
  ["a card dressed up as a token", intentWith({ method: "tok_4111111111111111" }), 400],
  ["a card where nobody looks", intentWith({ metadata: { notes: [`${CARD} 12/29`] } }), 400],
  ["a card as a number", intentWith({ pan: 4111111111111111 }), 400],
  ["an amount below zero", intentWith({ amount: won(-1) }), 400],
  ["a fraction", intentWith({ amount: won(0.1) }), 400],
  ["an amount beyond all", intentWith({ amount: won(1_000_000_000_001) }), 400],
  ["no method", intentWith({ method: undefined }), 400],
  ["a customer in plain words", intentWith({ risk: { customer: "Kim of 서울", address: "x" } }), 400],
  ["malformed JSON", '{"intentId":', 400],
  ["10 MB", intentWith({ more: "x".repeat(10_000_000) }), 413],
])("an intent with %s is refused; nothing of it is kept", async (_what, body, status) => {
  const answer = await center.send("/internal/intents", body);
  expect(answer.status).toBe(status);
  expect(String(answer.body.detail).length).toBeGreaterThan(10);
  expect(JSON.stringify(answer.body)).not.toContain("4111");
  expect(await center.cell.sql.query("SELECT 1 FROM payments.intent WHERE intent_id = 'int-never'")).toEqual(
    [],
  );
  expect((await of("never")).entries).toEqual([]);
});

test("three replicas at one movement, one effect and one event", async () => {
  await center.authorize("int-crowd");
  await center.psp.fault("slow", 600);
  await center.post("/internal/intents/int-crowd/capture", { amount: won(1_000) });
  // Claims run out while the processor is slow, so that all of them hold its answer at the same time.
  const taken: number[] = [];
  await Promise.all(
    [center.replica(), center.replica()].map(async (replica) => {
      await center.expireClaims("int-crowd");
      taken.push(await replica.runDue());
    }),
  );
  await center.until("int-crowd", "captured");
  expect(taken.reduce((sum, count) => sum + count, 0)).toBeGreaterThan(0);
  expect((await of("int-crowd")).totals).toMatchObject({ captures: 1, capturedMinor: 1_000 });
  expect(await center.events("ord-int-crowd")).toEqual(["payments.authorised.v1", "payments.captured.v1"]);
});

test("nobody without a token of the cell is answered", async () => {
  const response = await fetch(`${center.cell.url("payments")}/internal/intents/int-twenty`);
  expect(response.status).toBe(401);
});
