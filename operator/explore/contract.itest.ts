import { createKubeClient, type KubeClient } from "../../platform/kube/client.ts";
import { silentLog, silentMetrics } from "../../platform/kube/ports.ts";
import { connectTestCluster, uniqueName, until } from "../testing/cluster.ts";
import { describeContract } from "../testing/contract.ts";
import { startCellRuntime } from "../testing/runtime.ts";

describeContract("a real API server with its controllers", uniqueName("c"), async () => {
  const cluster = await connectTestCluster();
  const runtime = startCellRuntime(cluster.client);
  const clients: KubeClient[] = [];
  return {
    client(fieldManager) {
      const shared = { log: silentLog, metrics: silentMetrics, userAgent: "contract-tests" };
      const client = createKubeClient(cluster.config, { ...shared, fieldManager });
      clients.push(client);
      return client;
    },
    until: (what, holds) => until(what, holds),
    async close() {
      await Promise.all(clients.map((client) => client.close()));
      await runtime.stop();
      await cluster.close();
    },
  };
});
