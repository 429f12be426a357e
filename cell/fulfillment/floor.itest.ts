import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { eventually } from "../../platform/testing/stores.ts";
import { fresh, good, PROMISED_AT, startFloor, tell } from "./testing/floor.ts";

let floor: Awaited<ReturnType<typeof startFloor>>;
beforeAll(async () => {
  floor = await startFloor();
});
afterAll(async () => {
  await floor?.stop();
});

const BIN = { aisle: 3, position: 7, level: 1 };

async function oneSku(units = 10): Promise<string> {
  const sku = fresh("sku");
  await floor.shelve(sku, BIN, units);
  return sku;
}

describe("a pick list", () => {
  it("leads along the shelves, moves stock with each scan and ends in a package", async () => {
    const [far, near] = [fresh("far"), fresh("near")];
    await floor.shelve(far, { aisle: 9, position: 2, level: 0 }, 5);
    await floor.shelve(near, { aisle: 1, position: 4, level: 2 }, 5);
    const lines = [
      { sku: far, quantity: 2 },
      { sku: near, quantity: 1 },
    ];
    const { orderId, list } = await floor.order(lines);
    expect(list.lines.map(({ sku }) => sku)).toEqual([near, far]);
    expect(list.state).toBe("open");
    good(await floor.post(list.id, "start", { tote: "tote-1" }));
    expect(good(await floor.scan(list, 0, 1)).state).toBe("picking");
    expect(await floor.stock(near)).toEqual({ onHand: 4, allocated: 0, available: 4 });
    expect(good(await floor.scan(list, 1, 1)).lines[1]?.picked).toBe(1);
    expect(good(await floor.scan(list, 1, 1)).state).toBe("picked");
    expect(await floor.stock(far)).toEqual({ onHand: 3, allocated: 0, available: 3 });
    const packed = good(
      await floor.post(list.id, "pack", { weightGrams: 1_700, packageBarcode: fresh("pkg") }),
    );
    const events = await floor.said(orderId, "picking_started", "picked", "packed");
    expect(events[2]?.data).toMatchObject({
      packageBarcode: packed.packageBarcode,
      weightGrams: 1_700,
      lines: expect.arrayContaining([
        { sku: near, quantity: 1 },
        { sku: far, quantity: 2 },
      ]),
    });
    expect(events.map(({ version }) => version)).toEqual([...events.map(({ version }) => version)].sort());
  });

  it("is made once, however often the confirmation comes", async () => {
    const data = await floor.confirmData([{ sku: await oneSku(), quantity: 1 }]);
    await floor.confirm(data, "twice-1");
    await floor.confirm(data, "twice-1");
    await floor.confirm(data);
    const rows = await floor.cell.sql.query("SELECT id FROM fulfillment.pick_list WHERE order_id = $1", [
      data.orderId,
    ]);
    expect(rows).toHaveLength(1);
  });

  it("takes one picker's start, repeated or not, and refuses another tote", async () => {
    const { list } = await floor.order([{ sku: await oneSku(), quantity: 1 }]);
    const answers = await Promise.all(["a", "b", "c"].map((tote) => floor.post(list.id, "start", { tote })));
    const taken = answers.filter((answer) => answer.ok);
    expect(taken).toHaveLength(1);
    const { tote } = await floor.listOf(list.orderId);
    expect((await floor.post(list.id, "start", { tote })).ok).toBe(true);
    expect(await floor.post(list.id, "start", { tote: "other" })).toMatchObject({ code: "conflict" });
  });
});

describe("a scan", () => {
  it("of a wrong bin, article or amount changes nothing", async () => {
    const sku = await oneSku();
    const { list } = await floor.order([{ sku, quantity: 2 }]);
    expect(await floor.scan(list, 0, 1)).toMatchObject({ code: "conflict" });
    good(await floor.post(list.id, "start", { tote: "t" }));
    for (const wrong of [
      { bin: { ...BIN, level: 2 } },
      { barcode: "b-other" },
      { quantity: 3 },
      { lineId: "none" },
    ])
      expect(await floor.scan(list, 0, 1, wrong)).toMatchObject({ code: "unprocessable" });
    expect(await floor.stock(sku)).toEqual({ onHand: 10, allocated: 2, available: 8 });
    expect((await floor.listOf(list.orderId)).lines[0]).toMatchObject({ picked: 0, short: 0 });
  });

  it("counts once, also when it comes many times at once under many keys", async () => {
    const sku = await oneSku();
    const { list } = await floor.order([{ sku, quantity: 3 }]);
    good(await floor.post(list.id, "start", { tote: "t" }));
    const eventId = fresh("same");
    const answers = await Promise.all(Array.from({ length: 8 }, () => floor.scan(list, 0, 2, { eventId })));
    for (const answer of answers) expect(good(answer).lines[0]?.picked).toBe(2);
    expect(await floor.stock(sku)).toEqual({ onHand: 8, allocated: 1, available: 7 });
    const other = await floor.scan(list, 0, 1, { eventId });
    expect(other).toMatchObject({ code: "idempotency-key-reused" });
  });

  it("cannot take more than the line asks for, also with many pickers at once", async () => {
    const sku = await oneSku();
    const { list } = await floor.order([{ sku, quantity: 3 }]);
    good(await floor.post(list.id, "start", { tote: "t" }));
    const answers = await Promise.all(Array.from({ length: 6 }, () => floor.scan(list, 0, 1)));
    expect(answers.filter(({ ok }) => ok)).toHaveLength(3);
    expect(await floor.stock(sku)).toEqual({ onHand: 7, allocated: 0, available: 7 });
    expect(await floor.listOf(list.orderId)).toMatchObject({ state: "picked", lines: [{ picked: 3 }] });
  });

  it("waits for inventory, and is completed by its repetition or by the worker", async () => {
    const sku = await oneSku();
    const { list } = await floor.order([{ sku, quantity: 2 }]);
    good(await floor.post(list.id, "start", { tote: "t" }));
    await floor.cell.stopSlice("inventory");
    const eventId = fresh("held");
    expect(await floor.scan(list, 0, 1, { eventId })).toMatchObject({ code: "unavailable" });
    expect(await floor.scan(list, 0, 1)).toMatchObject({ code: "unavailable" });
    // What is under way is spoken for.
    expect(await floor.scan(list, 0, 1)).toMatchObject({ code: "unprocessable" });
    expect((await floor.listOf(list.orderId)).lines[0]?.picked).toBe(0);
    await floor.cell.startSlice("inventory");
    await eventually(async () => (await floor.scan(list, 0, 1, { eventId })).ok);
    expect((await floor.listOf(list.orderId)).lines[0]?.picked).toBe(1);
    await floor.cell.sql.query(
      "UPDATE fulfillment.scan SET at = now() - INTERVAL '1 minute' WHERE NOT applied",
    );
    await eventually(async () => (await floor.listOf(list.orderId)).state === "picked");
    expect(await floor.stock(sku)).toEqual({ onHand: 8, allocated: 0, available: 8 });
  });
});

describe("a short", () => {
  it("shrinks the ledger and leaves the rest of the order", async () => {
    const sku = await oneSku(4);
    const { orderId, list } = await floor.order([{ sku, quantity: 3 }]);
    good(await floor.post(list.id, "start", { tote: "t" }));
    good(await floor.scan(list, 0, 1));
    const body = { eventId: fresh("s"), lineId: list.lines[0]?.id, quantity: 2 };
    good(await floor.post(list.id, "shorts", body));
    good(await floor.post(list.id, "shorts", body));
    expect(await floor.stock(sku)).toEqual({ onHand: 1, allocated: 0, available: 1 });
    good(await floor.post(list.id, "pack", { weightGrams: 600 }));
    const events = await floor.said(orderId, "picking_started", "short", "picked", "packed");
    expect(events[1]?.data).toMatchObject({ lines: [{ sku, quantity: 2 }] });
    expect(events[2]?.data).toMatchObject({ nothingPicked: false, short: [{ sku, quantity: 2 }] });
    expect(events[3]?.data).toMatchObject({ lines: [{ sku, quantity: 1 }] });
  });

  it("of everything ends the list", async () => {
    const sku = await oneSku(2);
    const { orderId, list } = await floor.order([{ sku, quantity: 2 }]);
    good(await floor.post(list.id, "start", { tote: "t" }));
    const body = { eventId: fresh("s"), lineId: list.lines[0]?.id, quantity: 2 };
    expect(good(await floor.post(list.id, "shorts", body)).state).toBe("cancelled");
    const events = await floor.said(orderId, "picking_started", "short", "picked");
    expect(events[2]?.data).toMatchObject({ nothingPicked: true });
    expect(await floor.stock(sku)).toEqual({ onHand: 0, allocated: 0, available: 0 });
  });
});

describe("packing", () => {
  it("asks for a recount when the weight cannot be right; what is missing goes back to its bin", async () => {
    const sku = await oneSku();
    const { orderId, list } = await floor.order([{ sku, quantity: 3 }]);
    good(await floor.post(list.id, "start", { tote: "t" }));
    good(await floor.scan(list, 0, 3));
    const light = await floor.post(list.id, "pack", { weightGrams: 1_100 });
    expect(light).toMatchObject({ code: "conflict", extra: { expectedGrams: 1_500 } });
    expect((await floor.listOf(orderId)).state).toBe("picking");
    const lineId = list.lines[0]?.id;
    const count = (quantity: number, eventId = fresh("c")) =>
      floor.post(list.id, "recount", { eventId, lineId, quantity });
    expect(await count(4)).toMatchObject({ code: "unprocessable" });
    expect(await count(0)).toMatchObject({ code: "unprocessable" });
    const eventId = fresh("count");
    expect(good(await count(2, eventId)).lines[0]).toMatchObject({ picked: 2, short: 1 });
    expect(good(await count(2, eventId)).lines[0]).toMatchObject({ picked: 2, short: 1 });
    expect(await floor.stock(sku)).toEqual({ onHand: 8, allocated: 0, available: 8 });
    good(await floor.post(list.id, "pack", { weightGrams: 1_100 }));
    const events = await floor.said(orderId, "picking_started", "picked", "short", "packed");
    expect(events[3]?.data).toMatchObject({ lines: [{ sku, quantity: 2 }] });
  });

  it("is one package with one label", async () => {
    const sku = await oneSku();
    const label = fresh("label");
    const lists = await Promise.all([1, 2].map(() => floor.order([{ sku, quantity: 1 }])));
    for (const { list } of lists) {
      good(await floor.post(list.id, "start", { tote: "t" }));
      expect(await floor.post(list.id, "pack", { weightGrams: 600 })).toMatchObject({ code: "conflict" });
      good(await floor.scan(list, 0, 1));
    }
    const [first, second] = lists.map(({ list }) => list.id) as [string, string];
    const pack = (id: string, packageBarcode?: string) =>
      floor.post(id, "pack", { weightGrams: 600, ...(packageBarcode ? { packageBarcode } : {}) });
    expect(good(await pack(first, label)).packageBarcode).toBe(label);
    expect(good(await pack(first)).packageBarcode).toBe(label);
    expect(await pack(second, label)).toMatchObject({ code: "unprocessable" });
    expect(good(await pack(second)).packageBarcode).toMatch(/^PKG-/);
  });
});

describe("a cancelled order", () => {
  it("leaves no list when it comes before the confirmation", async () => {
    const data = await floor.confirmData([{ sku: await oneSku(), quantity: 1 }]);
    await floor.cancel(data.orderId, "cancelled", "confirmed");
    await floor.confirm(data);
    await expect(floor.listOf(data.orderId)).rejects.toThrow("no pick list");
  });

  it("closes a list that nobody has started", async () => {
    const { orderId, list } = await floor.order([{ sku: await oneSku(), quantity: 1 }]);
    await floor.cancel(orderId, "cancelled", "confirmed");
    expect((await floor.listOf(orderId)).state).toBe("cancelled");
    expect(await floor.post(list.id, "start", { tote: "t" })).toMatchObject({ code: "conflict" });
  });

  it("gives back all that was picked, once, and says so", async () => {
    const sku = await oneSku();
    const { orderId, list } = await floor.order([{ sku, quantity: 4 }]);
    good(await floor.post(list.id, "start", { tote: "t" }));
    good(await floor.scan(list, 0, 3));
    expect(await floor.post(list.id, "putback")).toMatchObject({ code: "conflict" });
    await floor.cancel(orderId, "cancelling");
    await floor.cancel(orderId, "cancelled", "cancelling");
    expect(await floor.scan(list, 0, 1)).toMatchObject({ code: "conflict" });
    expect(await floor.stock(sku)).toEqual({ onHand: 7, allocated: 1, available: 6 });
    const answers = await Promise.all([1, 2, 3].map(() => floor.post(list.id, "putback")));
    for (const answer of answers) expect(good(answer).state).toBe("cancelled");
    expect(await floor.stock(sku)).toEqual({ onHand: 10, allocated: 0, available: 10 });
    await floor.said(orderId, "picking_started", "putback_done");
  });

  it("gives back what a scan took that was still under way", async () => {
    const sku = await oneSku();
    const { orderId, list } = await floor.order([{ sku, quantity: 4 }]);
    good(await floor.post(list.id, "start", { tote: "t" }));
    const eventId = fresh("cut");
    good(await floor.scan(list, 0, 3, { eventId }));
    // As a crash between the stock's change and the line's would leave it.
    await floor.cell.sql.query("UPDATE fulfillment.scan SET applied = false WHERE event_id = $1", [eventId]);
    await floor.cell.sql.query("UPDATE fulfillment.pick_line SET picked = 0 WHERE pick_list_id = $1", [
      list.id,
    ]);
    await floor.cancel(orderId, "cancelling");
    expect(good(await floor.post(list.id, "putback")).state).toBe("cancelled");
    expect(await floor.stock(sku)).toEqual({ onHand: 10, allocated: 0, available: 10 });
  });
});

describe("a change that the customer makes", () => {
  /** As inventory and orders do it: what is given back nobody can pick any more. */
  async function cut(order: { orderId: string; holdId: string }, sku: string, quantity: number) {
    const body = { reason: "lines cancelled", releaseId: fresh("cut"), lines: [{ sku, quantity }] };
    const { inventory } = floor.cell.internal;
    const path = `/internal/allocations/${order.holdId}`;
    good(await inventory.call({ method: "POST", path: `${path}/release`, body }));
    const { lines } = good(
      await inventory.call<{ lines: { sku: string; bin: object; released: number }[] }>({
        method: "GET",
        path,
      }),
    );
    return lines.map(({ sku: code, bin, released }) => ({ sku: code, bin, cancelled: released }));
  }
  const say = (orderId: string, bins: object[], id?: string) =>
    tell(floor.cell, "fulfillment", "orders.lines_cancelled.v1", {
      subject: orderId,
      data: { orderId, bins },
      ...(id === undefined ? {} : { id }),
    });

  it("takes units off the list, once, and late news of fewer changes nothing", async () => {
    const [kept, gone] = [await oneSku(), await oneSku()];
    const order = await floor.order([
      { sku: kept, quantity: 4 },
      { sku: gone, quantity: 2 },
    ]);
    const id = `cut-${order.orderId.slice(-12)}`;
    const early = await cut(order, kept, 1);
    const late = [...(await cut(order, kept, 1)), ...(await cut(order, gone, 2))];
    await say(order.orderId, late, id);
    await say(order.orderId, late, id);
    await say(order.orderId, early);
    const { lines, state } = await floor.listOf(order.orderId);
    expect(state).toBe("open");
    expect(lines.map(({ sku, quantity }) => ({ sku, quantity }))).toEqual([{ sku: kept, quantity: 2 }]);
    const packed = await floor.packAll(order.orderId);
    expect(packed.state).toBe("packed");
    const events = await floor.said(order.orderId, "picking_started", "picked", "packed");
    expect(events[1]?.data).toMatchObject({ short: [], nothingPicked: false });
    expect(events[2]?.data).toMatchObject({ lines: [{ sku: kept, quantity: 2 }] });
    expect(await floor.stock(gone)).toEqual({ onHand: 10, allocated: 0, available: 10 });
  });

  it("ends the picking when the last open line goes", async () => {
    const [taken, gone] = [await oneSku(), await oneSku()];
    const order = await floor.order([
      { sku: taken, quantity: 1 },
      { sku: gone, quantity: 2 },
    ]);
    const { list } = order;
    good(await floor.post(list.id, "start", { tote: "t" }));
    const index = list.lines.findIndex(({ sku }) => sku === taken);
    good(await floor.scan(list, index, 1));
    await say(order.orderId, await cut(order, gone, 2));
    expect((await floor.listOf(order.orderId)).state).toBe("picked");
    const events = await floor.said(order.orderId, "picking_started", "picked");
    expect(events[1]?.data).toMatchObject({ short: [], nothingPicked: false });
    // Whoever stands at the shelf with a list from before is told.
    expect((await floor.scan(list, 1 - index, 1)).ok).toBe(false);
    expect(await floor.stock(gone)).toEqual({ onHand: 10, allocated: 0, available: 10 });
  });

  it("to address and time reaches a package that is closed already, the latest word only", async () => {
    const { orderId } = await floor.order([{ sku: await oneSku(), quantity: 1 }]);
    const move = (version: number, latitude: number) =>
      tell(floor.cell, "fulfillment", "orders.delivery_changed.v1", {
        subject: orderId,
        version,
        data: { orderId, deliverTo: { latitude, longitude: 127 }, promisedAt: PROMISED_AT },
      });
    await move(5, 37.5);
    await move(4, 37.4);
    await floor.packAll(orderId);
    const packed = await floor.said(orderId, "picking_started", "picked", "packed");
    expect(packed[2]?.data).toMatchObject({ deliverTo: { latitude: 37.5, longitude: 127 } });
    await move(6, 37.6);
    const [, , before, after] = await floor.said(
      orderId,
      "picking_started",
      "picked",
      "packed",
      "delivery_changed",
    );
    expect(after?.data).toMatchObject({ deliverTo: { latitude: 37.6, longitude: 127 } });
    expect(after?.version).toBeGreaterThan(before?.version ?? 0);
    expect((await floor.listOf(orderId)).state).toBe("packed");
  });
});
