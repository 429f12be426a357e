import { parseArgs } from "node:util";
import { type Command, whole } from "../load/command.ts";
import { toText, writeReport } from "../load/rows.ts";
import { startBenchStores } from "../load/stores.ts";
import { runOrdersBench } from "./bench.ts";

const USAGE = `usage: npm run bench -- orders [options]

  --rounds N     rounds (default 5)
  --seconds N    length of each measurement (default 10)
  --callers N    customers who wait for their answers when the peak is looked for (default 64)
  --skus N       SKUs, wanted by Zipf's law (default 1000)
  --lines N      lines of an order (default 3)
  --json FILE    write the figures for a machine
  --profile DIR  write a CPU profile of the cell there
`;

/** Orders over HTTP through the whole saga. */
export const ordersCommand: Command = {
  name: "orders",
  usage: USAGE,
  async run(args, { progress, signal }) {
    const { values } = parseArgs({
      args: [...args],
      options: {
        rounds: { type: "string", default: "5" },
        seconds: { type: "string", default: "10" },
        callers: { type: "string", default: "64" },
        skus: { type: "string", default: "1000" },
        lines: { type: "string", default: "3" },
        json: { type: "string" },
        profile: { type: "string" },
      },
    });
    const setUp = {
      rounds: whole("--rounds", values.rounds, 100),
      seconds: whole("--seconds", values.seconds, 120),
      callers: whole("--callers", values.callers, 256),
      skus: whole("--skus", values.skus, 10_000),
      linesPerOrder: whole("--lines", values.lines, 20),
    };
    if (setUp.linesPerOrder > setUp.skus) throw new Error("--lines cannot be more than --skus.");
    const removeStores = await startBenchStores(progress);
    try {
      const { rows } = await runOrdersBench({ ...setUp, profileDir: values.profile, progress, signal });
      const about = {
        ours: "one Compact cell process; PostgreSQL serializable with fsync; Redis appendfsync everysec; traces sampled at 1 %",
      };
      if (values.json !== undefined)
        writeReport(values.json, {
          ...{ bench: "orders", versions: { node: process.version }, contenders: about, setUp, rows },
        });
      return toText(rows);
    } finally {
      await removeStores();
    }
  },
};
