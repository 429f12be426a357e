import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { AllocationReleaseAnswer, Stock } from "./contract.ts";
import { BIN, expectOk, fresh, startCenter, type TestCenter } from "./testing/center.ts";

let center: TestCenter;
beforeAll(async () => {
  center = await startCenter();
});
afterAll(() => center?.stop());

const FAR = { aisle: 9, position: 1, level: 2 };
const actor = { kind: "human", id: "u-desk" };
let sku = "";
let other = "";
let holdId = "";
beforeEach(async () => {
  sku = fresh("sku");
  other = fresh("other");
  holdId = fresh("h");
  await center.fill({ [sku]: 10, [other]: 5 });
});
afterEach(async () => expect(await center.drift()).toEqual([]));
const expectStock = async (expected: Partial<Stock>) =>
  expect(await center.stock(sku)).toMatchObject(expected);
const pick = (quantity: number, of = sku) =>
  center.post("/internal/picks", { pickId: fresh("p"), holdId, sku: of, bin: BIN, quantity, actor });
const kindsOf = async (of: string) => {
  const answer = await center.cell
    .as("u-staff", "staff")
    .inventory.call<{ movements: { kind: string; actor?: string }[] }>({
      method: "GET",
      path: `/v1/movements?sku=${of}`,
    });
  return expectOk(answer).movements.map((movement) => movement.kind);
};

describe("a release of some lines", () => {
  const release = (body: object) =>
    center.post<AllocationReleaseAnswer>(`/internal/allocations/${holdId}/release`, {
      reason: "a line was cancelled",
      ...body,
    });
  beforeEach(async () => {
    expectOk(
      await center.allocate(holdId, [
        { sku, quantity: 6 },
        { sku: other, quantity: 2 },
      ]),
    );
  });

  it("gives so much of these lines back, once, and leaves the rest to be picked", async () => {
    const releaseId = fresh("rel");
    const lines = [
      { sku, quantity: 1 },
      { sku, quantity: 3 },
    ];
    const answers = await Promise.all(Array.from({ length: 5 }, () => release({ releaseId, lines })));
    for (const answer of answers) {
      expect(expectOk(answer)).toEqual({
        allocationId: holdId,
        released: 4,
        lines: [{ sku, released: 4 }],
      });
    }
    await expectStock({ onHand: 10, allocated: 2, available: 8 });
    expect(await release({ releaseId, lines: [{ sku, quantity: 1 }] })).toMatchObject({
      code: "idempotency-key-reused",
    });
    expectOk(await pick(2));
    expectOk(await pick(2, other));
    await expectStock({ onHand: 8, allocated: 0 });
  });

  it("takes all lines or none, and nothing that a picker has", async () => {
    expectOk(await pick(5));
    const lines = [
      { sku: other, quantity: 1 },
      { sku, quantity: 2 },
    ];
    expect(await release({ releaseId: fresh("rel"), lines })).toMatchObject({
      code: "conflict",
      extra: { sku, open: 1 },
    });
    expect(await center.stock(other)).toMatchObject({ allocated: 2 });
    await expectStock({ onHand: 5, allocated: 1 });
    expectOk(await release({ releaseId: fresh("rel"), lines: [{ sku, quantity: 1 }] }));
    expect(expectOk(await release({}))).toEqual({ allocationId: holdId, released: 2 });
  });

  it.each([
    ["lines without an id", { lines: [{ sku: "x", quantity: 1 }] }],
    ["an id without lines", { releaseId: "r" }],
    ["no lines", { releaseId: "r", lines: [] }],
    ["quantity 0", { releaseId: "r", lines: [{ sku: "x", quantity: 0 }] }],
    ["a negative quantity", { releaseId: "r", lines: [{ sku: "x", quantity: -1 }] }],
    ["half a unit", { releaseId: "r", lines: [{ sku: "x", quantity: 0.5 }] }],
    [
      "101 lines",
      { releaseId: "r", lines: Array.from({ length: 101 }, (_, n) => ({ sku: `s${n}`, quantity: 1 })) },
    ],
  ])("refuses %s", async (_name, body) => {
    expect(await release(body)).toMatchObject({ ok: false, code: "invalid-request" });
    await expectStock({ allocated: 6 });
  });

  it("of an allocation that is not there, or of a SKU that is not in it, changes nothing", async () => {
    const lines = [{ sku, quantity: 1 }];
    expect(
      await center.post("/internal/allocations/nowhere/release", { reason: "x", releaseId: "r0", lines }),
    ).toMatchObject({ code: "not-found" });
    expect(
      await release({ releaseId: fresh("rel"), lines: [{ sku: "never-heard-of", quantity: 1 }] }),
    ).toMatchObject({ code: "conflict", extra: { open: 0 } });
    await expectStock({ allocated: 6 });
  });
});

describe("a return", () => {
  const give = (lines: object[], more: object = {}) =>
    center.post<{ returnId: string; units: number }>("/internal/returns", {
      returnId: fresh("ret"),
      orderId: `ord-${holdId}`,
      holdId,
      lines,
      actor,
      ...more,
    });
  beforeEach(async () => {
    expectOk(await center.allocate(holdId, [{ sku, quantity: 6 }]));
    expectOk(await pick(6));
  });

  it("goes to the shelf of the pick or another, or is kept from sale when damaged, once", async () => {
    const returnId = fresh("ret");
    const lines = [
      { sku, quantity: 2, condition: "sellable" },
      { sku, quantity: 1, condition: "sellable", bin: FAR },
      { sku, quantity: 1, condition: "damaged" },
    ];
    const answers = await Promise.all(Array.from({ length: 4 }, () => give(lines, { returnId })));
    for (const answer of answers) expect(expectOk(answer)).toEqual({ returnId, units: 4 });
    await expectStock({ onHand: 8, damaged: 1, allocated: 0, available: 7 });
    const bins = await center.cell.sql.query(
      "SELECT bin_id, on_hand, damaged FROM inventory.balance WHERE sku = $1 ORDER BY bin_id",
      [sku],
    );
    expect(bins).toEqual([
      { bin_id: "1-1-0", on_hand: 7, damaged: 1 },
      { bin_id: "9-1-2", on_hand: 1, damaged: 0 },
    ]);
    expect(await kindsOf(sku)).toEqual([
      "receive",
      "allocate",
      "pick",
      "return-sellable",
      "return-sellable",
      "return-damaged",
    ]);
  });

  it("is never more than what was picked and has not come back, however it comes back", async () => {
    const putback = (quantity: number) =>
      center.post("/internal/putbacks", {
        putbackId: fresh("b"),
        holdId,
        lines: [{ sku, bin: BIN, quantity }],
      });
    expectOk(await putback(2));
    expectOk(await give([{ sku, quantity: 3, condition: "sellable" }]));
    const tooMany = [
      { sku, quantity: 1, condition: "sellable" },
      { sku, quantity: 1, condition: "damaged" },
    ];
    expect(await give(tooMany)).toMatchObject({ code: "conflict", extra: { sku, open: 1 } });
    expect(await putback(2)).toMatchObject({ code: "conflict", extra: { open: 1 } });
    await expectStock({ onHand: 9, damaged: 0 });
    // Twelve at once, one unit left: one of them has it.
    const rush = await Promise.all(
      Array.from({ length: 12 }, () => give([{ sku, quantity: 1, condition: "sellable" }])),
    );
    expect(rush.filter((answer) => answer.ok)).toHaveLength(1);
    await expectStock({ onHand: 10 });
  });

  it("of another order, another SKU, or with a bad line changes nothing", async () => {
    const line = { sku, quantity: 1, condition: "sellable" };
    expect(await give([line], { orderId: "ord-other" })).toMatchObject({ code: "not-found" });
    expect(await give([line], { holdId: fresh("h") })).toMatchObject({ code: "not-found" });
    expect(await give([{ ...line, sku: other }])).toMatchObject({ code: "conflict" });
    for (const bad of [
      { ...line, quantity: 0 },
      { ...line, quantity: 1000 },
      { ...line, quantity: 1.5 },
      { ...line, condition: "eaten" },
      { ...line, bin: { aisle: -1, position: 0, level: 0 } },
    ])
      expect(await give([bad])).toMatchObject({ code: "invalid-request" });
    await expectStock({ onHand: 4, damaged: 0 });
  });
});

describe("a transfer", () => {
  const out = (lines: object[], transferId = fresh("t"), toCenter = "busan") =>
    center.post("/internal/transfers/out", { transferId, toCenter, lines });

  it("takes only what is free, once, and is in transit until it is said to be there", async () => {
    expectOk(await center.allocate(holdId, [{ sku, quantity: 6 }]));
    expect(await out([{ sku, bin: BIN, quantity: 5 }])).toMatchObject({ code: "conflict" });
    const transferId = fresh("t");
    for (let n = 0; n < 3; n++)
      expect(expectOk(await out([{ sku, bin: BIN, quantity: 4 }], transferId))).toEqual({
        transferId,
        units: 4,
      });
    await expectStock({ onHand: 6, allocated: 6, available: 0 });
    const inTransit = async () => {
      const answer = await center.cell.internal.inventory.call<{ lines: { transferId: string }[] }>({
        method: "GET",
        path: "/internal/transfers",
      });
      return expectOk(answer).lines.filter((line) => line.transferId === transferId);
    };
    expect(await inTransit()).toMatchObject([{ sku, bin: BIN, toCenter: "busan", quantity: 4 }]);
    for (let n = 0; n < 2; n++)
      expect(expectOk(await center.post(`/internal/transfers/${transferId}/arrived`, {}))).toEqual({
        transferId,
        units: 4,
      });
    expect(await inTransit()).toEqual([]);
    expect(await kindsOf(sku)).toEqual(["receive", "allocate", "transfer-out"]);
    expect(await center.post("/internal/transfers/never-left/arrived", {})).toMatchObject({
      code: "not-found",
    });
  });

  it("comes in once, and a center or a SKU that cannot be is refused", async () => {
    const body = { transferId: fresh("t"), fromCenter: "busan", lines: [{ sku, bin: FAR, quantity: 7 }] };
    for (let n = 0; n < 3; n++) expectOk(await center.post("/internal/transfers/in", body));
    await expectStock({ onHand: 17, available: 17 });
    for (const [change, code] of [
      [{ fromCenter: "Not A Name" }, "invalid-request"],
      [{ lines: [] }, "invalid-request"],
      [{ lines: [{ sku, bin: FAR, quantity: -1 }] }, "invalid-request"],
      [{ lines: [{ sku: "never-heard-of", bin: FAR, quantity: 1 }] }, "unprocessable"],
    ] as const) {
      const answer = await center.post("/internal/transfers/in", {
        ...body,
        transferId: fresh("t"),
        ...change,
      });
      expect(answer).toMatchObject({ ok: false, code });
    }
    await expectStock({ onHand: 17 });
  });
});

it("shrinkage only takes away", async () => {
  const adjust = (onHandDelta: number, damagedDelta: number) =>
    center.cell.as("u-staff", "staff").inventory.call({
      method: "POST",
      path: "/v1/adjustments",
      body: {
        adjustmentId: fresh("a"),
        reason: "shrink",
        lines: [{ sku, bin: BIN, onHandDelta, damagedDelta }],
      },
    });
  expect(await adjust(1, 0)).toMatchObject({ code: "unprocessable" });
  expectOk(await adjust(-3, 0));
  await expectStock({ onHand: 7 });
  expect(await kindsOf(sku)).toEqual(["receive", "shrink"]);
});
