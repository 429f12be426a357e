import fc from "fast-check";
import { expect, test } from "vitest";
import { etaSeconds, fixTimeMs, type LastFix, replaces } from "./domain.ts";

const HERE = { latitude: 37.5, longitude: 127.03 };
const NOW_MS = 1_800_000_000_000;

test.each([
  ["long ago", NOW_MS - 3_600_000, NOW_MS - 3_600_000],
  ["now", NOW_MS, NOW_MS],
  ["a little ahead", NOW_MS + 5_000, NOW_MS + 5_000],
  ["too far ahead", NOW_MS + 5_001, NOW_MS + 5_000],
  ["a year ahead", NOW_MS + 31_536_000_000, NOW_MS + 5_000],
])("a device clock that says %s", (_what, deviceTimeMs, expected) => {
  expect(fixTimeMs(deviceTimeMs, NOW_MS)).toBe(expected);
});

test.each([
  ["the first one", undefined, { seq: 0, atMs: 1 }, true],
  ["newer in both", { seq: 5, atMs: 100 }, { seq: 6, atMs: 101 }, true],
  ["newer by count in the same moment", { seq: 5, atMs: 100 }, { seq: 6, atMs: 100 }, true],
  ["the same one again", { seq: 5, atMs: 100 }, { seq: 5, atMs: 100 }, false],
  ["an old count with a new time", { seq: 5, atMs: 100 }, { seq: 4, atMs: 200 }, false],
  ["a new count with an old time", { seq: 5, atMs: 100 }, { seq: 6, atMs: 99 }, false],
])("%s", (_what, last, next, expected) => {
  expect(replaces(last && { ...HERE, ...last }, { ...HERE, ...next })).toBe(expected);
});

const fixes = fc
  .uniqueArray(fc.nat(1_000), { minLength: 1, maxLength: 30 })
  .map((seqs) => seqs.map((seq): LastFix => ({ ...HERE, seq, atMs: NOW_MS + seq * 1_000 })));

test("however the network mixes and repeats the fixes of one device, the newest stays", () => {
  const received = fixes.chain((sent) =>
    fc.tuple(fc.constant(sent), fc.shuffledSubarray([...sent, ...sent], { minLength: sent.length * 2 })),
  );
  fc.assert(
    fc.property(received, ([sent, arrived]) => {
      let last: LastFix | undefined;
      for (const next of arrived) if (replaces(last, next)) last = next;
      expect(last?.seq).toBe(Math.max(...sent.map(({ seq }) => seq)));
    }),
  );
});

test("at the door it takes the time to hand over; one degree of latitude is 111.2 km of straight line", () => {
  expect(etaSeconds(HERE, HERE)).toBe(120);
  const oneDegree = etaSeconds(HERE, { ...HERE, latitude: HERE.latitude + 1 });
  // 111,195 m * 1.3 detour at 5 m/s, and 120 s at the door.
  expect(oneDegree).toBeGreaterThan(28_900);
  expect(oneDegree).toBeLessThan(29_200);
});

test("nearer is never later", () => {
  const steps = fc.double({ min: 0, max: 1, noNaN: true });
  fc.assert(
    fc.property(steps, steps, (one, other) => {
      const eta = (step: number) => etaSeconds({ ...HERE, latitude: HERE.latitude + step }, HERE);
      expect(eta(Math.min(one, other))).toBeLessThanOrEqual(eta(Math.max(one, other)));
    }),
  );
});
