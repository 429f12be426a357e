import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createLogger } from "./log.ts";
import { createMetrics } from "./metrics.ts";
import { startWorkers, type Worker } from "./workers.ts";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

function start(workers: readonly Worker[], lines: string[] = []) {
  const log = createLogger({ service: "test", destination: { write: (line) => void lines.push(line) } });
  const metrics = createMetrics({ service: "test" });
  return { metrics, stop: startWorkers(workers, { log, metrics, random: () => 0.5 }) };
}

test("a worker runs again and again, and never twice at once", async () => {
  let running = 0;
  let most = 0;
  let runs = 0;
  const { stop } = start([
    {
      name: "w",
      intervalMs: 100,
      async run() {
        most = Math.max(most, ++running);
        await new Promise((resolve) => setTimeout(resolve, 250));
        running--;
        runs++;
      },
    },
  ]);
  await vi.advanceTimersByTimeAsync(3_500);
  expect(runs).toBe(10);
  expect(most).toBe(1);
  const stopped = stop();
  await vi.advanceTimersByTimeAsync(1_000);
  await stopped;
});

test("one that fails is repeated later and later, logged once in a row, and holds up no other", async () => {
  const lines: string[] = [];
  const failedAtMs: number[] = [];
  let others = 0;
  const { stop, metrics } = start(
    [
      {
        name: "bad",
        intervalMs: 10,
        async run() {
          failedAtMs.push(Date.now());
          if (failedAtMs.length !== 4) throw new Error("no");
        },
      },
      {
        name: "good",
        intervalMs: 10,
        async run() {
          others++;
        },
      },
    ],
    lines,
  );
  await vi.advanceTimersByTimeAsync(3_000);
  const gaps = failedAtMs.slice(1).map((at, index) => at - (failedAtMs[index] ?? 0));
  expect(gaps.slice(0, 4)).toEqual([210, 410, 810, 10]);
  expect(lines.filter((line) => line.includes("background worker failed"))).toHaveLength(2);
  // All runs but the fourth failed.
  expect(await metrics.render()).toContain(
    `worker_failures_total{worker="bad",service="test"} ${failedAtMs.length - 1}`,
  );
  expect(others).toBeGreaterThan(250);
  await stop();
});

test("stopping aborts the run under way and waits for it", async () => {
  let ended = false;
  const { stop } = start([
    {
      name: "w",
      intervalMs: 10,
      run: (signal) =>
        new Promise((resolve) =>
          signal.addEventListener("abort", () =>
            setTimeout(() => {
              ended = true;
              resolve();
            }, 500),
          ),
        ),
    },
  ]);
  const stopped = stop();
  await vi.advanceTimersByTimeAsync(500);
  await stopped;
  expect(ended).toBe(true);
});

test("one that is woken runs at once, also when that was while it ran, and not sooner after a failure", async () => {
  const wakes = new Set<() => void>();
  const ranAtMs: number[] = [];
  let isBroken = false;
  const { stop } = start([
    {
      name: "w",
      intervalMs: 1_000,
      wakeBy(wake) {
        wakes.add(wake);
        return () => wakes.delete(wake);
      },
      async run() {
        ranAtMs.push(Date.now());
        await new Promise((resolve) => setTimeout(resolve, 10));
        if (isBroken) throw new Error("no");
      },
    },
  ]);
  const ring = () => {
    for (const wake of wakes) wake();
  };
  const startedAtMs = Date.now();
  await vi.advanceTimersByTimeAsync(100);
  ring();
  await vi.advanceTimersByTimeAsync(5);
  ring();
  ring();
  await vi.advanceTimersByTimeAsync(95);
  isBroken = true;
  ring();
  await vi.advanceTimersByTimeAsync(5);
  ring();
  await vi.advanceTimersByTimeAsync(900);
  expect(ranAtMs.map((at) => at - startedAtMs)).toEqual([0, 100, 110, 200]);
  const stopped = stop();
  await vi.advanceTimersByTimeAsync(10);
  await stopped;
  expect(wakes.size).toBe(0);
});

test("one that rests takes what it was woken for meanwhile in one run, and is woken out of its sleep at once", async () => {
  const wakes = new Set<() => void>();
  const ranAtMs: number[] = [];
  const { stop } = start([
    {
      name: "w",
      intervalMs: 10_000,
      restMs: 150,
      wakeBy(wake) {
        wakes.add(wake);
        return () => wakes.delete(wake);
      },
      async run() {
        ranAtMs.push(Date.now());
      },
    },
  ]);
  const ring = () => {
    for (const wake of wakes) wake();
  };
  const startedAtMs = Date.now();
  await vi.advanceTimersByTimeAsync(1_000);
  for (let turn = 0; turn < 10; turn++) {
    ring();
    await vi.advanceTimersByTimeAsync(20);
  }
  await vi.advanceTimersByTimeAsync(1_000);
  expect(ranAtMs.map((at) => at - startedAtMs)).toEqual([0, 1_000, 1_150, 1_300]);
  await stop();
});
