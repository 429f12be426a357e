import { createMemoryClient } from "../../platform/kube/testing/memoryclient.ts";
import { createMemoryCluster } from "../../platform/kube/testing/memorycluster.ts";
import { createVirtualTime } from "../../platform/kube/testing/virtualtime.ts";
import { describeContract } from "../testing/contract.ts";
import { createShards } from "./shard.ts";

describeContract("a cluster in this process", "memory", async () => {
  const time = createVirtualTime(Date.UTC(2026, 10, 21), 1);
  const shards = createShards({ nowMs: time.nowMs, uidOf: () => "any" });
  const storage = createMemoryCluster({ time, statusOf: shards.statusOf });
  return {
    client: (fieldManager) => createMemoryClient({ storage, time, fieldManager }),
    time,
    async until(what, holds) {
      const endMs = time.monotonicMs() + 600_000;
      while (!(await holds())) if (!(await time.fireNext(endMs))) throw new Error(`did not happen: ${what}`);
    },
    close: async () => {},
  };
});
