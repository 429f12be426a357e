import { parseArgs } from "node:util";
import { createLot } from "../../platform/testing/lot.ts";
import { exploreFlow } from "./exhaustive.ts";
import { createExplorer, type Explorer, replayCommand } from "./explore.ts";
import { type Fault, parseFaults } from "./faults.ts";
import { FLOW_NAMES, type FlowName } from "./flows.ts";
import { randomFaults } from "./randomfaults.ts";

const USAGE = `Runs the operator against a cluster in this process and lets it crash, or see an old state, at any of its API calls.
Every run has to come to the same end, and certain things may not happen on the way.

  npm run explore                          200 random runs
  npm run explore -- --count N --seed S    N random runs, the same for the same seed
  npm run explore -- --flow F              only this flow: ${FLOW_NAMES.join(", ")}
  npm run explore -- --every               every fault at every call in turn
  npm run explore -- --flow F --faults T   one run; T is what a failure prints, for example crash-after@12/past
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      flow: { type: "string" },
      faults: { type: "string" },
      seed: { type: "string" },
      count: { type: "string", default: "200" },
      every: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) return say(USAGE);
  const flows = FLOW_NAMES.filter((name) => values.flow === undefined || values.flow === name);
  const faults = values.faults === undefined ? undefined : parseFaults(values.faults);
  const count = Number(values.count);
  const seed = values.seed === undefined ? Date.now() % 1_000_000 : Number(values.seed);
  const isWrong =
    flows.length === 0 ||
    (values.faults !== undefined && (faults === undefined || flows.length > 1)) ||
    !Number.isSafeInteger(count) ||
    !Number.isSafeInteger(seed);
  if (isWrong) throw new Error(`these arguments cannot be used together or are not readable.\n${USAGE}`);
  const explorer = createExplorer();
  const failed =
    faults !== undefined
      ? await one(explorer, flows[0]!, faults)
      : values.every
        ? await all(explorer, flows)
        : await some(explorer, flows, { seed, count });
  if (failed > 0) process.exitCode = 1;
}

const say = (line: string) => console.log(line);

async function one(explorer: Explorer, flow: FlowName, faults: readonly Fault[]): Promise<number> {
  const run = await explorer.run(flow, faults);
  if (!run.struck) say("The flow was over before every one of these faults could happen.");
  say(run.faults.length === 0 ? `The same end, ${run.writes} changes on the way.` : run.faults.join("\n"));
  return run.faults.length;
}

async function all(explorer: Explorer, flows: readonly FlowName[]): Promise<number> {
  let failed = 0;
  for (const flow of flows) {
    const { calls, covered, runs, failures } = await exploreFlow(explorer, flow, { onFailure: say });
    failed += failures.length;
    say(
      `${flow}: ${calls} calls, ${covered} faults in ${runs} different runs, ${failures.length} went wrong`,
    );
  }
  return failed;
}

async function some(
  explorer: Explorer,
  flows: readonly FlowName[],
  { seed, count }: { seed: number; count: number },
): Promise<number> {
  const lot = createLot(seed);
  let failed = 0;
  say(`${count} runs from seed ${seed}`);
  for (let done = 1; done <= count; done++) {
    const flow = flows[Math.floor(lot() * flows.length)]!;
    const faults = randomFaults(lot, (await explorer.undisturbed(flow)).calls.length);
    const run = await explorer.run(flow, faults);
    if (run.faults.length > 0) {
      failed++;
      say([replayCommand(flow, faults), ...run.faults].join("\n  "));
    }
    if (done % 50 === 0) say(`${done} runs, ${failed} went wrong`);
  }
  say(failed === 0 ? `All ${count} runs came to the same end.` : `${failed} of ${count} runs went wrong.`);
  return failed;
}

main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : String(error));
  process.exit(1);
});
