import type { KubeObject } from "../../platform/kube/objects.ts";
import type { FulfillmentCenter } from "../api/fulfillment-center.ts";
import type { RoutingTable } from "../api/routing-table.ts";
import type { OperatorSettings } from "../api/settings.ts";
import type { Brokers } from "../brokers.ts";
import type { Neighbour } from "../build/probe.ts";
import { desired } from "../desired.ts";
import type { Draining } from "../draining.ts";
import type { Observed } from "../observed.ts";
import type { Plan } from "../plan.ts";
import { SETTINGS } from "./center.ts";
import { type Kstatus, kstatusOf } from "./kstatus.ts";
import { DENIED } from "./podstatus.ts";

const KEY = { kty: "EC", crv: "P-256", x: "cell-x", y: "cell-y", kid: "cell-key" };
export const CELL_KEY = { privateJwk: { ...KEY, d: "cell-d" }, publicJwk: KEY };
const NEXT = { kty: "EC", crv: "P-256", x: "next-x", y: "next-y", kid: "next-key" };
export const NEXT_CELL_KEY = { privateJwk: { ...NEXT, d: "next-d" }, publicJwk: NEXT };
export const GATEWAY_KEYS = [{ kty: "EC", crv: "P-256", x: "gateway-x", y: "gateway-y", kid: "gateway-key" }];

/**
 * A cluster as plain data, for tests of the pure part: takes plans over as an API server would, and is told by the
 * test what its controllers have done.
 */
export interface World {
  fc: FulfillmentCenter;
  nowMs: number;
  namespace: KubeObject | undefined;
  table: RoutingTable | undefined;
  objects: Map<string, KubeObject>;
  pods: KubeObject[];
  claims: KubeObject[];
  drain: Draining | undefined;
  brokers: Brokers | undefined;
  neighbours: Neighbour[];
  autoscalers: KubeObject[];
  observed(): Observed;
  plan(settings?: OperatorSettings): Plan;
  /** One pass: decides and takes everything over. */
  pass(settings?: OperatorSettings): Plan;
  /** Passes until nothing is written any more, at most 10. */
  settle(): Plan;
  get(kind: string, name: string): KubeObject;
  /** Every StatefulSet and Deployment rolled out. */
  readyWorkloads(kinds?: readonly string[]): void;
  /** Ends the running Job of a purpose, with its pod's last words. */
  endJob(prefix: string, words: string, failed?: boolean): void;
  /** Like the garbage collector after workloads were deleted. */
  collect(): void;
}

export function createWorld(fc: FulfillmentCenter, nowMs = Date.parse("2026-11-21T08:00:00Z")): World {
  let uids = 0;
  let secrets = 0;
  const uid = () => `uid-${++uids}`;
  const world: World = {
    fc,
    nowMs,
    namespace: undefined,
    table: undefined,
    objects: new Map(),
    pods: [],
    claims: [],
    drain: undefined,
    brokers: undefined,
    neighbours: [],
    autoscalers: [],
    observed: () => ({
      namespace: world.namespace,
      objects: [...world.objects.values()],
      pods: world.pods,
      claims: world.claims,
      autoscalers: world.autoscalers,
      table: world.table,
      cellKey: CELL_KEY,
      nextCellKey: NEXT_CELL_KEY,
      gatewayKeys: GATEWAY_KEYS,
      ...(world.drain === undefined ? {} : { drain: world.drain }),
      ...(world.brokers === undefined ? {} : { brokers: world.brokers }),
      neighbours: world.neighbours,
    }),
    plan: (settings = SETTINGS) =>
      desired(world.fc, world.observed(), settings, world.nowMs, () => `secret-${++secrets}`),
    pass(settings) {
      const plan = world.plan(settings);
      assertWellFormed(plan, world.fc);
      for (const object of plan.objects) put(object);
      for (const object of plan.prune) {
        if (object.kind === "Namespace") world.namespace = undefined;
        else world.objects.delete(`${object.kind}/${object.metadata.name}`);
      }
      const { finalizers = [] } = world.fc.metadata;
      const kept =
        plan.finalizer === "remove"
          ? []
          : plan.finalizer === "add"
            ? [...finalizers, "cells.fulfillment.io/cell"]
            : finalizers;
      world.fc = { ...world.fc, status: plan.status, metadata: { ...world.fc.metadata, finalizers: kept } };
      return plan;
    },
    settle() {
      for (let count = 0; count < 10; count++) {
        const before = JSON.stringify([world.fc, world.namespace, [...world.objects], world.claims]);
        const plan = world.pass();
        if (JSON.stringify([world.fc, world.namespace, [...world.objects], world.claims]) === before)
          return plan;
      }
      throw new Error("ten passes and still writing: the plan does not settle");
    },
    get(kind, name) {
      const found = world.objects.get(`${kind}/${name}`);
      if (found === undefined) throw new Error(`${kind} ${name} does not exist`);
      return found;
    },
    readyWorkloads(kinds = ["StatefulSet", "Deployment"]) {
      for (const [key, object] of world.objects) {
        if (!kinds.includes(object.kind)) continue;
        const { replicas } = object.spec as { replicas: number };
        const counts = {
          replicas,
          readyReplicas: replicas,
          updatedReplicas: replicas,
          availableReplicas: replicas,
        };
        world.objects.set(key, {
          ...object,
          status: { observedGeneration: object.metadata.generation, ...counts },
        });
      }
    },
    endJob(prefix, words, failed = false) {
      const job = [...world.objects.values()].find(
        ({ kind, metadata, status }) =>
          kind === "Job" && metadata.name.startsWith(`${prefix}-`) && status === undefined,
      );
      if (job === undefined) throw new Error(`no Job ${prefix}-… runs`);
      const lastTransitionTime = new Date(world.nowMs).toISOString();
      const condition = {
        type: failed ? "Failed" : "Complete",
        status: "True",
        reason: "BackoffLimitExceeded",
        lastTransitionTime,
      };
      world.objects.set(`Job/${job.metadata.name}`, { ...job, status: { conditions: [condition] } });
      world.pods.push(jobPod(job, words, world.pods.length));
    },
    collect() {
      world.pods = world.pods.filter((pod) =>
        pod.metadata.ownerReferences?.some((owner) =>
          [...world.objects.values()].some(({ metadata }) => metadata.uid === owner.uid),
        ),
      );
    },
  };

  function put(object: KubeObject): void {
    if (object.kind === "PersistentVolumeClaim") {
      world.claims = world.claims.map((claim) =>
        claim.metadata.name === object.metadata.name
          ? { ...claim, ...object, metadata: claim.metadata }
          : claim,
      );
      return;
    }
    const key = `${object.kind}/${object.metadata.name}`;
    const live = object.kind === "Namespace" ? world.namespace : world.objects.get(key);
    const changed = JSON.stringify(live?.spec) !== JSON.stringify(object.spec);
    const generation = (live?.metadata.generation ?? 0) + (changed ? 1 : 0);
    const next = {
      ...object,
      metadata: {
        ...object.metadata,
        uid: live?.metadata.uid ?? uid(),
        generation,
        creationTimestamp: new Date(world.nowMs).toISOString(),
      },
      ...(live?.status === undefined ? {} : { status: live.status }),
    };
    if (object.kind === "Namespace") world.namespace = next;
    else world.objects.set(key, next);
  }
  return world;
}

function jobPod(job: KubeObject, message: string, index: number): KubeObject {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name: `${job.metadata.name}-${index}`,
      creationTimestamp: `2026-11-21T08:00:${String(index).padStart(2, "0")}Z`,
      ownerReferences: [
        { apiVersion: "batch/v1", kind: "Job", name: job.metadata.name, uid: job.metadata.uid ?? "" },
      ],
    },
    status: { containerStatuses: [{ name: "provision", state: { terminated: { exitCode: 0, message } } }] },
  };
}

/** Brings a fresh center to Ready. */
export function provisionedWorld(fc: FulfillmentCenter): World {
  const world = createWorld(fc);
  world.settle();
  world.readyWorkloads();
  world.settle();
  if ([...world.objects.keys()].some((key) => key.startsWith("Job/database-init-"))) {
    world.endJob("database-init", "");
    world.settle();
  }
  world.endJob("provision", JSON.stringify({ ok: true, epoch: world.fc.status?.epoch, schema: "s1" }));
  world.settle();
  world.readyWorkloads();
  world.settle();
  world.endJob("isolation-probe", JSON.stringify(DENIED));
  world.settle();
  return world;
}

/** What must hold of every plan on every way through a cell's life. */
function assertWellFormed({ status, objects, prune }: Plan, fc: FulfillmentCenter): void {
  const conditions = status.conditions ?? [];
  const value = (type: string) => conditions.find((condition) => condition.type === type)?.status;
  const faults = [
    ...conditions
      .filter(({ message }) => !/[.!?]$/.test(message))
      .map(({ type }) => `${type} does not end in a sentence`),
    ...conditions
      .filter(({ reason }) => !/^[A-Z][A-Za-z]+$/.test(reason))
      .map(({ type, reason }) => `${type} has the reason ${reason}`),
    ...(conditions.length === 16 ? [] : [`${conditions.length} conditions`]),
    ...(value("Ready") === "True" && (value("Reconciling") === "True" || value("Stalled") === "True")
      ? ["Ready and not at once"]
      : []),
    ...(value("Reconciling") === "True" && value("Stalled") === "True"
      ? ["Reconciling and Stalled at once"]
      : []),
    ...(kstatusOf({ metadata: fc.metadata, status }) === settledAs(fc, value("Ready"), value("Stalled"))
      ? []
      : ["another kstatus than Ready and Stalled say"]),
    ...(conditions.every(({ type }, index) => index === 0 || type > conditions[index - 1]!.type)
      ? []
      : ["unsorted conditions"]),
    ...(status.phase ? [] : ["no phase"]),
    ...prune
      .filter(({ kind }) => kind === "Secret" || kind === "PersistentVolumeClaim")
      .map(({ kind }) => `prunes a ${kind}`),
    ...objects.filter((object) => prune.includes(object)).map(({ kind }) => `applies and prunes a ${kind}`),
  ];
  if (faults.length > 0) throw new Error(`the plan is not well formed: ${faults.join("; ")}`);
}

/** What tools that wait by kstatus have to make of a status. */
function settledAs(fc: FulfillmentCenter, ready: string | undefined, stalled: string | undefined): Kstatus {
  if (fc.metadata.deletionTimestamp !== undefined) return "Terminating";
  if (stalled === "True") return "Failed";
  return ready === "True" ? "Current" : "InProgress";
}
