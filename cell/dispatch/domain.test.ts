import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { distanceMeters } from "../../platform/geo.ts";
import {
  ACTIVE_STATES,
  ASSIGNMENT_EVENTS,
  ASSIGNMENT_STATES,
  type AssignmentEvent,
  type AssignmentState,
  type Candidate,
  isRepetition,
  nextAssignmentState,
  rank,
} from "./domain.ts";

/** Written out by hand, so that a change of the machine has to be made twice. */
const MOVES: readonly (readonly [AssignmentState, AssignmentEvent, AssignmentState])[] = [
  ["offered", "ack", "assigned"],
  ["offered", "decline", "declined"],
  ["offered", "expire", "expired"],
  ["offered", "offline", "expired"],
  ["offered", "cancel", "cancelled"],
  ["assigned", "handoff", "handed_over"],
  ["assigned", "offline", "unassigned"],
  ["assigned", "decline", "unassigned"],
  ["assigned", "cancel", "cancelled"],
  ["handed_over", "arrive", "arrived"],
  ["handed_over", "proof", "delivered"],
  ["arrived", "proof", "delivered"],
];
const keyOf = (state: string, event: string) => `${state} ${event}`;
const ENDS: readonly AssignmentState[] = ["delivered", "declined", "expired", "unassigned", "cancelled"];

describe("the machine of an assignment", () => {
  test.each(MOVES)("%s: %s leads to %s", (from, event, to) => {
    expect(nextAssignmentState(from, event)).toBe(to);
  });

  test("every other pair changes nothing", () => {
    const listed = new Set(MOVES.map(([from, event]) => keyOf(from, event)));
    const others = ASSIGNMENT_STATES.flatMap((state) =>
      ASSIGNMENT_EVENTS.filter((event) => !listed.has(keyOf(state, event))).map(
        (event) => [state, event] as const,
      ),
    );
    expect(others).toHaveLength(ASSIGNMENT_STATES.length * ASSIGNMENT_EVENTS.length - MOVES.length);
    for (const [state, event] of others)
      expect(nextAssignmentState(state, event), keyOf(state, event)).toBe(undefined);
  });

  test("a courier's slot is taken exactly until the end", () => {
    for (const state of ASSIGNMENT_STATES)
      expect(ACTIVE_STATES.has(state), state).toBe(!ENDS.includes(state));
  });

  test("whatever comes, an assignment ends at most once, and a parcel on the road is only delivered", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...ASSIGNMENT_EVENTS), { maxLength: 30 }), (events) => {
        const path: AssignmentState[] = ["offered"];
        for (const event of events) {
          const next = nextAssignmentState(path.at(-1) as AssignmentState, event);
          if (next !== undefined) path.push(next);
        }
        expect(path.filter((state) => ENDS.includes(state)).length).toBeLessThanOrEqual(1);
        const handedOver = path.indexOf("handed_over");
        if (handedOver >= 0)
          for (const state of path.slice(handedOver))
            expect(["handed_over", "arrived", "delivered"]).toContain(state);
      }),
    );
  });

  test("a word said again is known by where it led, and is never also a move", () => {
    for (const [from, event, to] of MOVES) {
      const said = !["expire", "offline", "cancel"].includes(event);
      expect(isRepetition(to, event), `${event} in ${to}`).toBe(said);
      expect(isRepetition(from, event), `${event} in ${from}`).toBe(false);
    }
    for (const state of ASSIGNMENT_STATES)
      for (const event of ASSIGNMENT_EVENTS)
        if (isRepetition(state, event)) expect(nextAssignmentState(state, event)).toBe(undefined);
  });
});

const CENTER = { latitude: 37.5, longitude: 127.03 };
const candidate: fc.Arbitrary<Omit<Candidate, "courierId">> = fc.record({
  position: fc.record({
    latitude: fc.double({ min: 37, max: 38, noNaN: true }),
    longitude: fc.double({ min: 126, max: 128, noNaN: true }),
  }),
  struck: fc.boolean(),
});
const candidates = fc
  .array(candidate, { maxLength: 40 })
  .map((list) => list.map((one, index): Candidate => ({ ...one, courierId: `cou-${index}` })));
const ids = (list: readonly Candidate[]) => list.map(({ courierId }) => courierId);

describe("the order of couriers", () => {
  test("keeps each once, the willing before those who let it pass, the nearer before the farther", () => {
    fc.assert(
      fc.property(candidates, (given) => {
        const ranked = rank(given, CENTER);
        expect(ids(ranked).sort()).toEqual(ids(given).sort());
        for (const [index, after] of ranked.entries()) {
          const before = ranked[index - 1];
          if (!before) continue;
          expect(Number(before.struck)).toBeLessThanOrEqual(Number(after.struck));
          if (before.struck === after.struck)
            expect(distanceMeters(before.position, CENTER)).toBeLessThanOrEqual(
              distanceMeters(after.position, CENTER),
            );
        }
      }),
    );
  });

  test("does not depend on the order in which they were found, also at one spot", () => {
    const atOneSpot = fc
      .array(fc.boolean(), { maxLength: 20 })
      .map((list) =>
        list.map((struck, index): Candidate => ({ struck, position: CENTER, courierId: `cou-${index}` })),
      );
    const shuffledToo = fc
      .oneof(candidates, atOneSpot)
      .chain((list) =>
        fc.tuple(
          fc.constant(list),
          fc.shuffledSubarray(list, { minLength: list.length, maxLength: list.length }),
        ),
      );
    fc.assert(
      fc.property(shuffledToo, ([given, shuffled]) => {
        expect(ids(rank(shuffled, CENTER))).toEqual(ids(rank(given, CENTER)));
      }),
    );
  });

  test("a courier who let it pass is better than none", () => {
    const only: Candidate = { courierId: "cou-1", position: CENTER, struck: true };
    expect(rank([only], CENTER)).toEqual([only]);
    expect(rank([], CENTER)).toEqual([]);
  });
});
