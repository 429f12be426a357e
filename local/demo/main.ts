import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { messageOf } from "../cluster/errors.ts";
import { createProgress } from "../progress.ts";
import { orStopped, untilStopped } from "../stop.ts";
import { createApi } from "./api.ts";
import { applyCenters } from "./centers.ts";
import { kubernetesKiller, kubernetesWorld } from "./kubernetes.ts";
import { runScenario } from "./scenario.ts";
import { prepareKubernetes } from "./setup.ts";
import { type DemoResult, toJson, toText } from "./summary.ts";
import { withoutKubernetes } from "./withoutkubernetes.ts";

const USAGE = `usage: npm run demo -- [options]

  --json FILE            write the facts of the run for a machine
  --orders N             orders of the main part (default 40)
  --index N              which local cluster to use (default 0; tests have their own)
  --kubeconfig FILE      use this cluster instead of a local one (images must be reachable for it: --image, --stores-image)
  --image REF            image of the product, with --kubeconfig
  --stores-image REF     image of PostgreSQL, Redis and Kafka, with --kubeconfig
  --without-kubernetes   gateway and two cells as processes on real stores
`;

const ROOT = join(import.meta.dirname, "..", "..");
const CENTERS = ["seoul-gangnam", "seoul-mapo"];
const READY_TIMEOUT_MS = 300_000;
const HOLD_SECONDS = 20;
const LINGER_MS = 3_000;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      json: { type: "string" },
      orders: { type: "string", default: "40" },
      kubeconfig: { type: "string" },
      image: { type: "string" },
      "stores-image": { type: "string" },
      index: { type: "string", default: "0" },
      "without-kubernetes": { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return 0;
  }
  const orders = Number(values.orders);
  if (!Number.isInteger(orders) || orders < 2 || orders > 500)
    throw new Error("--orders takes a whole number from 2 to 500.");
  const signal = untilStopped();
  const progress = createProgress({ stream: process.stderr });
  try {
    if (values["without-kubernetes"])
      return await withoutKubernetes({ root: ROOT, orders, progress, json: values.json, signal });
    const prepared = await prepareKubernetes({
      root: ROOT,
      report: progress,
      signal,
      index: Number(values.index),
      kubeconfig: values.kubeconfig,
      images: { cell: values.image, stores: values["stores-image"] },
    });
    const setupMs = progress.elapsedMs();
    const { target, images } = prepared;
    const world = kubernetesWorld(target);
    const { centers, readySeconds } = await progress.step(
      "Apply two FulfillmentCenters and wait for Ready",
      "namespace, policies, database, cache, topics, seven services each",
      () =>
        applyCenters({
          target,
          names: CENTERS,
          images,
          world,
          timeoutMs: READY_TIMEOUT_MS,
          note: (text) => progress.note(text),
        }),
    );
    const scenario = await orStopped(
      runScenario({
        api: createApi({
          gatewayUrl: `http://${target.nodeAddress}:30080`,
          issuerUrl: `http://${target.nodeAddress}:30091`,
        }),
        world,
        killer: kubernetesKiller(target),
        centers,
        root: ROOT,
        report: progress,
        orders,
        holdSeconds: HOLD_SECONDS,
      }),
      signal,
      "Stopped. The cluster is still up: npm run down removes it.",
    );
    const result: DemoResult = {
      ...scenario,
      centers,
      readySeconds,
      setupMs,
      mainMs: progress.elapsedMs() - setupMs,
      longest: longestOf(progress.timings()),
    };
    if (values.json !== undefined)
      await writeFile(values.json, `${JSON.stringify(toJson(result), null, 2)}\n`);
    progress.done(
      result.complaints.length === 0 ? "All as it should be." : "Something is not as it should be.",
    );
    process.stdout.write(`${toText(result)}\n${nextSteps(target.nodeAddress, prepared.kubeconfigPath)}`);
    return result.complaints.length === 0 ? 0 : 1;
  } catch (error) {
    progress.fail(messageOf(error));
    return 1;
  }
}

function longestOf(timings: readonly { title: string; tookMs: number; depth: number }[]) {
  return [...timings].sort((a, b) => b.tookMs - a.tookMs)[0];
}

function nextSteps(nodeAddress: string, kubeconfigPath: string): string {
  return `  The cluster stays up. Try:
    export KUBECONFIG=${kubeconfigPath}
    npx node local/main.ts kubectl get fc
    npx node local/main.ts kubectl -n cell-seoul-mapo logs deploy/cell --tail=20
    curl http://${nodeAddress}:30080/openapi.json
    npm run down                     removes the cluster and everything it left on this machine

`;
}

process.exitCode = await main().catch((error: unknown) => {
  process.stderr.write(`${messageOf(error)}\n`);
  return 1;
});
// People who are still at work when a run fails must not keep it from ending.
setTimeout(() => process.exit(), LINGER_MS).unref();
