import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";
import { loadavg, tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { startCellProcess } from "../cell/testing/process.ts";
import { freePorts } from "../local/ports.ts";
import { findCondition, type KubeObject } from "../platform/kube/objects.ts";
import { createLogger } from "../platform/log.ts";
import { createMetrics } from "../platform/metrics.ts";
import { SLICE_NAMES } from "../platform/slices.ts";
import { createSql, parseDatabaseUrl, type Sql } from "../platform/sql.ts";
import { ROLE_PASSWORD } from "../platform/testing/shard.ts";
import { testStores } from "../platform/testing/stores.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import { FULFILLMENT_CENTER, ROUTING_TABLE } from "./api/names.ts";
import { reachBrokers } from "./brokers.ts";
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
import { environmentOf } from "./testing/podstatus.ts";
import { type Answer, type CellRuntime, startCellRuntime } from "./testing/runtime.ts";

/** The Job's process, the Job controller, the database and the broker are real; only its node is this machine. */
const region = uniqueName("region");
const name = uniqueName("unreached");
const database = `unreached_${randomBytes(4).toString("hex")}`;
const dir = mkdtempSync(join(tmpdir(), "unreached-"));
const log = createLogger({ service: "test", level: "silent" });
const sockets: Socket[] = [];
let cluster: TestCluster;
let runtime: CellRuntime;
let operator: TestOperator;
let admin: Sql;
let line: Server | undefined;
let startedAtMs = 0;
let port = 0;

beforeAll(async () => {
  [port = 0] = await freePorts(1);
  admin = createSql({
    ...parseDatabaseUrl(testStores().databaseUrl),
    ...{ applicationName: "test", log, metrics: createMetrics({ service: "test" }), max: 1 },
  });
  await admin.query(`CREATE DATABASE ${database}`);
  cluster = await connectTestCluster();
  runtime = startCellRuntime(cluster.client);
  runtime.answers.set("provision", (pod) => runHere(pod));
  operator = await startTestOperator(cluster, { reachBrokers });
});
afterAll(async () => {
  await operator?.stop();
  await discardCenter(cluster, name);
  await cluster?.client.remove(ROUTING_TABLE, { name: region });
  await runtime?.stop();
  await cluster?.close();
  for (const socket of sockets) socket.destroy();
  line?.close();
  await admin?.query(`DROP DATABASE IF EXISTS ${database} WITH (FORCE)`);
  await admin?.close();
  rmSync(dir, { recursive: true, force: true });
});

/** Runs the pod's command with its own plain variables; what Secrets hold is this machine's. */
async function runHere(pod: KubeObject): Promise<Answer> {
  startedAtMs ||= Date.now();
  const file = join(dir, pod.metadata.name);
  const plain = Object.entries(environmentOf(pod)).filter(([, value]) => value !== undefined);
  const job = startCellProcess("provision", {
    ...(Object.fromEntries(plain) as Record<string, string>),
    ...Object.fromEntries(
      SLICE_NAMES.map((one) => [`DATABASE_PASSWORD_${one.toUpperCase()}`, ROLE_PASSWORD]),
    ),
    DATABASE_ADMIN_URL: testStores().databaseUrl.replace(/\/[^/]*$/, `/${database}`),
    TERMINATION_LOG: file,
  });
  await job.exited;
  await job.stop();
  return JSON.parse(readFileSync(file, "utf8")) as Answer;
}

/** A way to the broker that can be closed. */
async function openLine(at: number): Promise<Server> {
  const [host = "", brokerPort = ""] = testStores().kafkaBrokers.split(":");
  const opened = createServer((socket) => {
    const there = connect(Number(brokerPort), host);
    sockets.push(socket, there);
    for (const end of [socket, there]) end.on("error", () => end.destroy());
    socket.pipe(there).pipe(socket);
  });
  await new Promise<void>((resolve) => opened.listen(at, "127.0.0.1", resolve));
  return opened;
}

const verdict = async (type: string) => {
  const fc = must(await cluster.client.get<FulfillmentCenter>(FULFILLMENT_CENTER, { name }));
  const condition = findCondition(fc.status?.conditions, type);
  return { short: `${condition?.status} ${condition?.reason}`, message: condition?.message };
};
const seconds = (fromMs: number) => ((Date.now() - fromMs) / 1000).toFixed(1);

it("names a Kafka that cannot be reached, and goes on by itself when it can", async () => {
  const bootstrapServers = `127.0.0.1:${port}`;
  const messaging = { bootstrapServers, replicas: 1 };
  const createdAtMs = Date.now();
  must(await cluster.client.create(FULFILLMENT_CENTER, newCenter(name, region, { messaging })));
  // Ten times what is promised: a machine that is busy with other things fails no run.
  await until(
    "it is named",
    async () => (await verdict("TopicsReady")).short === "False KafkaUnreachable",
    100_000,
  );
  console.log(
    `an unreachable Kafka is named: ${seconds(startedAtMs)} s after the Job's process began, ${seconds(createdAtMs)} s after the center was made, load ${loadavg()[0]?.toFixed(1)}`,
  );
  expect((await verdict("TopicsReady")).message).toContain(`No broker of ${bootstrapServers} answered`);
  expect((await verdict("Ready")).short).toBe("False WaitingForTopics");

  line = await openLine(port);
  const openAtMs = Date.now();
  await until("the center is Ready", async () => (await verdict("Ready")).short === "True Ready", 240_000);
  console.log(
    `a center whose Kafka is back is Ready: ${seconds(openAtMs)} s, load ${loadavg()[0]?.toFixed(1)}`,
  );
});

it("names a Kafka that is lost under a cell that serves, and takes it back when it answers again", async () => {
  await until(
    "the operator has reached it",
    async () => (await verdict("Degraded")).short === "False NotDegraded",
  );
  line?.close();
  for (const socket of sockets) socket.destroy();
  const closedAtMs = Date.now();
  await until(
    "it is named",
    async () => (await verdict("Degraded")).short === "True KafkaUnreachable",
    100_000,
  );
  console.log(
    `a Kafka lost under a Ready cell is named: ${seconds(closedAtMs)} s, load ${loadavg()[0]?.toFixed(1)}`,
  );
  expect((await verdict("Degraded")).message).toContain(`Kafka at 127.0.0.1:${port} does not answer`);
  expect((await verdict("Ready")).short).toBe("True Ready");

  line = await openLine(port);
  await until(
    "it is taken back",
    async () => (await verdict("Degraded")).short === "False NotDegraded",
    100_000,
  );
});
