import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../../platform/testing/stores.ts";
import { startPayments, type TestPayments, won } from "./testing/center.ts";

let center: TestPayments;
beforeAll(async () => {
  center = await startPayments();
  await center.psp.manner({ copies: 0 });
});
afterAll(() => center.stop());

const HIGH = 600_000;
const at = (customer: string, address = "home") => ({ risk: { customer, address } });
const decide = (intentId: string, decision: string, actor = "usr_kim") =>
  center.post(`/internal/intents/${intentId}/review`, { decision, actor });
const capture = (intentId: string, amountMinor = HIGH) =>
  center.post(`/internal/intents/${intentId}/capture`, { amount: won(amountMinor) });
const listed = async () => (await center.reviews("?limit=200")).reviews.map(({ intentId }) => intentId);
const decisions = async (intentId: string) =>
  (await center.happened(`ord-${intentId}`))
    .filter(({ type }) => type === "payments.review_decided.v1")
    .map(({ data }) => data);

test("a high payment of somebody new is held, approved once, captured, and known the next time", async () => {
  const held = await center.authorize("int-new", HIGH, at("cus-new"));
  expect(held).toMatchObject({
    body: { status: "authorised", review: true, reviewReasons: ["high-value", "new-account"] },
  });
  const [entry] = (await center.reviews()).reviews.filter(({ intentId }) => intentId === "int-new");
  expect(entry).toMatchObject({ orderId: "ord-int-new", amount: won(HIGH), score: 100 });
  expect(Date.parse(entry?.until ?? "") - Date.parse(entry?.createdAt ?? "")).toBe(2 * 3_600_000);
  expect(await capture("int-new")).toMatchObject({ code: "conflict", extra: { review: "open" } });

  expect(await decide("int-new", "approve")).toMatchObject({ ok: true, body: { review: false } });
  expect(await decide("int-new", "approve", "usr_lee")).toMatchObject({ ok: true });
  expect(await decide("int-new", "refuse")).toMatchObject({
    code: "conflict",
    extra: { review: "approved" },
  });
  expect(await listed()).not.toContain("int-new");
  expect(await center.authorize("int-new", HIGH, at("cus-new"))).toMatchObject({ body: { review: false } });
  expect(await capture("int-new")).toMatchObject({ ok: true });
  await center.until("int-new", "captured");
  expect(await decisions("int-new")).toEqual([
    { orderId: "ord-int-new", intentId: "int-new", decision: "approve", actor: "usr_kim" },
  ]);

  const again = await center.authorize("int-known", HIGH, at("cus-new"));
  expect(again).toMatchObject({ body: { review: false, reviewReasons: ["high-value"] } });
  const moved = await center.authorize("int-moved", HIGH, at("cus-new", "elsewhere"));
  expect(moved).toMatchObject({ body: { review: true, reviewReasons: ["high-value", "address-mismatch"] } });
});

test("everyday payments are not held, and without a name only the amount speaks", async () => {
  expect(await center.authorize("int-small", 10_000, at("cus-small"))).toMatchObject({
    body: { review: false },
  });
  expect(await center.authorize("int-nobody", HIGH)).toMatchObject({
    body: { review: false, reviewReasons: [] },
  });
  // Seen a day ago: no longer new, although nothing was ever captured.
  await center.cell.sql.query(
    "UPDATE payments.payer SET first_seen_at = now() - INTERVAL '25 hours' WHERE customer = 'cus-small'",
  );
  expect(await center.authorize("int-older", HIGH, at("cus-small"))).toMatchObject({
    body: { review: false },
  });
});

test("what was refused is never captured; it is voided", async () => {
  await center.authorize("int-refused", HIGH, at("cus-refused"));
  expect(await decide("int-refused", "refuse")).toMatchObject({ ok: true, body: { review: true } });
  expect(await center.authorize("int-refused", HIGH, at("cus-refused"))).toMatchObject({
    body: { review: true },
  });
  expect(await capture("int-refused")).toMatchObject({ code: "conflict", extra: { review: "refused" } });
  expect(await center.post("/internal/intents/int-refused/void")).toMatchObject({ ok: true });
  await center.until("int-refused", "voided");
  expect((await center.psp.ledger("?reference=ord-int-refused")).totals).toMatchObject({
    captures: 0,
    open: 0,
  });
});

test("twenty decisions at once: one of them, and one event", async () => {
  await center.authorize("int-crowd", HIGH, at("cus-crowd"));
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, index) =>
      decide("int-crowd", index % 2 ? "approve" : "refuse", `usr_${index}`),
    ),
  );
  expect(answers.filter(({ ok }) => ok)).toHaveLength(10);
  for (const answer of answers) if (!answer.ok) expect(answer.code).toBe("conflict");
  expect(await decisions("int-crowd")).toHaveLength(1);
});

test("what nobody decides is refused when its time is over, once", async () => {
  await center.authorize("int-late", HIGH, at("cus-late"));
  await center.cell.sql.query("UPDATE payments.intent SET review_until = now() WHERE intent_id = 'int-late'");
  await eventually(async () => !(await listed()).includes("int-late"));
  expect(await decide("int-late", "approve")).toMatchObject({
    code: "conflict",
    extra: { review: "refused" },
  });
  expect(await decisions("int-late")).toEqual([
    { orderId: "ord-int-late", intentId: "int-late", decision: "refuse", actor: "timeout" },
  ]);
});

test("money that goes away first leaves nothing to decide", async () => {
  await center.authorize("int-gone", HIGH, at("cus-gone"));
  await center.post("/internal/intents/int-gone/void");
  expect(await listed()).not.toContain("int-gone");
  expect(await decide("int-gone", "approve")).toMatchObject({ code: "conflict" });
  await center.authorize("int-no", HIGH, { ...at("cus-no"), method: "tok_declined" });
  expect(await listed()).not.toContain("int-no");
  expect(await decide("int-no", "approve")).toMatchObject({
    code: "conflict",
    extra: { review: "closed" },
  });
  const open = await center.cell.sql.query(
    "SELECT 1 FROM payments.intent WHERE review = 'open' AND intent_id IN ('int-gone', 'int-no')",
  );
  expect(open).toEqual([]);
});

test("pages of open reviews miss and repeat nothing, and begin with what runs out first", async () => {
  const ids = Array.from({ length: 7 }, (_, index) => `int-page-${index}`);
  await Promise.all(ids.map((id) => center.authorize(id, HIGH, at(`cus-${id}`))));
  const seen: string[] = [];
  const untils: string[] = [];
  let cursor: string | undefined;
  do {
    const page = await center.reviews(`?limit=3${cursor ? `&cursor=${encodeURIComponent(cursor)}` : ""}`);
    seen.push(...page.reviews.map(({ intentId }) => intentId));
    untils.push(...page.reviews.map(({ until }) => until));
    cursor = page.nextCursor;
  } while (cursor !== undefined);
  expect(seen.filter((id) => ids.includes(id)).sort()).toEqual(ids);
  expect(new Set(seen).size).toBe(seen.length);
  expect(untils).toEqual([...untils].sort());
});

test.each<[string, unknown, string]>([
  ["no such decision", { decision: "maybe", actor: "usr_kim" }, "invalid-request"],
  ["nobody who decides", { decision: "approve" }, "invalid-request"],
  ["an actor of many words", { decision: "approve", actor: "a b" }, "invalid-request"],
  ["a card's number", { decision: "approve", actor: "4111111111111111" }, "invalid-request"],
])("a decision with %s is refused and changes nothing", async (_what, body, code) => {
  await center.authorize("int-bad", HIGH, at("cus-bad"));
  expect(await center.post("/internal/intents/int-bad/review", body)).toMatchObject({ code });
  expect(await listed()).toContain("int-bad");
});

test("reviews that are not there are said to be so", async () => {
  expect(await decide("int-nothing", "approve")).toMatchObject({ code: "not-found" });
  await center.authorize("int-plain", 1_000);
  expect(await decide("int-plain", "approve")).toMatchObject({ code: "conflict" });
  for (const query of ["?limit=0", "?limit=201", "?cursor=x", "?cursor=1%7C%00"])
    await expect(center.reviews(query)).rejects.toThrow("invalid-request");
});
