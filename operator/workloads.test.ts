import { expect, it } from "vitest";
import { rolloutOf } from "./workloads.ts";

const deployment = (replicas: number) => ({
  ...{
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "cell", generation: 2 },
    spec: { replicas },
  },
  status: { observedGeneration: 2, replicas: 1, updatedReplicas: 1, readyReplicas: 1, availableReplicas: 1 },
});

it("a workload that somebody has scaled is not complete, whatever it still counts", () => {
  expect(rolloutOf(deployment(1), deployment(1)).complete).toBe(true);
  expect(rolloutOf(deployment(0), deployment(1)).complete).toBe(false);
  // Without a wish of its own it is measured by what it is.
  expect(rolloutOf(deployment(1)).complete).toBe(true);
});
