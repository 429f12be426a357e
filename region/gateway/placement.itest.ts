import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createLogger } from "../../platform/log.ts";
import { createMetrics } from "../../platform/metrics.ts";
import { createSql, parseDatabaseUrl, type Sql } from "../../platform/sql.ts";
import { testStores } from "../../platform/testing/stores.ts";
import type { Closing, ForwardOutcome, PlacementOrder } from "./outcomes.ts";
import { createPins, type Pins, preparePins } from "./pins.ts";
import { place } from "./placement.ts";

/** Pins are real; what a cell answers is scripted, because the faults in question cannot be made to order. */
let admin: Sql;
let sql: Sql;
let pins: Pins;
const database = `gateway_${process.pid}`;
const open = (name: string) =>
  createSql({
    ...parseDatabaseUrl(testStores().databaseUrl),
    database: name,
    applicationName: "test",
    log: createLogger({ service: "test", level: "silent" }),
    metrics: createMetrics({ service: "test" }),
    max: 8,
  });

beforeAll(async () => {
  admin = open("postgres");
  await admin.query(`CREATE DATABASE ${database}`);
  sql = open(database);
  await preparePins(sql);
  pins = createPins(sql);
});
afterAll(async () => {
  await sql.close();
  await admin.query(`DROP DATABASE ${database} WITH (FORCE)`);
  await admin.close();
});

const answered = (status: number, code = ""): ForwardOutcome => ({
  kind: "answered",
  status,
  headers: {},
  body: Buffer.from(JSON.stringify({ code })),
});
const notSent: ForwardOutcome = { kind: "not-sent", reason: "ECONNREFUSED" };
const ambiguous: ForwardOutcome = { kind: "ambiguous", reason: "ECONNRESET" };
const REFUSED = answered(409, "out-of-stock");
const CLOSED = answered(409, "key-closed");
const FULL = answered(503, "not-accepting");

let keys = 0;
const newOrder = (
  candidates: readonly string[],
  key = `key-${keys++}`,
  bodyHash = "one",
): PlacementOrder => ({
  key: { sub: "sam", key },
  bodyHash,
  decision:
    candidates.length > 0
      ? { ok: true, candidates, passedOver: [] }
      : { ok: false, code: "cell-unavailable", passedOver: [{ cell: "a", reason: "unreachable" }] },
  covering: [...candidates].sort(),
});

/** Places one order; the script says what each cell answers, the asked cells come back in order. */
async function run(
  order: PlacementOrder,
  script: Record<string, ForwardOutcome>,
  before?: () => Promise<unknown>,
) {
  const asked: string[] = [];
  const result = await place(
    {
      pins,
      async forward(cell) {
        asked.push(cell);
        await before?.();
        return script[cell] ?? ambiguous;
      },
      refusalCode: async (_cell, _key, answer) =>
        answer === REFUSED || answer === FULL || answer === CLOSED ? "refused" : undefined,
      closeKey: async () => "unknown",
      log: () => {},
    },
    order,
  );
  return { asked, said: "ok" in result ? result.code : result.status };
}

describe("placing one order", () => {
  it.each<[string, Record<string, ForwardOutcome>, string[], number | string]>([
    ["the first takes it", { a: answered(201) }, ["a"], 201],
    ["the first cannot be reached", { a: notSent, b: answered(201) }, ["a", "b"], 201],
    ["the first refuses by its signature", { a: REFUSED, b: answered(201) }, ["a", "b"], 201],
    ["the first is full and says so", { a: FULL, b: answered(201) }, ["a", "b"], 201],
    [
      "three cells are asked at most",
      { a: notSent, b: notSent, c: REFUSED, d: answered(201) },
      ["a", "b", "c"],
      409,
    ],
    ["nobody can be reached", { a: notSent, b: notSent, c: notSent }, ["a", "b", "c"], "cell-unavailable"],
    ["the connection broke in the middle", { a: ambiguous, b: answered(201) }, ["a"], "outcome-unknown"],
    [
      "the cell broke in the middle",
      { a: answered(500, "internal"), b: answered(201) },
      ["a"],
      "outcome-unknown",
    ],
    ["the payment was declined", { a: answered(402, "payment-declined"), b: answered(201) }, ["a"], 402],
    [
      "an unsigned refusal proves nothing",
      { a: answered(409, "out-of-stock"), b: answered(201) },
      ["a"],
      409,
    ],
  ])("%s", async (_name, script, asked, said) => {
    expect(await run(newOrder(["a", "b", "c", "d"]), script)).toEqual({ asked, said });
  });

  it("refuses at once where no cell is in service", async () => {
    expect(await run(newOrder([]), {})).toEqual({ asked: [], said: "cell-unavailable" });
  });
});

describe("the same key again", () => {
  it("goes to the cell that may have it, however good another one looks", async () => {
    await run(newOrder(["a", "b"], "again-1"), { a: ambiguous });
    expect(await run(newOrder(["b", "a"], "again-1"), { a: answered(201), b: answered(201) })).toEqual({
      asked: ["a"],
      said: 201,
    });
  });

  it("stays unknown while that cell cannot be reached", async () => {
    await run(newOrder(["a"], "again-2"), { a: ambiguous });
    expect(await run(newOrder(["b"], "again-2"), { a: notSent, b: answered(201) })).toEqual({
      asked: ["a"],
      said: "outcome-unknown",
    });
    expect(await run(newOrder([], "again-2"), { a: notSent })).toEqual({
      asked: ["a"],
      said: "outcome-unknown",
    });
  });

  it("leaves that cell on its stored refusal, and on no refusal that is not stored", async () => {
    await run(newOrder(["a"], "again-3"), { a: ambiguous });
    expect(await run(newOrder(["b", "a"], "again-3"), { a: FULL, b: answered(201) })).toEqual({
      asked: ["a"],
      said: 503,
    });
    expect(await run(newOrder(["b", "a"], "again-3"), { a: REFUSED, b: answered(201) })).toEqual({
      asked: ["a", "b"],
      said: 201,
    });
  });

  it("is placed afresh when nothing was ever sent", async () => {
    await run(newOrder(["a"], "again-4"), { a: notSent });
    expect(await run(newOrder(["b"], "again-4"), { b: answered(201) })).toEqual({ asked: ["b"], said: 201 });
  });

  it("is refused with another body", async () => {
    await run(newOrder(["a"], "again-5"), { a: answered(201) });
    expect(await run(newOrder(["a"], "again-5", "two"), { a: answered(201) })).toEqual({
      asked: [],
      said: "idempotency-key-reused",
    });
  });

  it("does not move on a refused connection once a second request has gone to the same cell", async () => {
    const key = "again-6";
    const second = () => run(newOrder(["a", "b"], key), { a: ambiguous });
    let first = true;
    const result = await run(newOrder(["a", "b"], key), { a: notSent, b: answered(201) }, async () => {
      if (first) {
        first = false;
        await second();
      }
    });
    expect(result).toEqual({ asked: ["a"], said: "outcome-unknown" });
  });
});

describe("while the region database is away", () => {
  const away: Pins = { ...pins, claim: () => Promise.reject(new Error("away")) };
  type Script = Record<string, { closing?: Closing; says?: ForwardOutcome }>;

  async function runUnpinned(candidates: readonly string[], script: Script) {
    const asked: string[] = [];
    const closed: string[] = [];
    const result = await place(
      {
        pins: away,
        forward: async (cell) => {
          asked.push(cell);
          return script[cell]?.says ?? notSent;
        },
        closeKey: async (cell) => {
          closed.push(cell);
          return script[cell]?.closing ?? "unknown";
        },
        refusalCode: async (_cell, _key, answer) => (answer === CLOSED ? "key-closed" : undefined),
        log: () => {},
      },
      newOrder(candidates),
    );
    return { asked, closed, said: "ok" in result ? result.code : result.status };
  }

  it.each<[string, string[], Script, unknown]>([
    [
      "the table's first takes it after the others have closed the key, whichever looks better now",
      ["b", "a"],
      { a: { says: answered(201) }, b: { closing: "closed", says: answered(201) } },
      { asked: ["a"], closed: ["b"], said: 201 },
    ],
    [
      "another one that has the order answers for it",
      ["a", "b"],
      { a: { says: answered(201) }, b: { closing: "taken", says: answered(201) } },
      { asked: ["b"], closed: ["b"], said: 201 },
    ],
    [
      "nobody gets it while one of them cannot be asked",
      ["a", "b"],
      { a: { says: answered(201) }, b: { closing: "unknown" } },
      { asked: [], closed: ["b"], said: "unavailable" },
    ],
    [
      "nothing is rerouted",
      ["a"],
      { a: { says: notSent } },
      { asked: ["a"], closed: [], said: "outcome-unknown" },
    ],
    [
      "nor does the customer hear that the key is closed where it belongs",
      ["a", "b"],
      { a: { says: CLOSED }, b: { closing: "closed" } },
      { asked: ["a"], closed: ["b"], said: "unavailable" },
    ],
  ])("%s", async (_name, candidates, script, expected) => {
    expect(await runUnpinned(candidates, script)).toEqual(expected);
  });
});

describe("after the region database is back", () => {
  it("a key that was closed in one cell is found in the other", async () => {
    expect(await run(newOrder(["b", "a"], "back-1"), { b: CLOSED, a: answered(201) })).toEqual({
      asked: ["b", "a"],
      said: 201,
    });
  });

  it("and is unknown, not refused, while that one cannot be asked", async () => {
    expect(await run(newOrder(["b"], "back-2"), { b: CLOSED })).toEqual({
      asked: ["b"],
      said: "outcome-unknown",
    });
    expect(await run(newOrder(["b", "a"], "back-2"), { b: CLOSED, a: answered(201) })).toEqual({
      asked: ["b", "a"],
      said: 201,
    });
  });

  it("a key stays where it is when the pins go away in the middle", async () => {
    const key = "back-3";
    const broken: Pins = { ...pins, share: () => Promise.reject(new Error("away")) };
    await run(newOrder(["a"], key), { a: ambiguous });
    const asked: string[] = [];
    const result = await place(
      {
        pins: broken,
        forward: async (cell) => {
          asked.push(cell);
          return answered(201);
        },
        closeKey: async () => "closed",
        refusalCode: async () => undefined,
        log: () => {},
      },
      newOrder(["b", "a"], key),
    );
    expect({ asked, code: "ok" in result && result.code }).toEqual({ asked: [], code: "outcome-unknown" });
  });
});
