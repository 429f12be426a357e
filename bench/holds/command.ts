import { parseArgs } from "node:util";
import { type Command, whole } from "../load/command.ts";
import { toText, writeReport } from "../load/rows.ts";
import { startBenchStores } from "../load/stores.ts";
import { type MixName, runHoldsBench } from "./bench.ts";
import { CONTENDERS } from "./contender.ts";

const USAGE = `usage: npm run bench -- holds [options]

  --rounds N     rounds through all contenders (default 5)
  --seconds N    length of each measurement (default 3)
  --callers N    callers who wait for their answers when the peak is looked for (default 256)
  --skus N       SKUs of the Zipf mix (default 5000)
  --only A,B     only these of ${CONTENDERS.map(({ name }) => name).join(", ")}
  --mix NAME     only hot or zipf
  --json FILE    write the figures for a machine
  --profile DIR  write CPU profiles of ours there
`;

/** Units of stock taken, alone and with their commit, beside four peers. */
export const holdsCommand: Command = {
  name: "holds",
  usage: USAGE,
  async run(args, { progress, signal }) {
    const { values } = parseArgs({
      args: [...args],
      options: {
        rounds: { type: "string", default: "5" },
        seconds: { type: "string", default: "3" },
        callers: { type: "string", default: "256" },
        skus: { type: "string", default: "5000" },
        only: { type: "string" },
        mix: { type: "string" },
        json: { type: "string" },
        profile: { type: "string" },
      },
    });
    const only = values.only?.split(",");
    const stranger = only?.find((name) => !CONTENDERS.some((known) => known.name === name));
    if (stranger !== undefined) throw new Error(`--only knows no ${stranger}.`);
    if (values.mix !== undefined && values.mix !== "hot" && values.mix !== "zipf")
      throw new Error("--mix is hot or zipf.");
    const setUp = {
      rounds: whole("--rounds", values.rounds, 100),
      seconds: whole("--seconds", values.seconds, 60),
      callers: whole("--callers", values.callers, 1_000),
      skus: whole("--skus", values.skus, 100_000),
    };
    const removeStores = await startBenchStores(progress);
    try {
      const { about, rows } = await runHoldsBench({
        ...{ ...setUp, only, profileDir: values.profile, progress, signal },
        ...(values.mix === undefined ? {} : { mixes: [values.mix as MixName] }),
      });
      if (values.json !== undefined)
        writeReport(values.json, {
          ...{ bench: "holds", versions: { node: process.version }, contenders: about, setUp, rows },
        });
      const lines = Object.entries(about).map(([name, text]) => `${name}: ${text}`);
      return [...lines, "", toText(rows)].join("\n");
    } finally {
      await removeStores();
    }
  },
};
