import { defineConfig } from "vitest/config";

/** Three projects: unit is pure, integration needs the stores that the run starts, cluster the local Kubernetes. */
export default defineConfig({
  test: {
    projects: [
      {
        test: { name: "unit", include: ["**/*.test.ts"], exclude: ["node_modules/**"], testTimeout: 20_000 },
      },
      {
        test: {
          name: "integration",
          include: ["**/*.itest.ts"],
          exclude: ["node_modules/**"],
          testTimeout: 120_000,
          hookTimeout: 180_000,
          fileParallelism: false,
        },
      },
      {
        test: {
          name: "cluster",
          include: ["**/*.etest.ts"],
          exclude: ["node_modules/**"],
          testTimeout: 900_000,
          hookTimeout: 900_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
