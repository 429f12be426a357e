/** `silent`: on shift, but the device has not been heard of for a while; gets no offers. */
export const SHIFTS = ["off", "on", "silent"] as const;
export type Shift = (typeof SHIFTS)[number];

export const SHIFT_EVENTS = ["start", "end", "heartbeat", "silence"] as const;
export type ShiftEvent = (typeof SHIFT_EVENTS)[number];

/** Any pair that is not listed changes nothing. */
export const SHIFT_TRANSITIONS: Readonly<Record<Shift, Readonly<Partial<Record<ShiftEvent, Shift>>>>> = {
  off: { start: "on" },
  on: { start: "on", end: "off", heartbeat: "on", silence: "silent" },
  silent: { start: "on", end: "off", heartbeat: "on" },
};

/** The next state, or undefined when the event changes nothing. */
export function nextShift(shift: Shift, event: ShiftEvent): Shift | undefined {
  return SHIFT_TRANSITIONS[shift][event];
}
