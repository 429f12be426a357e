import { newId } from "../../../platform/ids.ts";
import { startTestCell } from "../../../platform/testing/cell.ts";
import { eventually } from "../../../platform/testing/stores.ts";
import type { CourierAnswer } from "../../couriers/contract.ts";
import { couriersSlice } from "../../couriers/slice.ts";
import {
  createRecorder,
  DELIVER_TO,
  fresh,
  good,
  PROMISED_AT,
  tell,
} from "../../fulfillment/testing/floor.ts";
import { trackingSlice } from "../../tracking/slice.ts";
import type { AssignmentAnswer } from "../contract.ts";
import { dispatchSlice } from "../slice.ts";

export const CENTER_AT = { latitude: 37.5, longitude: 127.03 };

/** So many hundred meters north of the center. */
export function north(hundreds: number): { latitude: number; longitude: number } {
  return { ...CENTER_AT, latitude: CENTER_AT.latitude + hundreds * 0.0009 };
}

/** Couriers, dispatch and tracking over real stores, and a recorder in the place of orders. */
export async function startRoad(env: Readonly<Record<string, string>> = {}) {
  const cancelling = new Set<string>();
  const recorder = createRecorder(new Map(), cancelling);
  const cell = await startTestCell({
    slices: [couriersSlice, trackingSlice, dispatchSlice, recorder.definition],
    env: {
      CENTER_LATITUDE: String(CENTER_AT.latitude),
      CENTER_LONGITUDE: String(CENTER_AT.longitude),
      OFFER_ACK_SECONDS: "2",
      ...env,
    },
  });
  const staff = cell.as("u-staff", "staff");
  const users = new Map<string, ReturnType<typeof cell.as>>();
  const as = (user: string) => {
    const known = users.get(user) ?? cell.as(user, "courier");
    users.set(user, known);
    return known;
  };

  const shift = (user: string, id: string, event: "start" | "end", at: object = {}) =>
    as(user).couriers.call({
      method: "POST",
      path: `/v1/couriers/${id}/shift/${event}`,
      body: at,
      idempotencyKey: fresh("key"),
    });

  const step = (user: string, id: string, name: string, body: object = {}, key = fresh("key")) =>
    as(user).dispatch.call<AssignmentAnswer>({
      method: "POST",
      path: `/v1/assignments/${id}/${name}`,
      body,
      idempotencyKey: key,
    });

  const assignments = async (query: string, user?: string) => {
    const { dispatch } = user === undefined ? staff : as(user);
    const path = `/v1/assignments?${query}`;
    return good(await dispatch.call<{ assignments: AssignmentAnswer[] }>({ method: "GET", path }))
      .assignments;
  };

  return {
    cell,
    as,
    step,
    shift,
    assignments,
    cancelling,
    /** A courier of this user, at work; dispatch has heard of the shift. */
    async hire(user: string, at: { latitude: number; longitude: number }): Promise<string> {
      const made = await staff.couriers.call<CourierAnswer>({
        method: "POST",
        path: "/v1/couriers",
        body: { name: "Test Courier", vehicle: "bicycle", userSub: user },
        idempotencyKey: fresh("key"),
      });
      const { id } = good(made);
      good(await shift(user, id, "start", at));
      await eventually(async () => {
        const rows = await cell.sql.query("SELECT id FROM dispatch.courier WHERE id = $1 AND on_shift", [id]);
        return rows.length === 1;
      });
      return id;
    },
    /** A parcel that is packed; answers its order. */
    async pack(orderId = newId("ord", cell.center)): Promise<{ orderId: string; packageBarcode: string }> {
      const packageBarcode = `PKG-${orderId.slice(-12)}`;
      const data = {
        orderId,
        pickListId: `pck-${orderId}`,
        packageBarcode,
        weightGrams: 700,
        deliverTo: DELIVER_TO,
        promisedAt: PROMISED_AT,
        lines: [{ sku: "a", quantity: 1 }],
      };
      await tell(cell, "dispatch", "fulfillment.packed.v1", { subject: data.pickListId, data });
      return { orderId, packageBarcode };
    },
    cancel: (orderId: string) =>
      tell(cell, "dispatch", "orders.cancelling.v1", {
        subject: orderId,
        data: { orderId, from: "packed" },
      }),
    /** Waits for an assignment of this order in this state. */
    until: (orderId: string, state: AssignmentAnswer["state"]): Promise<AssignmentAnswer> =>
      eventually(async () =>
        (await assignments(`state=${state}`)).find((assignment) => assignment.orderId === orderId),
      ),
    /** Waits until these kinds of events of an order have come; offers are left out. */
    said: (orderId: string, ...kinds: string[]) =>
      eventually(async () => {
        const found = recorder.of(orderId).filter(({ type }) => type !== "dispatch.offered.v1");
        const seen = found.map(({ type }) => type.split(".")[1]);
        if (seen.join() === kinds.join()) return found;
        throw new Error(`said ${seen.join()}, not ${kinds.join()}`);
      }),
    /** Who is busy with what, straight from the tables. */
    slots: () =>
      cell.sql.query<{ courier_id: string; assignment_id: string; state: string }>(
        `SELECT s.courier_id, s.assignment_id, a.state FROM dispatch.courier_slot s
         LEFT JOIN dispatch.assignment a ON a.id = s.assignment_id AND a.courier_id = s.courier_id`,
      ),
    stop: () => cell.stop(),
  };
}
