import { readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { isAlive, type ProcessRecord, signalProcess, stopProcess } from "../cluster/process.ts";

/** A store that is asked to end writes its buffers first. */
const GRACE_MS = 20_000;

/** The processes that were started in a folder, running or not. */
export function readRecords(dir: string): readonly ProcessRecord[] {
  try {
    const records = JSON.parse(readFileSync(join(dir, "pids.json"), "utf8")) as unknown;
    return Array.isArray(records) ? (records as ProcessRecord[]) : [];
  } catch {
    return [];
  }
}

/** Replaces the list in one step: a reader sees the old one or the new one. */
export function writeRecords(dir: string, records: readonly ProcessRecord[]): void {
  const path = join(dir, "pids.json");
  writeFileSync(`${path}.next`, `${JSON.stringify(records, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${path}.next`, path);
}

/** Ends the processes that a folder's list names, if they still are the ones that were recorded; waits for them. */
export async function stopRecorded(dir: string): Promise<boolean> {
  const running = readRecords(dir).filter(isAlive);
  await Promise.all(running.map(endGently));
  rmSync(join(dir, "pids.json"), { force: true });
  return running.length > 0;
}

/** PostgreSQL waits for its clients at SIGTERM and ends them at SIGINT ("fast shutdown"). */
async function endGently(record: ProcessRecord): Promise<void> {
  signalProcess(record, record.name === "postgresql" ? "SIGINT" : "SIGTERM");
  const deadline = performance.now() + GRACE_MS;
  while (isAlive(record) && performance.now() < deadline) await sleep(25);
  await stopProcess(record, 0);
}
