import { rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { WEBHOOK_SECRETS } from "../../platform/credentials.ts";
import { eventually } from "../../platform/testing/stores.ts";
import { SIGNATURE_HEADER, signWebhook, TOLERANCE_SECONDS } from "../../platform/webhook.ts";
import { SECRET, startPayments, type TestPayments, won } from "./testing/center.ts";

let center: TestPayments;
beforeAll(async () => {
  center = await startPayments();
});
afterAll(() => center.stop());
beforeEach(async () => {
  for (const kind of ["down", "slow", "timeout_after_effect"] as const) await center.psp.fault(kind, 0);
  await center.psp.manner({ copies: 0 });
});

const nowSeconds = () => Math.floor(Date.now() / 1000);
const of = (intentId: string) => center.psp.ledger(`?reference=ord-${intentId}`);
let made = 0;
/** An event about a capture of 1,000, as the processor would write it. */
function captured(intentId: string, change: object = {}, entry: object = {}): string {
  return JSON.stringify({
    id: `evt_test-${made++}`,
    type: "capture.done",
    entry: {
      key: `${intentId}:capture`,
      kind: "capture",
      status: "done",
      authorizationKey: `${intentId}:authorize`,
      merchant: center.cell.center,
      amount: won(1_000),
      at: new Date().toISOString(),
      ...entry,
    },
    ...change,
  });
}

/** An intent with a capture that the queue will not come to before the test is over. */
async function queued(intentId: string): Promise<void> {
  await center.authorize(intentId);
  await center.cell.sql.transaction(async (tx) => {
    await tx.query(
      "UPDATE payments.intent SET status = 'capturing', capture_asked_minor = 1000 WHERE intent_id = $1",
      [intentId],
    );
    await tx.query(
      `INSERT INTO payments.operation (operation_id, intent_id, kind, amount_minor, state, next_at)
       VALUES ($1, $2, 'capture', 1000, 'pending', now() + INTERVAL '1 hour')`,
      [`${intentId}:capture`, intentId],
    );
  });
}

/** All rows that a webhook could touch, to see that none was. */
async function books(intentId: string): Promise<unknown> {
  const read = (sql: string, values: unknown[] = []) => center.cell.sql.query(sql, values);
  return [
    await read("SELECT status, captured_minor, refunded_minor FROM payments.intent WHERE intent_id = $1", [
      intentId,
    ]),
    await read("SELECT operation_id, kind, state FROM payments.operation WHERE intent_id = $1 ORDER BY 1", [
      intentId,
    ]),
    await read("SELECT event_id FROM payments.notification ORDER BY 1"),
    await read("SELECT count(*)::INT8 AS n FROM payments.intent"),
  ];
}

test("webhooks and answers race: three copies of each, out of order, before and after the answer, one effect", async () => {
  await center.psp.manner({ copies: 3, spreadMs: 400, answerDelayMs: 150 });
  const before = center.told.length;
  const ids = Array.from({ length: 8 }, (_, index) => `int-race-${index}`);
  await Promise.all(ids.map((id) => center.authorize(id)));
  await Promise.all(ids.map((id) => center.post(`/internal/intents/${id}/capture`, { amount: won(1_000) })));
  await Promise.all(ids.map((id) => center.until(id, "captured")));
  await Promise.all(
    ids.map((id) => center.post(`/internal/intents/${id}/refund`, { refundId: "r", amount: won(400) })),
  );
  await Promise.all(ids.map((id) => center.until(id, "partially_refunded")));
  await eventually(async () => center.told.length - before >= 8 * 3 * 3);
  // One that met too many others is sent again; in the end each has been taken.
  await eventually(async () => {
    const taken = center.told.slice(before).filter(({ refusal }) => refusal === undefined);
    return new Set(taken.map(({ event }) => event.id)).size === 8 * 3;
  });
  // Some events did come before the answers, or this has shown nothing.
  const early = await center.cell.sql.query(
    `SELECT 1 FROM payments.notification AS n JOIN payments.operation AS o ON o.operation_id = n.operation_id
     WHERE n.received_at = o.done_at AND o.intent_id LIKE 'int-race-%'`,
  );
  expect(early.length).toBeGreaterThan(0);
  for (const id of ids) {
    expect((await of(id)).totals).toMatchObject({
      authorizations: 1,
      captures: 1,
      refunds: 1,
      refundedMinor: 400,
    });
    expect(await center.intent(id)).toMatchObject({ captured: won(1_000), refunded: won(400) });
  }
  expect(await center.events(`ord-${ids[0]}`)).toEqual([
    "payments.authorised.v1",
    "payments.captured.v1",
    "payments.refunded.v1",
  ]);
});

test("an answer that never comes is not missed: the webhook ends the movement, also when it is a refusal", async () => {
  await center.psp.manner({ copies: 1 });
  await center.psp.fault("timeout_after_effect", 600);
  const asked = [
    center.authorize("int-told"),
    center.authorize("int-told-no", 1_000, { method: "tok_declined" }),
  ];
  await center.until("int-told", "authorised");
  expect((await center.until("int-told-no", "declined")).declineReason).toBe("insufficient funds");
  expect(await Promise.all(asked)).toMatchObject([
    { ok: true, body: { status: "authorised" } },
    { ok: true, body: { status: "declined" } },
  ]);
});

test("the same event again is known, and so is another one about the same", async () => {
  await queued("int-again");
  const body = captured("int-again");
  expect(await center.tell(body)).toEqual({ status: 200, body: { outcome: "applied" } });
  const after = await books("int-again");
  expect(await center.tell(body)).toEqual({ status: 200, body: { outcome: "known" } });
  expect(await books("int-again")).toEqual(after);
  expect(await center.tell(captured("int-again"))).toEqual({ status: 200, body: { outcome: "known" } });
  const many = await Promise.all(Array.from({ length: 10 }, () => center.tell(body)));
  expect(many).toEqual(many.map(() => ({ status: 200, body: { outcome: "known" } })));
  expect(await center.intent("int-again")).toMatchObject({ status: "captured", captured: won(1_000) });
  expect(await center.events("ord-int-again")).toEqual(["payments.authorised.v1", "payments.captured.v1"]);
});

test("ten copies at once of an event that is new: one effect", async () => {
  await queued("int-ten");
  const body = captured("int-ten");
  const many = await Promise.all(Array.from({ length: 10 }, () => center.tell(body)));
  expect(many.filter(({ body: { outcome } }) => outcome === "applied")).toHaveLength(1);
  expect(await center.intent("int-ten")).toMatchObject({ status: "captured", captured: won(1_000) });
});

const signedBy =
  (secret: string, atSeconds = nowSeconds()) =>
  (body: string) => ({
    [SIGNATURE_HEADER]: signWebhook(secret, body, atSeconds),
  });
test.each<[string, (body: string) => Record<string, string>, string]>([
  ["nobody", () => ({}), "Sign the body"],
  ["somebody else", signedBy("whsec_somebody-else"), "Sign the body"],
  ["the processor, but for another body", (body) => signedBy(SECRET)(`${body} `), "Sign the body"],
  ["the processor, but long ago", signedBy(SECRET, nowSeconds() - TOLERANCE_SECONDS - 5), "too old"],
  ["the processor, but tomorrow", signedBy(SECRET, nowSeconds() + 86_400), "too old or from the future"],
  ["a header that is none", () => ({ [SIGNATURE_HEADER]: "v1=zz" }), "Sign the body"],
])("a webhook signed by %s is refused and changes nothing", async (_who, headers, sentence) => {
  const id = `int-forged-${made++}`;
  await queued(id);
  const before = await books(id);
  const body = captured(id);
  const answer = await center.tell(body, headers(body));
  expect(answer).toMatchObject({ status: 401, body: { code: "unauthenticated" } });
  expect(answer.body.detail).toContain(sentence);
  expect(await books(id)).toEqual(before);
});

test.each<[string, object, object, number]>([
  ["another currency", {}, { amount: { amountMinor: 1_000, currency: "USD" } }, 422],
  ["more than was asked for", {}, { amount: won(1_001) }, 422],
  ["less than was asked for", {}, { amount: won(1) }, 422],
  ["another merchant", {}, { merchant: "another-center" }, 422],
  ["another kind of movement", { type: "refund.done" }, { kind: "refund" }, 422],
  ["a type that is not the entry's", { type: "void.done" }, {}, 422],
  ["a negative amount", {}, { amount: won(-1) }, 400],
  ["a fraction", {}, { amount: won(0.5) }, 400],
  ["an amount beyond all", {}, { amount: won(1e15) }, 400],
  ["an amount in words", {}, { amount: { amountMinor: "1000", currency: "KRW" } }, 400],
  ["a type that does not exist", { type: "capture.maybe" }, {}, 400],
  ["an id that is none", { id: "1" }, {}, 400],
  ["no entry", { entry: undefined }, {}, 400],
])("a webhook with %s is refused and changes nothing", async (_what, change, entry, status) => {
  const id = `int-wrong-${made++}`;
  await queued(id);
  const before = await books(id);
  const answer = await center.tell(captured(id, change, entry));
  expect(answer.status).toBe(status);
  expect(String(answer.body.detail).length).toBeGreaterThan(10);
  expect(await books(id)).toEqual(before);
});

test.each([
  ["malformed JSON", "{", 400, "invalid-request"],
  ["a card's number", JSON.stringify({ id: "evt_1", note: "4111 1111 1111 1111" }), 400, "invalid-request"],
  ["10 MB", JSON.stringify({ id: "x".repeat(10_000_000) }), 413, "payload-too-large"],
])("%s is refused, although it is signed", async (_what, body, status, code) => {
  const answer = await center.tell(body);
  expect(answer).toMatchObject({ status, body: { code } });
  expect(JSON.stringify(answer.body)).not.toContain("4111");
});

test("what nobody here has asked for is said to be unknown, and changes nothing", async () => {
  const before = await books("int-nobody");
  expect(await center.tell(captured("int-nobody"))).toEqual({ status: 200, body: { outcome: "unknown" } });
  expect(await books("int-nobody")).toEqual(before);
});

test("nobody speaks to the cell itself: a signature does not replace the gateway's token", async () => {
  const body = captured("int-past-gateway");
  const response = await fetch(`${center.cell.url("payments")}/internal/webhooks/processor`, {
    method: "POST",
    headers: { "content-type": "application/json", ...signedBy(SECRET)(body) },
    body,
  });
  expect(response.status).toBe(401);
});

test("a new secret counts beside the old one, and an old one no longer when it is gone", async () => {
  const file = join(center.cell.trustDir, WEBHOOK_SECRETS);
  const NEXT = "whsec_of-the-next-year";
  const statusWith = async (secret: string) => {
    const body = captured("int-rotated");
    return (await center.tell(body, signedBy(secret)(body))).status;
  };
  try {
    expect(await statusWith(NEXT)).toBe(401);
    await writeFile(file, `${SECRET}\n${NEXT}\n`);
    await eventually(async () => (await statusWith(NEXT)) === 200);
    expect(await statusWith(SECRET)).toBe(200);
    await writeFile(file, `${NEXT}\n`);
    await eventually(async () => (await statusWith(SECRET)) === 401);
    await rm(file);
    await eventually(async () => (await statusWith(NEXT)) === 503);
  } finally {
    await writeFile(file, `${SECRET}\n`);
    await eventually(async () => (await statusWith(SECRET)) === 200);
  }
});
