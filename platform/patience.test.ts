import { expect, test } from "vitest";
import { patiently } from "./patience.ts";

const notYet = (error: unknown) => (error as Error).message === "not yet";

/** Fails so many times, then answers how often it was asked. */
function after(failures: number, message = "not yet") {
  let asked = 0;
  return {
    asked: () => asked,
    async ask() {
      asked++;
      if (asked <= failures) throw new Error(message);
      return asked;
    },
  };
}

test("what passes is asked again until there is an answer", async () => {
  expect(await patiently(after(0).ask, notYet, 0)).toBe(1);
  expect(await patiently(after(7).ask, notYet, 0)).toBe(8);
});

test("what never passes is given up after eight times, anything else at once", async () => {
  const never = after(100);
  await expect(patiently(never.ask, notYet, 0)).rejects.toThrow("not yet");
  expect(never.asked()).toBe(8);
  const broken = after(1, "broken");
  await expect(patiently(broken.ask, notYet, 0)).rejects.toThrow("broken");
  expect(broken.asked()).toBe(1);
});
