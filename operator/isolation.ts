import type { Condition, KubeObject } from "../platform/kube/objects.ts";
import { type IsolationResult, parseIsolationResult } from "./api/isolation-result.ts";
import { LABELS } from "./api/names.ts";
import type { Cell } from "./build/cell.ts";
import { ISOLATION_PROBE } from "./build/probe.ts";
import { done, type StepState, unknown, waiting } from "./errors.ts";
import { find, type Observed } from "./observed.ts";
import { endedAtMs, lastWords } from "./workloads.ts";

/** Where isolation is required, a probe without proof is repeated after this long: somebody may have acted. */
const REPEAT_MS = 300_000;

/** What is known of a cell's isolation. */
export interface Isolation {
  /** Name of the Job that tries it. */
  readonly job: string;
  /** What that Job has found; undefined until it has ended. */
  readonly result: IsolationResult | undefined;
  /** True when the Job has ended without a word that we know. */
  readonly silent: boolean;
  /** The condition from before. */
  readonly known: Condition | undefined;
}

/** Reads what the Job has found so far. */
export function isolationOf(job: KubeObject, observed: Observed, known: Condition | undefined): Isolation {
  const live = find(observed, "Job", job.metadata.name);
  const ended = live !== undefined && endedAtMs(live) !== undefined;
  const result = ended ? lastWords(live, observed.pods, parseIsolationResult) : undefined;
  return { job: job.metadata.name, result, silent: ended && result === undefined, known };
}

/** True for the Jobs of the probe: a failed one is not repeated as others are. */
export function isIsolationJob(object: KubeObject): boolean {
  return object.kind === "Job" && object.metadata.labels?.[LABELS.component] === ISOLATION_PROBE;
}

/**
 * A probe that found no proof although isolation is required, when its turn to be repeated has come, and how long that
 * takes. Elsewhere a probe is made again only when what it depends on has changed: an idle cell writes nothing.
 */
export function repeatedProbe(
  cell: Cell,
  { job, result, silent }: Isolation,
  observed: Observed,
  nowMs: number,
): { readonly due: readonly KubeObject[]; readonly nextMs: number | undefined } {
  const live = find(observed, "Job", job);
  const endMs = live === undefined ? undefined : endedAtMs(live);
  const proved = result?.isolation === "Denied" || (result === undefined && !silent);
  if (cell.spec.isolation.networkPolicy !== "Required" || live === undefined || endMs === undefined || proved)
    return { due: [], nextMs: undefined };
  const leftMs = endMs + REPEAT_MS - nowMs;
  return leftMs <= 0 ? { due: [live], nextMs: undefined } : { due: [], nextMs: leftMs };
}

/** Whether packets have shown that the cell is isolated. While a new probe runs, the last answer stands. */
export function isolatedStep(cell: Cell, isolation: Isolation): StepState {
  const { result, silent, known, job } = isolation;
  if (result !== undefined) return judged(cell, result, job);
  if (silent)
    return unknown(
      "NotProbed",
      `The probe ended without an answer; see kubectl -n ${cell.namespace} logs job/${job}. Delete that Job to have it repeated.`,
    );
  if (known !== undefined && known.status !== "Unknown") {
    const { reason, message } = known;
    return known.status === "True" ? done(reason, message) : waiting(reason, message);
  }
  return unknown("NotProbed", "A probe tries to leave the cell once its services run; no action needed.");
}

function judged(cell: Cell, result: IsolationResult, job: string): StepState {
  const required = cell.spec.isolation.networkPolicy === "Required";
  const again = required
    ? "It is tried again every 5 minutes."
    : `Delete Job ${job} in ${cell.namespace} to have it tried again.`;
  const { denied, cells } = result;
  switch (result.isolation) {
    case "Denied":
      return done(
        "Denied",
        `A probe reached its own cache and nothing else: ${denied} of ${denied} other attempts were denied, ${cells === 0 ? "with no other cell there" : `also those at ${countOf(cells, "other cell")}`}.`,
      );
    case "Reachable":
      return waiting(
        "Reachable",
        `A probe reached what it must not: ${result.reached.join(", ")}; look for policies that somebody added, and at the network plugin. ${again}`,
      );
    case "NotEnforced":
      return unknown(
        "NotEnforced",
        `No packet was denied (${result.reached.length > 0 ? `reached ${result.reached.join(", ")}` : "nothing was tried"}): install a network plugin that enforces policies${required ? ", or set isolation.networkPolicy to Declared" : ""}. ${again}`,
      );
    case "Inconclusive":
      return unknown(
        "NotProbed",
        `The probe could not tell a policy from a part that is away: ${result.unclear.join(", ")}. ${again}`,
      );
  }
}

function countOf(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? "" : "s"}`;
}
