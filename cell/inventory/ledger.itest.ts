import fc from "fast-check";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { silentLogger } from "../../platform/log.ts";
import { createMetrics } from "../../platform/metrics.ts";
import { createSql, type Sql } from "../../platform/sql.ts";
import { Fenced } from "../../platform/sqlstate.ts";
import { startTestCell, type TestCell } from "../../platform/testing/cell.ts";
import { eventually } from "../../platform/testing/stores.ts";
import { carryOut, type Outcome, type Submitted } from "./batch.ts";
import type { Command } from "./commands.ts";
import { putSkus } from "./reads.ts";
import { CHECKPOINT_EVERY, findDrift, reconcilePage } from "./reconcile.ts";
import { BINS, commandArb, SKUS, Tables } from "./testing/tables.ts";
import { openWire } from "./testing/wire.ts";
import { loadView } from "./view.ts";
import { commit, createWriter, hashOf, type Writer } from "./writer.ts";

let cell: TestCell;
let sql: Sql;
const metrics = createMetrics({ service: "test" });
const log = silentLogger();

beforeAll(async () => {
  // No slice runs here, so nothing but the test writes.
  cell = await startTestCell({ slices: [] });
  sql = roleSql(Number(cell.env.DATABASE_PORT));
});
/** A pool with the rights of the slice. */
function roleSql(port: number): Sql {
  const { DATABASE_HOST: host = "", DATABASE_NAME: database = "" } = cell.env;
  const password = cell.env.DATABASE_PASSWORD_INVENTORY ?? "";
  const user = { user: "inventory", password, applicationName: "test" };
  return createSql({ host, port, database, ...user, log, metrics, epoch: 1 });
}
afterAll(async () => {
  await sql?.close();
  await cell?.stop();
});

const TABLES = [
  "movement",
  "balance",
  "sku",
  "bin",
  "command",
  "allocation",
  "allocation_line",
  "hold",
  "hold_line",
  "mirror_due",
  "drop_due",
  "checkpoint",
  "in_transit",
  "counted",
  "count_due",
  "outbox",
];
beforeEach(empty);
async function empty(): Promise<void> {
  await cell.sql.query(`TRUNCATE ${TABLES.map((table) => `inventory.${table}`).join(", ")}`);
  const skus = SKUS.map((sku) => ({
    sku,
    barcode: `b-${sku}`,
    name: sku,
    weightGrams: 1,
    temperature: "ambient" as const,
  }));
  await sql.transaction((tx) => putSkus(tx, skus));
}

const submit = (command: Command): Submitted => ({ command, bodyHash: hashOf(command) });
const writerOf = (over: Sql): Writer => createWriter({ sql: over, log, metrics, committed: async () => {} });
const receive = (id: string, quantity: number): Command => ({
  kind: "receive",
  id,
  lines: [{ sku: "apple", bin: BINS[0]!, quantity }],
});
const allocate = (id: string): Command => ({
  kind: "allocate",
  id,
  orderId: id,
  lines: [{ sku: "apple", quantity: 1 }],
});

/** Everything of an answer but the time at which a hold ends. */
const timeless = (outcomes: readonly Outcome[]) =>
  outcomes.map((outcome) =>
    JSON.parse(JSON.stringify(outcome, (key, value) => (key === "expiresAtMs" ? 0 : value))),
  );

describe("the tables", () => {
  it("hold exactly what the rules say, after any batches of commands", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(commandArb, { minLength: 1, maxLength: 12 }), { minLength: 1, maxLength: 5 }),
        async (batches) => {
          await empty();
          const tables = new Tables();
          for (const batch of batches) {
            const real = await commit(sql, batch.map(submit));
            const expected = carryOut(tables.view(), batch.map(submit));
            tables.write(expected.effects);
            expect(timeless(real.outcomes)).toEqual(timeless(expected.outcomes));
          }
          expect(await findDrift(cell.sql, SKUS)).toEqual([]);
          const probe = [
            ...SKUS.map((sku) => receiveOf(sku)),
            ...["h1", "h2", "h3"].map((id) => ({ kind: "release", id }) as Command),
          ];
          const view = await loadView(cell.sql, probe.map(submit));
          const rows = [...view.balances.values()]
            .flat()
            .map(({ sku, binId, bin: _, ...row }) => [`${sku} ${binId}`, row]);
          expect(rows.sort()).toEqual([...tables.balances].sort());
          const sorted = (lines: readonly { sku: string; binId: string }[]) =>
            [...lines].sort((left, right) =>
              `${left.sku} ${left.binId}` < `${right.sku} ${right.binId}` ? -1 : 1,
            );
          for (const [id, allocation] of tables.allocations) {
            const found = view.allocations.get(id);
            expect({ ...found, lines: sorted(found?.lines ?? []) }).toEqual({
              ...allocation,
              lines: sorted(allocation.lines),
            });
          }
          expect(view.allocations.size).toBe(tables.allocations.size);
          expect([...view.holds.keys()].sort()).toEqual([...tables.holds.keys()].sort());
        },
      ),
      { numRuns: 60 },
    );
  });

  it("refuse what no rule should ever let through", async () => {
    await commit(sql, [submit(receive("r", 5))]);
    for (const change of [
      "on_hand = -1",
      "allocated = 6",
      "allocated = 3, damaged = 3",
      "damaged = -1",
      "allocated = -1",
    ]) {
      await expect(cell.sql.query(`UPDATE inventory.balance SET ${change}`)).rejects.toThrow(
        /check|violates/i,
      );
    }
  });
});

function receiveOf(sku: string): Command {
  return { kind: "receive", id: `probe-${sku}`, lines: [{ sku, bin: BINS[0]!, quantity: 1 }] };
}

describe("the walk through the ledger", () => {
  it("goes on from a checkpoint, still finds what differs, and the full comparison starts at the first day", async () => {
    const lines = BINS.map((bin) => ({ sku: "apple", bin, quantity: 2 }));
    const fill = (from: number, count: number) =>
      commit(
        sql,
        Array.from({ length: count }, (_, n) => submit({ kind: "receive", id: `r${from + n}`, lines })),
      );
    await fill(0, CHECKPOINT_EVERY / 2);
    expect(await reconcilePage(sql, "", 10)).toEqual({ checked: 2, drifts: [], next: "" });
    const checkpoints = () =>
      cell.sql.query("SELECT bin_id, on_hand FROM inventory.checkpoint ORDER BY bin_id");
    const first = BINS.map((_, n) => ({ bin_id: `1-${n + 1}-0`, on_hand: CHECKPOINT_EVERY }));
    expect(await checkpoints()).toEqual(first);
    await fill(10_000, 3);
    await commit(sql, [submit(allocate("h"))]);
    expect((await reconcilePage(sql, "", 10)).drifts).toEqual([]);
    expect(await checkpoints()).toEqual(first);
    await cell.sql.query("UPDATE inventory.balance SET allocated = allocated + 1 WHERE bin_id = '1-2-0'");
    expect((await reconcilePage(sql, "", 1)).drifts).toMatchObject([
      { sku: "apple", bin_id: "1-2-0", allocated: -1, open: -1 },
    ]);
    await cell.sql.query("UPDATE inventory.balance SET allocated = allocated - 1 WHERE bin_id = '1-2-0'");
    expect((await reconcilePage(sql, "", 10)).drifts).toEqual([]);
    await cell.sql.query("DELETE FROM inventory.movement WHERE command_id = 'r7' AND bin_id = '1-1-0'");
    expect(await findDrift(sql, ["apple"])).toMatchObject([{ bin_id: "1-1-0", on_hand: -2 }]);
  });
});

describe("the writer", () => {
  it("carries out the others when one command of a batch cannot be written", async () => {
    const writer = writerOf(sql);
    await writer.submit(receive("r", 100));
    const good = Array.from({ length: 20 }, (_, n) => writer.submit(allocate(`good-${n}`)));
    // PostgreSQL takes no zero byte in a text.
    const bad = writer.submit(allocate("bad-\u0000"));
    const more = Array.from({ length: 20 }, (_, n) => writer.submit(allocate(`more-${n}`)));
    await expect(bad).rejects.toThrow();
    const outcomes = await Promise.all([...good, ...more]);
    expect(outcomes.every((outcome) => outcome.ok)).toBe(true);
    expect((await writer.submit(allocate("after"))).ok).toBe(true);
    expect(await findDrift(cell.sql, SKUS)).toEqual([]);
    await writer.stop();
  });

  it("commits what waits together, and refuses early what there is no room for", async () => {
    const writer = createWriter({ sql, log, metrics, committed: async () => {}, maxQueued: 50 });
    await writer.submit(receive("r", 500));
    const before = await cell.sql.query<{ version: number }>("SELECT version FROM inventory.balance");
    const outcomes = await Promise.all(
      Array.from({ length: 80 }, (_, n) => writer.submit(allocate(`h-${n}`))),
    );
    expect(outcomes.filter((outcome) => outcome.ok)).toHaveLength(50);
    expect(outcomes.filter((outcome) => !outcome.ok && outcome.code === "overloaded")).toHaveLength(30);
    const after = await cell.sql.query<{ version: number }>("SELECT version FROM inventory.balance");
    // One row update for each batch, not for each order.
    expect((after[0]?.version ?? 0) - (before[0]?.version ?? 0)).toBe(1);
    await writer.stop();
    expect(await writer.submit(allocate("late"))).toMatchObject({ ok: false, code: "unavailable" });
  });

  it("sells each unit once when many writers work at the same row", async () => {
    const writers = Array.from({ length: 4 }, () => writerOf(sql));
    await writers[0]!.submit(receive("r", 100));
    const outcomes = await Promise.all(
      Array.from({ length: 400 }, (_, n) => writers[n % 4]!.submit(allocate(`h-${n}`))),
    );
    expect(outcomes.filter((outcome) => outcome.ok)).toHaveLength(100);
    expect(
      outcomes
        .filter((outcome) => !outcome.ok)
        .every((outcome) => !outcome.ok && outcome.code === "out-of-stock"),
    ).toBe(true);
    expect(await findDrift(cell.sql, SKUS)).toEqual([]);
    await Promise.all(writers.map((writer) => writer.stop()));
  });

  it("says that the database is away, and works again when it is back", async () => {
    const wire = await openWire({ host: cell.env.DATABASE_HOST ?? "", port: Number(cell.env.DATABASE_PORT) });
    const far = roleSql(wire.port);
    const writer = writerOf(far);
    expect((await writer.submit(receive("r", 200))).ok).toBe(true);
    // Cut in the middle of work: each caller learns that it does not know, and none is left waiting.
    const inFlight = Array.from({ length: 100 }, (_, n) => writer.submit(allocate(`h-${n}`)));
    await new Promise((resolve) => setTimeout(resolve, 3));
    wire.cut();
    for (const outcome of await Promise.all(inFlight)) {
      if (!outcome.ok) expect(outcome).toMatchObject({ code: "unavailable", retryAfterSeconds: 1 });
    }
    expect(await writer.submit(allocate("later"))).toMatchObject({ ok: false, code: "unavailable" });
    wire.mend();
    await eventually(async () => (await writer.submit(allocate("later"))).ok);
    const again = await Promise.all(Array.from({ length: 100 }, (_, n) => writer.submit(allocate(`h-${n}`))));
    expect(again.every((outcome) => outcome.ok)).toBe(true);
    const rows = await cell.sql.query("SELECT hold_id FROM inventory.allocation");
    expect(rows).toHaveLength(101);
    expect(await findDrift(cell.sql, SKUS)).toEqual([]);
    await writer.stop();
    await far.close();
    await wire.close();
  });

  it("writes nothing once a newer epoch is in force", async () => {
    const writer = writerOf(sql);
    await writer.submit(receive("r", 10));
    await cell.sql.query("UPDATE cell.lease SET epoch = 2");
    try {
      await expect(writer.submit(allocate("h"))).rejects.toThrow(Fenced);
      const rows = await cell.sql.query("SELECT hold_id FROM inventory.allocation");
      expect(rows).toEqual([]);
    } finally {
      await cell.sql.query("UPDATE cell.lease SET epoch = 1");
    }
    await writer.stop();
  });
});
