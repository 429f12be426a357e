import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createMetrics } from "../../platform/metrics.ts";
import { eventually } from "../../platform/testing/stores.ts";
import type { ExplainAnswer } from "./contract.ts";
import { expectOk, fresh, startCenter, type TestCenter } from "./testing/center.ts";
import { type RedisServer, startRedisServer } from "./testing/redisserver.ts";
import { createTrail } from "./trail.ts";

let redis: RedisServer;
let center: TestCenter;
beforeAll(async () => {
  redis = await startRedisServer();
  center = await startCenter({ REDIS_URL: redis.url });
});
afterAll(async () => {
  await center?.stop();
  await redis?.stop();
});

let sku = "";
beforeEach(async () => {
  sku = fresh("sku");
  await center.fill({ [sku]: 10 });
});

const explain = async (query = "") => {
  const staff = center.cell.as("u-staff", "staff").inventory;
  const path = `/v1/stock/explain?sku=${sku}${query}`;
  return expectOk(await staff.call<ExplainAnswer>({ method: "GET", path }));
};
const told = async () => (await explain()).holds.map(({ kind, units }) => [kind, units]);
const release = async (holdId: string) =>
  expectOk(await center.post<{ released: boolean }>(`/internal/holds/${holdId}/release`, undefined));

describe("a hold that ended without an allocation is told", () => {
  it("when it was given back, with the order it was for", async () => {
    const holdId = fresh("hold");
    const before = new Date().toISOString();
    expectOk(await center.hold(holdId, [{ sku, quantity: 3 }]));
    expect(await release(holdId)).toMatchObject({ released: true });
    expect(await release(holdId)).toMatchObject({ released: false });
    await eventually(async () => (await explain()).holds.length === 2);
    const events = (await explain()).holds;
    expect(events).toMatchObject([
      { kind: "reserve", holdId, orderId: `ord-${holdId}`, units: 3 },
      { kind: "release", holdId, orderId: `ord-${holdId}`, units: 3 },
    ]);
    expect(events[0]!.at <= events[1]!.at).toBe(true);
    expect((await explain(`&at=${encodeURIComponent(before)}`)).holds).toEqual([]);
  });

  it("when its time was over, also where it was asked for again before anybody looked", async () => {
    const holdId = fresh("hold");
    const lines = [{ sku, quantity: 2 }];
    expectOk(await center.hold(holdId, lines, { ttlSeconds: 1 }, "first"));
    await eventually(async () => (await told()).length === 2);
    expect(await told()).toEqual([
      ["reserve", 2],
      ["expire", 2],
    ]);
    expectOk(await center.hold(holdId, lines, {}, "second"));
    expectOk(await center.hold(holdId, [{ sku, quantity: 5 }], {}, "third"));
    await release(holdId);
    await eventually(async () => (await told()).at(-1)?.[0] === "release");
    expect((await told()).slice(2)).toEqual([
      ["reserve", 5],
      ["release", 5],
    ]);
  });

  it("when it was taken, given back or over while the hold store was away", async () => {
    const [given, late] = [fresh("hold"), fresh("hold")];
    await redis.kill();
    expectOk(await center.hold(given, [{ sku, quantity: 4 }]));
    expect(await release(given)).toMatchObject({ released: true });
    expectOk(await center.hold(late, [{ sku, quantity: 1 }], { ttlSeconds: 1 }));
    await eventually(async () => (await told()).length === 4);
    await redis.start();
    expect((await told()).sort()).toEqual([
      ["expire", 1],
      ["release", 4],
      ["reserve", 1],
      ["reserve", 4],
    ]);
  });
});

describe("a hold that waits", () => {
  it("is told after a moment, and one that became an allocation by its movement alone", async () => {
    const [bought, open] = [fresh("hold"), fresh("hold")];
    const lines = [{ sku, quantity: 1 }];
    expectOk(await center.hold(bought, lines));
    expectOk(await center.hold(open, lines));
    expectOk(await center.allocate(bought, lines));
    await eventually(async () => (await told()).length === 1);
    const found = await explain();
    expect(found.holds).toMatchObject([{ kind: "reserve", holdId: open }]);
    expect(found.movements.at(-1)).toMatchObject({ kind: "allocate", holdId: bought });
  });
});

it("is bounded: what there is no room for is counted, and the rest is written once", async () => {
  const metrics = createMetrics({ service: "test" });
  const expired = async () => [];
  const { sql } = center.cell;
  const trail = createTrail({ sql, metrics, holds: { expired }, patienceMs: 0, maxPending: 3 });
  const ids = Array.from({ length: 5 }, () => fresh("hold"));
  for (const id of ids) trail.reserved(id, "o", [{ sku, quantity: 1 }]);
  for (const id of ids) trail.released(id, [{ sku, quantity: 1 }]);
  await trail.flush(true);
  await trail.flush(true);
  expect((await told()).map(([kind]) => kind).sort()).toEqual([
    ...["release", "release", "release", "reserve", "reserve", "reserve"],
  ]);
  expect(await metrics.render()).toMatch(/inventory_hold_events_dropped_total\S* 4/);
});

it("is written once where each replica saw that a hold in SQL was over", async () => {
  const { sql } = center.cell;
  const metrics = createMetrics({ service: "test" });
  const holdId = fresh("hold");
  const replicas = [1, 2].map(() => createTrail({ sql, metrics, holds: { expired: async () => [] } }));
  for (const replica of replicas) replica.expired(holdId, [{ sku, quantity: 2 }], `${holdId} 12:00`);
  await Promise.all(replicas.map((replica) => replica.flush(true)));
  expect(await told()).toEqual([["expire", 2]]);
  replicas[0]!.expired(holdId, [{ sku, quantity: 2 }], `${holdId} 12:05`);
  await replicas[0]!.flush(true);
  expect((await told()).length).toBe(2);
});
