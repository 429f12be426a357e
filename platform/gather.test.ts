import { expect, it } from "vitest";
import { gather } from "./gather.ts";

it("lets calls of one turn travel together, never more than allowed, in their order", async () => {
  const batches: number[][] = [];
  const call = gather(async (calls: readonly number[]) => {
    batches.push([...calls]);
    return calls.map((one) => one * 10);
  }, 3);
  expect(await Promise.all([1, 2, 3, 4].map(call))).toEqual([10, 20, 30, 40]);
  expect(batches).toEqual([[1, 2, 3], [4]]);
  expect(await call(5)).toBe(50);
  expect(batches).toEqual([[1, 2, 3], [4], [5]]);
});

it("fails all calls of a batch that fails, and no other", async () => {
  const call = gather(async (calls: readonly number[]) => {
    if (calls.includes(1)) throw new Error("away");
    return calls;
  }, 2);
  const results = await Promise.allSettled([0, 1, 2].map(call));
  expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected", "fulfilled"]);
});

it("takes fewer answers than calls for a failure of all", async () => {
  const call = gather(async (calls: readonly number[]) => calls.slice(1), 8);
  const results = await Promise.allSettled([1, 2].map(call));
  expect(results.map(({ status }) => status)).toEqual(["rejected", "rejected"]);
});
