import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { ServiceClient } from "../../platform/fetch.ts";
import { silentLogger } from "../../platform/log.ts";
import { createMetrics } from "../../platform/metrics.ts";
import { createSql, parseDatabaseUrl } from "../../platform/sql.ts";
import { eventually } from "../../platform/testing/stores.ts";
import { expectOk, fresh, startCenter, type TestCenter } from "./testing/center.ts";
import { clientOf, type Replica, startReplica } from "./testing/process.ts";

let center: TestCenter;
const replicas: Replica[] = [];
const clients: ServiceClient[] = [];

beforeAll(async () => {
  center = await startCenter();
});
afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await Promise.all(replicas.map((replica) => replica.end("SIGKILL")));
  await center?.stop();
});

let sku = "";
beforeEach(() => {
  sku = fresh("sku");
});

async function withReplica(
  env: Record<string, string> = {},
): Promise<{ replica: Replica; client: ServiceClient }> {
  const replica = await startReplica(center.cell, env);
  replicas.push(replica);
  const client = await clientOf(center.cell, replica);
  clients.push(client);
  return { replica, client };
}

/** Waits until holds are decided in the hold store, in every process that was asked. */
async function holdInStore(id: string, quantity: number): Promise<void> {
  await eventually(async () => {
    const held = await center.hold(id, [{ sku, quantity }]);
    return held.ok && !held.body.generation.startsWith("sql-");
  });
}

/** Waits until the hold store has been told of all that was committed. */
async function noNotes(): Promise<void> {
  const notes = "SELECT sku AS id FROM inventory.mirror_due UNION ALL SELECT hold_id FROM inventory.drop_due";
  await eventually(async () => (await center.cell.sql.query(notes)).length === 0);
}

describe("a process that dies between the commit and the hold store", () => {
  it("leaves stock undersold, never oversold, until another process repeats the second half", async () => {
    await center.fill({ [sku]: 10 });
    const id = fresh("hold");
    await holdInStore(id, 4);
    // A note of an earlier hold would make the process die of that one.
    await noNotes();
    const { replica, client } = await withReplica({ DIE_BEFORE_DROP: "1" });
    const body = { holdId: id, orderId: `ord-${id}`, lines: [{ sku, quantity: 4 }] };
    // It may refuse while the machine is busy (its first transaction contends with the others); whoever asks repeats.
    let answered = false;
    await eventually(async () => {
      const answer = await client.call({ method: "POST", path: "/internal/allocations", body });
      answered ||= answer.ok;
      return replica.child.signalCode === "SIGKILL";
    });
    expect(answered).toBe(false);
    expect(await center.sold(sku)).toBe(4);
    // The hold still counts beside the allocation that replaced it.
    expect(await center.stock(sku)).toMatchObject({ reserved: 4, allocated: 4, available: 2 });
    const again = expectOk(await center.allocate(id, [{ sku, quantity: 4 }]));
    expect(again.lines).toMatchObject([{ sku, quantity: 4 }]);
    await eventually(async () => {
      const { available, reserved } = await center.stock(sku);
      expect(available).toBeLessThanOrEqual(6);
      return available === 6 && reserved === 0;
    });
    await noNotes();
    expect(await center.sold(sku)).toBe(4);
    expect(await center.hold(fresh("hold"), [{ sku, quantity: 7 }])).toMatchObject({ code: "out-of-stock" });
    expectOk(await center.hold(fresh("hold"), [{ sku, quantity: 6 }]));
  });
});

describe("processes that are killed at any moment", () => {
  it("leave a ledger that adds up, and every answer that was given stays true", async () => {
    const rounds = 4;
    const perRound = 40;
    await center.fill({ [sku]: rounds * perRound });
    const promised: string[] = [];
    for (let round = 0; round < rounds; round++) {
      const { replica, client } = await withReplica();
      const killing = new Promise((resolve) => setTimeout(resolve, 15 + 25 * round)).then(() =>
        replica.end("SIGKILL"),
      );
      const ids = Array.from({ length: perRound }, (_, n) => `${sku}-${round}-${n}`);
      await Promise.all(
        ids.map(async (id) => {
          const body = { holdId: id, orderId: id, lines: [{ sku, quantity: 1 }] };
          const answer = await client.call({ method: "POST", path: "/internal/allocations", body });
          if (answer.ok) promised.push(id);
        }),
      );
      await killing;
      // Whoever got no answer repeats at another process and gets what was decided then, or a decision now.
      await Promise.all(
        ids.map(async (id) => {
          const body = { holdId: id, orderId: id, lines: [{ sku, quantity: 1 }] };
          expectOk(await center.post("/internal/allocations", body));
        }),
      );
    }
    expect(await center.sold(sku)).toBe(rounds * perRound);
    expect(await center.drift()).toEqual([]);
    const rows = await center.cell.sql.query<{ hold_id: string }>(
      "SELECT hold_id FROM inventory.allocation WHERE state = 'allocated'",
    );
    const kept = new Set(rows.map((row) => row.hold_id));
    expect(promised.filter((id) => !kept.has(id))).toEqual([]);
    await eventually(async () => (await center.stock(sku)).available === 0);
  });
});

describe("a writer that does not give its turn back", () => {
  it("holds nobody up for good", async () => {
    await center.fill({ [sku]: 10 });
    const { host, port } = parseDatabaseUrl(process.env.TEST_DATABASE_URL ?? "");
    const metrics = createMetrics({ service: "test" });
    const sql = createSql({
      host,
      port,
      database: center.cell.env.DATABASE_NAME ?? "",
      user: "inventory",
      password: center.cell.env.DATABASE_PASSWORD_INVENTORY ?? "",
      applicationName: "frozen",
      log: silentLogger(),
      metrics,
      statementTimeoutMs: 30_000,
    });
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    let taken = () => {};
    const locked = new Promise<void>((resolve) => {
      taken = resolve;
    });
    // A session that talks now and then, so that the idle timeout does not end it.
    const frozen = sql.transaction(async (tx) => {
      await tx.query("SELECT id FROM inventory.writer WHERE id = 1 FOR UPDATE");
      taken();
      for (let open = true; open; ) {
        await tx.query("SELECT 1");
        open = await Promise.race([
          released.then(() => false),
          new Promise<boolean>((r) => setTimeout(() => r(true), 500)),
        ]);
      }
    });
    try {
      await locked;
      const answer = await center.allocate(fresh("hold"), [{ sku, quantity: 3 }]);
      expectOk(answer);
      expect(await center.sold(sku)).toBe(3);
    } finally {
      release();
      await frozen;
      await sql.close();
    }
  });

  it("may freeze inside its transaction and wake up later without harm", async () => {
    await center.fill({ [sku]: 400 });
    const { replica, client } = await withReplica();
    const one = (target: ServiceClient, id: string) =>
      target.call({
        method: "POST",
        path: "/internal/allocations",
        body: { holdId: id, orderId: id, lines: [{ sku, quantity: 1 }] },
      });
    const first = Array.from({ length: 100 }, (_, n) => one(client, `${sku}-a${n}`));
    await new Promise((resolve) => setTimeout(resolve, 20));
    replica.child.kill("SIGSTOP");
    const second = await Promise.all(
      Array.from({ length: 100 }, (_, n) => one(center.cell.internal.inventory, `${sku}-b${n}`)),
    );
    expect(second.filter((answer) => !answer.ok)).toEqual([]);
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    replica.child.kill("SIGCONT");
    await Promise.all(first);
    for (let n = 0; n < 100; n++) expectOk(await one(client, `${sku}-a${n}`));
    expect(replica.child.exitCode).toBeNull();
    expect(await center.sold(sku)).toBe(200);
    expect(await center.drift()).toEqual([]);
  });
});
