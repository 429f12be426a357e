import { expect, it } from "vitest";
import { exploreFlow } from "./exhaustive.ts";
import { createExplorer } from "./explore.ts";

it("comes to the same end, whatever happens at whichever API call", { timeout: 600_000 }, async () => {
  const { calls, covered, runs, failures } = await exploreFlow(createExplorer(), "update");
  console.log(`update: ${calls} calls, ${covered} faults in ${runs} different runs`);
  expect(failures).toEqual([]);
  expect(covered).toBe(calls * 7);
});
