import { expect, it } from "vitest";
import { createLot } from "../../platform/testing/lot.ts";
import { closedLoop, openLoop, ranks } from "./drive.ts";
import { gapsMs, zipf } from "./random.ts";
import { median, toRow, toText } from "./rows.ts";

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

it("draws the same numbers for one seed, and ranks by Zipf's law", () => {
  const draw = (seed: number) => {
    const rank = zipf(1_000, 1.1, createLot(seed));
    return Array.from({ length: 20_000 }, rank);
  };
  expect(draw(1)).toEqual(draw(1));
  expect(draw(1)).not.toEqual(draw(2));
  const counts = new Map<number, number>();
  for (const rank of draw(3)) counts.set(rank, (counts.get(rank) ?? 0) + 1);
  const share = (rank: number) => (counts.get(rank) ?? 0) / 20_000;
  // Rank 0 is 2 ** 1.1 times as frequent as rank 1, and the sum over 1,000 ranks of 1 / n ** 1.1 is 5.57.
  expect(share(0)).toBeCloseTo(1 / 5.57, 1);
  expect(share(0) / share(1)).toBeCloseTo(2 ** 1.1, 0);
  expect(Math.max(...counts.keys())).toBeLessThan(1_000);
});

it("lets arrivals come at their rate on average", () => {
  const gap = gapsMs(200, createLot(7));
  const sum = Array.from({ length: 20_000 }, gap).reduce((total, one) => total + one, 0);
  expect(sum / 20_000).toBeCloseTo(5, 0);
});

it("counts in a closed loop what was answered within the time that counts", async () => {
  let calls = 0;
  const operation = async () => {
    await pause(5);
    return ++calls % 2 === 0;
  };
  const found = await closedLoop(operation, { callers: 4, durationMs: 200, warmUpMs: 100 });
  expect(found.accepted + found.refused).toBe(calls);
  expect(Math.abs(found.accepted - found.refused)).toBeLessThanOrEqual(1);
  // Half of the calls are refused, and a third of the time is warm-up.
  expect((found.perSecond * 200) / 1000).toBeLessThan(found.accepted);
  expect(found.perSecond).toBeGreaterThan(0);
});

it("lets a stall count for every call that was to be sent meanwhile", async () => {
  let calls = 0;
  const operation = async () => {
    if (++calls === 20) {
      const untilMs = performance.now() + 300;
      while (performance.now() < untilMs);
    }
    return true;
  };
  const found = await openLoop(operation, { perSecond: 200, durationMs: 600, seed: 5 });
  expect(found.accepted).toBe(calls);
  // A loop that waits would have seen one slow call of a hundred; here half of all were to be sent in the stall.
  expect(found.p95Ms).toBeGreaterThan(150);
});

it("counts a refused call as one that waited until the end, and ends with what went wrong", async () => {
  const options = { perSecond: 500, durationMs: 200, seed: 5 };
  const refused = await openLoop(async () => false, options);
  expect(refused).toMatchObject({ accepted: 0, p50Ms: 200, p99Ms: 200 });
  expect(refused.refused).toBeGreaterThan(50);
  const broken = () => Promise.reject(new Error("no books"));
  await expect(openLoop(broken, options)).rejects.toThrow("no books");
  await expect(closedLoop(broken, { callers: 2, durationMs: 50, warmUpMs: 0 })).rejects.toThrow("no books");
  const slow = () => pause(80).then(() => true);
  await expect(closedLoop(slow, { callers: 2, durationMs: 20, warmUpMs: 0 })).rejects.toThrow("too short");
  await expect(openLoop(slow, { perSecond: 1, durationMs: 2, seed: 5 })).rejects.toThrow("too short");
});

it("takes quantiles and medians from the sample", () => {
  const at = ranks(Array.from({ length: 100 }, (_, index) => 100 - index));
  expect([at(0.5), at(0.95), at(0.99), at(1)]).toEqual([50, 95, 99, 100]);
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(() => median([])).toThrow("no figure");
});

it("gives a ratio above 1 to ours when ours is better, and keeps rows that lose", () => {
  const peer = { name: "peer", samples: [10, 12, 11] };
  const more = toRow({ metric: "m", unit: "1/s", better: "more", ours: [22, 20, 23] }, peer);
  expect(more).toMatchObject({ peer: "peer", ours: 22, theirs: 11, ratio: 2 });
  expect(more.spread).toEqual({ ours: [20, 23], theirs: [10, 12] });
  const less = toRow(
    { metric: "l", unit: "ms", better: "less", ours: [22], goal: (_ours, ratio) => (ratio ?? 0) > 1 },
    { name: "peer", samples: [11] },
  );
  expect(less).toMatchObject({ ratio: 0.5, ok: false });
  const alone = toRow({ metric: "a", unit: "ms", better: "less", ours: [1], goal: (ours) => ours < 2 }, null);
  expect(alone).toMatchObject({ peer: null, theirs: null, ratio: null, ok: true });
  expect(toText([more, less, alone])).toMatch(/l .* 0\.5x {2}misses its goal, loses/);
});
