import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { newId } from "../../platform/ids.ts";
import { eventually } from "../../platform/testing/stores.ts";
import { fresh, good, PROMISED_AT, tell } from "../fulfillment/testing/floor.ts";
import { CENTER_AT, north, startRoad } from "./testing/road.ts";

let road: Awaited<ReturnType<typeof startRoad>>;
// Each test its own cell: a free courier of one test would take the parcels of the next.
beforeEach(async () => {
  road = await startRoad();
});
afterEach(async () => {
  await road?.stop();
});

describe("a parcel", () => {
  it("goes to the courier who is nearest now, and to the door with a proof", async () => {
    const away = await road.hire("u-away", CENTER_AT);
    const near = await road.hire("u-near", north(30));
    // Both have moved since their shifts began.
    for (const [user, courierId, at] of [
      ["u-away", away, north(40)],
      ["u-near", near, north(1)],
    ] as const)
      good(
        await road.as(user).tracking.call({
          method: "POST",
          path: "/v1/positions",
          body: { courierId, seq: 1, ...at, deviceTime: new Date().toISOString() },
        }),
      );
    const { orderId, packageBarcode } = await road.pack();
    const { id, courierId } = await road.until(orderId, "offered");
    expect(courierId).toBe(near);
    expect(await road.step("u-near", id, "handoff", { packageBarcode })).toMatchObject({ code: "conflict" });
    expect(good(await road.step("u-near", id, "ack")).state).toBe("assigned");
    const wrong = await road.step("u-near", id, "handoff", { packageBarcode: "PKG-OTHER" });
    expect(wrong).toMatchObject({ code: "unprocessable" });
    expect(good(await road.step("u-near", id, "handoff", { packageBarcode })).state).toBe("handed_over");
    expect(await road.step("u-near", id, "decline")).toMatchObject({ code: "conflict" });
    expect(good(await road.step("u-near", id, "arrive")).state).toBe("arrived");
    const proof = { kind: "code", value: "4711" };
    expect(good(await road.step("u-near", id, "proof", proof)).state).toBe("delivered");
    // A device that lost the answer says it again, under a new key.
    expect(good(await road.step("u-near", id, "proof", proof)).state).toBe("delivered");
    const events = await road.said(orderId, "assigned", "handed_over", "arrived", "delivered");
    expect(events[3]?.data).toMatchObject({ proofKind: "code" });
    expect(JSON.stringify(events)).not.toContain("4711");
    expect(await road.cell.sql.query("SELECT kind, value FROM dispatch.proof")).toEqual([proof]);
    expect(await road.slots()).toEqual([]);
  });

  it("goes where the customer has it sent after it was packed, the latest word only", async () => {
    await road.hire("u-near", north(1));
    const { orderId } = await road.pack();
    const move = (version: number, hundreds: number) =>
      tell(road.cell, "dispatch", "fulfillment.delivery_changed.v1", {
        subject: `pck-${orderId}`,
        version,
        data: { orderId, pickListId: `pck-${orderId}`, deliverTo: north(hundreds), promisedAt: PROMISED_AT },
      });
    await move(5, 3);
    await move(4, 2);
    expect((await road.until(orderId, "offered")).deliverTo).toEqual(north(3));
  });

  it("goes on to the next courier when nobody answers, also when dispatch was down meanwhile", async () => {
    const near = await road.hire("u-near", north(1));
    const far = await road.hire("u-far", north(20));
    const { orderId } = await road.pack();
    const first = await road.until(orderId, "offered");
    expect(first.courierId).toBe(near);
    await road.cell.stopSlice("dispatch");
    await road.cell.startSlice("dispatch");
    const expired = await road.until(orderId, "expired");
    expect(expired.id).toBe(first.id);
    expect(await road.step("u-near", first.id, "ack")).toMatchObject({ code: "conflict" });
    const second = await road.until(orderId, "offered");
    expect(second.courierId).toBe(far);
    good(await road.step("u-far", second.id, "ack"));
    await road.said(orderId, "assigned");
  });

  it("calls for a person, once, when nobody is there, and still goes to the first who comes", async () => {
    const { orderId } = await road.pack();
    await road.said(orderId, "escalated");
    await new Promise((resolve) => setTimeout(resolve, 2_500));
    await road.hire("u-late", CENTER_AT);
    const { id } = await road.until(orderId, "offered");
    good(await road.step("u-late", id, "ack"));
    await road.said(orderId, "escalated", "assigned");
  });

  it("is offered again when its courier leaves before the handoff, and stays with them after it", async () => {
    const first = await road.hire("u-first", north(1));
    const { orderId, packageBarcode } = await road.pack();
    const offer = await road.until(orderId, "offered");
    good(await road.step("u-first", offer.id, "ack"));
    good(await road.shift("u-first", first, "end"));
    await road.said(orderId, "assigned", "unassigned");
    const second = await road.hire("u-second", north(2));
    const again = await road.until(orderId, "offered");
    expect(again.courierId).toBe(second);
    good(await road.step("u-second", again.id, "ack"));
    good(await road.step("u-second", again.id, "handoff", { packageBarcode }));
    good(await road.shift("u-second", second, "end"));
    good(await road.step("u-second", again.id, "proof", { kind: "photo", value: "p" }));
    await road.said(orderId, "assigned", "unassigned", "assigned", "handed_over", "delivered");
  });
});

describe("a cancelled order", () => {
  it("frees the courier, and is never offered when it was cancelled before it was packed", async () => {
    const courier = await road.hire("u-one", CENTER_AT);
    const early = await road.pack();
    const offer = await road.until(early.orderId, "offered");
    good(await road.step("u-one", offer.id, "ack"));
    await road.cancel(early.orderId);
    expect(await road.step("u-one", offer.id, "handoff", early)).toMatchObject({ code: "conflict" });
    expect(await road.slots()).toEqual([]);
    const never = newId("ord", road.cell.center);
    await road.cancel(never);
    await road.pack(never);
    const next = await road.pack();
    expect((await road.until(next.orderId, "offered")).courierId).toBe(courier);
    expect((await road.assignments("")).map(({ orderId }) => orderId)).not.toContain(never);
    expect(await road.slots()).toHaveLength(1);
  });

  it("stays at the center when orders says so at the handoff", async () => {
    await road.hire("u-one", CENTER_AT);
    const { orderId, packageBarcode } = await road.pack();
    const { id } = await road.until(orderId, "offered");
    good(await road.step("u-one", id, "ack"));
    road.cancelling.add(orderId);
    const refused = await road.step("u-one", id, "handoff", { packageBarcode });
    expect(refused).toMatchObject({ code: "conflict" });
    expect((await road.until(orderId, "assigned")).id).toBe(id);
    await road.said(orderId, "assigned");
  });

  it("and an orders that cannot be asked lets no parcel leave, until it can", async () => {
    await road.hire("u-one", CENTER_AT);
    const { orderId, packageBarcode } = await road.pack();
    const { id } = await road.until(orderId, "offered");
    good(await road.step("u-one", id, "ack"));
    await road.cell.stopSlice("orders");
    const key = fresh("same");
    const away = await road.step("u-one", id, "handoff", { packageBarcode }, key);
    expect(away).toMatchObject({ code: "unavailable" });
    await road.cell.startSlice("orders");
    const handed = await eventually(async () => {
      const answer = await road.step("u-one", id, "handoff", { packageBarcode }, key);
      return answer.ok && answer.body;
    });
    expect(handed.state).toBe("handed_over");
  });
});

describe("couriers", () => {
  it("see and move their own assignments only", async () => {
    const mine = await road.hire("u-mine", CENTER_AT);
    const { orderId } = await road.pack();
    const { id } = await road.until(orderId, "offered");
    for (const name of ["ack", "decline", "arrive"])
      expect(await road.step("u-other", id, name)).toMatchObject({ code: "not-found" });
    expect(await road.assignments(`courierId=${mine}`, "u-other")).toEqual([]);
    expect(await road.assignments("state=offered", "u-other")).toEqual([]);
    const other = road.as("u-other").dispatch;
    expect(await other.call({ method: "GET", path: `/v1/assignments/${id}` })).toMatchObject({
      code: "not-found",
    });
    expect((await road.assignments("state=offered", "u-mine")).map((one) => one.id)).toEqual([id]);
    good(await road.step("u-mine", id, "ack"));
  });

  it("say yes many times at once, and are assigned once", async () => {
    await road.hire("u-one", CENTER_AT);
    const { orderId } = await road.pack();
    const { id } = await road.until(orderId, "offered");
    const answers = await Promise.all(Array.from({ length: 10 }, () => road.step("u-one", id, "ack")));
    for (const answer of answers) expect(good(answer).state).toBe("assigned");
    await road.said(orderId, "assigned");
  });

  it("never have two parcels at once, however many wait and whoever comes and goes", async () => {
    const users = ["u-a", "u-b", "u-c"];
    const couriers = await Promise.all(users.map((user, index) => road.hire(user, north(index))));
    const orders = await Promise.all(Array.from({ length: 9 }, () => road.pack()));
    const labels = new Map(orders.map(({ orderId, packageBarcode }) => [orderId, packageBarcode]));
    let isOver = false;
    const watch = (async () => {
      while (!isOver) {
        const active = await road.cell.sql.query<{ courier_id: string; n: number }>(
          `SELECT courier_id, count(*)::INT8 AS n FROM dispatch.assignment
           WHERE state IN ('offered', 'assigned', 'handed_over', 'arrived') GROUP BY courier_id`,
        );
        for (const { n } of active) expect(n).toBe(1);
        for (const slot of await road.slots()) expect(slot.state).not.toBe(null);
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    })();
    const ride = async (user: string, courierId: string) => {
      const untilMs = Date.now() + 60_000;
      while (labels.size > 0 && Date.now() < untilMs) {
        const [offer] = await road.assignments(`courierId=${courierId}&state=offered`, user);
        const acked = offer && (await road.step(user, offer.id, "ack"));
        if (!offer || !acked?.ok) {
          await new Promise((resolve) => setTimeout(resolve, 30));
          continue;
        }
        good(await road.step(user, offer.id, "handoff", { packageBarcode: labels.get(offer.orderId) }));
        good(await road.step(user, offer.id, "proof", { kind: "code", value: "1" }));
        labels.delete(offer.orderId);
      }
    };
    await Promise.all(users.map((user, index) => ride(user, couriers[index] ?? "")));
    isOver = true;
    await watch;
    expect(labels.size).toBe(0);
    for (const { orderId } of orders) await road.said(orderId, "assigned", "handed_over", "delivered");
    expect(await road.slots()).toEqual([]);
  });
});
