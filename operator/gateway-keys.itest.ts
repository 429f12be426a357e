import { afterAll, beforeAll, expect, it } from "vitest";
import { KINDS } from "../platform/kube/kinds.ts";
import type { KubeObject } from "../platform/kube/objects.ts";
import { ANNOTATIONS, cellNamespace, FULFILLMENT_CENTER, ROUTING_TABLE } from "./api/names.ts";
import { fromSecret, SPREAD_MS } from "./gateway-keys.ts";
import { gatewayKeySecret } from "./keys.ts";
import { newCenter } from "./testing/center.ts";
import {
  connectTestCluster,
  discardCenter,
  must,
  type TestCluster,
  uniqueName,
  until,
} from "./testing/cluster.ts";
import { startTestOperator, type TestOperator } from "./testing/operator.ts";
import { type CellRuntime, startCellRuntime } from "./testing/runtime.ts";

let cluster: TestCluster;
let runtime: CellRuntime;
let operator: TestOperator;
const region = uniqueName("region");
const name = uniqueName("keys");
/** How far the operator's clock is ahead. */
let aheadMs = 0;

beforeAll(async () => {
  cluster = await connectTestCluster();
  runtime = startCellRuntime(cluster.client);
  operator = await startTestOperator(cluster, { nowMs: () => Date.now() + aheadMs });
});
afterAll(async () => {
  await operator?.stop();
  await runtime?.stop();
  if (cluster !== undefined) await discardCenter(cluster, name);
  await cluster?.client.remove(ROUTING_TABLE, { name: region });
  await cluster?.close();
});

const keysNow = async () => {
  const secret = must(
    await cluster.client.get(KINDS.secret, { namespace: cluster.namespace, name: gatewayKeySecret(region) }),
  );
  return fromSecret(secret)!;
};
/** Ids of all the keys that the cell's services trust. */
const trusted = async () => {
  const secret = must(
    await cluster.client.get(KINDS.secret, { namespace: cellNamespace(name), name: "trust" }),
  );
  const text = Buffer.from((secret.data as Record<string, string>)["jwks.json"] ?? "", "base64").toString();
  return (JSON.parse(text) as { keys: { kid: string }[] }).keys.map(({ kid }) => kid);
};
const revisions = async () => {
  const { items } = must(await cluster.client.listAll(KINDS.deployment, { namespace: cellNamespace(name) }));
  return items.map(({ metadata }) => metadata.generation);
};
const ask = async (value: string) => {
  const metadata = { annotations: { [ANNOTATIONS.rotateCredentials]: value } };
  must(await cluster.client.patch(ROUTING_TABLE, { name: region }, { metadata }));
};

it("the key of a region's gateways changes when its table asks for it, known to every cell before and after", async () => {
  must(await cluster.client.create(FULFILLMENT_CENTER, newCenter(name, region) as unknown as KubeObject));
  await until("the cell is there", async () => (await revisions().catch(() => [])).length > 0);
  const first = await keysNow();
  expect(await trusted()).toEqual(expect.arrayContaining([first.signing.kid, first.next?.kid]));
  await until(
    "the region has a table",
    async () => (await cluster.client.get(ROUTING_TABLE, { name: region })).ok,
  );
  const before = await revisions();

  aheadMs += SPREAD_MS;
  await ask("first");
  await until("the next key signs", async () => (await keysNow()).signing.kid === first.next?.kid);
  const second = await keysNow();
  const all = [second.signing.kid, second.next?.kid, first.signing.kid];
  await until("the cell trusts all three", async () => {
    const known = await trusted();
    return all.every((kid) => known.includes(kid as string));
  });

  aheadMs += SPREAD_MS;
  // Any word of the region has it looked at; on its own the operator would look when the time is over.
  await ask("second");
  await until(
    "the former key is worthless",
    async () => !(await trusted()).includes(first.signing.kid as string),
  );
  expect(await trusted()).toEqual(expect.arrayContaining(all.slice(0, 2)));
  expect(await revisions()).toEqual(before);
  const { items } = must(await cluster.client.listAll(KINDS.event, { namespace: "default" }));
  const told = items.filter(({ regarding }) => (regarding as { name?: string } | undefined)?.name === region);
  expect(told.map(({ reason }) => reason)).toEqual(expect.arrayContaining(["RotationStarted", "Rotated"]));
});
