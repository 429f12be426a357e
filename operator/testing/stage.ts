import type { FulfillmentCenterInput } from "../api/fulfillment-center.ts";
import { FULFILLMENT_CENTER, ROUTING_TABLE } from "../api/names.ts";
import { newCenter } from "./center.ts";
import { connectTestCluster, discardCenter, must, type TestCluster, uniqueName } from "./cluster.ts";
import { startTestOperator, type TestOperator } from "./operator.ts";
import { type CellRuntime, startCellRuntime } from "./runtime.ts";

/** The test API server with an operator, somebody who answers for the cells' pods, and a region of its own. */
export interface Stage {
  readonly cluster: TestCluster;
  readonly runtime: CellRuntime;
  readonly operator: TestOperator;
  /** Makes a center with a name of its own, which is discarded at the end. @returns the name */
  create(prefix: string, spec?: Partial<FulfillmentCenterInput>): Promise<string>;
  stop(): Promise<void>;
}

export async function startStage(): Promise<Stage> {
  const region = uniqueName("region");
  const made: string[] = [];
  const cluster = await connectTestCluster();
  const runtime = startCellRuntime(cluster.client);
  const operator = await startTestOperator(cluster).catch(async (error: unknown) => {
    await runtime.stop();
    await cluster.close();
    throw error;
  });
  return {
    cluster,
    runtime,
    operator,
    async create(prefix, spec = {}) {
      const name = uniqueName(prefix);
      made.push(name);
      must(await cluster.client.create(FULFILLMENT_CENTER, newCenter(name, region, spec)));
      return name;
    },
    async stop() {
      await operator.stop();
      for (const name of made) await discardCenter(cluster, name);
      await cluster.client.remove(ROUTING_TABLE, { name: region });
      await runtime.stop();
      await cluster.close();
    },
  };
}
