import fc from "fast-check";
import { expect, test } from "vitest";
import { assess, type History, needsHistory, type RiskPolicy } from "./risk.ts";

const policy: RiskPolicy = { highValueMinor: { KRW: 500_000, USD: 40_000 }, reviewScore: 100 };
const nobody: History = { isNew: true, hasPaid: false, hasPaidHere: false };
const waiting: History = { isNew: false, hasPaid: false, hasPaidHere: false };
const known: History = { isNew: false, hasPaid: true, hasPaidHere: true };
const elsewhere: History = { isNew: false, hasPaid: true, hasPaidHere: false };
const today: History = { isNew: true, hasPaid: true, hasPaidHere: true };

test.each<[string, number, string, History | undefined, string[], boolean]>([
  ["much, of somebody new", 500_000, "KRW", nobody, ["high-value", "new-account"], true],
  ["just less than much, of somebody new", 499_999, "KRW", nobody, ["new-account"], false],
  ["much, to a new address", 500_000, "KRW", elsewhere, ["high-value", "address-mismatch"], true],
  ["much, of somebody known", 9_000_000, "KRW", known, ["high-value"], false],
  ["much, of somebody who has never paid but is not new", 500_000, "KRW", waiting, ["high-value"], false],
  ["much, of somebody new who has paid today", 500_000, "KRW", today, ["high-value"], false],
  ["little, to a new address", 1, "KRW", elsewhere, ["address-mismatch"], false],
  ["much, of nobody who is named", 500_000, "KRW", undefined, ["high-value"], false],
  ["much of another currency", 40_000, "USD", nobody, ["high-value", "new-account"], true],
  ["any amount of a currency without a limit", 1_000_000_000_000, "XTS", nobody, ["new-account"], false],
])("%s", (_what, amountMinor, currency, history, reasons, needsReview) => {
  expect(assess({ amountMinor, currency }, history, policy)).toMatchObject({ reasons, needsReview });
});

test("a lower bar asks for more reviews, a high one for none", () => {
  const amount = { amountMinor: 500_000, currency: "KRW" };
  expect(assess(amount, known, { ...policy, reviewScore: 60 }).needsReview).toBe(true);
  expect(assess(amount, nobody, { ...policy, reviewScore: 101 }).needsReview).toBe(false);
});

test("what is not read would not have changed the outcome", () => {
  const histories = fc.record({ isNew: fc.boolean(), hasPaid: fc.boolean(), hasPaidHere: fc.boolean() });
  fc.assert(
    fc.property(
      fc.integer({ min: 0, max: 1_000_000 }),
      fc.constantFrom("KRW", "XTS"),
      histories,
      fc.integer({ min: 1, max: 150 }),
      (amountMinor, currency, history, reviewScore) => {
        const amount = { amountMinor, currency };
        const own = { ...policy, reviewScore };
        if (needsHistory(amount, own)) return;
        expect(assess(amount, history, own).needsReview).toBe(assess(amount, undefined, own).needsReview);
      },
    ),
    { numRuns: 1_000 },
  );
});
