import { expect, test } from "vitest";
import { createProgress } from "../local/progress.ts";
import { failuresOf, toText } from "./report.ts";
import { runSoak } from "./run.ts";

/** The short form of `npm run soak`: few kills, and no floor, because machines differ. */
test("a cell with two replicas keeps its promises while stores and services are killed", {
  timeout: 900_000,
}, async () => {
  const said: string[] = [];
  const result = await runSoak({
    ...{
      minutes: 0.15,
      seed: 20_261_121,
      hits: 1,
      points: 2,
      callers: 6,
      couriers: 6,
      hands: 6,
      maxOpen: 20,
      fsync: false,
    },
    ...{ kinds: ["redis wiped", "postgresql", "service a"], gapMs: [1_000, 3_000] },
    progress: createProgress({ stream: { write: (text) => said.push(text) } }),
    signal: new AbortController().signal,
  });
  expect(failuresOf(result, 0), `${said.join("")}\n${toText(result, 0)}`).toEqual([]);
  expect(result.accepted).toBeGreaterThan(0);
});
