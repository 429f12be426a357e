import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
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
  await center.authorize("int-killed");
  await center.psp.fault("down", 600);
  await center.post("/internal/intents/int-killed/capture", { amount: won(1_000) });
  await center.until("int-killed", "capture_queued");
  await center.cell.stopSlice("payments");
  await center.psp.fault("down", 0);
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
