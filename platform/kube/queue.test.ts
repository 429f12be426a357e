import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { silentMetrics } from "./ports.ts";
import { createWorkQueue, type WorkQueue } from "./queue.ts";
import { createVirtualTime, settle } from "./testing/virtualtime.ts";

const make = (maxKeys?: number) => {
  const time = createVirtualTime();
  const options = { name: "test", metrics: silentMetrics, time };
  return { time, queue: createWorkQueue(maxKeys === undefined ? options : { ...options, maxKeys }) };
};

const key = fc.constantFrom("a", "b", "c");
const step = fc.oneof(
  fc.record({ do: fc.constant("add" as const), key }),
  fc.record({ do: fc.constant("low" as const), key }),
  fc.record({ do: fc.constant("after" as const), key, delayMs: fc.integer({ min: 1, max: 50 }) }),
  fc.record({ do: fc.constant("limited" as const), key }),
  fc.record({ do: fc.constant("take" as const) }),
  fc.record({ do: fc.constant("done" as const) }),
  fc.record({ do: fc.constant("wait" as const), ms: fc.integer({ min: 1, max: 60 }) }),
);

describe("whatever is done with it", () => {
  it("never gives a key to two workers, and loses none", { timeout: 120_000 }, async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { time, queue } = make();
        const working: string[] = [];
        /** Keys added since a worker last took them. */
        const owed = new Set<string>();
        const takeOne = async () => {
          if (queue.length === 0) return;
          const taken = (await queue.take()) as string;
          expect(working).not.toContain(taken);
          working.push(taken);
          owed.delete(taken);
        };
        for (const one of steps) {
          if (one.do === "add") queue.add(one.key);
          if (one.do === "after") queue.addAfter(one.key, one.delayMs);
          if (one.do === "limited") queue.addRateLimited(one.key);
          if (one.do === "low") queue.add(one.key, "low");
          if (one.do === "add" || one.do === "low" || one.do === "after" || one.do === "limited")
            owed.add(one.key);
          if (one.do === "take") await takeOne();
          if (one.do === "done" && working.length > 0) queue.done(working.shift() as string);
          if (one.do === "wait") await time.advance(one.ms);
        }
        // A delayed key that was taken early comes again; so in the end all that is owed comes.
        await time.advance(2_000_000);
        for (let turn = 0; turn < 10; turn++) {
          for (const held of working.splice(0)) queue.done(held);
          while (queue.length > 0) await takeOne();
        }
        expect([...owed]).toEqual([]);
        expect({ ready: queue.length, delayed: queue.delayed, busy: queue.processing }).toEqual({
          ready: 0,
          delayed: 0,
          busy: working.length,
        });
      }),
      { numRuns: 60 },
    );
  });
});

describe("a key", () => {
  it("that is added often waits once", async () => {
    const { queue } = make();
    for (let turn = 0; turn < 5; turn++) queue.add("a");
    expect(queue.length).toBe(1);
  });
  it("that is added while it is worked on comes once more afterwards", async () => {
    const { queue } = make();
    queue.add("a");
    await queue.take();
    queue.add("a");
    queue.add("a");
    expect(queue.length).toBe(0);
    queue.done("a");
    expect(queue.length).toBe(1);
  });
  it("that fails waits twice as long each time, up to the limit, and starts anew after success", () => {
    const { queue } = make();
    const delays = Array.from({ length: 20 }, () => queue.addRateLimited("a"));
    expect(delays.slice(0, 5)).toEqual([5, 10, 20, 40, 80]);
    expect(delays.slice(17)).toEqual([655_360, 1_000_000, 1_000_000]);
    expect(queue.retries("a")).toBe(20);
    queue.forget("a");
    expect(queue.addRateLimited("a")).toBe(5);
    expect(queue.addRateLimited("b")).toBe(5);
  });
  it("with several delays comes at the earliest", async () => {
    const { time, queue } = make();
    queue.addAfter("a", 1_000);
    queue.addAfter("a", 100);
    queue.addAfter("a", 500);
    await time.advance(99);
    expect(queue.length).toBe(0);
    await time.advance(1);
    expect(queue.length).toBe(1);
  });
});

describe("keys of a first list", () => {
  const drain = async (queue: WorkQueue, count: number) => {
    const taken: string[] = [];
    for (let turn = 0; turn < count; turn++) {
      const one = (await queue.take()) as string;
      taken.push(one);
      queue.done(one);
    }
    return taken;
  };
  it("come after every change that somebody waits for, and one that changes is lifted", async () => {
    const { queue } = make();
    for (const name of ["a", "b", "c"]) queue.add(name, "low");
    queue.add("new");
    queue.add("b");
    queue.add("new", "low");
    expect(queue.length).toBe(4);
    expect(await drain(queue, 4)).toEqual(["new", "b", "a", "c"]);
  });
  it("keep their place when they are added again while they are worked on", async () => {
    const { queue } = make();
    queue.add("a", "low");
    await queue.take();
    queue.add("a", "low");
    queue.add("new");
    queue.done("a");
    expect(await drain(queue, 2)).toEqual(["new", "a"]);
  });
  it("starve nothing and are not starved: one second of work each, and a new key every second", async () => {
    const { time, queue } = make();
    for (let index = 0; index < 20; index++) queue.add(`old-${index}`, "low");
    const waitedMs: Record<string, number> = {};
    for (let second = 0; second < 60; second++) {
      queue.add(`new-${second}`);
      const taken = (await queue.take()) as string;
      waitedMs[taken] = time.monotonicMs() - (taken.startsWith("new") ? Number(taken.slice(4)) * 1000 : 0);
      await time.advance(1_000);
      queue.done(taken);
    }
    const of = (prefix: string) => Object.entries(waitedMs).filter(([name]) => name.startsWith(prefix));
    // For half a minute every turn is a new key's; then each second turn is an old one's.
    expect(of("old")[0]?.[1]).toBe(30_000);
    expect(of("old").length).toBe(15);
    expect(Math.max(...of("new").map(([, ms]) => ms))).toBeLessThan(60_000);
    expect(Math.max(...of("old").map(([, ms]) => ms))).toBeLessThan(60_000);
  });
});

it("hands out a hundred thousand keys in the order in which they came", async () => {
  const { queue } = make();
  for (let index = 0; index < 100_000; index++) queue.add(String(index));
  for (let index = 0; index < 100_000; index++) {
    const taken = await queue.take();
    if (taken !== String(index)) expect(taken).toBe(String(index));
    queue.done(taken as string);
  }
  expect(queue.length).toBe(0);
});

describe("takers", () => {
  it("are served in turn, and end with their signal or the queue", async () => {
    const { queue } = make();
    const stop = new AbortController();
    const found: (string | undefined)[] = [];
    for (const signal of [stop.signal, undefined]) void queue.take(signal).then((taken) => found.push(taken));
    await settle();
    stop.abort();
    await settle();
    expect(found).toEqual([undefined]);
    queue.add("a");
    await settle();
    expect(found).toEqual([undefined, "a"]);
    void queue.take().then((taken) => found.push(taken));
    queue.shutDown();
    queue.add("b");
    await settle();
    expect(found).toEqual([undefined, "a", undefined]);
  });
  it("that leave in the moment of a wake-up hand it on", async () => {
    const { queue } = make();
    const stop = new AbortController();
    const found: (string | undefined)[] = [];
    const leaving = queue.take(stop.signal);
    void queue.take().then((taken) => found.push(taken));
    await settle();
    queue.add("a");
    stop.abort();
    expect(await leaving).toBeUndefined();
    await settle();
    expect(found).toEqual(["a"]);
  });
});

it("refuses more keys than its bound, and a key nobody took", () => {
  const { queue } = make(2);
  queue.add("a");
  queue.addAfter("b", 10);
  queue.add("a");
  expect(() => queue.add("c")).toThrow("queue test is full: 2 keys are known");
  expect(() => queue.done("a")).toThrow("was not taken");
});
