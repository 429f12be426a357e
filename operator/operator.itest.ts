import { readFileSync } from "node:fs";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { KINDS } from "../platform/kube/kinds.ts";
import { findCondition, formatTime, type KubeObject } from "../platform/kube/objects.ts";
import type { FulfillmentCenter, FulfillmentCenterInput } from "./api/fulfillment-center.ts";
import { ANNOTATIONS, FULFILLMENT_CENTER, LABELS, ROUTING_TABLE } from "./api/names.ts";
import type { RoutingTable } from "./api/routing-table.ts";
import { newCenter } from "./testing/center.ts";
import { connectTestCluster, must, type TestCluster, uniqueName, until } from "./testing/cluster.ts";
import { startTestOperator, type TestOperator, type TestOperatorOptions } from "./testing/operator.ts";
import { type CellRuntime, startCellRuntime } from "./testing/runtime.ts";

let cluster: TestCluster;
let runtime: CellRuntime;
const region = uniqueName("region");
const operators: TestOperator[] = [];
const made = new Set<string>();
const namespaces = new Set<string>();

beforeAll(async () => {
  cluster = await connectTestCluster();
  runtime = startCellRuntime(cluster.client);
});
afterEach(async () => {
  runtime.answers.clear();
  for (const operator of operators.splice(0)) await operator.stop();
  for (const name of made) {
    // The tests of deletion wait for it; here nobody has to clear up what the whole API server ends with.
    await cluster.client.remove(FULFILLMENT_CENTER, { name });
    await cluster.client.patch(FULFILLMENT_CENTER, { name }, { metadata: { finalizers: null } });
    namespaces.add(`cell-${name}`);
  }
  made.clear();
});
afterAll(async () => {
  await runtime?.stop();
  for (const name of namespaces) await cluster?.client.remove(KINDS.namespace, { name });
  await cluster?.client.remove(ROUTING_TABLE, { name: region });
  await cluster?.close();
});

async function start(options: TestOperatorOptions = {}): Promise<TestOperator> {
  const operator = await startTestOperator(cluster, options);
  operators.push(operator);
  return operator;
}

async function create(spec: Partial<FulfillmentCenterInput> = {}, name = uniqueName("it")): Promise<string> {
  made.add(name);
  must(await cluster.client.create(FULFILLMENT_CENTER, newCenter(name, region, spec)));
  return name;
}

async function read(name: string): Promise<FulfillmentCenter | undefined> {
  const result = await cluster.client.get<FulfillmentCenter>(FULFILLMENT_CENTER, { name });
  return result.ok ? result.value : undefined;
}

async function becomes(name: string, type: string, expected: string): Promise<FulfillmentCenter> {
  let last: FulfillmentCenter | undefined;
  try {
    await until(`${type} of ${name} is ${expected}`, async () => {
      last = await read(name);
      const condition = findCondition(last?.status?.conditions, type);
      return (
        `${condition?.status} ${condition?.reason}` === expected &&
        condition?.observedGeneration === last?.metadata.generation
      );
    });
  } catch (error) {
    throw new Error(`${(error as Error).message}: ${JSON.stringify(last?.status, null, 1)}`);
  }
  return last!;
}

const table = async () => {
  const result = await cluster.client.get<RoutingTable>(ROUTING_TABLE, { name: region });
  return result.ok ? result.value : undefined;
};
const routed = async (name: string) => (await table())?.spec.cells.find((cell) => cell.name === name);

/** Names of everything of a center that is left in the cluster. */
async function remains(name: string): Promise<string[]> {
  const labelSelector = `${LABELS.center}=${name}`;
  const found: string[] = [];
  for (const ref of Object.values(KINDS)) {
    if (["Node", "CustomResourceDefinition", "Event"].includes(ref.kind)) continue;
    for (const { kind = ref.kind, metadata } of must(await cluster.client.list(ref, { labelSelector })).items)
      found.push(`${kind}/${metadata.name}`);
  }
  return found;
}

describe.each(["Compact", "Separate"] as const)("a center in %s", (topology) => {
  it("becomes Ready, enters the routing table, and leaves nothing when it is deleted", async () => {
    await start();
    const name = await create({ topology });
    const fc = await becomes(name, "Ready", "True Ready");
    expect(fc.status).toMatchObject({
      phase: "Ready",
      namespace: `cell-${name}`,
      release: { current: "registry.example/cell:1" },
    });
    expect(findCondition(fc.status?.conditions, "Isolated")?.status).toBe("Unknown");
    await until("the cell is routed to", async () => (await routed(name))?.weight === 100);
    const cell = await routed(name);
    expect(cell).toMatchObject({ mode: "Active", epoch: fc.status?.epoch });
    expect(cell?.services.orders).toMatchObject({ host: `orders.cell-${name}.svc`, port: 7002 });
    expect(JSON.parse(cell?.publicKey ?? "")).not.toHaveProperty("d");

    must(await cluster.client.remove(FULFILLMENT_CENTER, { name }));
    await until("the center is gone", async () => (await read(name)) === undefined);
    expect(await remains(name)).toEqual([]);
    expect((await cluster.client.get(KINDS.namespace, { name: `cell-${name}` })).ok).toBe(false);
    expect(runtime.ran).toContain(`remove ${name}`);
    expect((await table())?.spec.tombstones).toContainEqual({ name, epoch: fc.status?.epoch });
  });
});

it("gives a center that is made again a higher epoch", async () => {
  await start();
  const name = await create();
  const first = (await becomes(name, "Ready", "True Ready")).status?.epoch ?? 0;
  must(await cluster.client.remove(FULFILLMENT_CENTER, { name }));
  await until("the center is gone", async () => (await read(name)) === undefined);
  await create({}, name);
  expect((await becomes(name, "Ready", "True Ready")).status?.epoch).toBeGreaterThan(first);
});

it("corrects what somebody changes by hand", async () => {
  await start();
  const name = await create();
  await becomes(name, "Ready", "True Ready");
  const namespace = `cell-${name}`;
  must(await cluster.client.patch(KINDS.deployment, { name: "cell", namespace }, { spec: { replicas: 4 } }));
  must(
    await cluster.client.patch(
      KINDS.networkPolicy,
      { name: "default-deny", namespace },
      { spec: { policyTypes: ["Ingress"] } },
    ),
  );
  must(await cluster.client.remove(KINDS.service, { name: "orders", namespace }));
  await until("the Deployment has one replica", async () => {
    const live = must(await cluster.client.get(KINDS.deployment, { name: "cell", namespace }));
    return (live.spec as { replicas: number }).replicas === 1;
  });
  await until("the policy denies both ways", async () => {
    const live = must(await cluster.client.get(KINDS.networkPolicy, { name: "default-deny", namespace }));
    return (live.spec as { policyTypes: string[] }).policyTypes.length === 2;
  });
  await until("the Service is back and routed to by its new address", async () => {
    const live = await cluster.client.get(KINDS.service, { name: "orders", namespace });
    return (
      live.ok &&
      (await routed(name))?.services.orders?.ip === (live.value.spec as { clusterIP: string }).clusterIP
    );
  });
  await becomes(name, "Ready", "True Ready");
});

it("says what a provision Job says, and goes on by itself when that has passed", async () => {
  runtime.answers.set("provision", {
    ok: false,
    reason: "KafkaUnreachable",
    message: "No broker answered at kafka:9092.",
  });
  let aheadMs = 0;
  await start({ nowMs: () => Date.now() + aheadMs });
  const name = await create();
  const fc = await becomes(name, "TopicsReady", "False KafkaUnreachable");
  expect(findCondition(fc.status?.conditions, "TopicsReady")?.message).toContain(
    "No broker answered at kafka:9092.",
  );
  runtime.answers.delete("provision");
  await until(
    "the Job is made again",
    async () => {
      aheadMs = 120_000;
      await cluster.client.patch(
        FULFILLMENT_CENTER,
        { name },
        { metadata: { annotations: { poke: String(Date.now()) } } },
      );
      return findCondition((await read(name))?.status?.conditions, "Ready")?.status === "True";
    },
    180_000,
  );
});

it("leaves a namespace alone that somebody else made", async () => {
  await start();
  const name = uniqueName("it");
  const namespace = {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: `cell-${name}`, labels: { team: "theirs" } },
  };
  const before: KubeObject = must(await cluster.client.create<KubeObject>(KINDS.namespace, namespace));
  await create({}, name);
  const fc = await becomes(name, "Stalled", "True NamespaceTaken");
  expect(fc.status?.phase).toBe("Stalled");
  must(await cluster.client.remove(FULFILLMENT_CENTER, { name }));
  await until("the center is gone", async () => (await read(name)) === undefined);
  const after = must(await cluster.client.get(KINDS.namespace, { name: `cell-${name}` }));
  expect(after.metadata.resourceVersion).toBe(before.metadata.resourceVersion);
  must(await cluster.client.remove(KINDS.namespace, { name: `cell-${name}` }));
});

it("respects a hold until it expires", async () => {
  let aheadMs = 0;
  await start({ nowMs: () => Date.now() + aheadMs });
  const name = await create();
  await becomes(name, "Ready", "True Ready");
  const target = { name: "cell", namespace: `cell-${name}` };
  const heldUntil = formatTime(Date.now() + 600_000);
  const held = { metadata: { annotations: { [ANNOTATIONS.heldUntil]: heldUntil } }, spec: { replicas: 0 } };
  must(await cluster.client.patch(KINDS.deployment, target, held));
  await becomes(name, "ServicesReady", "False Held");
  const replicas = async () =>
    (must(await cluster.client.get(KINDS.deployment, target)).spec as { replicas: number }).replicas;
  expect(await replicas()).toBe(0);
  // The table follows within a second or so, and a hold takes nothing of it back.
  await until("the cell gets orders", async () => (await routed(name))?.weight === 100);
  aheadMs = 601_000;
  must(
    await cluster.client.patch(FULFILLMENT_CENTER, { name }, { metadata: { annotations: { poke: "1" } } }),
  );
  await becomes(name, "ServicesReady", "True Ready");
  expect(await replicas()).toBe(1);
});

it("fences, and lets the cell write again with a higher epoch", async () => {
  await start();
  const name = await create();
  const first = await becomes(name, "Ready", "True Ready");
  must(await cluster.client.patch(FULFILLMENT_CENTER, { name }, { spec: { mode: "Fenced" } }));
  const fenced = await becomes(name, "Ready", "True Fenced");
  expect(fenced.status?.fencedEpoch).toBeGreaterThan(first.status?.epoch ?? 0);
  // Without the mode, the entry of a cell that was not Ready yet would do: the table follows within a second.
  await until("nobody is routed to it", async () => {
    const cell = await routed(name);
    return cell?.mode === "Fenced" && cell.weight === 0;
  });
  must(await cluster.client.patch(FULFILLMENT_CENTER, { name }, { spec: { mode: "Active" } }));
  const back = await becomes(name, "Ready", "True Ready");
  expect(back.status?.epoch).toBeGreaterThan(fenced.status?.fencedEpoch ?? 0);
  await until("it is routed to again", async () => (await routed(name))?.weight === 100);
});

it("rebuilds a cell whose namespace was deleted, and admits it only after a person said so", async () => {
  await start();
  const name = await create();
  const first = await becomes(name, "Ready", "True Ready");
  await until("it is routed to", async () => (await routed(name))?.weight === 100);
  must(await cluster.client.remove(KINDS.namespace, { name: `cell-${name}` }));
  const lost = await becomes(name, "DataLost", "True NamespaceReplaced");
  expect(lost.status?.epoch).toBeGreaterThan(first.status?.epoch ?? 0);
  await until("nobody is routed to it", async () => (await routed(name))?.weight === 0);
  await becomes(name, "ServicesReady", "True Ready");
  expect(findCondition((await read(name))?.status?.conditions, "Ready")?.reason).toBe("DataLost");
  const uid = must(await cluster.client.get(KINDS.namespace, { name: `cell-${name}` })).metadata.uid ?? "";
  const annotations = { [ANNOTATIONS.acknowledgeDataLoss]: uid };
  must(await cluster.client.patch(FULFILLMENT_CENTER, { name }, { metadata: { annotations } }));
  await becomes(name, "Ready", "True Ready");
  await until("it is routed to again", async () => (await routed(name))?.weight === 100);
});

it("keeps the data of a retained center for its heir", async () => {
  await start();
  const name = await create({ deletion: { policy: "Retain" } });
  const first = await becomes(name, "Ready", "True Ready");
  const secret = { name: "database", namespace: `cell-${name}` };
  const before = must(await cluster.client.get(KINDS.secret, secret)).data;
  must(await cluster.client.remove(FULFILLMENT_CENTER, { name }));
  await until("the center is gone", async () => (await read(name)) === undefined);
  const kept = (await remains(name)).filter((one) => !one.startsWith("PersistentVolumeClaim/"));
  expect(kept.sort()).toEqual([
    `Namespace/cell-${name}`,
    "Secret/cache",
    "Secret/database",
    "Secret/recovery",
    "Secret/trust",
  ]);

  await create({}, name);
  await becomes(name, "Stalled", "True NamespaceTaken");
  const uid = must(await cluster.client.get(KINDS.namespace, { name: `cell-${name}` })).metadata.uid ?? "";
  must(
    await cluster.client.patch(
      FULFILLMENT_CENTER,
      { name },
      { metadata: { annotations: { [ANNOTATIONS.adopt]: uid } } },
    ),
  );
  const heir = await becomes(name, "Ready", "True Ready");
  expect(heir.status?.epoch).toBeGreaterThan(first.status?.epoch ?? 0);
  expect(must(await cluster.client.get(KINDS.secret, secret)).data).toEqual(before);
  expect(
    must(await cluster.client.get(KINDS.namespace, { name: `cell-${name}` })).metadata.labels?.[
      LABELS.retained
    ],
  ).toBeUndefined();
});

/** Requests of operators in the API server's own log, without watches and the renewing of the Lease. */
function requestsSince(since: string): string[] {
  const path = process.env.TEST_AUDIT_LOG;
  if (path === undefined)
    throw new Error("set TEST_AUDIT_LOG to the request log of the API server for tests");
  interface Entry {
    verb: string;
    userAgent?: string;
    requestURI: string;
    requestReceivedTimestamp: string;
  }
  return readFileSync(path, "utf8")
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Entry)
    .filter(
      ({ userAgent, requestReceivedTimestamp }) =>
        userAgent?.startsWith("fulfillment-cells-operator") && requestReceivedTimestamp > since,
    )
    .filter(({ verb, requestURI }) => verb !== "watch" && !requestURI.includes("/leases/"))
    .map(({ verb, requestURI }) => `${verb} ${requestURI}`);
}

it("writes nothing and lists nothing while nothing happens, also after a restart", async () => {
  const first = await start();
  const name = await create();
  await becomes(name, "Ready", "True Ready");
  await until("it is routed to", async () => (await routed(name))?.weight === 100);
  const quiet = async (operator: TestOperator) => {
    await until("the last echoes have passed", async () => {
      const before = operator.writes.length;
      await new Promise((resolve) => setTimeout(resolve, 1500));
      return operator.writes.length === before;
    });
    const since = new Date().toISOString();
    await new Promise((resolve) => setTimeout(resolve, 5000));
    return requestsSince(since);
  };
  expect(await quiet(first)).toEqual([]);
  await operators.splice(0)[0]?.stop();
  const second = await start();
  await until("the second leads", () => second.operator.isLeading());
  expect(await quiet(second)).toEqual([]);
  expect(second.writes).toEqual([]);
});

it("has one leader, and hands over", async () => {
  const first = await start({ identity: "one" });
  await until("the first leads", () => first.operator.isLeading());
  const second = await start({ identity: "two" });
  const name = await create();
  await becomes(name, "Ready", "True Ready");
  expect([first.operator.isLeading(), second.operator.isLeading()]).toEqual([true, false]);
  expect(second.writes).toEqual([]);
  operators.splice(operators.indexOf(first), 1);
  await first.stop();
  await until("the second leads", () => second.operator.isLeading());
  must(await cluster.client.patch(FULFILLMENT_CENTER, { name }, { spec: { mode: "Draining" } }));
  await becomes(name, "Draining", "True Draining");
  expect(second.writes.length).toBeGreaterThan(0);
});
