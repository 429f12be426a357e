import fc from "fast-check";
import { expect, test } from "vitest";
import { addMoney, sameMoney, sumMoney, timesMoney } from "./money.ts";

const amount = fc
  .integer({ min: 0, max: 1_000_000_000 })
  .map((amountMinor) => ({ amountMinor, currency: "KRW" }));

test("a sum is exact in whatever order", () => {
  fc.assert(
    fc.property(fc.array(amount, { maxLength: 100 }), (amounts) => {
      const expected = amounts.reduce((total, one) => total + BigInt(one.amountMinor), 0n);
      expect(BigInt(sumMoney(amounts, "KRW").amountMinor)).toBe(expected);
      expect(sameMoney(sumMoney(amounts, "KRW"), sumMoney([...amounts].reverse(), "KRW"))).toBe(true);
    }),
  );
});

test("a price times a quantity is the price that often", () => {
  fc.assert(
    fc.property(amount, fc.integer({ min: 1, max: 50 }), (price, quantity) => {
      expect(timesMoney(price, quantity)).toEqual(sumMoney(Array(quantity).fill(price), "KRW"));
    }),
  );
});

test("nothing is added up that is not of one currency, or not exact", () => {
  const won = { amountMinor: 1, currency: "KRW" };
  expect(() => addMoney(won, { amountMinor: 1, currency: "EUR" })).toThrow("EUR");
  expect(() => addMoney(won, { amountMinor: Number.MAX_SAFE_INTEGER, currency: "KRW" })).toThrow("safe");
  expect(() => timesMoney({ amountMinor: Number.MAX_SAFE_INTEGER, currency: "KRW" }, 2)).toThrow("safe");
  expect(() => timesMoney(won, 0.5)).toThrow("safe");
  expect(sumMoney([], "KRW")).toEqual({ amountMinor: 0, currency: "KRW" });
  expect(sameMoney(won, { amountMinor: 1, currency: "EUR" })).toBe(false);
});
