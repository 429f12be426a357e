import { writeFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { type Knocked, knock } from "../platform/knock.ts";
import { errorText } from "../platform/log.ts";

/**
 * What an attempt is for. `control` must connect. `egress` is open at its end and closed at ours, `ingress` the other
 * way round, and `cells` are the stores and services of other cells, which have to keep us out themselves.
 */
export type AttemptKind = "control" | "egress" | "ingress" | "cells";

export interface Attempt {
  readonly kind: AttemptKind;
  readonly host: string;
  readonly port: number;
}

export interface Tried extends Attempt {
  /** `refused` and `unresolved` prove nothing. */
  readonly outcome: Knocked;
}

/** What the operator reads from the pod's termination message. */
export interface IsolationReport {
  readonly isolation: "Denied" | "Reachable" | "NotEnforced" | "Inconclusive";
  readonly denied: number;
  readonly cells: number;
  readonly reached: readonly string[];
  readonly unclear: readonly string[];
}

/** How often and how long the probe tries, in ms. */
export interface Patience {
  /** Longer than the second after which a lost first packet is sent again. */
  readonly connectMs: number;
  readonly pauseMs: number;
  /** An answer that may be of the moment, as while rules are being written, is asked for again. */
  readonly tries: number;
  readonly controlTries: number;
}

const PATIENCE: Patience = { connectMs: 2_500, pauseMs: 1_000, tries: 5, controlTries: 30 };
const MAX_ATTEMPTS = 64;
/** A termination message holds 4 KiB. */
const MAX_NAMED = 8;

/** Reads one word of the command: kind:host:port. */
export function parseAttempt(word: string): Attempt {
  const [, kind, host, port] =
    /^(control|egress|ingress|cells):([A-Za-z0-9.:-]+):(\d{1,5})$/.exec(word) ?? [];
  if (kind === undefined || host === undefined || Number(port) < 1 || Number(port) > 65_535)
    throw new Error(`${word} is no attempt: say control, egress, ingress or cells, then :host:port`);
  return { kind: kind as AttemptKind, host, port: Number(port) };
}

/**
 * Decides what the outcomes prove. Silence counts only beside a control that answered, and each direction and each kind
 * of store must have been silent at least once: a part that is away refuses, and so proves nothing.
 */
export function judgeIsolation(tried: readonly Tried[]): IsolationReport {
  const [control] = tried.filter(({ kind }) => kind === "control");
  const others = tried.filter(({ kind }) => kind !== "control");
  const named = (some: readonly Tried[]) =>
    some.map(({ host, port }) => `${host}:${port}`).slice(0, MAX_NAMED);
  const denied = others.filter(({ outcome }) => outcome === "denied");
  const reached = others.filter(({ outcome }) => outcome === "connected");
  const unclear = others.filter(({ outcome }) => outcome === "refused" || outcome === "unresolved");
  const cells = new Set(others.filter(({ kind }) => kind === "cells").map(cellOf)).size;
  const report = { denied: denied.length, cells, reached: named(reached), unclear: named(unclear) };
  if (control?.outcome !== "connected")
    return { ...report, isolation: "Inconclusive", unclear: named(control === undefined ? [] : [control]) };
  if (reached.length > 0) return { ...report, isolation: denied.length === 0 ? "NotEnforced" : "Reachable" };
  const open = new Set(others.map(proofOf));
  for (const one of denied) open.delete(proofOf(one));
  const isWhole = ["egress", "ingress"].every((kind) => denied.some((one) => one.kind === kind));
  return { ...report, isolation: isWhole && open.size === 0 ? "Denied" : "Inconclusive" };
}

function cellOf({ host }: Attempt): string {
  return host.slice(host.indexOf(".") + 1);
}

/** Attempts that can stand for each other: one service of a cell for its seven, a store only for itself. */
function proofOf(attempt: Attempt): string {
  const service = attempt.host.split(".")[0] ?? "";
  const store = service === "database" || service === "cache" ? service : "service";
  return attempt.kind === "cells" ? `${cellOf(attempt)} ${store}` : attempt.kind;
}

/** Tries everything at once, as soon as the control has answered. */
export async function probeIsolation(
  attempts: readonly Attempt[],
  patience: Patience = PATIENCE,
): Promise<IsolationReport> {
  const run = async (attempt: Attempt, tries: number, wanted: Knocked): Promise<Tried> => {
    let outcome = await knock(attempt, patience.connectMs);
    for (let count = 1; count < tries && outcome !== wanted; count++) {
      await sleep(patience.pauseMs);
      outcome = await knock(attempt, patience.connectMs);
    }
    return { ...attempt, outcome };
  };
  const controls = attempts.filter(({ kind }) => kind === "control");
  const others = attempts.filter(({ kind }) => kind !== "control");
  const control = await Promise.all(controls.map((one) => run(one, patience.controlTries, "connected")));
  if (control.some(({ outcome }) => outcome !== "connected")) return judgeIsolation(control);
  return judgeIsolation([
    ...control,
    ...(await Promise.all(others.map((one) => run(one, patience.tries, "denied")))),
  ]);
}

/** `probe-isolation kind:host:port …`: writes its report for the operator. Returns the exit code; 1 has it repeated. */
export async function isolationCommand(words: readonly string[], terminationLog: string): Promise<number> {
  if (words.length === 0 || words.length > MAX_ATTEMPTS)
    throw new Error(`say what to try: 1 to ${MAX_ATTEMPTS} attempts as kind:host:port`);
  const report = await probeIsolation(words.map(parseAttempt));
  const text = JSON.stringify(report);
  await writeFile(terminationLog, text).catch((error: unknown) => {
    process.stderr.write(`${errorText(error)}\n`);
  });
  process.stdout.write(`${text}\n`);
  return report.isolation === "Inconclusive" ? 1 : 0;
}
