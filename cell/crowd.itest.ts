import { afterAll, beforeAll, expect, test } from "vitest";
import { eventually } from "../platform/testing/stores.ts";
import type { AssignmentAnswer } from "./dispatch/contract.ts";
import { CENTER_AT, type Flow, good, startFlow } from "./testing/flow.ts";

const ORDERS = 16;
const CANCELLED = 4;
const COURIERS = 3;
const UNITS = 40;
const DEADLINE_MS = 90_000;

let flow: Flow;
beforeAll(async () => {
  flow = await startFlow();
});
afterAll(() => flow.stop());

/** Carries whatever is offered to this courier until told to stop. */
async function ride(courierId: string, parcels: ReadonlyMap<string, string>, isOver: () => boolean) {
  while (!isOver()) {
    const path = `/v1/assignments?courierId=${courierId}&state=offered`;
    const { assignments } = good(
      await flow.get<{ assignments: AssignmentAnswer[] }>("courier", "dispatch", path),
    );
    // The slot is one: never a second offer while one is open.
    expect(assignments.length).toBeLessThanOrEqual(1);
    const [offer] = assignments;
    const packageBarcode = parcels.get(offer?.orderId ?? "");
    if (!offer || packageBarcode === undefined) {
      await new Promise((resolve) => setTimeout(resolve, 50));
      continue;
    }
    good(await flow.assignment(offer.id, "ack"));
    good(await flow.assignment(offer.id, "handoff", { packageBarcode }));
    good(await flow.assignment(offer.id, "arrive"));
    good(await flow.assignment(offer.id, "proof", { kind: "signature", value: "s" }));
  }
}

test("many at once: each order ends once, each parcel is paid once, no unit is lost", async () => {
  await flow.fill({ "crowd-a": UNITS, "crowd-b": UNITS });
  const couriers = await Promise.all(Array.from({ length: COURIERS }, () => flow.hire(CENTER_AT)));
  const placed = await Promise.all(
    Array.from({ length: ORDERS }, async (_, index) => {
      const lines = [
        { sku: "crowd-a", quantity: 1 },
        { sku: "crowd-b", quantity: 1 + (index % 2) },
      ];
      return good(await flow.place(lines));
    }),
  );
  const wanted = placed.slice(CANCELLED);
  const parcels = new Map<string, string>();
  let over = false;
  const riding = couriers.map((id) => ride(id, parcels, () => over));
  const watching = eventually(async () => {
    const states = await Promise.all(wanted.map(async ({ id }) => (await flow.order(id)).paymentStatus));
    return states.every((state) => state === "captured");
  }, DEADLINE_MS).finally(() => {
    over = true;
  });
  await Promise.all([
    ...placed.slice(0, CANCELLED).map(async ({ id }) => good(await flow.cancel(id))),
    ...wanted.map(async ({ id }) => parcels.set(id, await flow.pickAndPack(id))),
    ...riding,
    watching,
  ]);

  for (const { id, total } of wanted) {
    expect((await flow.order(id)).state).toBe("delivered");
    const { totals } = await flow.psp.ledger(`?reference=${id}`);
    expect(totals).toMatchObject({ captures: 1, capturedMinor: total.amountMinor, open: 0 });
    const delivered = await flow.cell.sql.query(
      "SELECT 1 FROM dispatch.assignment WHERE order_id = $1 AND state = 'delivered'",
      [id],
    );
    expect(delivered).toHaveLength(1);
  }
  await eventually(async () => {
    const { totals } = await flow.psp.ledger(`?merchant=${flow.cell.center}`);
    return totals.open === 0 && totals.voided === CANCELLED && totals.captures === wanted.length;
  });
  const sold = wanted.flatMap(({ lines }) => lines).filter(({ sku }) => sku === "crowd-b");
  const soldUnits = sold.reduce((sum, { quantity }) => sum + quantity, 0);
  await eventually(async () => (await flow.stock("crowd-b")).allocated === 0);
  expect(await flow.stock("crowd-a")).toMatchObject({
    onHand: UNITS - wanted.length,
    allocated: 0,
    reserved: 0,
  });
  expect(await flow.stock("crowd-b")).toMatchObject({ onHand: UNITS - soldUnits, reserved: 0 });
  for (const table of ["dispatch.courier_slot", "orders.parked_event"])
    expect(await flow.cell.sql.query(`SELECT * FROM ${table}`), table).toEqual([]);
});
