import { defineConfig } from "vitest/config";

/** Three projects: unit is pure, integration needs the stores that the run starts, cluster the local Kubernetes. */
export default defineConfig({
  test: {
    projects: [
      {
        test: {
          name: "unit",
          include: ["**/*.test.ts"],
          exclude: ["**/node_modules/**"],
          testTimeout: 20_000,
          // Pure tests change nothing that the next file could see; a process for each file costs more than all of them.
          isolate: false,
          // A few of them wait for real timers.
          maxWorkers: 3,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          name: "integration",
          include: ["**/*.itest.ts"],
          exclude: ["**/node_modules/**"],
          testTimeout: 120_000,
          hookTimeout: 180_000,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          name: "cluster",
          include: ["**/*.etest.ts"],
          exclude: ["**/node_modules/**"],
          testTimeout: 900_000,
          hookTimeout: 900_000,
          fileParallelism: false,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
