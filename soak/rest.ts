import type { Progress } from "../local/progress.ts";
import { type Rest, readRest } from "./books.ts";
import type { SoakCenter } from "./center.ts";
import type { Client } from "./client.ts";
import { nowAndThen, pause } from "./time.ts";

/** Nothing has come nearer to its end for so long: it never will. */
const STUCK_MS = 120_000;

/**
 * Waits until nothing is under way and the hold store has forgotten its holds, for as long as less and less is under way. Answers what has
 * not come to rest.
 */
export async function untilRest(
  center: SoakCenter,
  client: Client,
  skus: readonly string[],
  progress: Progress,
): Promise<Rest | undefined> {
  const note = nowAndThen(progress.note);
  let rest: Rest | undefined;
  let least = Number.POSITIVE_INFINITY;
  for (let nearerAtMs = performance.now(); performance.now() < nearerAtMs + STUCK_MS; await pause(500)) {
    rest = await readRest(center.sql).catch(() => rest);
    if (rest === undefined) continue;
    const left = Object.values(rest).reduce((sum, count) => sum + count, 0);
    note(`not at their end: ${namesOf(rest)}`);
    // What only comes and goes is no way to an end.
    if (left < least) nearerAtMs = performance.now();
    least = Math.min(least, left);
    if (left === 0 && (await areHoldsForgotten(client, skus))) return undefined;
  }
  return rest;
}

/** `12 orders, 3 pickLists`, without what there is none of. */
function namesOf(rest: Rest): string {
  const counted = Object.entries(rest).filter(([, count]) => count > 0);
  return counted.map(([name, count]) => `${count} ${name}`).join(", ") || "a hold or two";
}

async function areHoldsForgotten(client: Client, skus: readonly string[]): Promise<boolean> {
  const path = `/v1/stock?sku=${skus.join(",")}`;
  const ask = { sub: "u-staff", role: "staff", method: "GET", path } as const;
  const { status, body } = await client.ask("inventory", ask);
  return status === 200 && body.stock.every(({ reserved }: { reserved: number }) => reserved === 0);
}
