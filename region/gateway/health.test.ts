import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { HEALTH_RULES, judge, mayRemove, UNSEEN } from "./health.ts";

const at = (atMs: number, ok: boolean) => ({ atMs, ok });

describe("judge", () => {
  it("removes after the third failure in a row and remembers the first", () => {
    let health = UNSEEN;
    for (const atMs of [1000, 2000]) health = judge(health, at(atMs, false), true);
    expect(health.removed).toBe(false);
    health = judge(health, at(3000, false), true);
    expect(health).toMatchObject({ removed: true, firstFailureAtMs: 1000, removedAtMs: 3000 });
  });

  it("starts the row again after one success", () => {
    let health = UNSEEN;
    for (const ok of [false, false, true, false, false]) health = judge(health, at(1, ok), true);
    expect(health.removed).toBe(false);
  });

  it("takes a removed cell back only after three good probes in a row", () => {
    let health = UNSEEN;
    for (let i = 0; i < 3; i++) health = judge(health, at(i, false), true);
    for (const ok of [true, true, false, true, true]) health = judge(health, at(10, ok), true);
    expect(health.removed).toBe(true);
    health = judge(health, at(20, true), true);
    expect(health).toMatchObject({ removed: false, restoredAtMs: 20, firstFailureAtMs: undefined });
  });

  it("never removes without leave, and does so at the next failure once leave is given", () => {
    let health = UNSEEN;
    for (let i = 0; i < 10; i++) health = judge(health, at(i, false), false);
    expect(health.removed).toBe(false);
    expect(judge(health, at(11, false), true).removed).toBe(true);
  });

  it("changes sides only at the end of a full row, whatever comes", () => {
    fc.assert(
      fc.property(fc.array(fc.boolean(), { maxLength: 60 }), (observations) => {
        let health = UNSEEN;
        observations.forEach((ok, index) => {
          const before = health;
          health = judge(health, at(index, ok), true);
          if (health.removed === before.removed) return;
          const length = health.removed ? HEALTH_RULES.removeAfter : HEALTH_RULES.restoreAfter;
          const row = observations.slice(index - length + 1, index + 1);
          expect(row).toEqual(Array(length).fill(!health.removed));
        });
      }),
    );
  });
});

describe("mayRemove", () => {
  const removed = { ...UNSEEN, removed: true };
  it.each([
    ["the other is in service", new Map([["b", UNSEEN]]), ["a", "b"], true],
    ["the other was never seen", new Map(), ["a", "b"], true],
    ["the other is out", new Map([["b", removed]]), ["a", "b"], false],
    ["there is no other", new Map(), ["a"], false],
  ])("%s", (_name, cells, intended, expected) => {
    expect(mayRemove("a", cells, intended)).toBe(expected);
  });
});
