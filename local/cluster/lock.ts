import { linkSync, mkdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { ClusterError } from "./errors.ts";
import { isAlive, startTicksOf } from "./process.ts";

interface Holder {
  readonly pid: number;
  readonly startTicks: number;
}

const WRITE_BOUND_MS = 5_000;

/**
 * Runs `work` while no other process holds the lock at `path`. A lock whose holder has died is taken over.
 * @param boundMs how long to wait for another holder before giving up
 */
export async function withLock<T>(
  path: string,
  what: string,
  boundMs: number,
  work: () => Promise<T>,
): Promise<T> {
  mkdirSync(dirname(path), { recursive: true });
  const deadline = performance.now() + boundMs;
  for (;;) {
    const holder = takeOrReadHolder(path);
    if (holder === "mine") break;
    if (performance.now() > deadline) {
      throw new ClusterError(
        "busy",
        `Process ${holder?.pid ?? "?"} is busy with ${what}: wait for it to end, then run again.`,
      );
    }
    await sleep(250);
  }
  try {
    return await work();
  } finally {
    rmSync(path, { force: true });
  }
}

function takeOrReadHolder(path: string): "mine" | Holder | undefined {
  const me: Holder = { pid: process.pid, startTicks: startTicksOf(process.pid) ?? 0 };
  try {
    writeFileSync(path, JSON.stringify(me), { flag: "wx" });
    return "mine";
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") throw error;
  }
  const holder = readHolder(path);
  // The same process may ask twice at once (two clusters started together): it is alive, so the second waits.
  if (holder === undefined ? !isAbandoned(path) : isAlive(holder)) return holder;
  clear(path);
  return takeOrReadHolder(path);
}

/** True for a file without a holder that is too old to be one that is being written now. */
function isAbandoned(path: string): boolean {
  try {
    return Date.now() - statSync(path).mtimeMs > WRITE_BOUND_MS;
  } catch {
    return false;
  }
}

/** Two that find the same dead holder must not both remove: the later one would remove the lock of the earlier. */
function clear(path: string): void {
  const aside = `${path}.${process.pid}`;
  try {
    renameSync(path, aside);
    const holder = readHolder(aside);
    if (holder !== undefined && isAlive(holder)) linkSync(aside, path);
  } catch {
    // Somebody else was faster; the next look tells who.
  } finally {
    rmSync(aside, { force: true });
  }
}

function readHolder(path: string): Holder | undefined {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Holder;
  } catch {
    return undefined;
  }
}
