import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type ApiServer, startApiServer } from "../local/cluster/apiserver.ts";
import { silentReport } from "../local/cluster/report.ts";
import { createInformer, type Informer } from "../platform/kube/informer.ts";
import { KINDS } from "../platform/kube/kinds.ts";
import { findCondition, type KubeObject, type ResourceRef } from "../platform/kube/objects.ts";
import { silentLog, silentMetrics } from "../platform/kube/ports.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import { API_VERSION, FULFILLMENT_CENTER, LABELS, ROUTING_TABLE } from "./api/names.ts";
import type { RoutingTable } from "./api/routing-table.ts";
import { connectTestCluster, must, type TestCluster, uniqueName, until } from "./testing/cluster.ts";
import { startTestOperator } from "./testing/operator.ts";
import { type CellRuntime, startCellRuntime } from "./testing/runtime.ts";

/** Centers that are provisioned side by side: most of the time is waiting for controllers. */
const BATCH = 19;
const DEADLINE_MS = 180_000;

const dir = mkdtempSync(join(tmpdir(), "crash-"));
let server: ApiServer;
let cluster: TestCluster;
let runtime: CellRuntime;
let centers: Informer<FulfillmentCenter>;
let tables: Informer<RoutingTable>;
const watching = new AbortController();
const running: Promise<void>[] = [];

beforeAll(async () => {
  // Of its own: an operator of another test would work on the same centers, and nothing has to be cleared away.
  server = await startApiServer({ dir: join(dir, "server"), report: silentReport() });
  cluster = await connectTestCluster(server.kubeconfigPath);
  runtime = startCellRuntime(cluster.client);
  const shared = { client: cluster.client, log: silentLog, metrics: silentMetrics };
  centers = createInformer<FulfillmentCenter>({ ...shared, ref: FULFILLMENT_CENTER });
  tables = createInformer<RoutingTable>({ ...shared, ref: ROUTING_TABLE });
  running.push(centers.run(watching.signal), tables.run(watching.signal));
});
afterAll(async () => {
  watching.abort();
  await Promise.all(running);
  await runtime?.stop();
  await cluster?.close();
  await server?.stop();
  rmSync(dir, { recursive: true, force: true });
});

/** One center in a region of its own; the mark is in every name of theirs. */
interface Subject {
  readonly mark: string;
  readonly center: string;
  readonly region: string;
}

async function create(): Promise<Subject> {
  const mark = uniqueName("crash");
  const center = `${mark}-center`;
  const region = `${mark}-region`;
  must(
    await cluster.client.create(FULFILLMENT_CENTER, {
      apiVersion: API_VERSION,
      kind: "FulfillmentCenter",
      metadata: { name: center },
      spec: {
        region,
        location: { latitude: "37.5663", longitude: "126.9018" },
        coverage: { radiusMeters: 8000 },
        database: { engine: "PostgreSQL", storage: "1Gi" },
        deletion: { policy: "Delete" },
      },
    } as KubeObject),
  );
  return { mark, center, region };
}

/** What a cell is made of, without what differs from one cell to the next. */
async function endState({ center, region }: Subject): Promise<string[]> {
  const kinds = [
    KINDS.resourceQuota,
    KINDS.limitRange,
    KINDS.networkPolicy,
    KINDS.serviceAccount,
    KINDS.secret,
    KINDS.service,
    KINDS.statefulSet,
    KINDS.deployment,
  ];
  const selection = { namespace: `cell-${center}`, labelSelector: `${LABELS.center}=${center}` };
  const names = async (ref: ResourceRef) =>
    must(await cluster.client.list(ref, selection)).items.map(
      ({ metadata }) => `${ref.kind}/${metadata.name}`,
    );
  const found = (await Promise.all(kinds.map(names))).flat();
  const jobs = must(await cluster.client.list(KINDS.job, { namespace: `cell-${center}` }));
  const table = must(await cluster.client.get<RoutingTable>(ROUTING_TABLE, { name: region }));
  const cells = table.spec.cells.map((cell) => `cell ${cell.mode} ${cell.weight}`);
  const fc = must(await cluster.client.get<FulfillmentCenter>(FULFILLMENT_CENTER, { name: center }));
  const conditions = fc.status?.conditions?.map(({ type, status }) => `${type}=${status}`) ?? [];
  return [...found, `Jobs: ${jobs.items.length}`, ...cells, ...conditions].sort();
}

function isSettled({ center, region }: Subject): boolean {
  const cells = tables.store.get(region)?.spec.cells ?? [];
  const routed = cells.some(({ name, weight }) => name === center && weight === 100);
  return routed && findCondition(centers.store.get(center)?.status?.conditions, "Ready")?.status === "True";
}

/** Provisions one center with an operator that nothing happens to. */
async function undisturbed(): Promise<{ state: string[]; writes: number }> {
  const operator = await startTestOperator(cluster);
  const subject = await create();
  await until(`${subject.center} is Ready and routed to`, () => isSettled(subject), DEADLINE_MS);
  await operator.stop();
  const state = await endState(subject);
  return { state, writes: operator.writes.filter(({ target }) => target.includes(subject.mark)).length };
}

interface Life {
  /** Writes after which the first operator was to die. */
  readonly writes: number;
  readonly killed: boolean;
  readonly state: string[];
}

/**
 * Provisions one center for each number of writes. The first operator dies for each center after its number; when it has
 * done all that it will do, one that knows nothing of it takes over.
 */
async function live(numbers: readonly number[]): Promise<Life[]> {
  const subjects = await Promise.all(numbers.map(async (writes) => ({ ...(await create()), writes })));
  const killAfterWrites = new Map(subjects.map(({ mark, writes }) => [mark, writes]));
  const first = await startTestOperator(cluster, { killAfterWrites });
  const isOver = (subject: Subject) => first.dead.has(subject.mark) || isSettled(subject);
  await until("every center is Ready or its operator dead", () => subjects.every(isOver), DEADLINE_MS);
  await first.stop();
  const second = await startTestOperator(cluster);
  await until("every center is Ready and routed to", () => subjects.every(isSettled), DEADLINE_MS);
  await second.stop();
  return Promise.all(
    subjects.map(async (subject) => ({
      writes: subject.writes,
      killed: first.dead.has(subject.mark),
      state: await endState(subject),
    })),
  );
}

it("killed after each of the writes of a provisioning, the next operator comes to the same end", {
  timeout: 1_800_000,
}, async () => {
  const { state, writes } = await undisturbed();
  console.log(`a provisioning takes ${writes} writes`);
  expect(writes).toBeGreaterThan(40);
  const numbers = Array.from({ length: writes }, (_, index) => index + 1);
  let survived = 0;
  while (numbers.length > 0)
    for (const life of await live(numbers.splice(0, BATCH))) {
      expect(life.state, `killed after write ${life.writes}`).toEqual(state);
      if (life.killed) survived++;
    }
  console.log(`killed after ${survived} of ${writes} writes in turn, each time with the same end`);
  // How many passes it takes differs a little from life to life, so the last few may not be reached.
  expect(survived).toBeGreaterThan(writes * 0.8);
});
