import { setTimeout as pause } from "node:timers/promises";

/** Waits until `holds`; throws with `what` after a generous deadline, so that a hang becomes a sentence. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  deadlineMs = 15_000,
): Promise<void> {
  const endMs = performance.now() + deadlineMs;
  while (!(await holds())) {
    if (performance.now() > endMs) throw new Error(`waited ${deadlineMs} ms in vain: ${what}`);
    await pause(5);
  }
}
