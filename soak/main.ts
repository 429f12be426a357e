import { randomInt } from "node:crypto";
import { parseArgs } from "node:util";
import { createProgress } from "../local/progress.ts";
import { preflight } from "../local/setup/preflight.ts";
import { ensureSystemPackages } from "../local/setup/system.ts";
import { untilStopped } from "../local/stop.ts";
import { FLOOR_PER_MINUTE, failuresOf, toText } from "./report.ts";
import { runSoak } from "./run.ts";

const USAGE = `usage: npm run soak -- [options]

  --minutes N  how long customers order (default 10, at most 120)
  --seed N     draw the same lots as an earlier run: what is ordered, what is killed and when
  --hits N     how often each crash point has to be hit (default 3)
  --callers N  customers who wait for their answers at one time (default 64)

Fails when a checker is violated, when a crash point or a kind of kill is missing, and below ${FLOOR_PER_MINUTE} orders a minute.
`;
const MAX_SEED = 2 ** 31;

function numberOf(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (!(value >= least && value <= most)) throw new Error(`${name} takes a number from ${least} to ${most}.`);
  return value;
}

async function main(args: readonly string[]): Promise<number> {
  const { values } = parseArgs({
    args: [...args],
    options: {
      minutes: { type: "string", default: "10" },
      seed: { type: "string" },
      hits: { type: "string", default: "3" },
      callers: { type: "string", default: "64" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const progress = createProgress({ stream: process.stderr });
  const checked = await preflight({ kubernetes: false });
  if (!checked.ok) throw new Error(checked.problems.map(({ message }) => message).join("\n"));
  const installed = await ensureSystemPackages(progress, ["stores"]);
  if (!installed.ok) throw new Error(installed.message);
  const result = await runSoak({
    minutes: numberOf("--minutes", values.minutes, 0.1, 120),
    seed: numberOf("--seed", values.seed ?? String(randomInt(MAX_SEED)), 0, MAX_SEED),
    hits: numberOf("--hits", values.hits, 1, 1_000),
    callers: numberOf("--callers", values.callers, 1, 256),
    ...{
      gapMs: [12_000, 40_000],
      maxOpen: 50_000,
      couriers: 100,
      hands: 4,
      fsync: true,
      progress,
      signal: untilStopped(),
    },
  });
  progress.done("The run is over.");
  process.stdout.write(`${toText(result, FLOOR_PER_MINUTE)}\n`);
  return failuresOf(result, FLOOR_PER_MINUTE).length === 0 ? 0 : 1;
}

main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  },
);
