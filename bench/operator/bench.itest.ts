import { expect, it } from "vitest";
import { createProgress } from "../../local/progress.ts";
import { NEIGHBOURS } from "../../operator/neighbours.ts";
import { runOperatorBench } from "./bench.ts";

it("brings centers to Ready with kwok, and counts what that asks of the API server", async () => {
  const centers = 3;
  const { figures, rows } = await runOperatorBench({
    centers,
    workers: 8,
    idleSeconds: 2,
    quietMs: 1_500,
    peer: "none",
    progress: createProgress({ stream: { write: () => true } }),
    signal: AbortSignal.timeout(600_000),
  });
  const [ours] = figures;
  if (ours === undefined) throw new Error("there are no figures");
  const { objectsPerCenter, calls, idle, restart, eventToWriteMs, neighbours } = ours;
  expect({ idle: [idle.writes, idle.lists], afterRestart: restart.writes }).toEqual({
    idle: [0, 0],
    afterRestart: 0,
  });
  const created = Object.entries(calls)
    .filter(([call]) => call.startsWith("create ") && call !== "create events")
    .reduce((sum, [, count]) => sum + count, 0);
  // The first three of a fleet and the one that warms up try each other again as each of them comes; no later one does.
  expect(created).toBeGreaterThanOrEqual(centers * objectsPerCenter);
  expect(created).toBeLessThanOrEqual(centers * objectsPerCenter + 4 * NEIGHBOURS);
  expect(eventToWriteMs.count).toBe(centers);
  expect(neighbours.besideBroken.count).toBe(neighbours.alone.count);
  expect(rows.filter(({ ok }) => ok === false)).toEqual([]);
}, 600_000);
