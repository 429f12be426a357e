import type { Condition, KubeObject } from "../platform/kube/objects.ts";
import { type IsolationResult, parseIsolationResult } from "./api/isolation-result.ts";
import { LABELS } from "./api/names.ts";
import type { Cell } from "./build/cell.ts";
import { ISOLATION_PROBE } from "./build/probe.ts";
import { done, type StepState, unknown, waiting } from "./errors.ts";
import { find, type Observed } from "./observed.ts";
import { endedAtMs, endedWell, lastWords, podsOfJob } from "./workloads.ts";

/** Where isolation is required, a probe without proof is repeated after this long: somebody may have acted. */
const REPEAT_MS = 300_000;
/** A probe that ended without an answer is repeated after this long, then after twice as long, up to REPEAT_MS. */
const SILENT_MS = 10_000;

/** What is known of a cell's isolation. */
export interface Isolation {
  /** Name of the Job that tries it. */
  readonly job: string;
  /** What that Job has found; undefined until it has ended. */
  readonly result: IsolationResult | undefined;
  /** True when the Job has ended without a word that we know. */
  readonly silent: boolean;
  /** True when a silent Job ended well: its probe had an answer, and its pod was gone before anybody read it. */
  readonly answered: boolean;
  /** The condition from before. */
  readonly known: Condition | undefined;
}

/** Reads what the Job has found so far. */
export function isolationOf(job: KubeObject, observed: Observed, known: Condition | undefined): Isolation {
  const live = find(observed, "Job", job.metadata.name);
  const ended = live !== undefined && endedAtMs(live) !== undefined;
  const result = ended ? lastWords(live, observed.pods, parseIsolationResult) : undefined;
  const silent = ended && result === undefined;
  const answered = silent && endedWell(live) && podsOfJob(live, observed.pods).length === 0;
  return { job: job.metadata.name, result, silent, answered, known };
}

/**
 * The Job whose turn it is: `first`, or the repetition after one that ended without an answer, because its pods were
 * killed or went with their node. Repetitions are counted in their names: nothing else outlives a restart of the operator.
 */
export function probeInTurn(first: KubeObject, observed: Observed, nowMs: number): KubeObject {
  const newest = newestProbe(first, observed);
  const due = newest !== undefined && isSilent(newest.job, observed) && silentLeftMs(newest, nowMs) <= 0;
  const attempt = (newest?.attempt ?? 0) + (due ? 1 : 0);
  if (attempt === 0) return first;
  return { ...first, metadata: { ...first.metadata, name: `${first.metadata.name}-${attempt}` } };
}

interface Probe {
  readonly job: KubeObject;
  /** How often it was repeated before. */
  readonly attempt: number;
}

function newestProbe(first: KubeObject, observed: Observed): Probe | undefined {
  const { name } = first.metadata;
  const probes = observed.objects.flatMap((job): Probe[] => {
    if (!isIsolationJob(job)) return [];
    if (job.metadata.name === name) return [{ job, attempt: 0 }];
    const [, attempt] = /^-([1-9]\d{0,8})$/.exec(job.metadata.name.slice(name.length)) ?? [];
    return attempt !== undefined && job.metadata.name.startsWith(name)
      ? [{ job, attempt: Number(attempt) }]
      : [];
  });
  return probes.sort((a, b) => b.attempt - a.attempt)[0];
}

function isSilent(job: KubeObject, observed: Observed): boolean {
  return endedAtMs(job) !== undefined && lastWords(job, observed.pods, parseIsolationResult) === undefined;
}

function silentLeftMs({ job, attempt }: Probe, nowMs: number): number {
  const waitMs = Math.min(SILENT_MS * 2 ** Math.min(attempt, 10), REPEAT_MS);
  return (endedAtMs(job) ?? nowMs) + waitMs - nowMs;
}

/** True for the Jobs of the probe: a failed one is not repeated as others are. */
export function isIsolationJob(object: KubeObject): boolean {
  return object.kind === "Job" && object.metadata.labels?.[LABELS.component] === ISOLATION_PROBE;
}

/**
 * A probe that found no proof although isolation is required, when its turn to be repeated has come, and how long that
 * takes; or how long it takes until a silent one is repeated. A probe that has answered is made again elsewhere only
 * when what it depends on has changed: an idle cell writes nothing.
 */
export function repeatedProbe(
  cell: Cell,
  first: KubeObject,
  { job, result, silent }: Isolation,
  observed: Observed,
  nowMs: number,
): { readonly due: readonly KubeObject[]; readonly nextMs: number | undefined } {
  const live = find(observed, "Job", job);
  const endMs = live === undefined ? undefined : endedAtMs(live);
  if (live === undefined || endMs === undefined) return { due: [], nextMs: undefined };
  if (silent) {
    const newest = newestProbe(first, observed);
    return { due: [], nextMs: newest === undefined ? undefined : silentLeftMs(newest, nowMs) };
  }
  if (cell.spec.isolation.networkPolicy !== "Required" || result?.isolation === "Denied")
    return { due: [], nextMs: undefined };
  const leftMs = endMs + REPEAT_MS - nowMs;
  return leftMs <= 0 ? { due: [live], nextMs: undefined } : { due: [], nextMs: leftMs };
}

/**
 * Whether packets have shown that the cell is isolated. While a new probe runs, the last answer stands; so it does when
 * the pod of one that ended well is gone, until that is repeated.
 */
export function isolatedStep(cell: Cell, isolation: Isolation): StepState {
  const { result, silent, answered, known, job } = isolation;
  if (result !== undefined) return judged(cell, result, job);
  if (silent && !answered)
    return unknown(
      "NotProbed",
      `The probe ended without an answer, as when its pods are killed; see kubectl -n ${cell.namespace} describe job/${job}. It is tried again by itself: after 10 s, then after twice as long each time, after 5 minutes at most.`,
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
