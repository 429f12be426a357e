import { parseArgs } from "node:util";
import { type Command, whole } from "../load/command.ts";
import { describe, runOperatorBench } from "./bench.ts";

const USAGE = `usage: npm run bench -- operator [options]

  --centers N       FulfillmentCenters to bring to Ready (default 100)
  --workers N       centers worked on at once, in both operators (default 20)
  --peer HOW        apply: the controller-runtime operator makes objects by server-side apply (default);
                    create: by plain create; none: without it
  --idle-seconds N  how long nothing happens (default 60)
  --json FILE       write the figures for a machine
  --profile DIR     write a CPU profile of our operator there
`;

/** How quickly FulfillmentCenters become Ready. */
export const operatorCommand: Command = {
  name: "operator",
  usage: USAGE,
  async run(args, { progress, signal }) {
    const { values } = parseArgs({
      args: [...args],
      options: {
        centers: { type: "string", default: "100" },
        workers: { type: "string", default: "20" },
        peer: { type: "string", default: "apply" },
        "idle-seconds": { type: "string", default: "60" },
        "without-ours": { type: "boolean", default: false },
        json: { type: "string" },
        profile: { type: "string" },
      },
    });
    const { peer } = values;
    if (peer !== "apply" && peer !== "create" && peer !== "none")
      throw new Error("--peer is one of apply, create and none.");
    const result = await runOperatorBench({
      centers: whole("--centers", values.centers, 5000),
      workers: whole("--workers", values.workers, 64),
      idleSeconds: whole("--idle-seconds", values["idle-seconds"], 3600),
      peer,
      withoutOurs: values["without-ours"],
      json: values.json,
      profileDir: values.profile,
      progress,
      signal,
    });
    return describe(result);
  },
};
