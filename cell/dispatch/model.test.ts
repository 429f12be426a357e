import fc from "fast-check";
import { expect, test } from "vitest";
import {
  ACTIVE_STATES,
  type AssignmentEvent,
  type AssignmentState,
  isRepetition,
  nextAssignmentState,
  rank,
} from "./domain.ts";

interface Assignment {
  readonly id: number;
  readonly orderId: string;
  readonly courierId: string;
  state: AssignmentState;
}

const COURIERS = ["c1", "c2", "c3"];
const ORDERS = ["o1", "o2", "o3", "o4"];
const SPOT = { latitude: 37.5, longitude: 127 };

/** Orders that look for a courier, couriers with one slot each, and words that come late, twice and from those who were replaced. */
class Road {
  readonly assignments: Assignment[] = [];
  readonly cancelled = new Set<string>();

  active(fits: (one: Assignment) => boolean): Assignment[] {
    return this.assignments.filter((one) => ACTIVE_STATES.has(one.state) && fits(one));
  }

  isDelivered(orderId: string): boolean {
    return this.assignments.some((one) => one.orderId === orderId && one.state === "delivered");
  }

  /** The one place that makes an assignment: an order without one, a courier whose slot is free. */
  offer(orderId: string): void {
    if (this.cancelled.has(orderId) || this.isDelivered(orderId)) return;
    if (this.active((one) => one.orderId === orderId).length > 0) return;
    const free = COURIERS.filter((id) => this.active((one) => one.courierId === id).length === 0);
    const struck = (id: string) =>
      this.assignments.some(
        (one) => one.courierId === id && one.orderId === orderId && one.state !== "cancelled",
      );
    const [best] = rank(
      free.map((courierId) => ({ courierId, position: SPOT, struck: struck(courierId) })),
      SPOT,
    );
    if (!best) return;
    if (free.some((id) => !struck(id))) expect(struck(best.courierId)).toBe(false);
    this.assignments.push({
      ...{ id: this.assignments.length, orderId, courierId: best.courierId, state: "offered" },
    });
  }

  /** A word about an assignment, whether it is the present one or long over. */
  say(one: Assignment, event: AssignmentEvent): "moved" | "repeated" | "refused" {
    // Before the handoff the order is asked.
    if (event === "handoff" && this.cancelled.has(one.orderId)) return "refused";
    const to = nextAssignmentState(one.state, event);
    if (to === undefined) return isRepetition(one.state, event) ? "repeated" : "refused";
    one.state = to;
    return "moved";
  }
}

const WORDS: readonly AssignmentEvent[] = [
  "ack",
  "ack",
  "handoff",
  "arrive",
  "proof",
  "decline",
  "expire",
  "offline",
];
const BACK: readonly AssignmentState[] = ["expired", "declined", "unassigned", "cancelled"];

function check(road: Road): void {
  for (const id of COURIERS) expect(road.active((one) => one.courierId === id).length).toBeLessThanOrEqual(1);
  for (const id of ORDERS) {
    const own = road.assignments.filter(({ orderId }) => orderId === id);
    expect(own.filter(({ state }) => ACTIVE_STATES.has(state)).length).toBeLessThanOrEqual(1);
    const carried = own.filter(({ state }) => ["handed_over", "arrived", "delivered"].includes(state));
    expect(carried.length).toBeLessThanOrEqual(1);
    // All but the last have given their slot back without the parcel.
    for (const one of own.slice(0, -1)) expect(BACK).toContain(one.state);
  }
}

test("however offers, late words and cancellations fall in with each other, a parcel has one courier and a courier one parcel", () => {
  let lateWords = 0;
  let secondCouriers = 0;
  const lotsArb = fc.array(fc.tuple(fc.nat(99), fc.nat(999), fc.nat(999)), { maxLength: 120, size: "max" });
  fc.assert(
    fc.property(lotsArb, (lots) => {
      const road = new Road();
      for (const [which, lot, other] of lots) {
        const orderId = ORDERS[lot % ORDERS.length] ?? "";
        const one = road.assignments[lot % Math.max(1, road.assignments.length)];
        if (which % 4 === 0) road.offer(orderId);
        else if (which % 40 === 1) {
          const [present] = road.active((each) => each.orderId === orderId);
          const isOnRoad =
            present !== undefined && nextAssignmentState(present.state, "cancel") === undefined;
          if (!isOnRoad && !road.isDelivered(orderId)) {
            road.cancelled.add(orderId);
            if (present) expect(road.say(present, "cancel")).toBe("moved");
          }
        } else if (one) {
          const before = one.state;
          const said = road.say(one, WORDS[other % WORDS.length] ?? "ack");
          if (said !== "moved") expect(one.state).toBe(before);
          if (BACK.includes(before)) {
            expect(said).not.toBe("moved");
            lateWords++;
          }
        }
        check(road);
      }
      for (const id of road.cancelled) expect(road.isDelivered(id)).toBe(false);
      if (ORDERS.some((id) => road.assignments.filter(({ orderId }) => orderId === id).length > 1))
        secondCouriers++;
      // Couriers who say yes bring every parcel that is still wanted to its end.
      for (let round = 0; round < ORDERS.length; round++)
        for (const id of ORDERS) {
          road.offer(id);
          for (const one of road.active(({ orderId }) => orderId === id))
            for (const event of ["ack", "handoff", "arrive", "proof"] as const) road.say(one, event);
        }
      for (const id of ORDERS) expect(road.isDelivered(id)).toBe(!road.cancelled.has(id));
    }),
    { numRuns: 200 },
  );
  expect([lateWords > 0, secondCouriers > 0]).toEqual([true, true]);
});
