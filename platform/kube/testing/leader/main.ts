import { createKubeClient } from "../../client.ts";
import { loadClusterConfig } from "../../config.ts";
import { KINDS } from "../../kinds.ts";
import { createLease } from "../../lease.ts";
import { silentLog, silentMetrics, sleep, systemTime } from "../../ports.ts";

/**
 * A process that leads by a Lease and writes one ConfigMap again and again while it does. It tells each write on its
 * output; started by the tests with its identity, namespace and kubeconfig.
 */
async function main([identity = "", namespace = "", kubeconfigPath = ""]: string[]): Promise<void> {
  const loaded = await loadClusterConfig({ kubeconfigPath });
  if (!loaded.ok) throw new Error(loaded.message);
  const silent = { log: silentLog, metrics: silentMetrics };
  const client = createKubeClient(loaded.config, { ...silent, userAgent: identity, fieldManager: identity });
  const times = { durationMs: 4_000, renewDeadlineMs: 3_000, retryMs: 200 };
  const lease = createLease({ client, name: "leader", namespace, identity, ...silent, ...times });
  const guarded = client.guardedBy(lease);
  const stop = new AbortController();
  process.once("SIGTERM", () => stop.abort());
  process.stdout.write("standing by\n");
  const ended = await lease.run(async (leading) => {
    for (let count = 1; !leading.aborted; count++) {
      const config = {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: { name: "written", namespace },
        data: { by: identity, count: String(count) },
      };
      const result = await guarded.apply(KINDS.configMap, config);
      process.stdout.write(`${result.ok ? "wrote" : result.code}\n`);
      await sleep(systemTime, 50, leading);
    }
  }, stop.signal);
  await client.close();
  process.stdout.write(`ended ${ended}\n`);
}

await main(process.argv.slice(2));
