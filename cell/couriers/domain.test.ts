import fc from "fast-check";
import { expect, test } from "vitest";
import { nextShift, SHIFT_EVENTS, SHIFTS, type Shift, type ShiftEvent } from "./domain.ts";

/** Written out by hand, so that a change of the machine has to be made twice. */
const MOVES: readonly (readonly [Shift, ShiftEvent, Shift])[] = [
  ["off", "start", "on"],
  ["on", "start", "on"],
  ["on", "end", "off"],
  ["on", "heartbeat", "on"],
  ["on", "silence", "silent"],
  ["silent", "start", "on"],
  ["silent", "end", "off"],
  ["silent", "heartbeat", "on"],
];

test.each(MOVES)("%s: %s leads to %s", (from, event, to) => {
  expect(nextShift(from, event)).toBe(to);
});

test("every other pair changes nothing", () => {
  const listed = new Set(MOVES.map(([from, event]) => `${from} ${event}`));
  const others = SHIFTS.flatMap((shift) =>
    SHIFT_EVENTS.filter((event) => !listed.has(`${shift} ${event}`)).map((event) => [shift, event] as const),
  );
  expect(others).toEqual([
    ["off", "end"],
    ["off", "heartbeat"],
    ["off", "silence"],
    ["silent", "silence"],
  ]);
  for (const [shift, event] of others) expect(nextShift(shift, event), `${shift} ${event}`).toBe(undefined);
});

test("nobody comes to work without starting a shift, whatever the device says", () => {
  const events = fc.array(fc.constantFrom(...SHIFT_EVENTS), { maxLength: 30 });
  fc.assert(
    fc.property(events, (said) => {
      let shift: Shift = "off";
      let started = false;
      for (const event of said) {
        if (event === "start") started = true;
        if (event === "end") started = false;
        shift = nextShift(shift, event) ?? shift;
        expect(shift !== "off").toBe(started);
      }
    }),
  );
});
