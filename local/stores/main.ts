import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { parseArgs } from "node:util";
import { messageOf } from "../cluster/errors.ts";
import type { Report } from "../cluster/report.ts";
import { type Stores, startStores, stopStores, storesEnvironment } from "./stores.ts";

const USAGE = `Usage:
  node local/stores/main.ts start --dir D [--write-env F] [--fsync]   start PostgreSQL, Redis and Kafka and leave them running
  node local/stores/main.ts stop --dir D                             stop them; the data stays in D`;

const plain: Report = {
  step: async (title, _why, run) => {
    console.error(title);
    return run();
  },
  note: (text) => console.error(text),
};

function exports(stores: Stores): string {
  return Object.entries(storesEnvironment(stores))
    .map(([name, value]) => `export ${name}=${value}\n`)
    .join("");
}

async function main(argv: readonly string[]): Promise<number> {
  const options = {
    dir: { type: "string" },
    "write-env": { type: "string" },
    fsync: { type: "boolean" },
  } as const;
  const { values, positionals } = parseArgs({ args: [...argv], options, allowPositionals: true });
  const [command] = positionals;
  if (!values.dir || positionals.length !== 1 || (command !== "start" && command !== "stop")) {
    console.error(USAGE);
    return 2;
  }
  const dir = resolve(values.dir);
  if (command === "stop") {
    console.error((await stopStores(dir)) ? `Stopped the stores in ${dir}.` : `No stores run in ${dir}.`);
    return 0;
  }
  const stores = await startStores({ dir, report: plain, fsync: values.fsync ?? false });
  const text = exports(stores);
  if (values["write-env"]) writeFileSync(values["write-env"], text, { mode: 0o600 });
  else process.stdout.write(text);
  return 0;
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(messageOf(error));
  process.exitCode = 1;
}
