import { afterAll, beforeAll, expect, it } from "vitest";
import { KINDS } from "../platform/kube/kinds.ts";
import { findCondition, type KubeObject } from "../platform/kube/objects.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import { API_VERSION, FULFILLMENT_CENTER, LABELS, ROUTING_TABLE } from "./api/names.ts";
import { connectTestCluster, must, type TestCluster, uniqueName, until } from "./testing/cluster.ts";
import { startTestOperator } from "./testing/operator.ts";
import { type CellRuntime, startCellRuntime } from "./testing/runtime.ts";

let cluster: TestCluster;
let runtime: CellRuntime;
const region = uniqueName("region");
beforeAll(async () => {
  cluster = await connectTestCluster();
  runtime = startCellRuntime(cluster.client);
});
afterAll(async () => {
  await runtime?.stop();
  await cluster?.client.remove(ROUTING_TABLE, { name: region });
  await cluster?.close();
});

const read = async (name: string) => {
  const result = await cluster.client.get<FulfillmentCenter>(FULFILLMENT_CENTER, { name });
  return result.ok ? result.value : undefined;
};
const isReady = async (name: string) =>
  findCondition((await read(name))?.status?.conditions, "Ready")?.status === "True";

async function create(name: string): Promise<void> {
  must(
    await cluster.client.create(FULFILLMENT_CENTER, {
      apiVersion: API_VERSION,
      kind: "FulfillmentCenter",
      metadata: { name },
      spec: {
        region,
        location: { latitude: "37.5663", longitude: "126.9018" },
        coverage: { radiusMeters: 8000 },
        database: { engine: "PostgreSQL", storage: "1Gi" },
        deletion: { policy: "Delete" },
      },
    } as KubeObject),
  );
}

/** What a cell is made of, without what differs from one cell to the next. */
async function endState(name: string): Promise<string[]> {
  const found: string[] = [];
  for (const ref of [
    KINDS.resourceQuota,
    KINDS.limitRange,
    KINDS.networkPolicy,
    KINDS.serviceAccount,
    KINDS.secret,
    KINDS.service,
    KINDS.statefulSet,
    KINDS.deployment,
    KINDS.podDisruptionBudget,
  ]) {
    const { items } = must(
      await cluster.client.list(ref, {
        namespace: `cell-${name}`,
        labelSelector: `${LABELS.center}=${name}`,
      }),
    );
    for (const { metadata } of items) found.push(`${ref.kind}/${metadata.name}`);
  }
  const { items } = must(await cluster.client.list(KINDS.job, { namespace: `cell-${name}` }));
  return [...found, `Jobs: ${items.length}`].sort();
}

/** Provisions and deletes one center with an operator that dies after each of its first `dieAfter` lives' writes. */
async function live(
  name: string,
  killAfterWrites?: number,
): Promise<{ state: string[]; writes: number; killed: boolean }> {
  let killed = false;
  const operator = await startTestOperator(cluster, {
    ...(killAfterWrites === undefined ? {} : { killAfterWrites, onKilled: () => (killed = true) }),
  });
  await create(name);
  await until(`${name} is Ready or the operator is dead`, async () => killed || (await isReady(name)));
  let heir = operator;
  if (killed) {
    await operator.stop();
    heir = await startTestOperator(cluster);
  }
  await until(`${name} is Ready`, () => isReady(name));
  await until("the table names it", async () => {
    const table = await cluster.client.get(ROUTING_TABLE, { name: region });
    return table.ok && JSON.stringify(table.value.spec).includes(`"name":"${name}"`);
  });
  const state = await endState(name);
  const writes = operator.writes.length;
  must(await cluster.client.remove(FULFILLMENT_CENTER, { name }));
  await until(`${name} is gone`, async () => (await read(name)) === undefined);
  await heir.stop();
  return { state, writes, killed };
}

it("killed after each of the writes of a provisioning, the next operator comes to the same end", {
  timeout: 1_800_000,
}, async () => {
  const undisturbed = await live(uniqueName("crash"));
  console.log(`a provisioning takes ${undisturbed.writes} writes`);
  expect(undisturbed.writes).toBeGreaterThan(40);
  const survived: number[] = [];
  for (let writes = 1; writes <= undisturbed.writes; writes++) {
    const result = await live(uniqueName("crash"), writes);
    expect(result.state, `killed after write ${writes}`).toEqual(undisturbed.state);
    if (result.killed) survived.push(writes);
  }
  console.log(`killed after ${survived.length} writes in turn, each time the same end`);
  // The number of writes differs by a few from life to life: events of the cluster fall together differently.
  expect(survived.length).toBeGreaterThan(undisturbed.writes * 0.8);
});
