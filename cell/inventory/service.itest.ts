import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../platform/testing/stores.ts";
import { BIN, expectOk, fresh, startCenter, type TestCenter } from "./testing/center.ts";

let center: TestCenter;
beforeAll(async () => {
  center = await startCenter();
  await eventually(async () => (await center.cell.running("inventory").context.redis.isReady()) || undefined);
});
afterAll(() => center?.stop());

/** Waits until holds are decided in the hold store. */
async function storeIsUp(): Promise<void> {
  await eventually(async () => {
    const answer = expectOk(
      await center.hold(fresh("probe"), [{ sku: "probe", quantity: 1 }], { ttlSeconds: 1 }),
    );
    return !answer.generation.startsWith("sql-");
  });
}

describe("the way of stock", () => {
  it("goes from receipt over hold, allocation and pick to the door", async () => {
    await center.fill({ milk: 10, probe: 1000 });
    await storeIsUp();
    const id = fresh("hold");
    const held = expectOk(await center.hold(id, [{ sku: "milk", quantity: 4 }]));
    expect(held.holdId).toBe(id);
    expect(await center.stock("milk")).toMatchObject({ onHand: 10, reserved: 4, allocated: 0, available: 6 });
    const allocated = expectOk(await center.allocate(id, [{ sku: "milk", quantity: 4 }]));
    expect(allocated.lines).toEqual([
      { sku: "milk", quantity: 4, barcode: "b-milk", weightGrams: 500, bins: [{ bin: BIN, quantity: 4 }] },
    ]);
    expect(await center.stock("milk")).toMatchObject({ onHand: 10, reserved: 0, allocated: 4, available: 6 });
    const actor = { kind: "human", id: "u-picker" };
    const pick = { pickId: fresh("pick"), holdId: id, sku: "milk", bin: BIN, quantity: 4, actor };
    expectOk(await center.post("/internal/picks", pick));
    expect(await center.stock("milk")).toMatchObject({ onHand: 6, reserved: 0, allocated: 0, available: 6 });
    expect(await center.drift()).toEqual([]);
  });
});
