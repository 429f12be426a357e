import { expect, test, vi } from "vitest";
import { createHealth, createRoster } from "./health.ts";

test("ready means that every check is content", async () => {
  let broken: string | undefined;
  const health = createHealth([
    { name: "database", check: async () => broken },
    { name: "other", check: async () => undefined },
  ]);
  expect(await health.ready()).toEqual({ ok: true, checks: { database: "ok", other: "ok" } });
  broken = "no answer";
  expect(await health.ready()).toEqual({ ok: false, checks: { database: "no answer", other: "ok" } });
});

test("a check that throws or hangs is a failure with its reason, and no more", async () => {
  vi.useFakeTimers();
  try {
    const health = createHealth([
      { name: "throws", check: () => Promise.reject(new Error("refused")) },
      { name: "hangs", check: () => new Promise(() => {}) },
    ]);
    const report = health.ready();
    await vi.advanceTimersByTimeAsync(2_000);
    expect(await report).toEqual({ ok: false, checks: { throws: "refused", hangs: "no answer in time" } });
  } finally {
    vi.useRealTimers();
  }
});

test("while stopping it is alive and not ready", async () => {
  const health = createHealth([]);
  health.stopping();
  expect((await health.ready()).ok).toBe(false);
  expect(health.live().ok).toBe(true);
});

test("a dead dependency is no reason to be restarted, a blocked event loop is", () => {
  let nowMs = 0;
  const health = createHealth([{ name: "database", check: async () => "away" }], () => nowMs);
  expect(health.live().ok).toBe(true);
  nowMs = 11_000;
  expect(health.live().ok).toBe(false);
});

test("no slice of a process is ready before all are, and each says whom it waits for", async () => {
  let broken: string | undefined;
  const roster = createRoster(["orders", "inventory"]);
  const database = { name: "database", check: async () => undefined };
  const stock = { name: "stock", check: async () => broken };
  const [orders, inventory] = [createHealth([database]), createHealth([stock])];
  const probed = createHealth([database, roster.checkOf("orders")]);
  const said = async () => (await probed.ready()).checks.slices;

  expect(await probed.ready()).toEqual({
    ok: false,
    checks: { database: "ok", slices: "orders has not started" },
  });
  roster.joined("orders", orders);
  expect(await said()).toBe("inventory has not started");
  roster.joined("inventory", inventory);
  expect(await probed.ready()).toEqual({ ok: true, checks: { database: "ok", slices: "ok" } });
  broken = "still being counted";
  expect(await said()).toBe("inventory is not ready: stock: still being counted");
  broken = undefined;
  inventory.stopping();
  expect(await said()).toBe("inventory is not ready: process: stopping");
});
