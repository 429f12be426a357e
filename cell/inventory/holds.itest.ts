import { randomUUID } from "node:crypto";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { silentLogger } from "../../platform/log.ts";
import { createRedis, type Redis } from "../../platform/redis.ts";
import { eventually, testStores } from "../../platform/testing/stores.ts";
import type { Demand } from "./domain.ts";
import { createHoldStore, type HoldStore, holdKeys, readHoldScript } from "./holds.ts";
import { HoldModel } from "./testing/holdmodel.ts";

let redis: Redis;
const script = readHoldScript();

beforeAll(async () => {
  redis = createRedis({ url: testStores().redisUrl, log: silentLogger() });
  await eventually(async () => redis.isReady());
});
afterAll(() => redis?.close());

interface Real {
  readonly center: string;
  readonly store: HoldStore;
}
type Step = fc.AsyncCommand<HoldModel, Real>;

const SKUS = ["apple", "bread", "cola"];
const IDS = ["h1", "h2", "h3", "h4", "h5"];

async function start(epoch = 1): Promise<Real> {
  const center = `m-${randomUUID()}`;
  const store = createHoldStore({ redis, center, epoch, script, ratePerSku: 1_000_000 });
  await rebuild(store);
  return { center, store };
}

/** Begins a rebuild of what the store is now. */
async function begin(store: HoldStore, token: string, more: { owner?: string; runId?: string } = {}) {
  const { generation: seen } = await store.status();
  return store.begin({ owner: token, token, lockMs: 10_000, runId: await store.runId(), seen, ...more });
}

async function rebuild(store: HoldStore): Promise<void> {
  const token = randomUUID();
  expect(await begin(store, token)).toBe("ok");
  for (let cursor = 0; cursor !== -1; ) cursor = (await store.recount(token, 10_000, cursor, 2)) ?? -1;
  expect(await store.finish(token, randomUUID(), await store.runId())).toBe(true);
}

/** Removes all that a center has in Redis, as a flush would. */
async function flush({ center }: Real): Promise<void> {
  const found = (await redis.call<string[]>("KEYS", `{inv:${center}}:*`)) ?? [];
  if (found.length > 0) await redis.call("DEL", ...found);
}

async function counters({ center }: Real): Promise<Map<string, number>> {
  const flat = await redis.call<string[]>("HGETALL", holdKeys(center)[3]!);
  const list = Array.isArray(flat) ? flat : Object.entries(flat as object).flat();
  const counted = new Map<string, number>();
  for (let i = 0; i < list.length; i += 2) counted.set(String(list[i]), Number(list[i + 1]));
  return counted;
}

async function sameCounters(model: HoldModel, real: Real): Promise<void> {
  const counted = await counters(real);
  for (const sku of SKUS) expect([sku, counted.get(sku) ?? 0]).toEqual([sku, model.reserved(sku)]);
}

class Place implements Step {
  readonly id: string;
  readonly key: string;
  readonly owner: string;
  readonly lines: Demand[];
  constructor(id: string, key: string, owner: string, lines: Demand[]) {
    this.id = id;
    this.key = key;
    this.owner = owner;
    this.lines = lines;
  }
  check = () => true;
  async run(model: HoldModel, real: Real): Promise<void> {
    const { id: holdId, key: callKey, owner, lines } = this;
    const request = { holdId, callKey, owner, orderId: `ord-${holdId}`, ttlMs: 60_000, lines };
    const placed = await real.store.place(request);
    expect(placed.kind === "placed" ? placed.how : placed.kind).toBe(model.place(request));
    await sameCounters(model, real);
  }
  toString = () => `place ${this.id}/${this.key}/${this.owner} ${JSON.stringify(this.lines)}`;
}

/** Several at once, which travel together. */
class PlaceMany implements Step {
  readonly places: readonly Place[];
  constructor(places: readonly Place[]) {
    this.places = places;
  }
  check = () => true;
  async run(model: HoldModel, real: Real): Promise<void> {
    const requests = this.places.map(({ id: holdId, key: callKey, owner, lines }) => ({
      ...{ holdId, callKey, owner, orderId: `ord-${holdId}`, ttlMs: 60_000, lines },
    }));
    const placed = await Promise.all(requests.map((request) => real.store.place(request)));
    // As if they had come one after the other, in this order.
    expect(placed.map((one) => (one.kind === "placed" ? one.how : one.kind))).toEqual(
      requests.map((request) => model.place(request)),
    );
    await sameCounters(model, real);
    if (!model.alive) return;
    const open = [...model.holds.values()].filter(({ state }) => state === "open");
    expect((await real.store.status()).openHolds).toBe(open.length);
  }
  toString = () => `at once: ${this.places.map(String).join(", ")}`;
}

/** A step made of a function, for those that need no fields. */
function step(name: string, run: (model: HoldModel, real: Real) => Promise<void>): Step {
  return {
    check: () => true,
    run: async (model, real) => {
      await run(model, real);
      await sameCounters(model, real);
    },
    toString: () => name,
  };
}

const idArb = fc.constantFrom(...IDS);
const skuArb = fc.constantFrom(...SKUS);
const linesArb = fc.array(fc.record({ sku: skuArb, quantity: fc.integer({ min: 1, max: 6 }) }), {
  minLength: 1,
  maxLength: 4,
});
const mirrorArb = fc.record({
  sku: skuArb,
  version: fc.integer({ min: 0, max: 12 }),
  sellable: fc.integer({ min: 0, max: 15 }),
});

const placing = fc
  .tuple(idArb, fc.constantFrom("k1", "k2"), fc.constantFrom("u1", "u1", "u1", "u2"), linesArb)
  .map(([id, key, owner, lines]) => new Place(id, key, owner, lines));

/** Holds are placed often and the store is lost seldom, so that most steps meet a state worth testing. */
const commands = [
  placing,
  placing,
  placing,
  fc.array(placing, { minLength: 2, maxLength: 8 }).map((places) => new PlaceMany(places)),
  fc.array(placing, { minLength: 2, maxLength: 8 }).map((places) => new PlaceMany(places)),
  idArb.map((id) =>
    step(`release ${id}`, async (model, real) => {
      expect((await real.store.release(id)).how).toBe(model.release(id));
    }),
  ),
  fc
    .tuple(
      fc.array(idArb, { maxLength: 3 }),
      fc.uniqueArray(mirrorArb, { maxLength: 3, selector: (m) => m.sku }),
    )
    .map(([ids, mirrors]) =>
      step(`settle ${ids} ${JSON.stringify(mirrors)}`, async (model, real) => {
        expect((await real.store.settle(ids, mirrors)).dropped).toBe(model.settle(ids, mirrors));
      }),
    ),
  fc.constant(
    step("sweep", async (model, real) => {
      expect(await real.store.sweep(100)).toBe(model.alive ? model.sweep() : undefined);
    }),
  ),
  idArb.map((id) =>
    step(`time passes for ${id}`, async (model, real) => {
      const hold = model.holds.get(id);
      if (hold?.state !== "open") return;
      hold.expired = true;
      const keys = holdKeys(real.center);
      await redis.call("ZADD", keys[4]!, 1, id);
      const facts = (await redis.call<string>("GET", `${keys[7]}${id}`)).split("\n");
      await redis.call("SET", `${keys[7]}${id}`, facts.with(3, "1").join("\n"));
    }),
  ),
  fc.constant(
    step("flush", async (model, real) => {
      await flush(real);
      model.lose();
    }),
  ),
  ...["rebuild", "rebuild again"].map((name) =>
    fc.constant(
      step(name, async (model, real) => {
        await rebuild(real.store);
        model.rebuild();
      }),
    ),
  ),
];

describe("the hold script", () => {
  it("does what the model does, whatever the order of steps", async () => {
    await fc.assert(
      fc.asyncProperty(fc.commands(commands, { maxCommands: 80, size: "max" }), async (steps) => {
        const real = await start();
        const model = new HoldModel();
        const seed = SKUS.map((sku) => ({ sku, version: 0, sellable: 10 }));
        await real.store.settle([], seed);
        model.settle([], seed);
        await fc.asyncModelRun(() => ({ model, real }), steps);
        await flush(real);
      }),
      { numRuns: 150 },
    );
  });

  it("adds up the lines of one SKU and does not count the own hold", async () => {
    const { store } = await start();
    await store.settle([], [{ sku: "apple", version: 1, sellable: 10 }]);
    const request = { holdId: "h", owner: "u", orderId: "o", ttlMs: 60_000 };
    const twice = [
      { sku: "apple", quantity: 6 },
      { sku: "apple", quantity: 6 },
    ];
    const short = await store.place({ ...request, callKey: "a", lines: twice });
    expect(short).toEqual({ kind: "short", short: [{ sku: "apple", requested: 12, available: 10 }] });
    expect(
      await store.place({ ...request, callKey: "b", lines: [{ sku: "apple", quantity: 8 }] }),
    ).toMatchObject({
      how: "new",
    });
    expect(
      await store.place({ ...request, callKey: "c", lines: [{ sku: "apple", quantity: 10 }] }),
    ).toMatchObject({
      how: "replaced",
    });
    const other = await store.place({
      ...request,
      holdId: "x",
      callKey: "d",
      lines: [{ sku: "apple", quantity: 1 }],
    });
    expect(other).toMatchObject({ kind: "short", short: [{ available: 0 }] });
  });

  it("answers the same call with the same expiry, and renews for another call only up to its longest life", async () => {
    const { store } = await start();
    await store.settle([], [{ sku: "apple", version: 1, sellable: 10 }]);
    const request = { holdId: "h", owner: "u", orderId: "o", lines: [{ sku: "apple", quantity: 1 }] };
    const first = await store.place({ ...request, callKey: "a", ttlMs: 60_000 });
    expect(await store.place({ ...request, callKey: "a", ttlMs: 600_000 })).toMatchObject({
      kind: "placed",
      how: "same",
      expiresAtMs: first.kind === "placed" ? first.expiresAtMs : 0,
    });
    const longest = await store.place({ ...request, callKey: "b", ttlMs: 10 * 60 * 60 * 1000 });
    const lifeMs =
      longest.kind === "placed" && first.kind === "placed" ? longest.expiresAtMs - first.expiresAtMs : 0;
    expect(lifeMs).toBeGreaterThan(25 * 60 * 1000);
    expect(lifeMs).toBeLessThanOrEqual(30 * 60 * 1000);
  });

  it("fences an older epoch, and makes a newer one rebuild first", async () => {
    const { center, store } = await start(5);
    await store.settle([], [{ sku: "apple", version: 9, sellable: 10 }]);
    const newer = createHoldStore({ redis, center, epoch: 6, script, ratePerSku: 0 });
    const request = {
      holdId: "h",
      callKey: "k",
      owner: "u",
      orderId: "o",
      ttlMs: 60_000,
      lines: [{ sku: "apple", quantity: 1 }],
    };
    expect(await newer.place(request)).toEqual({ kind: "lost" });
    await rebuild(newer);
    expect(await store.place(request)).toEqual({ kind: "fenced" });
    expect((await store.release("h")).how).toBe("fenced");
    expect((await store.settle([], [{ sku: "apple", version: 99, sellable: 99 }])).fenced).toBe(true);
    expect(await begin(store, "t")).toBe("fenced");
    // A restored ledger counts its versions from lower down again.
    await newer.settle([], [{ sku: "apple", version: 3, sellable: 1 }]);
    expect(await newer.place(request)).toMatchObject({ kind: "placed" });
  });

  it("gives no hold while a rebuild runs, and a rebuild that was overtaken does not end it", async () => {
    const { center, store } = await start();
    await store.settle([], [{ sku: "apple", version: 1, sellable: 10 }]);
    const request = {
      holdId: "h",
      callKey: "k",
      owner: "u",
      orderId: "o",
      ttlMs: 60_000,
      lines: [{ sku: "apple", quantity: 3 }],
    };
    await store.place(request);
    expect(await begin(store, "first")).toBe("ok");
    expect(await begin(store, "second")).toBe("busy");
    expect(await store.place({ ...request, holdId: "i" })).toEqual({ kind: "lost" });
    await flush({ center, store });
    expect(await store.recount("first", 10_000, 0, 10)).toBeUndefined();
    expect(await store.finish("first", "g", "r")).toBe(false);
    expect((await store.status()).generation).toBeUndefined();
  });

  it.each([
    ["of the same process", { owner: "first" }],
    ["from before the server was restarted", { runId: "another run" }],
  ])("a rebuild %s that came to nothing holds up nobody, and ends nothing any more", async (_which, more) => {
    const { store } = await start();
    expect(await begin(store, "first")).toBe("ok");
    expect(await begin(store, "second", more)).toBe("ok");
    expect(await store.recount("first", 10_000, 0, 10)).toBeUndefined();
    expect(await store.finish("first", "g", "r")).toBe(false);
    expect(await store.recount("second", 10_000, 0, 10)).toBe(-1);
    expect(await store.finish("second", "g", "r")).toBe(true);
  });

  it("is not rebuilt once more by one who looked before it was", async () => {
    const { store } = await start();
    const { generation: seen } = await store.status();
    await rebuild(store);
    const late = { owner: "late", token: "late", lockMs: 10_000, runId: await store.runId() };
    expect(await store.begin({ ...late, seen })).toBe("done");
    expect(await store.begin({ ...late, seen: undefined })).toBe("done");
    expect((await store.status()).generation).not.toBe(seen);
  });

  it("counts a page once although it is asked for twice", async () => {
    const { center, store } = await start();
    await store.settle([], [{ sku: "apple", version: 1, sellable: 100 }]);
    for (let i = 0; i < 7; i++) {
      const lines = [{ sku: "apple", quantity: 2 }];
      await store.place({ holdId: `h${i}`, callKey: "k", owner: "u", orderId: "o", ttlMs: 60_000, lines });
    }
    await begin(store, "t");
    expect(await store.recount("t", 10_000, 0, 3)).toBe(3);
    expect(await store.recount("t", 10_000, 0, 3)).toBe(3);
    expect(await store.recount("t", 10_000, 3, 3)).toBe(6);
    expect(await store.recount("t", 10_000, 6, 3)).toBe(-1);
    expect((await counters({ center, store })).get("apple")).toBe(14);
  });

  it("gives each of many that ask at once its own answer, and no unit twice", async () => {
    const { center, store } = await start();
    await store.settle([], [{ sku: "apple", version: 1, sellable: 150 }]);
    const request = { callKey: "k", owner: "u", orderId: "o", ttlMs: 60_000 };
    const asked = Array.from({ length: 200 }, (_, index) =>
      store.place({ ...request, holdId: `h${index}`, lines: [{ sku: "apple", quantity: 1 }] }),
    );
    const kinds = (await Promise.all(asked)).map(({ kind }) => kind);
    expect(kinds.slice(0, 150).every((kind) => kind === "placed")).toBe(true);
    expect(kinds.slice(150).every((kind) => kind === "short")).toBe(true);
    expect((await counters({ center, store })).get("apple")).toBe(150);
    expect(await store.release("h7")).toMatchObject({ how: "released" });
    expect((await counters({ center, store })).get("apple")).toBe(149);
    // A stranger's call fails those that travel with it no more than a call that finds nothing.
    const mixed = await Promise.all([
      store.place({ ...request, holdId: "h8", owner: "other", lines: [{ sku: "apple", quantity: 1 }] }),
      store.place({ ...request, holdId: "h7", lines: [{ sku: "apple", quantity: 1 }] }),
      store.place({ ...request, holdId: "new", lines: [{ sku: "pear", quantity: 1 }] }),
      store.place({ ...request, holdId: "last", lines: [{ sku: "apple", quantity: 1 }] }),
      store.place({ ...request, holdId: "none", lines: [{ sku: "apple", quantity: 1 }] }),
    ]);
    expect(mixed.map(({ kind }) => kind)).toEqual(["foreign", "closed", "short", "placed", "short"]);
  });

  it("sweeps in bites, and finds units behind many expired holds", async () => {
    const { center, store } = await start();
    await store.settle([], [{ sku: "apple", version: 1, sellable: 600 }]);
    const keys = holdKeys(center);
    for (let i = 0; i < 600; i++) {
      const lines = [{ sku: "apple", quantity: 1 }];
      await store.place({ holdId: `h${i}`, callKey: "k", owner: "u", orderId: "o", ttlMs: 60_000, lines });
    }
    for (let i = 0; i < 600; i++) await redis.call("ZADD", keys[4]!, 1, `h${i}`);
    const request = { holdId: "late", callKey: "k", owner: "u", orderId: "o", ttlMs: 60_000 };
    const answers: string[] = [];
    for (let i = 0; i < 10 && answers.at(-1) !== "placed"; i++) {
      answers.push((await store.place({ ...request, lines: [{ sku: "apple", quantity: 600 }] })).kind);
    }
    expect(answers).toEqual(["more", "more", "placed"]);
    expect((await counters({ center, store })).get("apple")).toBe(600);
  });
});
