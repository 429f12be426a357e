import fc from "fast-check";
import { expect, test } from "vitest";
import { type AuthorizationState, decideAuthorization, mayCapture, mayRefund, mayVoid } from "./domain.ts";

const won = (amountMinor: number) => ({ amountMinor, currency: "KRW" });
const approved: AuthorizationState = {
  status: "approved",
  amountMinor: 1_000,
  currency: "KRW",
  capturedMinor: 0,
  refundedMinor: 0,
};

test.each([
  [{ method: "tok_visa", forcedDecline: false, closed: false }, "approved"],
  [{ method: "tok_declined", forcedDecline: false, closed: false }, "declined"],
  [{ method: "tok_visa", forcedDecline: true, closed: false }, "declined"],
  [{ method: "tok_visa", forcedDecline: false, closed: true }, "voided"],
  [{ method: "tok_declined", forcedDecline: true, closed: true }, "voided"],
])("an authorization with %j is %s", (input, status) => {
  expect(decideAuthorization(input).status).toBe(status);
});

test.each<[string, { ok: boolean }, boolean]>([
  ["the whole", mayCapture(approved, won(1_000)), true],
  ["more than that", mayCapture(approved, won(1_001)), false],
  ["what is left", mayCapture({ ...approved, capturedMinor: 400 }, won(600)), true],
  ["more than is left", mayCapture({ ...approved, capturedMinor: 400 }, won(601)), false],
  ["another currency", mayCapture(approved, { amountMinor: 1, currency: "USD" }), false],
  ["of a declined one", mayCapture({ ...approved, status: "declined" }, won(1)), false],
  ["of a voided one", mayCapture({ ...approved, status: "voided" }, won(1)), false],
  ["of none", mayCapture(undefined, won(1)), false],
])("capture of %s", (_what, allowed, expected) => {
  expect(allowed.ok).toBe(expected);
});

test("what was captured cannot be voided, all else can", () => {
  expect(mayVoid({ ...approved, capturedMinor: 1 }).ok).toBe(false);
  for (const found of [approved, { ...approved, status: "declined" as const }, undefined])
    expect(mayVoid(found).ok).toBe(true);
});

test("whatever is asked for, refunds <= captures <= authorization", () => {
  const step = fc.record({
    kind: fc.constantFrom("capture", "refund"),
    amountMinor: fc.integer({ min: 0, max: 700 }),
  });
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
      let state = approved;
      for (const { kind, amountMinor } of steps) {
        if (kind === "capture" && mayCapture(state, won(amountMinor)).ok)
          state = { ...state, capturedMinor: state.capturedMinor + amountMinor };
        if (kind === "refund" && mayRefund(state, won(amountMinor)).ok)
          state = { ...state, refundedMinor: state.refundedMinor + amountMinor };
        expect(state.refundedMinor).toBeLessThanOrEqual(state.capturedMinor);
        expect(state.capturedMinor).toBeLessThanOrEqual(state.amountMinor);
      }
    }),
  );
});
