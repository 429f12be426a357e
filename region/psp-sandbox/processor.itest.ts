import { afterAll, beforeAll, expect, test } from "vitest";
import { startTestPsp, type TestPsp } from "./testing/psp.ts";

let psp: TestPsp;
beforeAll(async () => {
  psp = await startTestPsp();
});
afterAll(() => psp.stop());

const won = (amountMinor: number) => ({ amountMinor, currency: "KRW" });
const authorize = (key: string, merchant: string, more: object = {}) =>
  psp.post("/v1/authorizations", { key, amount: won(1_000), method: "tok_visa", merchant, ...more });

test("one key is one movement, also for many at once", async () => {
  const answers = await Promise.all(Array.from({ length: 20 }, () => authorize("twenty", "m-twenty")));
  expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(19);
  expect(new Set(answers.map(({ body }) => body.at)).size).toBe(1);
  const { totals } = await psp.ledger("?merchant=m-twenty");
  expect(totals).toMatchObject({ authorizations: 1, open: 1 });
});

test("another body under a key is refused and changes nothing", async () => {
  await authorize("reused", "m-reused");
  const other = await authorize("reused", "m-reused", { amount: won(2_000) });
  expect(other).toMatchObject({ status: 422, body: { code: "idempotency-key-reused" } });
  const capture = await psp.post("/v1/captures", {
    key: "reused",
    authorizationKey: "reused",
    amount: won(1_000),
  });
  expect(capture.status).toBe(422);
  expect((await psp.ledger("?merchant=m-reused")).entries).toHaveLength(1);
});

test("captures stay within what was authorised, refunds within what was captured", async () => {
  await authorize("bound", "m-bound");
  const move = (path: string, key: string, amountMinor: number) =>
    psp.post(path, { key, authorizationKey: "bound", amount: won(amountMinor) });
  expect((await move("/v1/captures", "c1", 600)).status).toBe(201);
  expect((await move("/v1/captures", "c2", 401)).status).toBe(422);
  expect((await move("/v1/refunds", "r1", 601)).status).toBe(422);
  expect((await move("/v1/refunds", "r2", 600)).status).toBe(201);
  expect((await move("/v1/refunds", "r3", 1)).status).toBe(422);
  const parallel = await Promise.all(
    Array.from({ length: 8 }, (_, index) => move("/v1/captures", `p${index}`, 100)),
  );
  expect(parallel.filter(({ status }) => status === 201)).toHaveLength(4);
  const { totals } = await psp.ledger("?merchant=m-bound");
  expect(totals).toMatchObject({ capturedMinor: 1_000, refundedMinor: 600 });
});

test("a void that comes before its authorization closes the key", async () => {
  const early = { key: "v-early", authorizationKey: "early", merchant: "m-early" };
  expect((await psp.post("/v1/voids", early)).status).toBe(201);
  expect((await authorize("early", "m-early")).body.status).toBe("voided");
  const capture = await psp.post("/v1/captures", {
    key: "c-early",
    authorizationKey: "early",
    amount: won(1),
  });
  expect(capture.status).toBe(422);
  expect((await psp.ledger("?merchant=m-early")).totals.open).toBe(0);
});

test("what is done survives a restart, faults too", async () => {
  await authorize("durable", "m-durable");
  await psp.fault("decline", 60);
  await psp.restart();
  const declined = await authorize("durable-2", "m-durable");
  expect(declined.body.status).toBe("declined");
  await psp.fault("decline", 0);
  const again = await authorize("durable", "m-durable");
  expect(again).toMatchObject({ status: 200, body: { status: "approved" } });
});

test("tok_declined is declined", async () => {
  const { status, body } = await authorize("no-funds", "m-no-funds", { method: "tok_declined" });
  expect([status, body.status]).toEqual([201, "declined"]);
});

test("down cuts the connection before anything is done; a swallowed answer hides what was done", async () => {
  await psp.fault("down", 60);
  await expect(authorize("cut", "m-cut")).rejects.toThrow();
  await psp.fault("down", 0);
  expect((await psp.ledger("?merchant=m-cut")).entries).toHaveLength(0);

  await psp.fault("timeout_after_effect", 60);
  const silent = fetch(`${psp.url}/v1/authorizations`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ key: "silent", amount: won(5), method: "tok_visa", merchant: "m-silent" }),
    signal: AbortSignal.timeout(1_500),
  });
  await expect(silent).rejects.toThrow();
  await psp.fault("timeout_after_effect", 0);
  const found = await fetch(`${psp.url}/v1/by-key/silent`);
  expect(((await found.json()) as { status: string }).status).toBe("approved");
});

test("the ledger comes in pages that miss and repeat nothing", async () => {
  // In turns, as callers come: what is asked here is about pages, and all at once some would be told that too many others are there.
  for (let from = 0; from < 520; from += 40) {
    const turn = Array.from({ length: 40 }, (_, index) => authorize(`page-${from + index}`, "m-page"));
    const answers = await Promise.all(turn);
    expect(answers.filter(({ status }) => status !== 201).map(({ body }) => body)).toEqual([]);
  }
  const first = await psp.ledger("?merchant=m-page");
  expect(first.entries).toHaveLength(500);
  const second = await psp.ledger(`?merchant=m-page&cursor=${encodeURIComponent(first.nextCursor ?? "")}`);
  expect(second.nextCursor).toBeUndefined();
  const keys = new Set([...first.entries, ...second.entries].map(({ key }) => key));
  expect(keys.size).toBe(520);
});

test.each([
  ["/v1/by-key/%00", 404],
  ["/v1/ledger?reference=%00", 400],
  ["/v1/ledger?cursor=2024-99-99%7Ckey", 400],
  ["/v1/ledger?cursor=9999999999999999%7Ckey", 200],
])("nonsense at %s is answered %i", async (path, status) => {
  expect((await fetch(`${psp.url}${path}`)).status).toBe(status);
});

test("a void and its authorization at once leave nothing reserved", async () => {
  await Promise.all(
    Array.from({ length: 30 }, async (_, index) => {
      const key = `race-${index}`;
      const voided = { key: `v-${key}`, authorizationKey: key, merchant: "m-race" };
      await Promise.all([authorize(key, "m-race"), psp.post("/v1/voids", voided)]);
    }),
  );
  expect((await psp.ledger("?merchant=m-race")).totals).toMatchObject({
    authorizations: 30,
    voided: 30,
    open: 0,
  });
});
