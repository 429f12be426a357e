import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { ServiceClient } from "../../platform/fetch.ts";
import { eventually } from "../../platform/testing/stores.ts";
import type { HoldAnswer } from "./contract.ts";
import { expectOk, fresh, startCenter, type TestCenter } from "./testing/center.ts";
import { clientOf, type Replica, startReplica } from "./testing/process.ts";

let center: TestCenter;
let replica: Replica;
let newer: ServiceClient;

beforeAll(async () => {
  center = await startCenter();
});
afterAll(async () => {
  await newer?.close();
  await replica?.end("SIGTERM");
  await center?.stop();
});

describe("a newer copy of the cell", () => {
  it("takes over holds and stock, and the older one gives no right any more", async () => {
    const sku = fresh("sku");
    const lines = [{ sku, quantity: 4 }];
    await center.fill({ [sku]: 10 });
    const old = await eventually(async () => {
      const held = await center.hold("kept", lines);
      return held.ok && !held.body.generation.startsWith("sql-") ? held.body : undefined;
    });

    await center.cell.sql.query("UPDATE cell.lease SET epoch = 2");
    replica = await startReplica(center.cell, { CELL_EPOCH: "2" });
    newer = await clientOf(center.cell, replica);
    const ask = (holdId: string, wanted: object[]) =>
      newer.call<HoldAnswer>({
        method: "POST",
        path: "/internal/holds",
        body: { holdId, orderId: `ord-${holdId}`, owner: "u-1", lines: wanted, ttlSeconds: 1 },
      });
    const held = await eventually(async () => {
      const answer = await ask(fresh("probe"), [{ sku, quantity: 1 }]);
      return answer.ok && !answer.body.generation.startsWith("sql-") ? answer.body : undefined;
    });
    expect(held.generation).not.toBe(old.generation);

    const inForce = { ok: false, code: "fenced" };
    expect(await center.hold(fresh("h"), lines)).toMatchObject(inForce);
    expect(await center.allocate("kept", lines)).toMatchObject(inForce);
    expect(await center.post("/internal/holds/kept/release", {})).toMatchObject(inForce);
    expect(await center.sold(sku)).toBe(0);

    // The hold of before still counts, and can be turned into an allocation by the newer copy.
    expect(await ask(fresh("h"), [{ sku, quantity: 7 }])).toMatchObject({ code: "out-of-stock" });
    const body = { holdId: "kept", orderId: "ord-kept", lines };
    expectOk(await newer.call({ method: "POST", path: "/internal/allocations", body }));
    expect(await center.sold(sku)).toBe(4);
    await eventually(async () => (await ask(fresh("h"), [{ sku, quantity: 6 }])).ok);
  });
});
