import { parseArgs } from "node:util";
import { createProgress } from "../local/progress.ts";
import { untilStopped } from "../local/stop.ts";
import { describe, runOperatorBench } from "./operator/bench.ts";

const USAGE = `usage: npm run bench -- operator [options]

  --centers N       FulfillmentCenters to bring to Ready (default 100)
  --workers N       centers worked on at once, in both operators (default 20)
  --peer HOW        apply: the controller-runtime operator makes objects by server-side apply (default);
                    create: by plain create; none: without it
  --idle-seconds N  how long nothing happens (default 60)
  --json FILE       write the figures for a machine
  --profile DIR     write a CPU profile of our operator there
`;

async function main(): Promise<number> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      centers: { type: "string", default: "100" },
      workers: { type: "string", default: "20" },
      peer: { type: "string", default: "apply" },
      "idle-seconds": { type: "string", default: "60" },
      "without-ours": { type: "boolean", default: false },
      json: { type: "string" },
      profile: { type: "string" },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help || positionals.length !== 1 || positionals[0] !== "operator") {
    process.stdout.write(USAGE);
    return values.help ? 0 : 2;
  }
  const { peer } = values;
  if (peer !== "apply" && peer !== "create" && peer !== "none")
    throw new Error("--peer is one of apply, create and none.");
  const progress = createProgress({ stream: process.stderr });
  const result = await runOperatorBench({
    centers: whole("--centers", values.centers, 5000),
    workers: whole("--workers", values.workers, 64),
    idleSeconds: whole("--idle-seconds", values["idle-seconds"], 3600),
    peer,
    withoutOurs: values["without-ours"],
    json: values.json,
    profileDir: values.profile,
    progress,
    signal: untilStopped(),
  });
  progress.done("Measured.");
  process.stdout.write(`${describe(result)}\n`);
  return 0;
}

function whole(name: string, text: string, max: number): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > max)
    throw new Error(`${name} takes a whole number from 1 to ${max}.`);
  return value;
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error));
    process.exitCode = 1;
  },
);
