import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { freePorts } from "../../../local/ports.ts";
import { createServiceClient, type ServiceClient } from "../../../platform/fetch.ts";
import { createMetrics } from "../../../platform/metrics.ts";
import type { TestCell } from "../../../platform/testing/cell.ts";
import { createSigner, type PrivateKey, readKeyFile } from "../../../platform/trust.ts";

/** Calls a replica as the orders slice does. */
export async function clientOf(cell: TestCell, replica: Replica): Promise<ServiceClient> {
  const jwk = await readKeyFile<PrivateKey>(join(cell.trustDir, "cell-key.jwk"));
  const signer = await createSigner({ jwk, issuer: "cell", subject: "orders" });
  const metrics = createMetrics({ service: "test" });
  const options = { name: "replica", baseUrl: replica.url, audience: cell.center, signer, metrics };
  return createServiceClient({ ...options, timeoutMs: 15_000 });
}

/** A process that runs the inventory slice of a test's cell. */
export interface Replica {
  readonly url: string;
  readonly child: ChildProcess;
  /** Ends it and waits until it is gone. */
  end(signal: NodeJS.Signals): Promise<void>;
}

/** Starts one more copy of the slice beside those that run in the test's own process. */
export async function startReplica(
  cell: TestCell,
  env: Readonly<Record<string, string>> = {},
): Promise<Replica> {
  const [port] = await freePorts(1);
  const child = spawn(process.execPath, [join(import.meta.dirname, "replica.ts")], {
    env: { ...process.env, ...cell.env, ...env, PORT_INVENTORY: String(port) },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const ended = once(child, "exit");
  await Promise.race([
    once(child.stdout!, "data"),
    ended.then(() => {
      throw new Error("the replica ended before it was ready");
    }),
  ]);
  return {
    url: `http://127.0.0.1:${port}`,
    child,
    async end(signal) {
      if (child.exitCode === null && child.signalCode === null) child.kill(signal);
      await ended;
    },
  };
}
