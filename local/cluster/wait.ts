import { setTimeout as sleep } from "node:timers/promises";
import { ClusterError, interrupted, messageOf } from "./errors.ts";
import { isAlive, type ProcessRecord, tail } from "./process.ts";

export interface WaitOptions {
  /** Completes the sentence "... did not happen within". */
  readonly what: string;
  readonly boundMs: number;
  readonly everyMs?: number;
  /** Processes without which it can not happen: the wait ends as soon as one of them has ended. */
  /** Ends the wait when it is aborted. */
  readonly signal?: AbortSignal | undefined;
  readonly needs?: readonly ProcessRecord[];
  /** True when it has happened; a thrown error counts as "not yet" and is told at the end. */
  readonly check: () => Promise<boolean>;
}

/** Waits for something to become true, and when it does not, says which part failed and shows its last words. */
export async function waitUntil(options: WaitOptions): Promise<void> {
  const deadline = performance.now() + options.boundMs;
  let last = "";
  for (;;) {
    if (options.signal?.aborted) throw interrupted();
    for (const record of options.needs ?? []) {
      if (!isAlive(record)) {
        throw new ClusterError(
          "component-exited",
          `${record.name} ended by itself; ${tail(record.logPath, 15)}`,
        );
      }
    }
    try {
      if (await options.check()) return;
      last = "";
    } catch (error) {
      last = ` (${messageOf(error)})`;
    }
    if (performance.now() > deadline) {
      const seconds = Math.round(options.boundMs / 1000);
      const logs = (options.needs ?? []).map((record) => tail(record.logPath, 15)).join("\n");
      throw new ClusterError(
        "not-ready",
        `${options.what} did not happen within ${seconds} s${last}; ${logs}`,
      );
    }
    await sleep(options.everyMs ?? 100);
  }
}
