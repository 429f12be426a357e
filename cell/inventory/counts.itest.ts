import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { CountAnswer, ExplainAnswer } from "./contract.ts";
import { BIN, expectOk, fresh, startCenter, type TestCenter } from "./testing/center.ts";

let center: TestCenter;
beforeAll(async () => {
  center = await startCenter();
});
afterAll(() => center?.stop());
afterEach(async () => expect(await center.drift()).toEqual([]));

const actor = { kind: "human", id: "u-picker" };
let sku = "";
let holdId = "";
beforeEach(async () => {
  sku = fresh("sku");
  holdId = fresh("h");
  await center.fill({ [sku]: 50 });
});
const picker = () => center.cell.as("u-counter", "picker").inventory;
const staff = () => center.cell.as("u-staff", "staff").inventory;
interface Sheet {
  lines: { sku: string; bin: typeof BIN; version: number; reason?: string }[];
}
const sheet = async (path = `/v1/counts/sheet?sku=${sku}`) =>
  expectOk(await picker().call<Sheet>({ method: "GET", path })).lines;
const versionNow = async () => (await sheet())[0]?.version ?? -1;
const count = async (counted: number, fromVersion: number, toVersion: number, countId = fresh("k")) => {
  const lines = [{ sku, bin: BIN, counted, fromVersion, toVersion }];
  const body = { countId, lines };
  return expectOk(await picker().call<CountAnswer>({ method: "POST", path: "/v1/counts", body })).lines[0];
};
const pick = (quantity: number) =>
  center.post("/internal/picks", { pickId: fresh("p"), holdId, sku, bin: BIN, quantity, actor });
const explain = async (query = "") =>
  expectOk(
    await staff().call<ExplainAnswer>({ method: "GET", path: `/v1/stock/explain?sku=${sku}${query}` }),
  );

describe("a count", () => {
  it("is right however picks fall around it, and stops none of them", async () => {
    expectOk(await center.allocate(holdId, [{ sku, quantity: 30 }]));
    // Two units were stolen: the shelf holds 48 where the books say 50.
    let shelf = 48;
    let stop = false;
    const picks = (async () => {
      for (let n = 0; n < 30 && !stop; n++) {
        expectOk(await pick(1));
        shelf--;
      }
    })();
    const outcomes: string[] = [];
    for (let n = 0; n < 6; n++) {
      const from = await versionNow();
      const seen = shelf;
      const to = await versionNow();
      outcomes.push((await count(seen, from, to))?.outcome ?? "");
    }
    stop = true;
    await picks;
    // The floor is quiet now: this one is not asked to repeat.
    const version = await versionNow();
    const last = await count(shelf, version, version);
    expect(["matched", "corrected"]).toContain(last?.outcome);
    expect(outcomes.every((outcome) => ["recount", "matched", "corrected"].includes(outcome))).toBe(true);
    expect((await center.stock(sku)).onHand).toBe(shelf);
  });

  it("is carried out once, and the sheet does not tell what is expected", async () => {
    const version = await versionNow();
    expect(await sheet()).toEqual([{ sku, bin: BIN, version }]);
    const countId = fresh("k");
    const answers = await Promise.all(Array.from({ length: 5 }, () => count(47, version, version, countId)));
    for (const line of answers)
      expect(line).toEqual({ sku, bin: BIN, outcome: "corrected", difference: -3, applied: -3, version });
    expect(await center.stock(sku)).toMatchObject({ onHand: 47, available: 47 });
  });

  it("is due after a short pick until somebody has counted, and accuracy tells both", async () => {
    expectOk(await center.allocate(holdId, [{ sku, quantity: 5 }]));
    const shortId = fresh("s");
    expectOk(await center.post("/internal/shorts", { shortId, holdId, sku, bin: BIN, quantity: 2 }));
    const due = async () => (await sheet("/v1/counts/due")).filter((line) => line.sku === sku);
    const [line] = await due();
    expect(line).toMatchObject({ bin: BIN, reason: "short" });
    await count(48, line?.version ?? -1, line?.version ?? -1);
    expect(await due()).toEqual([]);
    const rows = await center.cell.sql.query(
      "SELECT outcome, difference, actor FROM inventory.counted WHERE sku = $1 ORDER BY created_at",
      [sku],
    );
    expect(rows).toEqual([
      { outcome: "short", difference: -2, actor: null },
      { outcome: "matched", difference: 0, actor: "human:u-counter" },
    ]);
  });

  it.each([
    ["a negative count", { counted: -1 }, "invalid-request"],
    ["half a unit", { counted: 1.5 }, "invalid-request"],
    ["a huge count", { counted: 1e12 }, "invalid-request"],
    ["no versions", { fromVersion: undefined }, "invalid-request"],
    ["a version of the future", { toVersion: 1_000 }, "unprocessable"],
    ["a SKU nobody registered", { sku: "never-heard-of" }, "unprocessable"],
  ])("refuses %s", async (_name, wrong, code) => {
    const line = { sku, bin: BIN, counted: 1, fromVersion: 0, toVersion: 0, ...wrong };
    const body = { countId: fresh("k"), lines: [line] };
    const call = { method: "POST", path: "/v1/counts", body } as const;
    expect(await picker().call(call)).toMatchObject({ ok: false, code });
    expect(await center.cell.as("u-1", "customer").inventory.call(call)).toMatchObject({ code: "forbidden" });
    expect((await center.stock(sku)).onHand).toBe(50);
  });
});

describe("an explanation", () => {
  it("adds up to the balance, now and at any time before, for a bin or for all", async () => {
    const far = { aisle: 3, position: 2, level: 1 };
    const times: { at: string; onHand: number; allocated: number }[] = [];
    const note = async () => {
      // The clock that stamps movements is the database's.
      const [row] = await center.cell.sql.query<{ at: Date }>("SELECT clock_timestamp() AS at");
      const { onHand, allocated } = await center.stock(sku);
      times.push({ at: row!.at.toISOString(), onHand, allocated });
      await new Promise((resolve) => setTimeout(resolve, 5));
    };
    await note();
    expectOk(await center.allocate(holdId, [{ sku, quantity: 20 }]));
    await note();
    expectOk(await pick(12));
    await note();
    const lines = [{ sku, bin: far, quantity: 4 }];
    expectOk(await center.post("/internal/putbacks", { putbackId: fresh("b"), holdId, lines }));
    await note();
    for (const { at, onHand, allocated } of times)
      expect((await explain(`&at=${encodeURIComponent(at)}`)).balance).toEqual({
        ...{ onHand, allocated, damaged: 0 },
      });
    const now = await explain();
    expect(now.stored).toEqual(now.balance);
    expect(now.balance).toEqual({ onHand: 42, allocated: 8, damaged: 0 });
    expect(now.movements.map(({ kind, actor: who }) => [kind, who])).toEqual([
      ["receive", "human:u-staff"],
      ["allocate", undefined],
      ["pick", "human:u-picker"],
      ["putback", undefined],
    ]);
    expect(await explain("&bin=3-2-1")).toMatchObject({ balance: { onHand: 4 }, stored: { onHand: 4 } });
    expect((await explain("&at=2001-01-01T00:00:00Z")).balance).toEqual({
      ...{ onHand: 0, allocated: 0, damaged: 0 },
    });
  });

  it("sums up what is too long to be listed", async () => {
    await Promise.all(Array.from({ length: 120 }, () => center.fill({ [sku]: 1 })));
    const found = await explain();
    expect(found.movements).toHaveLength(100);
    expect(found.before).toMatchObject({ movements: 21 });
    const listed = found.movements.reduce((sum, move) => sum + move.onHandDelta, 0);
    expect(found.before.onHand + listed).toBe(170);
    expect(found.stored).toEqual({ onHand: 170, allocated: 0, damaged: 0 });
  });

  it.each([
    ["?sku=never-heard-of", "not-found"],
    ["?sku=", "invalid-request"],
    ["?sku=x&bin=shelf", "invalid-request"],
    ["?sku=x&at=yesterday", "invalid-request"],
  ])("of %s is refused", async (query, code) => {
    expect(await staff().call({ method: "GET", path: `/v1/stock/explain${query}` })).toMatchObject({ code });
    const inside = { method: "GET", path: `/internal/explain${query}` } as const;
    expect(await center.cell.internal.inventory.call(inside)).toMatchObject({ code });
  });
});
