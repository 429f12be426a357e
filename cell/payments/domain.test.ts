import fc from "fast-check";
import { expect, test } from "vitest";
import { INTENT_STATUSES, type IntentStatus } from "./contract.ts";
import { authorizationOf, INTENT_EVENTS, type IntentEvent, next, retryDelayMs } from "./domain.ts";

/** The machine, written a second time by hand. */
const ALLOWED: readonly (readonly [IntentStatus, IntentEvent, IntentStatus])[] = [
  ["authorising", "auth.ok", "authorised"],
  ["authorising", "auth.declined", "declined"],
  ["authorising", "auth.unknown", "unknown"],
  ["authorising", "auth.voided", "voided"],
  ["authorising", "void.asked", "voiding"],
  ["unknown", "auth.ok", "authorised"],
  ["unknown", "auth.declined", "declined"],
  ["unknown", "auth.unknown", "unknown"],
  ["unknown", "auth.voided", "voided"],
  ["unknown", "void.asked", "voiding"],
  ["authorised", "void.asked", "voiding"],
  ["authorised", "capture.asked", "capturing"],
  ["capturing", "capture.asked", "capturing"],
  ["capturing", "capture.waits", "capture_queued"],
  ["capturing", "capture.part", "capturing"],
  ["capturing", "capture.done", "captured"],
  ["capturing", "capture.refused", "expired"],
  ["capture_queued", "capture.asked", "capture_queued"],
  ["capture_queued", "capture.waits", "capture_queued"],
  ["capture_queued", "capture.part", "capturing"],
  ["capture_queued", "capture.done", "captured"],
  ["capture_queued", "capture.refused", "expired"],
  ["captured", "capture.asked", "capturing"],
  ["captured", "refund.part", "partially_refunded"],
  ["captured", "refund.done", "refunded"],
  ["partially_refunded", "refund.part", "partially_refunded"],
  ["partially_refunded", "refund.done", "refunded"],
  ["voiding", "auth.ok", "voiding"],
  ["voiding", "auth.declined", "voiding"],
  ["voiding", "auth.unknown", "voiding"],
  ["voiding", "auth.voided", "voided"],
  ["voiding", "void.asked", "voiding"],
  ["voiding", "void.done", "voided"],
  ["voided", "void.asked", "voided"],
];

test.each(ALLOWED)("%s --%s--> %s", (from, event, to) => {
  expect(next(from, event)).toBe(to);
});

test("every other pair is refused", () => {
  const listed = new Set(ALLOWED.map(([from, event]) => `${from} ${event}`));
  for (const status of INTENT_STATUSES)
    for (const event of INTENT_EVENTS)
      if (!listed.has(`${status} ${event}`))
        expect([status, event, next(status, event)]).toEqual([status, event, undefined]);
});

test("no way leads from given-back money to taken money, or the other way round", () => {
  const reach = (start: IntentStatus): Set<IntentStatus> => {
    const seen = new Set([start]);
    for (const status of seen) for (const [from, , to] of ALLOWED) if (from === status) seen.add(to);
    return seen;
  };
  for (const status of ["voiding", "voided", "declined", "expired"] as const)
    for (const taken of ["authorised", "capturing", "capture_queued", "captured"] as const)
      expect(reach(status)).not.toContain(taken);
  for (const status of ["captured", "refunded", "partially_refunded"] as const)
    expect(reach(status)).not.toContain("voided");
});

test("who asked for the authorization hears one of four words", () => {
  const words = INTENT_STATUSES.map((status) => [status, authorizationOf(status)]);
  expect(Object.fromEntries(words)).toEqual({
    authorising: "unknown",
    unknown: "unknown",
    declined: "declined",
    voiding: "withdrawn",
    voided: "withdrawn",
    expired: "withdrawn",
    authorised: "authorised",
    capturing: "authorised",
    capture_queued: "authorised",
    captured: "authorised",
    partially_refunded: "authorised",
    refunded: "authorised",
  });
});

test("tries grow apart, within bounds", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 1_000_000 }),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (attempts, random) => {
        const delayMs = retryDelayMs(attempts, random);
        expect(delayMs).toBeGreaterThanOrEqual(250);
        expect(delayMs).toBeLessThanOrEqual(15_000);
        expect(retryDelayMs(attempts + 1, random)).toBeGreaterThanOrEqual(delayMs);
      },
    ),
  );
});
