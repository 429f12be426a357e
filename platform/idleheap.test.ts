import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { type Engine, giveBackWhenIdle } from "./idleheap.ts";

const MB = 1024 * 1024;
const EVERY_MS = 1_000;
let cpuMicros = 0;
let heap = { live: 40 * MB, garbage: 0 };
let collected: { before: number; after: number }[] = [];
const engine: Engine = {
  cpuMicros: () => cpuMicros,
  heapBytes: () => heap.live + heap.garbage,
  collect: () => {
    heap = { ...heap, garbage: 0 };
    cpuMicros += 200_000;
  },
};
const start = (which: Engine = engine) =>
  giveBackWhenIdle({ engine: which, everyMs: EVERY_MS, onCollected: (freed) => collected.push(freed) });
const second = (busy: { cpuMicros?: number; garbage?: number } = {}) => {
  cpuMicros += busy.cpuMicros ?? 0;
  heap = { ...heap, garbage: heap.garbage + (busy.garbage ?? 0) };
  vi.advanceTimersByTime(EVERY_MS);
};

beforeEach(() => {
  vi.useFakeTimers();
  [cpuMicros, heap, collected] = [0, { live: 40 * MB, garbage: 0 }, []];
});
afterEach(() => {
  vi.useRealTimers();
});

it("collects once after a burst of work, and not while it lasts", () => {
  const stop = start();
  for (let busy = 0; busy < 5; busy++) second({ cpuMicros: 900_000, garbage: 50 * MB });
  expect(collected).toEqual([]);
  second();
  expect(collected).toEqual([{ before: 290 * MB, after: 40 * MB }]);
  for (let idle = 0; idle < 10; idle++) second({ cpuMicros: 20_000, garbage: MB });
  expect(collected.length).toBe(1);
  second({ cpuMicros: 900_000, garbage: 100 * MB });
  second();
  expect(collected.length).toBe(2);
  stop();
  second({ garbage: 500 * MB });
  expect(collected.length).toBe(2);
});

it("collects what an idle process gathers little by little, when it is worth a pause", () => {
  const stop = start();
  second();
  expect(collected.length).toBe(1);
  for (let idle = 0; idle < 16; idle++) second({ garbage: MB });
  expect(collected.length).toBe(2);
  stop();
});

it("does nothing where the engine was not told to let it", () => {
  const { collect: _collect, ...closed } = engine;
  start({ ...closed, collect: undefined });
  expect(vi.getTimerCount()).toBe(0);
});

it("gives what a real engine has collected back to the operating system", { timeout: 60_000 }, async () => {
  const script = `
    const { giveBackWhenIdle } = await import(${JSON.stringify(new URL("./idleheap.ts", import.meta.url).href)});
    let burst = Array.from({ length: 600_000 }, (_, index) => ({ index, text: "word " + index }));
    const busy = process.memoryUsage().rss;
    burst = undefined;
    giveBackWhenIdle({ everyMs: 300, onCollected: () => {
      console.log(JSON.stringify({ busy, idle: process.memoryUsage().rss }));
      process.exit(0);
    } });
    setTimeout(() => process.exit(1), 30_000);`;
  const { stdout } = await promisify(execFile)(process.execPath, [
    "--expose-gc",
    "--input-type=module",
    "--eval",
    script,
  ]);
  const { busy, idle } = JSON.parse(stdout) as { busy: number; idle: number };
  expect(busy - idle).toBeGreaterThan(30 * MB);
});
