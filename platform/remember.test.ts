import { expect, test } from "vitest";
import { fail } from "./problem.ts";
import { createRemember } from "./remember.ts";

function counted(answer: (key: string, time: number) => string | undefined) {
  const asked: string[] = [];
  const load = async (key: string) => {
    asked.push(key);
    const value = answer(key, asked.length);
    return value === undefined ? fail("unavailable", "away") : { ok: true as const, value };
  };
  return { asked, load };
}

test("a key is loaded once, also by calls that come together", async () => {
  const { asked, load } = counted((key) => `v-${key}`);
  const remember = createRemember(load, 10);
  const answers = await Promise.all([remember("a"), remember("a"), remember("b")]);
  expect(answers.map((answer) => answer.ok && answer.value)).toEqual(["v-a", "v-a", "v-b"]);
  await remember("a");
  expect(asked).toEqual(["a", "b"]);
});

test("a failure is told and asked again", async () => {
  const { asked, load } = counted((key, time) => (time === 1 ? undefined : key));
  const remember = createRemember(load, 10);
  expect(await remember("a")).toMatchObject({ ok: false, code: "unavailable" });
  expect(await remember("a")).toEqual({ ok: true, value: "a" });
  expect(asked).toHaveLength(2);
});

test("a load that throws is not remembered either", async () => {
  let times = 0;
  const remember = createRemember(async (key) => {
    if (++times === 1) throw new Error("broken");
    return { ok: true as const, value: key };
  }, 10);
  await expect(remember("a")).rejects.toThrow("broken");
  expect(await remember("a")).toEqual({ ok: true, value: "a" });
});

test("beyond the bound the key that was unused for longest is forgotten", async () => {
  const { asked, load } = counted((key) => key);
  const remember = createRemember(load, 2);
  for (const key of ["a", "b", "a", "c", "a", "b"]) await remember(key);
  expect(asked).toEqual(["a", "b", "c", "b"]);
});
