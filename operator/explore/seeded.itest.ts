import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type ApiServer, startApiServer } from "../../local/cluster/apiserver.ts";
import { silentReport } from "../../local/cluster/report.ts";
import { createKubeClient } from "../../platform/kube/client.ts";
import { createInformer, type Informer } from "../../platform/kube/informer.ts";
import { KINDS } from "../../platform/kube/kinds.ts";
import type { ResourceRef } from "../../platform/kube/objects.ts";
import { silentLog, silentMetrics } from "../../platform/kube/ports.ts";
import { createLot } from "../../platform/testing/lot.ts";
import type { FulfillmentCenter } from "../api/fulfillment-center.ts";
import { FULFILLMENT_CENTER, LABELS, MANAGER, ROUTING_TABLE } from "../api/names.ts";
import type { RoutingTable } from "../api/routing-table.ts";
import { createOperator } from "../operator.ts";
import { CELL_KINDS } from "../stores.ts";
import { SETTINGS } from "../testing/center.ts";
import { connectTestCluster, must, type TestCluster, uniqueName, until } from "../testing/cluster.ts";
import { type CellRuntime, startCellRuntime } from "../testing/runtime.ts";
import { differences } from "./endstate.ts";
import { createExplorer } from "./explore.ts";
import { type Fault, formatFaults } from "./faults.ts";
import { defaultedCenter, FLOW_NAMES, FLOWS, type FlowName, isReady, type View } from "./flows.ts";
import { createMarkedClient, type MarkedClient } from "./markedclient.ts";

const COUNT = 20;
const SEED = Number(process.env.EXPLORE_SEED ?? 1);
const DEADLINE_MS = 240_000;
/** Longer than the operator waits for a copy that lags behind its own writes. */
const HOLD_MS = 6_000;
const LEASE = { durationMs: 30_000, renewDeadlineMs: 20_000, retryMs: 400 };

const dir = mkdtempSync(join(tmpdir(), "explore-"));
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
  readonly flow: FlowName;
  readonly fault: Fault;
  readonly mark: string;
  state: "underway" | "done";
}

const centerOf = ({ mark }: Subject) => `${mark}-center`;
const regionOf = ({ mark }: Subject) => `${mark}-region`;

function viewOf(subject: Subject): View {
  const table = tables.store.get(regionOf(subject));
  return {
    fc: centers.store.get(centerOf(subject)),
    table,
    cell: table?.spec.cells.find(({ name }) => name === centerOf(subject)),
  };
}

/** Brings a center to the flow's beginning, lets the fault wait, and does what the flow's person does. */
async function follow(subject: Subject, marked: MarkedClient): Promise<void> {
  const { flow, fault, mark } = subject;
  const { from, steps } = FLOWS[flow];
  const name = { name: centerOf(subject) };
  const make = (spec: object) => defaultedCenter(name.name, regionOf(subject), spec);
  if (from === undefined) marked.arm(mark, fault);
  else {
    must(await cluster.client.create(FULFILLMENT_CENTER, make(from)));
    await until(`${flow} begins`, () => isReady(viewOf(subject)), DEADLINE_MS);
    marked.arm(mark, fault);
  }
  for (const { act, isDone } of steps) {
    if (act.kind === "create") must(await cluster.client.create(FULFILLMENT_CENTER, make(act.spec)));
    else if (act.kind === "patch") {
      // No node, no volume: a claim that is not bound may not grow.
      const { database: _storage, ...spec } = act.spec;
      must(await cluster.client.patch(FULFILLMENT_CENTER, name, { spec }));
    } else must(await cluster.client.remove(FULFILLMENT_CENTER, name));
    await until(
      `${flow} under ${formatFaults([fault])}: ${JSON.stringify(act)}`,
      () => isDone(viewOf(subject)),
      DEADLINE_MS,
    );
  }
  subject.state = "done";
}

/** Where a center is, for people who read a failure. */
function describeSubject(subject: Subject): string {
  const { fc } = viewOf(subject);
  const conditions = fc?.status?.conditions?.map(({ type, status, reason }) => `${type}=${status} ${reason}`);
  return `${subject.flow} under ${formatFaults([subject.fault])}: ${fc?.status?.phase}, ${conditions?.join(", ")}`;
}

/** What is left of a center and its cell, without what differs from one cell to the next. */
async function endState(subject: Subject): Promise<string[]> {
  const center = centerOf(subject);
  const selection = { labelSelector: `${LABELS.center}=${center}` };
  const plain = (name: string) =>
    name.replaceAll(subject.mark, "…").replace(/-[0-9a-f]{8,10}(-\w+)?$/, "-<hash>");
  const names = async (ref: ResourceRef) =>
    must(await cluster.client.list(ref, selection)).items.map(
      ({ metadata }) => `${ref.kind}/${plain(metadata.name)}`,
    );
  const kinds = [KINDS.namespace, KINDS.persistentVolumeClaim, ...CELL_KINDS];
  const found = (await Promise.all(kinds.map(names))).flat();
  const { fc, cell, table } = viewOf(subject);
  const conditions = fc?.status?.conditions?.map(({ type, status, reason }) => `${type}=${status} ${reason}`);
  return [
    ...found,
    `cell ${cell?.mode} ${cell?.weight}`,
    `tombstones ${table?.spec.tombstones.length}`,
    `phase ${fc?.status?.phase}`,
    ...(conditions ?? []),
  ].sort();
}

/** Runs an operator with a memory of its own; it leads within a second. */
function start(client: MarkedClient["client"], identity: string) {
  const stop = new AbortController();
  const operator = createOperator({
    config: { client },
    settings: { ...SETTINGS, namespace: cluster.namespace },
    log: silentLog,
    metrics: silentMetrics,
    identity,
    lease: LEASE,
  });
  const ended = operator.run(stop.signal);
  return async () => {
    stop.abort();
    if ((await ended) === "lost") throw new Error("the operator lost its lease under way");
  };
}

const newClient = () =>
  createMarkedClient(
    createKubeClient(cluster.config, {
      log: silentLog,
      metrics: silentMetrics,
      userAgent: "fulfillment-cells-operator",
      fieldManager: MANAGER,
    }),
    HOLD_MS,
  );

/** Faults at writes that the flow makes, as many flows as there are in turn. */
async function draw(): Promise<Subject[]> {
  const lot = createLot(SEED);
  const explorer = createExplorer();
  const kinds = ["crash-before", "crash-after", "stale", "gap"] as const;
  const subjects: Subject[] = [];
  for (let index = 0; index < COUNT; index++) {
    const flow = FLOW_NAMES[index % FLOW_NAMES.length]!;
    const { calls } = await explorer.undisturbed(flow);
    const writes = calls.filter(
      ({ verb, target }) =>
        !["get", "list", "listAll", "watch"].includes(verb) && !/Lease|Event/.test(target),
    ).length;
    // The last few may not come, as it takes a pass more or less from time to time.
    const at = Math.floor(lot() * writes * 0.8);
    const kind = kinds[Math.floor(lot() * kinds.length)]!;
    subjects.push({ flow, fault: { kind, at }, mark: uniqueName("x"), state: "underway" });
  }
  return subjects;
}

it(`comes to the same end under ${COUNT} faults drawn by lot, on a real API server`, {
  timeout: 900_000,
}, async () => {
  const faulted = await draw();
  const references = FLOW_NAMES.map(
    (flow): Subject => ({ flow, fault: { kind: "none" }, mark: uniqueName("x"), state: "underway" }),
  );
  const all = [...faulted, ...references];
  const first = newClient();
  const stopFirst = start(first.client, "operator-1");
  const following = Promise.all(all.map((subject) => follow(subject, first)));
  // A failure below must not be drowned by this one.
  following.catch(() => undefined);
  const isOver = (subject: Subject) => subject.state === "done" || first.dead.has(subject.mark);
  const waiting = () => all.filter((subject) => !isOver(subject)).map(describeSubject);
  await Promise.race([
    until("the first life is over", () => all.every(isOver), DEADLINE_MS),
    following,
  ]).catch((error: Error) => {
    throw new Error(`${error.message}:\n${waiting().join("\n")}`);
  });
  await stopFirst();
  const second = newClient();
  const stopSecond = start(second.client, "operator-2");
  await following;
  const expected = new Map<FlowName, string[]>();
  for (const subject of references) expected.set(subject.flow, await endState(subject));
  for (const subject of faulted) {
    const what = `${subject.flow} under ${formatFaults([subject.fault])}, seed ${SEED}`;
    const wanted = expected.get(subject.flow) ?? [];
    // Whoever has just been let go may have a superseded object to clear away.
    let found: string[] = [];
    await until(
      what,
      async () => {
        found = await endState(subject);
        return differences(wanted, found).length === 0;
      },
      30_000,
    ).catch(() => expect(found, what).toEqual(wanted));
  }
  await stopSecond();
  const struck = faulted.filter(({ mark }) => first.struck.has(mark));
  console.log(
    `${struck.length} of ${COUNT} faults happened, ${first.dead.size} of them crashes, each time with the same end`,
  );
  expect(struck.length).toBeGreaterThan(COUNT * 0.8);
});
