import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { eventually } from "../../platform/testing/stores.ts";
import type { Stock } from "./contract.ts";
import { BIN, expectOk, fresh, type Line, startCenter, type TestCenter } from "./testing/center.ts";

let center: TestCenter;
beforeAll(async () => {
  center = await startCenter();
  await center.fill({ probe: 1_000 });
  await eventually(async () => {
    const held = await center.hold(fresh("probe"), [{ sku: "probe", quantity: 1 }], { ttlSeconds: 1 });
    return held.ok && !held.body.generation.startsWith("sql-");
  });
  // Its end must not fall into a test that compares before and after.
  await eventually(async () => (await center.stock("probe")).reserved === 0);
});
afterAll(() => center?.stop());

let sku = "";
beforeEach(async () => {
  sku = fresh("sku");
  await center.fill({ [sku]: 10 });
});
const actor = { kind: "human", id: "u-picker" };
const staff = () => center.cell.as("u-staff", "staff").inventory;
const expectStock = async (expected: Partial<Stock>) =>
  expect(await center.stock(sku)).toMatchObject(expected);

describe("bad input", () => {
  const lines = (...quantities: number[]): Line[] =>
    quantities.map((quantity) => ({ sku: "probe", quantity }));
  const many = (count: number) =>
    Array.from({ length: count }, (_, n) => ({ sku: `many-${n}`, quantity: 1 }));
  const cases: [string, unknown, string][] = [
    ["quantity 0", lines(0), "invalid-request"],
    ["a negative quantity", lines(-1), "invalid-request"],
    ["quantity 1000", lines(1000), "invalid-request"],
    ["half a unit", lines(0.5), "invalid-request"],
    ["a quantity that is text", [{ sku: "probe", quantity: "1" }], "invalid-request"],
    ["no lines", [], "invalid-request"],
    ["101 lines", many(101), "invalid-request"],
    ["a SKU with a blank", [{ sku: "pro be", quantity: 1 }], "invalid-request"],
    ["an empty SKU", [{ sku: "", quantity: 1 }], "invalid-request"],
    ["a SKU nobody registered", [{ sku: "never-heard-of", quantity: 1 }], "unprocessable"],
    ["more than there is", lines(999, 2), "out-of-stock"],
  ];
  it.each(cases)("of a hold: %s", async (_name, given, code) => {
    const before = await center.stock("probe");
    expect(await center.hold(fresh("bad"), given as Line[])).toMatchObject({ ok: false, code });
    expect(await center.stock("probe")).toEqual(before);
  });
  it.each(cases)("of an allocation: %s", async (_name, given, code) => {
    const before = await center.stock("probe");
    expect(await center.allocate(fresh("bad"), given as Line[])).toMatchObject({ ok: false, code });
    expect(await center.stock("probe")).toEqual(before);
  });

  it("takes as many lines as one order may have, and as many units as one line may have", async () => {
    const skus = Object.fromEntries(many(99).map((line) => [line.sku, 3]));
    await center.fill(skus);
    const id = fresh("wide");
    const wide = [...many(99), { sku: "probe", quantity: 999 }];
    // A unit that an earlier command gave back is sold again only when the mirror has heard of it: a moment of underselling.
    await eventually(async () => (await center.hold(id, wide)).ok);
    expect(expectOk(await center.allocate(id, wide)).lines).toHaveLength(100);
    expectOk(await center.post(`/internal/allocations/${id}/release`, { reason: "test" }));
  });

  it.each([
    ["/v1/stock", "invalid-request"],
    ["/v1/stock?sku=never-heard-of", "not-found"],
    ["/v1/movements?sku=probe&cursor=x", "invalid-request"],
    ["/v1/nothing", "not-found"],
  ])("of a question: %s", async (path, code) => {
    expect(await staff().call({ method: "GET", path })).toMatchObject({ ok: false, code });
  });

  it("of master data: a barcode that belongs to another SKU", async () => {
    const row = {
      sku: fresh("twin"),
      barcode: `b-${sku}`,
      name: "x",
      weightGrams: 1,
      temperature: "ambient",
    };
    const answer = await staff().call({ method: "POST", path: "/v1/skus", body: { skus: [row] } });
    expect(answer).toMatchObject({ ok: false, code: "conflict" });
  });

  it("of a user who is not staff", async () => {
    const shopper = center.cell.as("u-1", "customer").inventory;
    const body = { receiptId: fresh("rcp"), lines: [{ sku, bin: BIN, quantity: 5 }] };
    expect(await shopper.call({ method: "POST", path: "/v1/receipts", body })).toMatchObject({
      code: "forbidden",
    });
    expect(await shopper.call({ method: "GET", path: `/v1/stock?sku=${sku}` })).toMatchObject({ ok: true });
    await expectStock({ onHand: 10 });
  });
});

describe("a hold", () => {
  it("adds up two lines of one SKU, and so does an allocation", async () => {
    const twice = [
      { sku, quantity: 6 },
      { sku, quantity: 6 },
    ];
    const short = { code: "out-of-stock", extra: { short: [{ sku, requested: 12, available: 10 }] } };
    expect(await center.hold(fresh("h"), twice)).toMatchObject(short);
    expect(await center.allocate(fresh("h"), twice)).toMatchObject(short);
    const id = fresh("h");
    const fits = [
      { sku, quantity: 6 },
      { sku, quantity: 4 },
    ];
    expectOk(await center.hold(id, fits));
    expect(expectOk(await center.allocate(id, fits)).lines).toMatchObject([{ sku, quantity: 10 }]);
    await expectStock({ reserved: 0, allocated: 10, available: 0 });
  });

  it("takes all lines or none", async () => {
    const other = fresh("sku");
    await center.fill({ [other]: 1 });
    const id = fresh("h");
    const refused = await center.hold(id, [
      { sku, quantity: 5 },
      { sku: other, quantity: 2 },
    ]);
    expect(refused).toMatchObject({
      code: "out-of-stock",
      extra: { short: [{ sku: other, requested: 2, available: 1 }] },
    });
    await expectStock({ reserved: 0 });
  });

  it("is the same hold when it is asked for again, and another one's when the owner differs", async () => {
    const id = fresh("h");
    const first = expectOk(await center.hold(id, [{ sku, quantity: 3 }]));
    expect(expectOk(await center.hold(id, [{ sku, quantity: 3 }]))).toEqual(first);
    await expectStock({ reserved: 3 });
    expect(await center.hold(id, [{ sku, quantity: 3 }], { owner: "u-2" })).toMatchObject({
      code: "conflict",
    });
    expectOk(await center.hold(id, [{ sku, quantity: 10 }]));
    await expectStock({ reserved: 10, available: 0 });
  });

  it("is told of in metrics: which SKUs are full, what came and went, what was refused", async () => {
    const id = fresh("h");
    expectOk(await center.hold(id, [{ sku, quantity: 9 }]));
    expect(await center.hold(fresh("h"), [{ sku, quantity: 2 }])).toMatchObject({ code: "out-of-stock" });
    const text = () => fetch(`${center.cell.url("inventory")}/metrics`).then((answer) => answer.text());
    await eventually(
      async () =>
        (await text())
          .split("\n")
          .some((line) => line.startsWith("inventory_sku_saturation_ratio{") && / 0\.9$/.test(line)),
      30_000,
    );
    expectOk(await center.post(`/internal/holds/${id}/release`, {}));
    const told = await text();
    expect(told).toMatch(/inventory_hold_churn_total\{[^}]*event="new"[^}]*\} [1-9]/);
    expect(told).toMatch(/inventory_hold_churn_total\{[^}]*event="released"[^}]*\} [1-9]/);
    expect(told).toMatch(/inventory_holds_total\{[^}]*outcome="out-of-stock"[^}]*\} [1-9]/);
  });

  it("ends by its time", async () => {
    expectOk(await center.hold(fresh("h"), [{ sku, quantity: 10 }], { ttlSeconds: 1 }));
    await expectStock({ available: 0 });
    await eventually(async () => (await center.stock(sku)).available === 10);
    expectOk(await center.hold(fresh("h"), [{ sku, quantity: 10 }]));
  });

  it("ends by its release, and a late repetition does not bring it back", async () => {
    const id = fresh("h");
    expectOk(await center.hold(id, [{ sku, quantity: 4 }]));
    expect(expectOk(await center.post(`/internal/holds/${id}/release`, {}))).toEqual({
      holdId: id,
      released: true,
    });
    expect(expectOk(await center.post(`/internal/holds/${id}/release`, {}))).toEqual({
      holdId: id,
      released: false,
    });
    await expectStock({ reserved: 0, available: 10 });
    expect(await center.hold(id, [{ sku, quantity: 4 }])).toMatchObject({ code: "conflict" });
  });
});

describe("an allocation", () => {
  it("is one allocation however often and concurrently it is asked for", async () => {
    const id = fresh("h");
    const answers = await Promise.all(
      Array.from({ length: 20 }, () => center.allocate(id, [{ sku, quantity: 2 }])),
    );
    const bodies = answers.map(expectOk);
    expect(new Set(bodies.map((body) => JSON.stringify(body))).size).toBe(1);
    expect(await center.sold(sku)).toBe(2);
    expect(await center.allocate(id, [{ sku, quantity: 3 }])).toMatchObject({
      code: "idempotency-key-reused",
    });
  });

  it("needs no hold, and a release that overtakes it wins", async () => {
    const id = fresh("h");
    const released = await center.post(`/internal/allocations/${id}/release`, { reason: "cancelled" });
    expect(expectOk(released)).toEqual({ allocationId: id, released: 0 });
    expect(await center.allocate(id, [{ sku, quantity: 2 }])).toMatchObject({ code: "conflict" });
    expectOk(await center.allocate(fresh("h"), [{ sku, quantity: 2 }]));
    expect(await center.sold(sku)).toBe(2);
  });

  it("gives its stock back once", async () => {
    const id = fresh("h");
    expectOk(await center.allocate(id, [{ sku, quantity: 7 }]));
    for (const reason of ["cancelled", "once more"]) {
      const answer = await center.post(`/internal/allocations/${id}/release`, { reason });
      expect(expectOk(answer)).toEqual({ allocationId: id, released: 7 });
    }
    await expectStock({ onHand: 10, allocated: 0, available: 10 });
    await eventually(async () => (await center.hold(fresh("h"), [{ sku, quantity: 10 }])).ok);
  });
});

describe("the floor", () => {
  it("picks, finds less, puts back, and each only once", async () => {
    const id = fresh("h");
    expectOk(await center.allocate(id, [{ sku, quantity: 6 }]));
    const pick = { pickId: fresh("p"), holdId: id, sku, bin: BIN, quantity: 4, actor };
    for (let i = 0; i < 3; i++) expectOk(await center.post("/internal/picks", pick));
    await expectStock({ onHand: 6, allocated: 2, available: 4 });
    expect(await center.post("/internal/picks", { ...pick, quantity: 1 })).toMatchObject({
      code: "idempotency-key-reused",
    });
    const short = { shortId: fresh("s"), holdId: id, sku, bin: BIN, quantity: 2 };
    for (let i = 0; i < 3; i++) expectOk(await center.post("/internal/shorts", short));
    await expectStock({ onHand: 4, allocated: 0, available: 4 });
    const elsewhere = { aisle: 9, position: 9, level: 1 };
    const putback = { putbackId: fresh("b"), holdId: id, lines: [{ sku, bin: elsewhere, quantity: 3 }] };
    for (let i = 0; i < 3; i++) expectOk(await center.post("/internal/putbacks", putback));
    await expectStock({ onHand: 7, allocated: 0, available: 7 });
    const tooMuch = { ...putback, putbackId: fresh("b"), lines: [{ sku, bin: elsewhere, quantity: 2 }] };
    expect(await center.post("/internal/putbacks", tooMuch)).toMatchObject({
      code: "conflict",
      extra: { open: 1 },
    });
    const state = await center.cell.internal.inventory.call({
      method: "GET",
      path: `/internal/allocations/${id}`,
    });
    expect(expectOk(state)).toMatchObject({
      state: "allocated",
      lines: [{ sku, bin: BIN, quantity: 6, picked: 4, shorted: 2, putBack: 3, released: 0 }],
    });
    expect(await center.drift()).toEqual([]);
  });

  it("refuses the wrong bin and an allocation that is not there, and changes nothing", async () => {
    const id = fresh("h");
    expectOk(await center.allocate(id, [{ sku, quantity: 1 }]));
    const pick = { pickId: fresh("p"), holdId: id, sku, bin: { ...BIN, level: 7 }, quantity: 1, actor };
    expect(await center.post("/internal/picks", pick)).toMatchObject({ code: "conflict" });
    expect(await center.post("/internal/picks", { ...pick, holdId: fresh("h") })).toMatchObject({
      code: "not-found",
    });
    await expectStock({ onHand: 10, allocated: 1 });
  });

  it("tells the others what was allocated and what was not found", async () => {
    const id = fresh("h");
    expectOk(await center.allocate(id, [{ sku, quantity: 2 }]));
    const shortId = fresh("s");
    expectOk(await center.post("/internal/shorts", { shortId, holdId: id, sku, bin: BIN, quantity: 1 }));
    // The relay empties the outbox into Kafka; what it has sent is no longer there.
    await eventually(
      async () => (await center.cell.sql.query("SELECT id FROM inventory.outbox")).length === 0,
    );
    const metrics = await fetch(`${center.cell.url("inventory")}/metrics`).then((answer) => answer.text());
    expect(metrics).toMatch(/outbox_sent_total\{.*way="kafka".*\} [1-9]/);
  });
});

describe("receipts, counts and the ledger", () => {
  it("take a receipt once, into several bins", async () => {
    const far = { aisle: 2, position: 5, level: 1 };
    const receipt = {
      receiptId: fresh("r"),
      lines: [
        { sku, bin: BIN, quantity: 5 },
        { sku, bin: far, quantity: 20 },
      ],
    };
    for (let i = 0; i < 3; i++) {
      const answer = await staff().call({ method: "POST", path: "/v1/receipts", body: receipt });
      expect(expectOk(answer)).toEqual({ receiptId: receipt.receiptId, units: 25 });
    }
    await expectStock({ onHand: 35, available: 35 });
    const allocated = expectOk(await center.allocate(fresh("h"), [{ sku, quantity: 18 }]));
    expect(allocated.lines[0]?.bins).toEqual([{ bin: far, quantity: 18 }]);
    const rest = expectOk(await center.allocate(fresh("h"), [{ sku, quantity: 16 }]));
    expect(rest.lines[0]?.bins).toEqual([
      { bin: BIN, quantity: 15 },
      { bin: far, quantity: 1 },
    ]);
  });

  it("keep damaged goods from being sold, and never count below what is promised", async () => {
    const adjust = (onHandDelta: number, damagedDelta: number) => {
      const line = { sku, bin: BIN, onHandDelta, damagedDelta };
      const body = {
        adjustmentId: fresh("a"),
        reason: damagedDelta === 0 ? "count" : "damage",
        lines: [line],
      };
      return staff().call({ method: "POST", path: "/v1/adjustments", body });
    };
    expectOk(await adjust(0, 4));
    await expectStock({ onHand: 10, damaged: 4, available: 6 });
    expect(await center.allocate(fresh("h"), [{ sku, quantity: 7 }])).toMatchObject({ code: "out-of-stock" });
    expectOk(await center.allocate(fresh("h"), [{ sku, quantity: 6 }]));
    expect(await adjust(-1, 0)).toMatchObject({ code: "conflict" });
    expectOk(await adjust(-4, -4));
    await expectStock({ onHand: 6, damaged: 0, allocated: 6, available: 0 });
    expect(await center.drift()).toEqual([]);
  });

  it("list the movements of a SKU in order, page by page", async () => {
    for (let n = 0; n < 119; n++) {
      const body = { receiptId: fresh("r"), lines: [{ sku, bin: BIN, quantity: n + 1 }] };
      expectOk(await staff().call({ method: "POST", path: "/v1/receipts", body }));
    }
    interface Page {
      movements: { onHandDelta: number }[];
      nextCursor?: string;
    }
    const page = async (cursor = "") =>
      expectOk(await staff().call<Page>({ method: "GET", path: `/v1/movements?sku=${sku}${cursor}` }));
    const first = await page();
    expect(first.movements).toHaveLength(100);
    const second = await page(`&cursor=${first.nextCursor}`);
    expect(second.nextCursor).toBeUndefined();
    const deltas = [...first.movements, ...second.movements].map((movement) => movement.onHandDelta);
    expect(deltas).toEqual([10, ...Array.from({ length: 119 }, (_, n) => n + 1)]);
  });

  it("find a balance that somebody changed past the ledger, and repair it on demand", async () => {
    await center.cell.sql.query("UPDATE inventory.balance SET on_hand = on_hand + 3 WHERE sku = $1", [sku]);
    const ask = (repair: boolean) =>
      staff().call({ method: "POST", path: "/v1/reconciliations", body: { skus: [sku], repair } });
    const drift = { sku, bin: BIN, onHandDelta: -3, allocatedDelta: 0, damagedDelta: 0, openDelta: 0 };
    expect(expectOk(await ask(false))).toEqual({ drifts: [drift], repaired: 0 });
    await eventually(async () => {
      const text = await fetch(`${center.cell.url("inventory")}/metrics`).then((answer) => answer.text());
      return /inventory_drifted_bins\{[^}]*\} [1-9]/.test(text);
    }, 60_000);
    expect(expectOk(await ask(true))).toEqual({ drifts: [drift], repaired: 1 });
    expect(expectOk(await ask(true))).toEqual({ drifts: [], repaired: 0 });
    await expectStock({ onHand: 10, available: 10 });
    const audit = await center.cell.sql.query("SELECT on_hand_delta FROM inventory.repair WHERE sku = $1", [
      sku,
    ]);
    expect(audit).toEqual([{ on_hand_delta: -3 }]);
  });
});

describe("what is in stock", () => {
  it("is a list with a tag: the same tag is not sent again, and a change makes a new one", async () => {
    const url = `/internal/sellable`;
    const ask = (headers: Record<string, string> = {}) =>
      center.cell.internal.inventory.call<{ skus: string[] }>({ method: "GET", path: url, headers });
    const first = await eventually(async () => {
      const answer = await ask();
      return answer.ok && answer.body.skus.includes(sku) ? answer : undefined;
    });
    const etag = String(first.headers.etag);
    expect(await ask({ "if-none-match": etag })).toMatchObject({ ok: true, status: 304 });
    expectOk(await center.hold(fresh("h"), [{ sku, quantity: 10 }]));
    await eventually(async () => {
      const answer = await ask({ "if-none-match": etag });
      return answer.ok && answer.status === 200 && !answer.body.skus.includes(sku);
    });
  });

  it("answers for master data, with what it does not know", async () => {
    const path = `/internal/skus?skus=${sku},never-heard-of`;
    const answer = await center.cell.internal.inventory.call({ method: "GET", path });
    expect(expectOk(answer)).toEqual({
      skus: [{ sku, barcode: `b-${sku}`, name: sku, weightGrams: 500, temperature: "ambient" }],
      unknown: ["never-heard-of"],
    });
  });
});
