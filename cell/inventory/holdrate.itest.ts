import { randomUUID } from "node:crypto";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { silentLogger } from "../../platform/log.ts";
import { createRedis, type Redis } from "../../platform/redis.ts";
import { eventually, testStores } from "../../platform/testing/stores.ts";
import { createHoldStore, type HoldStore, readHoldScript } from "./holds.ts";

let redis: Redis;
beforeAll(async () => {
  redis = createRedis({ url: testStores().redisUrl, log: silentLogger() });
  await eventually(async () => redis.isReady());
});
afterAll(() => redis?.close());

/** A hold store of its own that is whole. */
async function start(ratePerSku: number): Promise<HoldStore> {
  const script = readHoldScript();
  const store = createHoldStore({ redis, center: `m-${randomUUID()}`, epoch: 1, script, ratePerSku });
  const token = randomUUID();
  const by = { owner: token, token, lockMs: 10_000, runId: await store.runId(), seen: undefined };
  expect(await store.begin(by)).toBe("ok");
  expect(await store.recount(token, 10_000, 0, 10)).toBe(-1);
  expect(await store.finish(token, randomUUID(), by.runId)).toBe(true);
  return store;
}
const reservedOf = async (store: HoldStore, sku: string) => (await store.reserved([sku]))?.get(sku);

describe("a hold", () => {
  it("ends later once, however often it is asked for again, while its lines still change", async () => {
    const store = await start(0);
    await store.settle([], [{ sku: "apple", version: 1, sellable: 10 }]);
    const ask = async (key: string, ttlMs: number, quantity = 1) => {
      const request = { holdId: "h", owner: "u", orderId: "o", lines: [{ sku: "apple", quantity }] };
      const placed = await store.place({ ...request, callKey: key, ttlMs });
      return placed.kind === "placed" ? placed.expiresAtMs : Number.NaN;
    };
    const first = await ask("a", 60_000);
    const second = await ask("b", 120_000);
    expect(second).toBeGreaterThan(first + 50_000);
    expect(await ask("c", 300_000)).toBe(second);
    expect(await ask("d", 300_000, 7)).toBe(second);
    expect(await store.reserved(["apple"])).toEqual(new Map([["apple", 7]]));
    // Sooner is always possible.
    expect(await ask("e", 30_000, 7)).toBeLessThan(second);
    // A hold that comes over from SQL remembers that it was extended there.
    const known = { callKey: "a", owner: "u", orderId: "o", lines: [{ sku: "apple", quantity: 1 }] };
    await store.import({ ...known, holdId: "was", remainingMs: 40_000, extended: true });
    await store.import({ ...known, holdId: "not", remainingMs: 40_000, extended: false });
    const again = async (holdId: string) => {
      const placed = await store.place({ ...known, holdId, callKey: "b", ttlMs: 200_000 });
      return placed.kind === "placed" ? placed.expiresAtMs : Number.NaN;
    };
    expect((await again("not")) - (await again("was"))).toBeGreaterThan(100_000);
  });

  describe("when one SKU is asked for very often", () => {
    const request = { callKey: "k", owner: "u", orderId: "o", ttlMs: 60_000 };
    const lines = (...skus: string[]) => skus.map((sku) => ({ sku, quantity: 1 }));

    it("refuses what is over the limit of a second, for this SKU alone, and takes nothing for it", async () => {
      const store = await start(10);
      await store.settle(
        [],
        ["apple", "bread"].map((sku) => ({ sku, version: 1, sellable: 1_000 })),
      );
      const kinds = async (prefix: string, count: number, ...skus: string[]) =>
        (
          await Promise.all(
            Array.from({ length: count }, (_, n) =>
              store.place({ ...request, holdId: `${prefix}${n}`, lines: lines(...skus) }),
            ),
          )
        ).map((placed) => (placed.kind === "limited" ? placed.sku : placed.kind));
      // One call of the script decides them all, so they are in one second; later calls may be in the next.
      const first = await kinds("a", 25, "apple");
      expect(first).toEqual([...Array(10).fill("placed"), ...Array(15).fill("apple")]);
      expect(await reservedOf(store, "apple")).toBe(10);
      // A hold that is there is not asked for again: its repetition is answered.
      expect(await store.place({ ...request, holdId: "a3", lines: lines("apple") })).toMatchObject({
        how: "same",
      });
      expect(await kinds("b", 3, "bread")).toEqual(["placed", "placed", "placed"]);
      // All lines or none: bread is free, apple is what stands in the way.
      await eventually(async () => {
        await kinds(`c${Math.random()}-`, 10, "apple");
        const before = await reservedOf(store, "bread");
        const [kind] = await kinds(`d${Math.random()}-`, 1, "bread", "apple");
        return kind === "apple" && (await reservedOf(store, "bread")) === before;
      });
    });

    it("takes them again in the next second, and has no limit where none is set", async () => {
      const store = await start(5);
      await store.settle([], [{ sku: "apple", version: 1, sellable: 1_000 }]);
      let numbers = 0;
      const ask = (of: HoldStore) =>
        of.place({ ...request, holdId: `h${numbers++}`, lines: lines("apple") }).then(({ kind }) => kind);
      const burst = await Promise.all(Array.from({ length: 20 }, () => ask(store)));
      expect(burst.filter((kind) => kind === "placed")).toHaveLength(5);
      await eventually(async () => (await ask(store)) === "placed");
      const free = await start(0);
      await free.settle([], [{ sku: "apple", version: 1, sellable: 1_000 }]);
      const all = await Promise.all(Array.from({ length: 200 }, () => ask(free)));
      expect(all.every((kind) => kind === "placed")).toBe(true);
    });
  });
});
