import { expect, test } from "vitest";
import { createTurns, TooManyWait } from "./turns.ts";

/** Something that runs until it is told to end, and notes when it began. */
function work(log: string[], name: string) {
  let end = () => {};
  const ended = new Promise<void>((resolve) => {
    end = resolve;
  });
  const run = async () => {
    log.push(name);
    await ended;
    return name;
  };
  return { run, end };
}

const settle = () => new Promise((resolve) => setImmediate(resolve));

test("many run together, one alone waits for them, and who comes later waits for it", async () => {
  const turns = createTurns(8);
  const log: string[] = [];
  const [a, b, alone, late] = ["a", "b", "alone", "late"].map((name) => work(log, name));
  const all = [
    turns.together(a!.run),
    turns.together(b!.run),
    turns.alone(alone!.run),
    turns.together(late!.run),
  ];
  await settle();
  expect(log).toEqual(["a", "b"]);
  a!.end();
  await settle();
  expect(log).toEqual(["a", "b"]);
  b!.end();
  await settle();
  expect(log).toEqual(["a", "b", "alone"]);
  alone!.end();
  await settle();
  expect(log).toEqual(["a", "b", "alone", "late"]);
  late!.end();
  expect(await Promise.all(all)).toEqual(["a", "b", "alone", "late"]);
});

test("what is begun inside of a turn belongs to it", async () => {
  const turns = createTurns(8);
  const log: string[] = [];
  const waiting = work(log, "waiting");
  const outer = turns.together(async () => {
    await settle();
    return turns.alone(async () => turns.together(async () => "inner"));
  });
  const other = turns.alone(waiting.run);
  expect(await outer).toBe("inner");
  waiting.end();
  expect(await other).toBe("waiting");
});

test("one that fails gives its turn back", async () => {
  const turns = createTurns(8);
  const failed = turns.alone(() => Promise.reject(new Error("no")));
  await expect(failed).rejects.toThrow("no");
  expect(await turns.alone(async () => "next")).toBe("next");
  expect(await turns.together(async () => "next")).toBe("next");
});

test("the more met others the fewer run at once, down to one, and slowly more again", async () => {
  const turns = createTurns(8);
  const widthNow = async () => {
    const log: string[] = [];
    const works = Array.from({ length: 10 }, (_, index) => work(log, String(index)));
    const all = works.map(({ run }) => turns.together(run));
    await settle();
    const width = log.length;
    for (const { end } of works) end();
    await Promise.all(all);
    return width;
  };
  expect(await widthNow()).toBe(8);
  turns.met();
  expect(await widthNow()).toBe(6);
  for (let times = 0; times < 9; times++) turns.met();
  expect(await widthNow()).toBe(1);
  for (let times = 0; times < 4; times++) turns.passed();
  expect(await widthNow()).toBe(2);
  for (let times = 0; times < 100; times++) turns.passed();
  expect(await widthNow()).toBe(8);
});

test("whoever comes when too many wait is refused before it began", async () => {
  const turns = createTurns(1, 1);
  const log: string[] = [];
  const [first, second, third] = ["first", "second", "third"].map((name) => work(log, name));
  const all = [turns.together(first!.run), turns.together(second!.run)];
  await expect(turns.together(third!.run)).rejects.toBeInstanceOf(TooManyWait);
  first!.end();
  second!.end();
  expect(await Promise.all(all)).toEqual(["first", "second"]);
  expect(log).toEqual(["first", "second"]);
});
