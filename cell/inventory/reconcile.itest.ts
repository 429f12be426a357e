import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { silentLogger } from "../../platform/log.ts";
import { createRedis, type Redis } from "../../platform/redis.ts";
import { eventually } from "../../platform/testing/stores.ts";
import { holdKeys } from "./holds.ts";
import { BIN, expectOk, fresh, startCenter, type TestCenter } from "./testing/center.ts";

let center: TestCenter;
let redis: Redis;
beforeAll(async () => {
  center = await startCenter();
  redis = createRedis({ url: center.cell.env.REDIS_URL ?? "", log: silentLogger() });
  // The first run of a new cell is over before anything is planted.
  await eventually(async () => redis.isReady() && (await runs("schedule")).length > 0, 60_000);
});
afterAll(async () => {
  await redis?.close();
  await center?.stop();
});

interface Run {
  skus: number;
  drifts: number;
  repaired: number;
}
const runs = (reason: string) =>
  center.cell.sql.query<Run>(
    "SELECT skus, drifts, repaired FROM inventory.reconcile_run WHERE reason = $1 ORDER BY created_at",
    [reason],
  );
let sku = "";
let holdId = "";
beforeEach(async () => {
  sku = fresh("sku");
  holdId = fresh("h");
  await center.fill({ [sku]: 10 });
});
/** Changes a balance past the ledger, as a bad hand at the database would. */
const tamper = (change: string) =>
  center.cell.sql.query(`UPDATE inventory.balance SET ${change} WHERE sku = $1`, [sku]);
const metrics = () => fetch(`${center.cell.url("inventory")}/metrics`).then((answer) => answer.text());

describe("the books of a center", () => {
  it("are compared at once after a short pick, and what differs is put right", async () => {
    expectOk(await center.allocate(holdId, [{ sku, quantity: 4 }]));
    await tamper("on_hand = on_hand + 3");
    const short = { shortId: fresh("s"), holdId, sku, bin: BIN, quantity: 1 };
    expectOk(await center.post("/internal/shorts", short));
    await eventually(async () => (await center.stock(sku)).onHand === 9, 30_000);
    await eventually(async () => (await runs("short")).length === 1, 30_000);
    expect(await runs("short")).toEqual([{ skus: 1, drifts: 1, repaired: 1 }]);
    const audit = await center.cell.sql.query("SELECT on_hand_delta FROM inventory.repair WHERE sku = $1", [
      sku,
    ]);
    expect(audit).toEqual([{ on_hand_delta: -3 }]);
    await eventually(async () => {
      const [row] = await center.cell.sql.query<{ checked: boolean }>(
        "SELECT checked_at IS NOT NULL AS checked FROM inventory.count_due WHERE sku = $1",
        [sku],
      );
      return row?.checked === true;
    }, 30_000);
    await eventually(async () => /inventory_accuracy_ratio\{[^}]*\} 0\b/.test(await metrics()), 60_000, 500);
    expect(await metrics()).toMatch(/inventory_drifts_total\{[^}]*fact="on hand"[^}]*\} 1/);
  });

  it("are compared as a whole when that is due, which is next in 4 to 8 hours", async () => {
    await tamper("damaged = damaged + 2");
    const before = (await runs("schedule")).length;
    await center.cell.sql.query("UPDATE inventory.reconcile_due SET due_at = now()");
    await eventually(async () => (await runs("schedule")).length > before, 60_000);
    expect((await runs("schedule")).at(-1)).toMatchObject({ drifts: 1, repaired: 1 });
    expect(await center.stock(sku)).toMatchObject({ onHand: 10, damaged: 0 });
    const hours = await eventually(async () => {
      const [row] = await center.cell.sql.query<{ hours: number }>(
        "SELECT (extract(epoch FROM due_at - now()) / 3600)::FLOAT8 AS hours FROM inventory.reconcile_due",
      );
      return row && row.hours > 1 ? row.hours : undefined;
    });
    expect(hours).toBeGreaterThan(3.9);
    expect(hours).toBeLessThanOrEqual(8);
  });
});

describe("inventory reconcile", () => {
  /** Runs the verb as an operator does in a pod. */
  async function reconcile(...args: string[]): Promise<{ code: number; text: string }> {
    const main = join(import.meta.dirname, "..", "main.ts");
    const child = spawn(process.execPath, [main, "inventory", "reconcile", ...args], {
      env: { ...process.env, ...center.cell.env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    let text = "";
    for (const stream of [child.stdout, child.stderr])
      stream.on("data", (bytes: Buffer) => {
        text += bytes.toString();
      });
    const [code] = (await once(child, "close")) as [number];
    return { code, text };
  }

  it("says what differs as a table, repairs it when asked to, and finds nothing after that", async () => {
    const held = fresh("sku");
    await center.fill({ [held]: 7 });
    expect(await reconcile("--skus", sku)).toMatchObject({
      code: 0,
      text: "1 SKUs compared: no difference.\n",
    });
    expectOk(await center.allocate(holdId, [{ sku, quantity: 4 }]));
    // The ledger forgets an allocation, a balance grows, and the hold store counts wrongly.
    await center.cell.sql.query(
      "DELETE FROM inventory.movement WHERE sku = $1 AND kind = 'allocate' AND command_id = $2",
      [sku, holdId],
    );
    await tamper("on_hand = on_hand + 3");
    const [, sellable = "", , reserved = ""] = holdKeys(center.cell.center);
    await redis.call("HSET", sellable, held, "70");
    await redis.call("HSET", reserved, held, "5");

    const seen = await reconcile("--skus", `${sku},${held}`);
    expect(seen.code).toBe(1);
    const rows = seen.text.split("\n").map((line) => line.split(/ {2,}/));
    expect(rows.slice(0, 5)).toEqual([
      ["SKU", "BIN", "FACT", "IS", "SHOULD BE", "DIFFERENCE", "REPAIRED"],
      [sku, "1-1-0", "on hand", "13", "10", "-3", "no"],
      [sku, "1-1-0", "booked", "0", "4", "+4", "no"],
      [held, "-", "sellable", "70", "7", "-63", "no"],
      [held, "-", "held", "5", "0", "-5", "no"],
    ]);
    expect(seen.text).toContain("2 SKUs compared, 4 differences. Repair them with --repair.");

    const repaired = await reconcile("--skus", `${sku},${held}`, "--repair", "--json");
    expect(repaired.code).toBe(0);
    const { findings } = JSON.parse(repaired.text) as { findings: { repaired: boolean }[] };
    expect(findings.map((finding) => finding.repaired)).toEqual([true, true, true, true]);
    expect(await reconcile("--skus", `${sku},${held}`)).toMatchObject({ code: 0 });
    expect(await center.stock(sku)).toMatchObject({ onHand: 10, allocated: 4, available: 6 });
    expect(await center.stock(held)).toMatchObject({ reserved: 0, available: 7 });
    const trail = await center.cell.sql.query(
      "SELECT actor, allocated_delta FROM inventory.movement WHERE sku = $1 AND kind = 'repair'",
      [sku],
    );
    expect(trail).toEqual([{ actor: "system:reconcile", allocated_delta: 4 }]);
    // The picker finds what was allocated.
    const pick = { pickId: fresh("p"), holdId, sku, bin: BIN, quantity: 4 };
    expectOk(await center.post("/internal/picks", { ...pick, actor: { kind: "human", id: "u" } }));
  });

  it("says what it cannot repair, and ends with 1", async () => {
    expectOk(await center.allocate(holdId, [{ sku, quantity: 4 }]));
    // By the movements nothing was ever received, so what is allocated cannot be there.
    await center.cell.sql.query("DELETE FROM inventory.movement WHERE sku = $1 AND kind = 'receive'", [sku]);
    const { code, text } = await reconcile("--skus", sku, "--repair");
    expect(code).toBe(1);
    expect(text).toContain("1 could not be repaired");
    expect(await center.stock(sku)).toMatchObject({ onHand: 10, allocated: 4 });
    await center.cell.sql.query(
      `INSERT INTO inventory.movement (sku, bin_id, version, ordinal, kind, command_id, on_hand_delta, allocated_delta,
         damaged_delta) VALUES ($1, '1-1-0', 1, 0, 'receive', 'again', 10, 0, 0)`,
      [sku],
    );
  });

  it("refuses what it does not understand, and says how it is used", async () => {
    const bad = await Promise.all([
      reconcile("--fix"),
      reconcile("--skus", "no such sku"),
      reconcile("--skus", "never-heard-of"),
    ]);
    expect(bad.map(({ code }) => code)).toEqual([2, 2, 2]);
    expect(bad[0]?.text).toContain("usage: node cell/main.ts inventory reconcile");
    expect(bad[2]?.text).toContain("knows no SKU never-heard-of");
  });
});
