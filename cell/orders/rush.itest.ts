import { afterAll, beforeAll, expect, test } from "vitest";
import { expectOk, fresh, startCenter, type TestCenter } from "./testing/center.ts";

let center: TestCenter;
beforeAll(async () => {
  center = await startCenter({ HOLD_RATE_PER_SKU: "2" });
});
afterAll(() => center.stop());

test("an article that more want in a second than may: who has waited long enough is told so, and the same key works later", async () => {
  const sku = fresh("rush");
  await center.fill({ [sku]: 20 });
  const lines = [{ sku, quantity: 1 }];
  const keys = Array.from({ length: 20 }, () => fresh("key"));
  const first = await Promise.all(keys.map((key) => center.place(lines, { key })));
  const refused = keys.filter((_, index) => !first[index]!.ok);
  for (const answer of first)
    if (!answer.ok) expect(answer).toMatchObject({ code: "rate-limited", retryAfterSeconds: 1 });
  expect(refused.length).toBeGreaterThan(0);
  expect(refused.length).toBeLessThan(20);
  expect((await center.stock(sku)).available).toBe(refused.length);
  for (const key of refused) expectOk(await center.place(lines, { key }));
  expect(await center.stock(sku)).toMatchObject({ allocated: 20, available: 0 });
});
