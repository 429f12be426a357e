import { afterAll, beforeAll, expect, it } from "vitest";
import { run } from "../local/cluster/command.ts";
import { KINDS } from "../platform/kube/kinds.ts";
import { findCondition } from "../platform/kube/objects.ts";
import type { FulfillmentCenter, FulfillmentCenterInput } from "./api/fulfillment-center.ts";
import { FULFILLMENT_CENTER } from "./api/names.ts";
import { must, type TestCluster, until } from "./testing/cluster.ts";
import { type Stage, startStage } from "./testing/stage.ts";

/** Each trouble is made for real; what the controllers of Kubernetes say of it is what the center has to name. */
let stage: Stage;
let cluster: TestCluster;

beforeAll(async () => {
  stage = await startStage();
  cluster = stage.cluster;
});
afterAll(() => stage?.stop());

const create = (spec: Partial<FulfillmentCenterInput> = {}) => stage.create("trouble", spec);
const read = async (name: string) => {
  const found = await cluster.client.get<FulfillmentCenter>(FULFILLMENT_CENTER, { name });
  return found.ok ? found.value : undefined;
};
const reasonOf = async (name: string, type: string) => {
  const condition = findCondition((await read(name))?.status?.conditions, type);
  return `${condition?.status} ${condition?.reason}`;
};
/** Waits for a fact and prints how long it took; the deadline is no claim. */
async function timed(what: string, holds: () => Promise<boolean>): Promise<void> {
  const from = Date.now();
  await until(what, holds);
  console.log(`${what}: ${((Date.now() - from) / 1000).toFixed(1)} s`);
}
const kubectl = (...words: string[]) => {
  const { TEST_KUBECTL: program, TEST_KUBECONFIG: kubeconfig } = process.env;
  if (program === undefined || kubeconfig === undefined)
    throw new Error("set TEST_KUBECTL and TEST_KUBECONFIG to a kubectl and an API server for tests");
  return run([program, "--kubeconfig", kubeconfig, ...words]);
};
/** `kubectl describe` shows an Event with this reason. */
const tells = (name: string, reason: string) =>
  until(`kubectl describe tells ${reason}`, async () =>
    new RegExp(`(Normal|Warning)\\s+${reason}\\s`).test(await kubectl("describe", "fc", name)),
  );

it("kubectl waits for a center; a Secret that is deleted is named, comes back as it was, and restarts no pod", async () => {
  const name = await create();
  expect(await kubectl("wait", "--for=condition=Ready", `fc/${name}`, "--timeout=60s")).toContain(
    "condition met",
  );
  await tells(name, "Ready");
  const namespace = `cell-${name}`;
  const secret = { name: "database", namespace };
  const before = must(await cluster.client.get(KINDS.secret, secret));
  const generation = async () =>
    must(await cluster.client.get(KINDS.deployment, { name: "cell", namespace })).metadata.generation;
  const generationBefore = await generation();
  must(await cluster.client.remove(KINDS.secret, secret));
  await timed("a deleted Secret is back", async () => {
    const now = await cluster.client.get(KINDS.secret, secret);
    return now.ok && now.value.metadata.uid !== before.metadata.uid;
  });
  expect(must(await cluster.client.get(KINDS.secret, secret)).data).toEqual(before.data);
  await tells(name, "SecretMissing");
  await until("the center is Ready", async () => (await reasonOf(name, "Ready")) === "True Ready");
  expect(await generation()).toBe(generationBefore);
});

it("names a quota that is full, and goes on by itself when it is raised", async () => {
  const name = await create({ isolation: { quota: { pods: 1 } } });
  await timed(
    "a full quota is named",
    async () => (await reasonOf(name, "Stalled")) === "True QuotaExceeded",
  );
  const status = (await read(name))?.status;
  expect(status?.blockers).toContainEqual(expect.objectContaining({ kind: "ResourceQuota", name: "cell" }));
  expect(findCondition(status?.conditions, "Stalled")?.message).toContain("raise isolation.quota.pods");
  await tells(name, "QuotaExceeded");
  must(
    await cluster.client.patch(
      FULFILLMENT_CENTER,
      { name },
      { spec: { isolation: { quota: { pods: 20 } } } },
    ),
  );
  await timed("a center whose quota was raised is Ready", async () => {
    return (await reasonOf(name, "Ready")) === "True Ready";
  });
  expect((await read(name))?.status?.blockers).toBeUndefined();
});

it("names who keeps a namespace from being gone, and ends the deletion by itself when that has passed", async () => {
  const name = await create();
  await until("the center is Ready", async () => (await reasonOf(name, "Ready")) === "True Ready");
  const namespace = `cell-${name}`;
  const held = { name: "held", namespace };
  must(
    await cluster.client.create(KINDS.configMap, {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { ...held, finalizers: ["example.com/hold"] },
    }),
  );
  const finalizers = [...((await read(name))?.metadata.finalizers ?? []), "example.com/center"];
  must(await cluster.client.patch(FULFILLMENT_CENTER, { name }, { metadata: { finalizers } }));
  must(await cluster.client.remove(FULFILLMENT_CENTER, { name }));
  await until("the namespace is being deleted", async () => {
    const now = await cluster.client.get(KINDS.namespace, { name: namespace });
    return now.ok && now.value.metadata.deletionTimestamp !== undefined;
  });
  await timed("a namespace that a finalizer holds is named", async () => {
    return (await reasonOf(name, "Deleting")) === "True FinalizersRemaining";
  });
  const status = (await read(name))?.status;
  expect(JSON.stringify(status?.blockers)).toContain("example.com/hold");
  expect(findCondition(status?.conditions, "Deleting")?.message).toContain("example.com/hold");
  await tells(name, "FinalizersRemaining");
  must(await cluster.client.patch(KINDS.configMap, held, { metadata: { finalizers: null } }));
  await timed("a finalizer of somebody else on the center is named once the namespace is gone", async () =>
    JSON.stringify((await read(name))?.status?.blockers ?? []).includes(
      "finalizer example.com/center is not the operator's",
    ),
  );
  must(await cluster.client.patch(FULFILLMENT_CENTER, { name }, { metadata: { finalizers: null } }));
  await until("the center is gone", async () => (await read(name)) === undefined);
});
