import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { coarse, distanceMeters } from "./geo.ts";

const place = fc.record({
  latitude: fc.double({ min: -90, max: 90, noNaN: true }),
  longitude: fc.double({ min: -180, max: 180, noNaN: true }),
});
const HALF_ROUND_METERS = Math.PI * 6_371_008.8;

describe("known distances", () => {
  const seoul = { latitude: 37.5665, longitude: 126.978 };
  const busan = { latitude: 35.1796, longitude: 129.0756 };
  const east = { latitude: 0, longitude: 179.9995 };
  const west = { latitude: 0, longitude: -179.9995 };
  test.each([
    ["Seoul to Busan", seoul, busan, 325_100],
    ["a degree along the equator", { latitude: 0, longitude: 0 }, { latitude: 0, longitude: 1 }, 111_195],
    ["over the date line", east, west, 111.2],
    ["pole to pole", { latitude: 90, longitude: 0 }, { latitude: -90, longitude: 77 }, HALF_ROUND_METERS],
  ])("%s", (_name, from, to, meters) => {
    expect(Math.abs(distanceMeters(from, to) / meters - 1)).toBeLessThan(0.005);
  });
});

test("it is the same both ways, zero to oneself, and never more than half round the earth", () => {
  fc.assert(
    fc.property(place, place, (a, b) => {
      const meters = distanceMeters(a, b);
      expect(meters).toBeGreaterThanOrEqual(0);
      expect(meters).toBeLessThanOrEqual(HALF_ROUND_METERS + 1e-6);
      expect(meters).toBeCloseTo(distanceMeters(b, a), 6);
      expect(distanceMeters(a, a)).toBe(0);
    }),
  );
});

test("what is kept in the open is near, names no door, and is the same when it is kept again", () => {
  fc.assert(
    fc.property(place, (exact) => {
      const kept = coarse(exact);
      expect(distanceMeters(exact, kept)).toBeLessThan(79);
      expect(coarse(kept)).toEqual(kept);
      for (const degrees of [kept.latitude, kept.longitude])
        expect(String(degrees)).toMatch(/^-?\d+(\.\d{1,3})?$/);
    }),
  );
});
