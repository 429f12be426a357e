import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ServiceClient } from "../../platform/fetch.ts";
import { eventually } from "../../platform/testing/stores.ts";
import { expectOk, fresh, startCenter, type TestCenter } from "./testing/center.ts";
import { clientOf, type Replica, startReplica } from "./testing/process.ts";
import { type RedisServer, startRedisServer } from "./testing/redisserver.ts";

let redis: RedisServer;
let center: TestCenter;
let replica: Replica;
let other: ServiceClient;

beforeAll(async () => {
  redis = await startRedisServer();
  center = await startCenter({ REDIS_URL: redis.url });
  replica = await startReplica(center.cell);
  other = await clientOf(center.cell, replica);
});
afterAll(async () => {
  await other?.close();
  await replica?.end("SIGTERM");
  await center?.stop();
  await redis?.stop();
});

let sku = "";
beforeEach(() => {
  sku = fresh("sku");
});

interface Tally {
  sold: number;
  refusedHolds: number;
  refusedCommits: number;
}

/** One shopper: holds a unit and buys it, over and over, until the store says that there is none; both replicas are asked in turn. */
async function shop(
  name: string,
  tally: Tally,
  clients: readonly ServiceClient[],
  most = Number.POSITIVE_INFINITY,
): Promise<void> {
  for (let turn = 0, bought = 0; bought < most; turn++) {
    const client = clients[turn % clients.length]!;
    const holdId = `${name}-${turn}`;
    const lines = [{ sku, quantity: 1 }];
    const call = (path: string, body: object) =>
      repeat(() => client.call({ method: "POST", path, body, idempotencyKey: `${path}-${holdId}` }));
    const held = await call("/internal/holds", { holdId, orderId: holdId, owner: name, lines });
    if (!held.ok) {
      expect(held.code).toBe("out-of-stock");
      tally.refusedHolds++;
      return;
    }
    const allocated = await call("/internal/allocations", { holdId, orderId: holdId, lines });
    if (allocated.ok) {
      tally.sold++;
      bought++;
    } else {
      expect(allocated.code).toBe("out-of-stock");
      tally.refusedCommits++;
    }
  }
}

/** Repeats while the answer says that it is worth it, as every caller does. */
async function repeat<T extends { ok: boolean; code?: string }>(run: () => Promise<T>): Promise<T> {
  for (let attempt = 0; ; attempt++) {
    const answer = await run();
    if (
      answer.ok ||
      attempt > 50 ||
      !["unavailable", "overloaded", "rate-limited"].includes(answer.code ?? "")
    )
      return answer;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

const newTally = (): Tally => ({ sold: 0, refusedHolds: 0, refusedCommits: 0 });
const SHOPPERS = 64;

describe("the last 100 units of one SKU", () => {
  it("are sold exactly once to 64 shoppers at one replica", async () => {
    await center.fill({ [sku]: 100 });
    const tally = newTally();
    const shoppers = Array.from({ length: SHOPPERS }, (_, n) =>
      shop(`${sku}-${n}`, tally, [center.cell.internal.inventory]),
    );
    await Promise.all(shoppers);
    expect(await center.sold(sku)).toBe(100);
    expect(tally.sold).toBe(100);
    expect(await center.drift()).toEqual([]);
    await eventually(async () => (await center.stock(sku)).reserved === 0);
    expect(await center.stock(sku)).toMatchObject({ onHand: 100, allocated: 100, available: 0 });
  });

  it("are sold exactly once to 64 shoppers over two replicas", async () => {
    await center.fill({ [sku]: 100 });
    const tally = newTally();
    const both = [center.cell.internal.inventory, other];
    const shoppers = Array.from({ length: SHOPPERS }, (_, n) =>
      shop(`${sku}-${n}`, tally, n % 2 ? both : [...both].reverse()),
    );
    await Promise.all(shoppers);
    expect(await center.sold(sku)).toBe(100);
    expect(tally.sold).toBe(100);
    expect(await center.drift()).toEqual([]);
  });

  it("are sold exactly once although the hold store is flushed again and again", async () => {
    await center.fill({ [sku]: 100 });
    const tally = newTally();
    let selling = true;
    const flushing = (async () => {
      while (selling) {
        await redis.flush();
        await new Promise((resolve) => setTimeout(resolve, 60));
      }
    })();
    const both = [center.cell.internal.inventory, other];
    await Promise.all(
      Array.from({ length: SHOPPERS }, (_, n) =>
        shop(`${sku}-${n}`, tally, n % 2 ? both : [...both].reverse()),
      ),
    );
    selling = false;
    await flushing;
    // Holds lost in a flush may have turned shoppers away; one more who comes later finds what is left.
    await eventually(async () => {
      await shop(fresh(`${sku}-late`), tally, both);
      return (await center.sold(sku)) === 100;
    });
    expect(tally.sold).toBe(100);
    expect(await center.drift()).toEqual([]);
    expect(await center.stock(sku)).toMatchObject({ allocated: 100, onHand: 100 });
  });
});

describe("without a hold store", () => {
  it("the last 100 units are sold exactly once to 64 shoppers, and no hold that was given is broken", async () => {
    await center.fill({ [sku]: 100 });
    await redis.kill();
    const tally = newTally();
    const both = [center.cell.internal.inventory, other];
    const shoppers = Array.from({ length: SHOPPERS }, (_, n) =>
      shop(`${sku}-${n}`, tally, n % 2 ? both : [...both].reverse()),
    );
    await Promise.all(shoppers);
    await redis.start();
    expect(await center.sold(sku)).toBe(100);
    expect(tally).toMatchObject({ sold: 100, refusedCommits: 0 });
    expect(await center.drift()).toEqual([]);
  });
});

describe("a lost hold store", () => {
  it("refuses no commit of those who held before", async () => {
    await center.fill({ [sku]: 1000 });
    const holds = Array.from({ length: 80 }, (_, n) => `${sku}-h${n}`);
    const lines = [{ sku, quantity: 2 }];
    await Promise.all(holds.map(async (id) => expectOk(await center.hold(id, lines))));
    await redis.flush();
    const answers = await Promise.all(holds.map((id) => center.allocate(id, lines)));
    expect(answers.filter((answer) => !answer.ok)).toEqual([]);
    expect(await center.sold(sku)).toBe(160);
  });

  it("takes holds in SQL while it is away, and has them after it came back", async () => {
    await center.fill({ [sku]: 10 });
    await redis.kill();
    const id = fresh("hold");
    const held = expectOk(await center.hold(id, [{ sku, quantity: 7 }]));
    expect(held.generation).toBe("sql-1");
    const again = expectOk(await center.hold(id, [{ sku, quantity: 7 }]));
    expect(again.expiresAt).toBe(held.expiresAt);
    const more = await center.hold(fresh("hold"), [{ sku, quantity: 4 }]);
    expect(more).toMatchObject({
      ok: false,
      code: "out-of-stock",
      extra: { short: [{ sku, requested: 4, available: 3 }] },
    });
    expect(await center.stock(sku)).toMatchObject({ reserved: 7, available: 3 });
    await redis.start();
    // From the first moment on: whoever decides, the units that were held in SQL are not given away.
    const meanwhile = new Set<string>();
    await eventually(
      async () => {
        const greedy = await center.hold(fresh("hold"), [{ sku, quantity: 4 }]);
        meanwhile.add(greedy.ok ? `held in ${greedy.body.generation}` : greedy.code);
        const rows = await center.cell.sql.query("SELECT hold_id FROM inventory.hold");
        const probe = await center.hold(fresh("hold"), [{ sku, quantity: 1 }], { ttlSeconds: 1 });
        return rows.length === 0 && probe.ok && !probe.body.generation.startsWith("sql");
      },
      30_000,
      5,
    );
    expect([...meanwhile]).toEqual(["out-of-stock"]);
    await eventually(async () => (await center.stock(sku)).reserved === 7);
    expectOk(await center.allocate(id, [{ sku, quantity: 7 }]));
    await eventually(async () => (await center.stock(sku)).reserved === 0);
    expect(await center.stock(sku)).toMatchObject({ allocated: 7, available: 3 });
  });

  it("loses no more than its last second when it is killed, and is rebuilt with what survived", async () => {
    await center.fill({ [sku]: 50 });
    const id = fresh("hold");
    await eventually(async () => {
      const held = await center.hold(id, [{ sku, quantity: 5 }]);
      return held.ok && !held.body.generation.startsWith("sql") ? held : undefined;
    });
    const before = (await center.hold(id, [{ sku, quantity: 5 }])) as { body: { generation: string } };
    // The append-only file is written once a second.
    await new Promise((resolve) => setTimeout(resolve, 2_200));
    await redis.kill();
    expectOk(await center.allocate(fresh("hold"), [{ sku, quantity: 20 }]));
    await redis.start();
    const after = await eventually(async () => {
      const probe = await center.hold(fresh("hold"), [{ sku, quantity: 1 }], { ttlSeconds: 1 });
      return probe.ok && !probe.body.generation.startsWith("sql") ? probe.body.generation : undefined;
    });
    expect(after).not.toBe(before.body.generation);
    await eventually(async () => {
      const { reserved, available } = await center.stock(sku);
      return reserved === 5 && available === 25;
    });
  });
});
