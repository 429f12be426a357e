import { everyCase } from "./cases.ts";
import { type Explorer, replayCommand } from "./explore.ts";
import type { FlowName } from "./flows.ts";

export interface Exploration {
  /** Calls of the flow when nothing happens. */
  readonly calls: number;
  /** Faults that were covered, and runs that it took. */
  readonly covered: number;
  readonly runs: number;
  /** For each run that went wrong: how to do it again, and what was wrong. */
  readonly failures: readonly string[];
}

const MAX_FAILURES = 10;

/** Every fault at every call of a flow in turn; stops when enough has gone wrong. */
export async function exploreFlow(
  explorer: Explorer,
  flow: FlowName,
  options: { readonly maxFailures?: number; readonly onFailure?: (failure: string) => void } = {},
): Promise<Exploration> {
  const { calls, faults } = await explorer.undisturbed(flow);
  if (faults.length > 0) throw new Error(`undisturbed, ${flow} goes wrong: ${faults.join("; ")}`);
  const cases = everyCase(calls);
  const failures: string[] = [];
  let covered = 0;
  let runs = 0;
  for (const each of cases) {
    const run = await explorer.run(flow, each.faults);
    runs++;
    covered += each.standsFor;
    const failure =
      run.faults.length === 0 ? undefined : [replayCommand(flow, each.faults), ...run.faults].join("\n  ");
    if (failure === undefined) continue;
    options.onFailure?.(failure);
    if (failures.push(failure) >= (options.maxFailures ?? MAX_FAILURES)) break;
  }
  return { calls: calls.length, covered, runs, failures };
}
