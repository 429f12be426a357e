import { glob, mkdir, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import { parseArgs } from "node:util";
import { startApiServer, stopApiServer } from "../cluster/apiserver.ts";
import { ensureBinaries } from "../cluster/binaries.ts";
import { stopCluster } from "../cluster/down.ts";
import { messageOf } from "../cluster/errors.ts";
import { createProgress, type Progress } from "../progress.ts";
import { preflight } from "../setup/preflight.ts";
import { ensureSystemPackages } from "../setup/system.ts";
import { goOnUnless } from "../stop.ts";
import { ensureKafka } from "../stores/kafkajars.ts";
import { startStores, storesEnvironment } from "../stores/stores.ts";
import { integrationLanes } from "./lanes.ts";
import { type Count, runCheck, runProject, sum } from "./run.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const PARTS = ["checks", "unit", "integration", "cluster"] as const;
type Part = (typeof PARTS)[number];

/** The clusters that tests make; removed at the end, whatever happened. */
const TEST_CLUSTERS = [1, 2, 3, 4, 5];

const stopping = new AbortController();
for (const name of ["SIGINT", "SIGTERM"] as const) process.once(name, () => stopping.abort());
const { signal } = stopping;

async function main(progress: Progress): Promise<Count> {
  const { values } = parseArgs({ options: { only: { type: "string" } } });
  if (values.only !== undefined && !PARTS.includes(values.only as Part))
    throw new Error(`--only takes one of ${PARTS.join(", ")}.`);
  const parts: readonly Part[] = values.only === undefined ? PARTS : [values.only as Part];
  const needsStores = parts.includes("integration");
  const needsCluster = needsStores || parts.includes("cluster");
  const counts: Count[] = [];

  if (needsCluster) {
    const checked = await preflight({ kubernetes: true });
    if (!checked.ok) throw new Error(checked.problems.map(({ message }) => message).join("\n"));
    const installed = await ensureSystemPackages(progress, ["stores", "cluster"]);
    if (!installed.ok) throw new Error(installed.message);
  }
  if (parts.includes("checks")) counts.push(...(await checks(progress)));
  if (parts.includes("unit")) counts.push(await runProject(progress, ROOT, "unit", { signal }));
  goOnUnless(signal);
  if (needsCluster) await Promise.all([ensureBinaries(progress), ensureKafka(progress)]);
  if (needsStores) counts.push(await integration(progress));
  goOnUnless(signal);
  if (parts.includes("cluster")) counts.push(await cluster(progress));
  return sum(counts);
}

async function checks(progress: Progress): Promise<Count[]> {
  const counts: Count[] = [];
  for (const [title, why, program, args] of [
    ["Check types", "tsc, nothing is written", "tsc", ["--noEmit"]],
    ["Check style", "biome: format and lint", "biome", ["check"]],
  ] as const)
    counts.push(await runCheck(progress, ROOT, { title, why, program, args }));
  return counts;
}

async function integration(progress: Progress): Promise<Count> {
  const dir = join("/tmp", `fulfillment-cells-tests-${process.pid}`);
  // Tests make their own folders in here, so that what a test that was ended leaves running can be found.
  const scratch = join(dir, "tmp");
  await mkdir(scratch, { recursive: true });
  const stores = await startStores({ dir: join(dir, "stores"), report: progress });
  try {
    const api = await startApiServer({ dir: join(dir, "apiserver"), report: progress, auditLog: true });
    try {
      const { kubectl } = await ensureBinaries(progress);
      const env = {
        ...storesEnvironment(stores),
        TEST_KUBECONFIG: api.kubeconfigPath,
        TEST_KUBECTL: kubectl,
        TMPDIR: scratch,
        TEST_LOG_LEVEL: "error",
        ...(api.auditLogPath === undefined ? {} : { TEST_AUDIT_LOG: api.auditLogPath }),
      };
      const lanes = await integrationLanes(ROOT);
      const runs = lanes.map((lane) => runProject(progress, ROOT, "integration", { env, lane, signal }));
      return sum(await Promise.all(runs));
    } finally {
      await api.stop();
    }
  } finally {
    await stores.stop();
    for await (const state of glob("*/server/state.json", { cwd: scratch }))
      await stopApiServer(join(scratch, dirname(state)));
    await rm(dir, { recursive: true, force: true });
  }
}

async function cluster(progress: Progress): Promise<Count> {
  try {
    return await runProject(progress, ROOT, "cluster", { signal });
  } finally {
    for (const index of TEST_CLUSTERS) await stopCluster(index);
  }
}

const progress = createProgress({ stream: process.stderr });
try {
  const { passed, failed } = await main(progress);
  progress.done(failed === 0 ? "Everything passed." : "Something failed; it is named above.");
  process.stdout.write(`${passed} passed, ${failed} failed\n`);
  process.exitCode = failed === 0 && passed > 0 ? 0 : 1;
} catch (error) {
  progress.fail(messageOf(error));
  process.stdout.write("0 passed, 1 failed\n");
  process.exitCode = 1;
}
