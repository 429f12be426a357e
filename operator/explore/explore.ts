import type { KubeClient } from "../../platform/kube/client.ts";
import { nameKey } from "../../platform/kube/objects.ts";
import { type FakeAnswer, type FakeSnapshot, refuse } from "../../platform/kube/testing/fakestorage.ts";
import { createMemoryClient } from "../../platform/kube/testing/memoryclient.ts";
import { createMemoryCluster } from "../../platform/kube/testing/memorycluster.ts";
import { createVirtualTime } from "../../platform/kube/testing/virtualtime.ts";
import type { FulfillmentCenter } from "../api/fulfillment-center.ts";
import { FULFILLMENT_CENTER, ROUTING_TABLE } from "../api/names.ts";
import type { RoutingTable } from "../api/routing-table.ts";
import { differences, endState } from "./endstate.ts";
import { type Fault, formatFaults } from "./faults.ts";
import type { Call } from "./faultyclient.ts";
import { defaultedCenter, FLOWS, type Flow, type FlowName, isReady, type Step, type View } from "./flows.ts";
import { watchInvariants } from "./invariants.ts";
import { type Life, startLife } from "./life.ts";
import { createShards, type Shards } from "./shard.ts";

export const CENTER = "seoul-mapo";
export const REGION = "kr-seoul";

/** The state that a flow begins with. */
interface Beginning {
  readonly storage: FakeSnapshot | undefined;
  readonly shards: ReturnType<Shards["snapshot"]> | undefined;
  readonly nowMs: number;
}

export interface Run {
  /** Calls of the first life. */
  readonly calls: readonly Call[];
  readonly state: readonly string[];
  /** Sentences about what must not be; empty when all is well. */
  readonly faults: readonly string[];
  /** Whether every fault happened before the flow had come to its end. */
  readonly struck: boolean;
  readonly writes: number;
  readonly after: Beginning;
}

export interface ExploreOptions {
  /** Something wrong, put between the operator and the API server on purpose: the explorer has to find it. */
  readonly plant?: (client: KubeClient) => KubeClient;
}

export interface Explorer {
  /** The flow when nothing happens to the operator. */
  undisturbed(flow: FlowName): Promise<Run>;
  /** The flow under these faults; a run that ends otherwise than the undisturbed one has a fault that says how. */
  run(flow: FlowName, faults: readonly Fault[]): Promise<Run>;
}

const START_MS = Date.UTC(2026, 10, 21, 8);
const RESTART_MS = 1_000;
/** A step that takes longer than this has got stuck: every wait of the operator is shorter. */
const STEP_LIMIT_MS = 30 * 60_000;
/** Longer than the operator's longest wait while a center is not Ready. */
const QUIET_MS = 61_000;
const MAX_CHANGES = 5_000;

/** Makes an explorer; it remembers how flows begin and end, so that only the flow itself is run again. */
export function createExplorer(options: ExploreOptions = {}): Explorer {
  const beginnings = new Map<string, Promise<Beginning>>();
  const ends = new Map<FlowName, Promise<Run>>();

  function beginningOf(flow: Flow): Promise<Beginning> {
    const empty = { storage: undefined, shards: undefined, nowMs: START_MS };
    if (flow.from === undefined) return Promise.resolve(empty);
    const key = JSON.stringify(flow.from);
    const step: Step = { act: { kind: "create", spec: flow.from }, isDone: isReady };
    const known =
      beginnings.get(key) ??
      runFlow({ ...flow, steps: [step] }, empty, []).then(({ after, faults }) => {
        if (faults.length > 0)
          throw new Error(`the beginning of ${flow.name} went wrong: ${faults.join("; ")}`);
        return after;
      });
    beginnings.set(key, known);
    return known;
  }

  const explorer: Explorer = {
    undisturbed(name) {
      const known = ends.get(name) ?? beginningOf(FLOWS[name]).then((from) => runFlow(FLOWS[name], from, []));
      ends.set(name, known);
      return known;
    },
    async run(name, faults) {
      const expected = await explorer.undisturbed(name);
      const run = await runFlow(FLOWS[name], await beginningOf(FLOWS[name]), faults, options.plant);
      const different = differences(expected.state, run.state);
      return { ...run, faults: [...run.faults, ...different] };
    },
  };
  return explorer;
}

async function runFlow(
  flow: Flow,
  from: Beginning,
  faults: readonly Fault[],
  plant?: (client: KubeClient) => KubeClient,
): Promise<Run> {
  const time = createVirtualTime(from.nowMs, 1);
  const shards = createShards({
    nowMs: time.nowMs,
    uidOf: (namespace) => storage.get("namespaces", `/${namespace}`)?.metadata.uid,
    ...(from.shards === undefined ? {} : { from: from.shards }),
  });
  const storage = createMemoryCluster({
    time,
    statusOf: shards.statusOf,
    validate: (object, before) =>
      validate(object as FulfillmentCenter | RoutingTable, before as RoutingTable),
    ...(from.storage === undefined ? {} : { from: from.storage }),
  });
  if (from.storage === undefined) makeNamespaces(storage);
  const beganAt = storage.version;
  const invariants = watchInvariants(storage, shards, flow);
  const errors: string[] = [];
  const lives: Life[] = [];
  let changedMs = 0;
  let writes = 0;
  storage.onChange(({ object }) => {
    if (object.kind === "Lease" || object.kind === "Event") return;
    changedMs = time.monotonicMs();
    writes++;
  });
  const live = () => {
    const number = lives.length + 1;
    const fault = faults[number - 1] ?? ({ kind: "none" } as const);
    const past = fault.kind === "past" ? { listsAt: beganAt } : {};
    const client = createMemoryClient({ storage, time, fieldManager: "fulfillment-cells", ...past });
    lives.push(
      startLife({
        client,
        time,
        version: () => storage.version,
        fault,
        number,
        onDeath: () => void time.setTimer(RESTART_MS, live),
        onError: (sentence) => void errors.push(sentence),
        ...(plant === undefined ? {} : { plant }),
      }),
    );
  };
  const view = (): View => {
    const table = storage.get("routingtables.cells.fulfillment.io", `/${REGION}`) as RoutingTable | undefined;
    return {
      fc: storage.get("fulfillmentcenters.cells.fulfillment.io", `/${CENTER}`) as
        | FulfillmentCenter
        | undefined,
      table,
      cell: table?.spec.cells.find(({ name }) => name === CENTER),
    };
  };
  const user = createMemoryClient({ storage, time, fieldManager: "user" });
  const advance = async (what: string, done: () => boolean) => {
    const untilMs = time.monotonicMs() + STEP_LIMIT_MS;
    while (!done()) {
      if (writes > MAX_CHANGES) return errors.push(`${what}: ${writes} changes and no end of it`);
      if (await time.fireNext(untilMs)) continue;
      const conditions = view().fc?.status?.conditions?.map(
        ({ type, status, reason }) => `${type}=${status} ${reason}`,
      );
      return errors.push(`${what} was not done after half an hour: ${conditions?.join(", ")}`);
    }
    return undefined;
  };

  live();
  for (const step of flow.steps) {
    if (errors.length > 0) break;
    await act(user, step);
    await advance(JSON.stringify(step.act), () => step.isDone(view()));
  }
  const quiet = () =>
    time.monotonicMs() - changedMs > QUIET_MS &&
    lives.at(-1)?.isDead() === false &&
    lives.every(({ faulty }) => !faulty.holds);
  const struck =
    lives.length >= faults.length && lives.slice(0, faults.length).every(({ faulty }) => faulty.struck);
  const calls = [...(lives[0]?.faulty.calls ?? [])];
  await advance("coming to rest", quiet);
  const storageState = storage.snapshot();
  const state = endState(storage);
  for (const life of lives) life.end();
  await time.fireNext();
  return {
    calls,
    state,
    faults: [...errors, ...invariants.violations],
    struck,
    writes,
    after: { storage: storageState, shards: shards.snapshot(), nowMs: time.nowMs() },
  };
}

async function act(user: KubeClient, { act }: Step): Promise<void> {
  const name = { name: CENTER };
  const result =
    act.kind === "create"
      ? await user.create(FULFILLMENT_CENTER, defaultedCenter(CENTER, REGION, act.spec))
      : act.kind === "patch"
        ? await user.patch(FULFILLMENT_CENTER, name, { spec: act.spec })
        : await user.remove(FULFILLMENT_CENTER, name);
  if (!result.ok) throw new Error(`${nameKey(name)}: ${result.message}`);
}

/** The operator's own namespace, and where events are written. */
function makeNamespaces(storage: { create(collection: string, object: never): FakeAnswer }): void {
  for (const name of ["fulfillment-cells", "default"])
    storage.create("namespaces", { apiVersion: "v1", kind: "Namespace", metadata: { name } } as never);
}

/** The transition rule of the routing table's definition. */
function validate(object: { kind: string; spec?: unknown }, before: RoutingTable | undefined) {
  if (object.kind !== ROUTING_TABLE.kind || before === undefined) return undefined;
  return (object as RoutingTable).spec.version < before.spec.version
    ? refuse(422, "Invalid", "spec: Invalid value: version only grows")
    : undefined;
}

/** The command that does the same run again. */
export function replayCommand(flow: FlowName, faults: readonly Fault[]): string {
  return `npm run explore -- --flow ${flow} --faults ${formatFaults(faults)}`;
}
