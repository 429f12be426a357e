import { describe, expect, it } from "vitest";
import { findCondition } from "../platform/kube/objects.ts";
import type { FulfillmentCenterStatus } from "./api/fulfillment-center-status.ts";
import { bucketOf, createDrainWatch, DRAIN_POLL_MS, type Draining, type DrainTarget } from "./draining.ts";
import { noticesBetween } from "./notices.ts";
import { center } from "./testing/center.ts";
import { verdict } from "./testing/reading.ts";
import { CELL_KEY, provisionedWorld, type World } from "./testing/world.ts";

const TARGET: DrainTarget = { url: "http://10.0.0.1:7002", key: CELL_KEY };

describe("the count of open orders", () => {
  it.each<[number, number, Draining]>([
    [0, 0, { kind: "empty" }],
    [0, 2, { kind: "open", bucket: "no order, but payments or stock of some" }],
    [1, 0, { kind: "open", bucket: "fewer than 10 orders" }],
    [9, 9, { kind: "open", bucket: "fewer than 10 orders" }],
    [10, 0, { kind: "open", bucket: "fewer than 100 orders" }],
    [999, 0, { kind: "open", bucket: "fewer than 1000 orders" }],
    [10_000, 0, { kind: "open", bucket: "1000 orders or more" }],
  ])("%d orders and %d effects", (orders, effects, expected) => {
    expect(bucketOf(orders, effects)).toEqual(expected);
  });
});

describe("the watch over draining cells", () => {
  const watching = () => {
    const answers: ((state: Draining) => void)[] = [];
    const woken: string[] = [];
    const clock = { nowMs: 0 };
    const watch = createDrainWatch({
      nowMs: () => clock.nowMs,
      onChange: (name) => woken.push(name),
      ask: () => new Promise((resolve) => answers.push(resolve)),
    });
    /** Lets the answer to the oldest question arrive. */
    const answer = async (state: Draining) => {
      answers.shift()?.(state);
      await Promise.resolve();
      await Promise.resolve();
    };
    return { watch, clock, woken, answers, answer };
  };

  it("never waits: it tells what it knows, asks every few seconds, and wakes only when the answer is another", async () => {
    const { watch, clock, woken, answers, answer } = watching();
    expect(watch.of("mapo", TARGET)).toEqual({ kind: "unknown", why: "the cell has not been asked yet" });
    watch.of("mapo", TARGET);
    expect(answers).toHaveLength(1);
    await answer(bucketOf(12, 0));
    expect([woken, watch.of("mapo", TARGET)]).toEqual([["mapo"], bucketOf(12, 0)]);
    expect(answers).toHaveLength(0);
    clock.nowMs += DRAIN_POLL_MS;
    watch.of("mapo", TARGET);
    await answer(bucketOf(11, 0));
    expect(woken).toEqual(["mapo"]);
    clock.nowMs += DRAIN_POLL_MS;
    watch.of("mapo", TARGET);
    await answer({ kind: "empty" });
    expect([woken, watch.of("mapo", TARGET)]).toEqual([["mapo", "mapo"], { kind: "empty" }]);
  });

  it("has at most sixteen questions out, and one for each cell", () => {
    const { watch, clock, answers } = watching();
    for (let round = 0; round < 3; round++) {
      for (let index = 0; index < 40; index++) watch.of(`center-${index}`, TARGET);
      clock.nowMs += DRAIN_POLL_MS;
    }
    expect(answers).toHaveLength(16);
  });

  it("wakes nobody for a center that is not drained any more", async () => {
    const { watch, woken, answer } = watching();
    watch.of("mapo", TARGET);
    watch.forget("mapo");
    await answer({ kind: "empty" });
    expect(woken).toEqual([]);
  });
});

describe("a draining center", () => {
  const draining = (drain: Draining | undefined, weight = 0): World => {
    const world = provisionedWorld(center());
    const cells = [{ name: "seoul-mapo", weight, epoch: 1 }] as never;
    const metadata = { name: "kr-seoul" };
    const apiVersion = "cells.fulfillment.io/v1alpha1";
    world.table = { apiVersion, kind: "RoutingTable", metadata, spec: { version: 1, tombstones: [], cells } };
    world.fc = { ...world.fc, spec: { ...world.fc.spec, mode: "Draining" } };
    world.drain = drain;
    world.settle();
    return world;
  };
  const message = (world: World) => findCondition(world.fc.status?.conditions, "Draining")?.message;

  it("says how many orders are open, then that none is; each with an Event; and comes back when asked", () => {
    const world = draining(bucketOf(34, 1));
    expect([verdict(world, "Draining"), verdict(world, "Ready"), world.fc.status?.phase]).toEqual([
      "True Draining",
      "True Ready",
      "Draining",
    ]);
    expect(message(world)).toContain("fewer than 100 orders");
    expect(world.plan().requeueAfterMs).toBe(DRAIN_POLL_MS);
    const before = world.fc.status;
    world.drain = { kind: "empty" };
    world.pass();
    expect(verdict(world, "Draining")).toBe("True Drained");
    expect(noticesBetween(before, world.fc.status as FulfillmentCenterStatus)).toMatchObject([
      { type: "Normal", reason: "Drained", action: "Draining" },
    ]);
    world.fc = { ...world.fc, spec: { ...world.fc.spec, mode: "Active" } };
    world.drain = undefined;
    world.settle();
    expect([verdict(world, "Draining"), verdict(world, "Available"), world.plan().requeueAfterMs]).toEqual([
      "False NotDraining",
      "True Serving",
      undefined,
    ]);
  });

  it("is not drained while new orders may still come", () => {
    const world = draining({ kind: "empty" }, 100);
    expect(verdict(world, "Draining")).toBe("True Draining");
    expect(message(world)).toContain("Being taken out of the routing");
  });

  it("that does not answer is not taken for empty", () => {
    const world = draining({ kind: "unknown", why: "its orders service was not reached" });
    expect(verdict(world, "Draining")).toBe("True Draining");
    expect(message(world)).toContain("is not known: its orders service was not reached");
  });
});
