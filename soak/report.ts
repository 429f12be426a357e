import type { SoakResult } from "./run.ts";

/** The least that a run has to reach. */
export const FLOOR_PER_MINUTE = 2_000;
/** The longest that a wiped hold store may be without a generation. */
const WHOLE_WITHIN_MS = 30_000;

/** Orders a minute: requests that were answered 201 with a confirmed order, by the length of the load, kills included. */
export function perMinute({ accepted, loadSeconds }: SoakResult): number {
  return accepted / (loadSeconds / 60);
}

const secondsOf = (ms: number) => `${(ms / 1000).toFixed(1)} s`;

/** Why a run does not pass; empty when it does. `floor`: orders a minute, 0 for none. */
export function failuresOf(result: SoakResult, floor: number): string[] {
  const failures = result.verdicts
    .filter(({ valid }) => valid !== true)
    .map(({ checker, valid }) => `${checker}: ${valid === "unknown" ? "nothing to judge" : "violated"}`);
  if (result.restless) failures.push(`the cell did not come to rest: ${JSON.stringify(result.restless)}`);
  for (const [moment, hits] of result.hits)
    if (hits < result.wantedHits) failures.push(`crash point ${moment} was hit ${hits} times`);
  for (const [kind, count] of result.kills) if (count === 0) failures.push(`${kind} was never killed`);
  for (const ms of result.wholeAfterMs)
    if (ms === undefined || ms > WHOLE_WITHIN_MS)
      failures.push(`a wiped hold store had no new generation after ${secondsOf(ms ?? WHOLE_WITHIN_MS)}`);
  if (perMinute(result) < floor)
    failures.push(`${Math.round(perMinute(result))} orders a minute are fewer than ${floor}`);
  return failures;
}

/** The table of a run, for people. */
export function toText(result: SoakResult, floor: number): string {
  const { accepted, ended, loadSeconds } = result;
  const rows: [string, string][] = [
    ["seed", `${result.seed} (repeat with --seed ${result.seed})`],
    ["load", `${Math.round(loadSeconds)} s`],
    ["orders asked for", `${result.asked}`],
    ["orders accepted", `${accepted} answered 201 while the load lasted`],
    ["  a minute", `${Math.round(perMinute(result))} (accepted by the length of the load, kills included)`],
    [
      "  ended meanwhile",
      `${ended} delivered or cancelled (${Math.round(ended / (loadSeconds / 60))} a minute)`,
    ],
    ["  delivered at last", `${result.delivered}`],
    ["  cancelled", `${result.cancelled} by customers who had changed their minds`],
    ["  cut", `${result.cut} of which customers took one unit back`],
    ["  brought back", `${result.returned} of which a unit came back, ${result.refunded} with money alone`],
    ["  closed", `${result.closed} cancelled after the load: nobody had begun to pick them`],
    ["refused", [...result.refused].map(([code, count]) => `${count} ${code}`).join(", ") || "none"],
    ["gave up waiting", `${result.gaveUp}`],
    ["holds", `${result.holds} granted`],
    ...[...result.kills].map(([kind, count]): [string, string] => [`killed: ${kind}`, `${count}`]),
    [
      "wiped hold store",
      `whole again after ${result.wholeAfterMs.map((ms) => (ms === undefined ? "never" : secondsOf(ms))).join(", ") || "no wipe"}`,
    ],
    ...[...result.hits].map(([moment, hits]): [string, string] => [`crash point ${moment}`, `${hits}`]),
  ];
  const width = Math.max(...rows.map(([name]) => name.length));
  const lines = rows.map(([name, value]) => `${name.padEnd(width)}  ${value}`);
  for (const { checker, valid, checked, wrong, problems } of result.verdicts) {
    const word = valid === true ? "holds" : valid === "unknown" ? "unknown" : `violated ${wrong} times`;
    lines.push(`${checker.padEnd(width)}  ${word} (${checked} looked at)`);
    lines.push(...problems.map((problem) => `    ${problem}`));
  }
  const failures = failuresOf(result, floor);
  lines.push(failures.length === 0 ? "Passed." : `FAILED: ${failures.join("; ")}`);
  return lines.join("\n");
}
