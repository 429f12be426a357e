import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, expect, it } from "vitest";
import { KINDS } from "../platform/kube/kinds.ts";
import { findCondition } from "../platform/kube/objects.ts";
import { createVerifier, generateKey } from "../platform/trust.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import { FULFILLMENT_CENTER, ROUTING_TABLE } from "./api/names.ts";
import type { RoutingTable } from "./api/routing-table.ts";
import { askCell } from "./draining.ts";
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

/** Stands for the orders service of a cell: takes tokens of the cell's own key alone. */
let server: Server;
let url = "";
let answer: { status: number; body: string } = { status: 200, body: "" };
let jwks: { keys: object[] } = { keys: [] };
const callers: string[] = [];

let cluster: TestCluster;
let runtime: CellRuntime;
let operator: TestOperator;
const region = uniqueName("region");
const name = uniqueName("drain");

beforeAll(async () => {
  server = createServer((request, response) => {
    const token = (request.headers.authorization ?? "").replace("Bearer ", "");
    void createVerifier({ keys: jwks as never, audience: name })
      .verify(token)
      .then((caller) => {
        callers.push(`${request.url} ${caller?.issuer} ${caller?.subject}`);
        response.writeHead(caller === undefined ? 401 : answer.status, {
          "content-type": "application/json",
        });
        response.end(caller === undefined ? "{}" : answer.body);
      });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  cluster = await connectTestCluster();
  runtime = startCellRuntime(cluster.client);
  operator = await startTestOperator(cluster, { ordersUrl: (center) => (center === name ? url : undefined) });
});
afterAll(async () => {
  await operator?.stop();
  await runtime?.stop();
  if (cluster !== undefined) await discardCenter(cluster, name);
  await cluster?.client.remove(ROUTING_TABLE, { name: region });
  await cluster?.close();
  await new Promise((resolve) => server?.close(resolve));
});

const counts = (openOrders: number, openEffects = 0) => ({
  status: 200,
  body: JSON.stringify({ openOrders, openEffects }),
});

it.each<[string, { status: number; body: string }, object]>([
  ["open orders", counts(3), { kind: "open", bucket: "fewer than 10 orders" }],
  ["nothing left", counts(0), { kind: "empty" }],
  ["a refusal", { status: 503, body: "{}" }, { kind: "unknown", why: "its orders service answered 503" }],
  ["half an answer", { status: 200, body: '{"openOrders":' }, { kind: "unknown" }],
  ["no number", { status: 200, body: '{"openOrders":"0","openEffects":0}' }, { kind: "unknown" }],
  ["a negative number", { status: 200, body: '{"openOrders":-1,"openEffects":0}' }, { kind: "unknown" }],
  ["more than it may be", { status: 200, body: " ".repeat(5000) }, { kind: "unknown" }],
])("understands %s", async (_title, given, expected) => {
  const key = await generateKey();
  jwks = { keys: [key.publicJwk] };
  answer = given;
  const pair = { privateJwk: { ...key.privateJwk }, publicJwk: { ...key.publicJwk } };
  expect(await askCell(name, { url, key: pair })).toMatchObject(expected);
  expect(callers.at(-1)).toBe("/internal/drain cell operator");
});

it("says so when nobody answers, within its time", async () => {
  const key = await generateKey();
  const pair = { privateJwk: { ...key.privateJwk }, publicJwk: { ...key.publicJwk } };
  expect(await askCell(name, { url: "http://127.0.0.1:1", key: pair })).toEqual({
    kind: "unknown",
    why: "its orders service was not reached",
  });
});

it("drains a center: no new orders at once, told how many are open, then that none is; and takes it back", async () => {
  const read = async () => must(await cluster.client.get<FulfillmentCenter>(FULFILLMENT_CENTER, { name }));
  const draining = async () => findCondition((await read()).status?.conditions, "Draining");
  const weight = async () => {
    const table = await cluster.client.get<RoutingTable>(ROUTING_TABLE, { name: region });
    return table.ok ? table.value.spec.cells.find((cell) => cell.name === name)?.weight : undefined;
  };
  const mode = async (value: string) =>
    must(await cluster.client.patch(FULFILLMENT_CENTER, { name }, { spec: { mode: value } }));
  must(await cluster.client.create(FULFILLMENT_CENTER, newCenter(name, region)));
  await until("it is routed to", async () => (await weight()) === 100);
  const trust = must(await cluster.client.get(KINDS.secret, { name: "trust", namespace: `cell-${name}` }));
  const text = (trust.data as Record<string, string>)["jwks.json"] ?? "";
  jwks = JSON.parse(Buffer.from(text, "base64").toString("utf8"));
  answer = counts(12);
  await mode("Draining");
  await until("nobody is routed to it", async () => (await weight()) === 0);
  await until(
    "it says how many orders are open",
    async () => (await draining())?.message.includes("fewer than 100 orders") === true,
  );
  answer = counts(0, 1);
  await until(
    "it says that payments are open",
    async () => (await draining())?.message.includes("no order, but payments") === true,
  );
  answer = counts(0);
  await until("it is drained", async () => (await draining())?.reason === "Drained");
  expect(callers.at(-1)).toBe("/internal/drain cell operator");
  await mode("Active");
  await until("it is routed to again", async () => (await weight()) === 100);
  // The table and the status are written by two controllers, in either order.
  await until("it says that it is not being drained", async () => (await draining())?.status === "False");
  expect(await draining()).toMatchObject({ status: "False", reason: "NotDraining" });
});
