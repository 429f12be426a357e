import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Report } from "../../local/cluster/report.ts";
import { startStores, stopStores, storesEnvironment } from "../../local/stores/stores.ts";

/**
 * Starts stores of this run's own, which wait for the disk, and points this process at them; the result removes them again. Those
 * that the environment names already are used as they are; what a contender says of itself tells whether they wait for the disk.
 */
export async function startBenchStores(report: Report): Promise<() => Promise<void>> {
  if (process.env.TEST_DATABASE_URL !== undefined) return () => Promise.resolve();
  const dir = mkdtempSync(join(tmpdir(), "bench-stores-"));
  const remove = async () => {
    await stopStores(dir);
    rmSync(dir, { recursive: true, force: true });
  };
  try {
    Object.assign(process.env, storesEnvironment(await startStores({ dir, report, fsync: true })));
  } catch (error) {
    await remove();
    throw error;
  }
  return remove;
}
