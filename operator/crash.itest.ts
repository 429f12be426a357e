import { afterAll, beforeAll, expect, it } from "vitest";
import { KINDS } from "../platform/kube/kinds.ts";
import { findCondition, type KubeObject } from "../platform/kube/objects.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import { API_VERSION, FULFILLMENT_CENTER, LABELS, ROUTING_TABLE } from "./api/names.ts";
import type { RoutingTable } from "./api/routing-table.ts";
import { connectTestCluster, must, type TestCluster, uniqueName, until } from "./testing/cluster.ts";
import { startTestOperator } from "./testing/operator.ts";
import { type CellRuntime, startCellRuntime } from "./testing/runtime.ts";

let cluster: TestCluster;
let runtime: CellRuntime;
beforeAll(async () => {
  cluster = await connectTestCluster();
  runtime = startCellRuntime(cluster.client);
});
afterAll(async () => {
  await runtime?.stop();
  await cluster?.close();
});

const read = async (name: string) => {
  const result = await cluster.client.get<FulfillmentCenter>(FULFILLMENT_CENTER, { name });
  return result.ok ? result.value : undefined;
};
async function create(name: string, region: string): Promise<void> {
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
async function endState(name: string, region: string): Promise<string[]> {
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
  const jobs = must(await cluster.client.list(KINDS.job, { namespace: `cell-${name}` }));
  const table = must(await cluster.client.get<RoutingTable>(ROUTING_TABLE, { name: region }));
  const cells = table.spec.cells.map((cell) => `cell ${cell.mode} ${cell.weight}`);
  const conditions =
    (await read(name))?.status?.conditions?.map(({ type, status }) => `${type}=${status}`) ?? [];
  return [...found, `Jobs: ${jobs.items.length}`, ...cells, ...conditions].sort();
}

interface Life {
  readonly state: string[];
  readonly writes: number;
  readonly killed: boolean;
}

/** Provisions one center in a region of its own, with an operator that dies after a number of writes and one that takes over. */
async function live(killAfterWrites?: number): Promise<Life> {
  const name = uniqueName("crash");
  const region = uniqueName("region");
  let killed = false;
  const first = await startTestOperator(cluster, {
    ...(killAfterWrites === undefined ? {} : { killAfterWrites, onKilled: () => (killed = true) }),
  });
  await create(name, region);
  await until(`${name} is Ready or its operator dead`, async () => killed || (await isSettled(name, region)));
  await first.stop();
  const second = killed ? await startTestOperator(cluster) : undefined;
  await until(`${name} is Ready and routed to`, () => isSettled(name, region));
  await second?.stop();
  const state = await endState(name, region);
  await discard(name, region);
  return { state, writes: first.writes.length, killed };
}

async function isSettled(name: string, region: string): Promise<boolean> {
  const table = await cluster.client.get<RoutingTable>(ROUTING_TABLE, { name: region });
  const routed = table.ok && table.value.spec.cells.some((cell) => cell.name === name && cell.weight === 100);
  return routed && findCondition((await read(name))?.status?.conditions, "Ready")?.status === "True";
}

/** Removes a center without its operator, so that the next life's writes are its own. */
async function discard(name: string, region: string): Promise<void> {
  must(await cluster.client.patch(FULFILLMENT_CENTER, { name }, { metadata: { finalizers: null } }));
  must(await cluster.client.remove(FULFILLMENT_CENTER, { name }));
  must(await cluster.client.remove(ROUTING_TABLE, { name: region }));
  must(await cluster.client.remove(KINDS.namespace, { name: `cell-${name}` }));
}

it("killed after each of the writes of a provisioning, the next operator comes to the same end", {
  timeout: 1_800_000,
}, async () => {
  const undisturbed = await live();
  console.log(`a provisioning takes ${undisturbed.writes} writes`);
  expect(undisturbed.writes).toBeGreaterThan(40);
  const survived: number[] = [];
  for (let writes = 1; writes <= undisturbed.writes; writes++) {
    const result = await live(writes);
    expect(result.state, `killed after write ${writes}`).toEqual(undisturbed.state);
    if (result.killed) survived.push(writes);
  }
  console.log(
    `killed after ${survived.length} of ${undisturbed.writes} writes in turn, each time with the same end`,
  );
  // How many passes it takes differs a little from life to life, so the last few may not be reached.
  expect(survived.length).toBeGreaterThan(undisturbed.writes * 0.8);
});
