import { afterAll, beforeAll, expect, it } from "vitest";
import { KINDS } from "../platform/kube/kinds.ts";
import { findCondition, type KubeObject } from "../platform/kube/objects.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import { FULFILLMENT_CENTER, LABELS } from "./api/names.ts";
import { must, type TestCluster, until } from "./testing/cluster.ts";
import type { CellRuntime } from "./testing/runtime.ts";
import { type Stage, startStage } from "./testing/stage.ts";

/** The Job controller is Kubernetes' own: what it makes of a probe whose pods are killed is what the operator has to see. */
let stage: Stage;
let cluster: TestCluster;
let runtime: CellRuntime;

beforeAll(async () => {
  stage = await startStage();
  ({ cluster, runtime } = stage);
});
afterAll(() => stage?.stop());

const conditionOf = async (name: string, type: string) => {
  const fc = must(await cluster.client.get<FulfillmentCenter>(FULFILLMENT_CENTER, { name }));
  return findCondition(fc.status?.conditions, type);
};
const isolated = async (name: string) => {
  const condition = await conditionOf(name, "Isolated");
  return `${condition?.status} ${condition?.reason}`;
};
const probes = async (name: string): Promise<KubeObject[]> => {
  const labelSelector = `${LABELS.center}=${name},${LABELS.component}=isolation-probe`;
  return must(await cluster.client.list(KINDS.job, { labelSelector })).items;
};
const podsOf = async (name: string): Promise<KubeObject[]> => {
  const labelSelector = `${LABELS.center}=${name},${LABELS.component}=isolation-probe`;
  return must(await cluster.client.list(KINDS.pod, { labelSelector })).items;
};
const kill = async (name: string) => {
  for (const { metadata } of await podsOf(name))
    await cluster.client.remove(KINDS.pod, { name: metadata.name, namespace: `cell-${name}` });
};
const ends = (job: KubeObject | undefined) =>
  ((job?.status ?? {}) as { conditions?: { type: string; lastTransitionTime?: string }[] }).conditions;
const edit = (name: string, spec: object) => cluster.client.patch(FULFILLMENT_CENTER, { name }, { spec });

async function provedCenter(): Promise<{ name: string; first: string }> {
  const name = await stage.create("probed", { isolation: { networkPolicy: "Required" } });
  await until("the isolation is shown", async () => (await isolated(name)) === "True Denied");
  return { name, first: (await probes(name))[0]?.metadata.name ?? "" };
}

it("tries again by itself when the pods of a probe are killed before it has said anything", async () => {
  const { name, first } = await provedCenter();
  const ref = { name: first, namespace: `cell-${name}` };
  runtime.frozen.add(name);
  must(await cluster.client.remove(KINDS.job, ref));
  await until("a new probe runs", async () => {
    const [pod] = await podsOf(name);
    const [job] = await probes(name);
    return pod?.metadata.ownerReferences?.some(({ uid }) => uid === job?.metadata.uid) === true;
  });
  // Else the Job controller would make three more pods, in 70 seconds, and the operator would put the number back.
  await edit(name, { paused: true });
  await until("the center is paused", async () => (await conditionOf(name, "Ready"))?.reason === "Paused");
  must(await cluster.client.patch(KINDS.job, ref, { spec: { backoffLimit: 0 } }));
  await kill(name);
  await until("the Job has failed", async () =>
    (await probes(name)).flatMap((job) => ends(job) ?? []).some(({ type }) => type === "Failed"),
  );
  const from = Date.now();
  await edit(name, { paused: false });
  await until("it is told", async () => (await isolated(name)) === "Unknown NotProbed");
  expect((await conditionOf(name, "Isolated"))?.message).toContain("It is tried again by itself");
  runtime.frozen.delete(name);
  await until("the isolation is shown again", async () => (await isolated(name)) === "True Denied");
  console.log(`a killed probe is repeated and has answered: ${((Date.now() - from) / 1000).toFixed(1)} s`);
  expect((await probes(name)).map(({ metadata }) => metadata.name)).toEqual([`${first}-1`]);
});

it("tries again when the pod of an ended probe goes with its node, and the answer stands meanwhile", async () => {
  const { name, first } = await provedCenter();
  const before = await conditionOf(name, "Isolated");
  const writes = stage.operator.writes.length;
  await kill(name);
  const seen = new Set<string>();
  await until("another probe has answered", async () => {
    seen.add(`${await isolated(name)}, ${(await conditionOf(name, "Ready"))?.status}`);
    const [job] = await probes(name);
    return job?.metadata.name === `${first}-1` && ends(job)?.some(({ type }) => type === "Complete") === true;
  });
  expect([...seen]).toEqual(["True Denied, True"]);
  expect(await conditionOf(name, "Isolated")).toEqual(before);
  const since = stage.operator.writes.slice(writes).filter(({ target }) => target.includes(name));
  expect(since.map(({ verb, target }) => `${verb} ${target.split("/")[1]}`)).toEqual([
    `create ${first}-1`,
    `remove ${first}`,
  ]);
});
