import { describe, expect, it } from "vitest";
import {
  createController,
  type ReconcileContext,
  type ReconcileResult,
  TerminalError,
} from "./controller.ts";
import { type KubeLabels, type KubeMetrics, silentLog } from "./ports.ts";
import { createVirtualTime, settle } from "./testing/virtualtime.ts";

/** Counters as text -> number, so that a test can read what a dashboard would. */
function countingMetrics(): KubeMetrics & { counts: Record<string, number> } {
  const counts: Record<string, number> = {};
  const key = (name: string, labels: KubeLabels = {}) => [name, ...Object.values(labels)].join(" ");
  return {
    counts,
    counter: (name) => ({
      inc(labels, value = 1) {
        counts[key(name, labels)] = (counts[key(name, labels)] ?? 0) + value;
      },
    }),
    gauge: (name) => ({
      set(labels, value) {
        counts[key(name, labels)] = value;
      },
    }),
    histogram: () => ({ observe() {} }),
  };
}

function start(
  reconcile: (key: string, context: ReconcileContext) => Promise<ReconcileResult | undefined>,
  options: { workers?: number; timeoutMs?: number; drainMs?: number } = {},
) {
  const time = createVirtualTime();
  const metrics = countingMetrics();
  const controller = createController({ name: "test", reconcile, log: silentLog, metrics, time, ...options });
  const stop = new AbortController();
  return { time, controller, counts: metrics.counts, stop, ended: controller.run(stop.signal) };
}

describe("a reconcile", () => {
  it("that throws is repeated with growing pauses and holds up no other key", async () => {
    const runs: string[] = [];
    const { time, controller, counts, stop, ended } = start(
      async (key) => {
        runs.push(key);
        if (key === "bad") throw new Error("broken");
        return undefined;
      },
      { workers: 1 },
    );
    controller.enqueue("bad");
    controller.enqueue("good");
    await settle();
    expect(runs).toEqual(["bad", "good"]);
    await time.advance(5 + 10 + 20);
    expect(runs).toEqual(["bad", "good", "bad", "bad", "bad"]);
    expect(counts).toMatchObject({
      "controller_runtime_reconcile_total test error": 4,
      "controller_runtime_reconcile_total test success": 1,
      "controller_runtime_reconcile_errors_total test": 4,
      "workqueue_retries_total test test": 4,
    });
    stop.abort();
    await ended;
  });

  it("that trips over a bug is counted as a panic, and the worker lives on", async () => {
    const { controller, counts, stop, ended } = start(
      async (key) => {
        if (key === "bug") return (undefined as unknown as { missing(): undefined }).missing();
        return undefined;
      },
      { workers: 1 },
    );
    controller.enqueue("bug");
    controller.enqueue("good");
    await settle();
    expect(counts).toMatchObject({
      "controller_runtime_reconcile_panics_total test": 1,
      "controller_runtime_reconcile_errors_total test": 1,
      "controller_runtime_reconcile_total test success": 1,
    });
    stop.abort();
    await ended;
  });

  it("that can never work is not repeated", async () => {
    let runs = 0;
    const { time, controller, counts, stop, ended } = start(async () => {
      runs++;
      throw new TerminalError("never");
    });
    controller.enqueue("a");
    await time.advance(2_000_000);
    expect(runs).toBe(1);
    expect(counts["controller_runtime_terminal_reconcile_errors_total test"]).toBe(1);
    stop.abort();
    await ended;
  });

  it("comes again when it asked to, and its backoff starts anew after success", async () => {
    const results: (ReconcileResult | undefined)[] = [
      { retry: true },
      { retry: true },
      { requeueAfterMs: 1_000 },
      { retry: true },
      undefined,
    ];
    const atMs: number[] = [];
    const { time, controller, stop, ended } = start(async () => {
      atMs.push(time.monotonicMs());
      return results.shift();
    });
    controller.enqueue("a");
    await time.advance(60_000);
    expect(atMs).toEqual([0, 5, 15, 1_015, 1_020]);
    stop.abort();
    await ended;
  });

  it("that takes too long is told so and keeps its key until it ends", async () => {
    let running = 0;
    let most = 0;
    const { time, controller, counts, stop, ended } = start(
      async (_key, { signal }) => {
        most = Math.max(most, ++running);
        await new Promise<void>((resolve) =>
          signal.addEventListener("abort", () => resolve(), { once: true }),
        );
        await settle();
        running--;
        throw new Error("stopped");
      },
      { timeoutMs: 1_000, workers: 3 },
    );
    controller.enqueue("a");
    await settle();
    controller.enqueue("a");
    await time.advance(900);
    expect([running, controller.queue.length]).toEqual([1, 0]);
    await time.advance(1_500);
    expect(most).toBe(1);
    expect(counts["controller_runtime_reconcile_timeouts_total test"]).toBeGreaterThanOrEqual(1);
    stop.abort();
    await time.advance(40_000);
    await ended;
  });
});

describe("a stop", () => {
  it("lets running reconciles end, takes no more keys and leaves no timer behind", async () => {
    let finish = () => {};
    const runs: string[] = [];
    const { time, controller, stop, ended } = start(
      async (key) => {
        runs.push(key);
        await new Promise<void>((resolve) => {
          finish = resolve;
        });
        return { requeueAfterMs: 500_000 };
      },
      { workers: 1 },
    );
    controller.enqueue("a");
    controller.enqueue("b");
    await settle();
    stop.abort();
    await settle();
    finish();
    await ended;
    expect(runs).toEqual(["a"]);
    expect(time.pending).toBe(0);
  });

  it("tells reconciles to end when the drain runs out", async () => {
    let told = false;
    const { time, controller, stop, ended } = start(
      async (_key, { signal }) => {
        await new Promise<void>((resolve) =>
          signal.addEventListener("abort", () => resolve(), { once: true }),
        );
        told = true;
        return undefined;
      },
      { drainMs: 5_000 },
    );
    controller.enqueue("a");
    await settle();
    stop.abort();
    await time.advance(4_999);
    expect(told).toBe(false);
    await time.advance(1);
    await ended;
    expect(told).toBe(true);
  });
});

it("works on as many keys at once as it has workers", async () => {
  let running = 0;
  let most = 0;
  const { controller, stop, ended } = start(
    async () => {
      most = Math.max(most, ++running);
      await settle();
      running--;
      return undefined;
    },
    { workers: 3 },
  );
  for (let index = 0; index < 10; index++) controller.enqueue(`key-${index}`);
  for (let turn = 0; turn < 10; turn++) await settle();
  expect([most, running, controller.queue.length]).toEqual([3, 0, 0]);
  stop.abort();
  await ended;
});
