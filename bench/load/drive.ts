import { createLot } from "../../platform/testing/lot.ts";
import { gapsMs } from "./random.ts";

/** One call of what is measured; false when it was refused. Anything that is wrong throws, and there is no figure. */
export type Operation = () => Promise<boolean>;

/** How many calls a number of callers got through who each wait for their answer before they call again. */
export interface Throughput {
  readonly perSecond: number;
  /** All calls that were carried out, those of the warm-up included: what the books must show. */
  readonly accepted: number;
  readonly refused: number;
}

/** Latencies of calls that were sent at their time, whether earlier ones had been answered or not. */
export interface Latencies {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly accepted: number;
  readonly refused: number;
}

const TOO_SHORT = "The time was too short for a single call: measure for longer.";

/** Calls from `callers` loops for a warm-up and then for the time that counts. */
export async function closedLoop(
  operation: Operation,
  options: { readonly callers: number; readonly durationMs: number; readonly warmUpMs: number },
): Promise<Throughput> {
  const startMs = performance.now() + options.warmUpMs;
  const endMs = startMs + options.durationMs;
  let accepted = 0;
  let refused = 0;
  let counted = 0;
  let failed = false;
  const caller = async () => {
    while (!failed && performance.now() < endMs) {
      const done = await operation();
      if (done) accepted++;
      else refused++;
      const nowMs = performance.now();
      if (done && nowMs >= startMs && nowMs < endMs) counted++;
    }
  };
  const callers = Array.from({ length: options.callers }, () =>
    caller().catch((error: unknown) => {
      failed = true;
      throw error;
    }),
  );
  await throwFirst(callers);
  if (counted === 0 && refused === 0) throw new Error(TOO_SHORT);
  return { perSecond: (counted / options.durationMs) * 1000, accepted, refused };
}

/**
 * Sends calls at a rate, at random moments that are the same for one seed, and measures each from the moment at which it was to be
 * sent. So a stall counts for every call that it held up, also for those that could not even be sent. A call that is refused
 * counts as one that waited until the end.
 */
export async function openLoop(
  operation: Operation,
  options: { readonly perSecond: number; readonly durationMs: number; readonly seed: number },
): Promise<Latencies> {
  const gap = gapsMs(options.perSecond, createLot(options.seed));
  const startMs = performance.now();
  const endMs = startMs + options.durationMs;
  const latencies: number[] = [];
  let refused = 0;
  let underWay = 0;
  let failure: unknown;
  let finished = () => {};
  const settled = () => {
    underWay--;
    if (underWay === 0) finished();
  };
  const send = (atMs: number) => {
    underWay++;
    operation()
      .then((done) => {
        if (done) latencies.push(performance.now() - atMs);
        else refused++;
      })
      .catch((error: unknown) => {
        failure ??= error;
      })
      .finally(settled);
  };
  let nextMs = startMs + gap();
  while (nextMs < endMs && failure === undefined) {
    const nowMs = performance.now();
    for (; nextMs <= nowMs && nextMs < endMs; nextMs += gap()) send(nextMs);
    // A timer is late by up to a millisecond, and that counts. Spinning instead would take a core from the stores.
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, Math.floor(nextMs - performance.now()))));
  }
  if (underWay > 0)
    await new Promise<void>((resolve) => {
      finished = resolve;
    });
  if (failure !== undefined) throw failure;
  const accepted = latencies.length;
  if (accepted + refused === 0) throw new Error(TOO_SHORT);
  for (let index = 0; index < refused; index++) latencies.push(options.durationMs);
  const at = ranks(latencies);
  return {
    perSecond: (accepted / options.durationMs) * 1000,
    ...{ p50Ms: at(0.5), p95Ms: at(0.95), p99Ms: at(0.99), maxMs: at(1), accepted, refused },
  };
}

/** Nearest-rank quantiles of a sample. */
export function ranks(values: readonly number[]): (share: number) => number {
  const sorted = Float64Array.from(values).sort();
  return (share) => sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)] ?? Number.NaN;
}

/** Waits for all, also after one has failed, so that nothing goes on in the background. */
async function throwFirst(work: readonly Promise<void>[]): Promise<void> {
  const failed = (await Promise.allSettled(work)).find((one) => one.status === "rejected");
  if (failed) throw failed.reason;
}
