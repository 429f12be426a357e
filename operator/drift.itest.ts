import { afterAll, beforeAll, expect, it } from "vitest";
import { createKubeClient, type KubeClient } from "../platform/kube/client.ts";
import { KINDS } from "../platform/kube/kinds.ts";
import { findCondition, type KubeObject, type ResourceRef } from "../platform/kube/objects.ts";
import { silentLog, silentMetrics } from "../platform/kube/ports.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import { ANNOTATIONS, FULFILLMENT_CENTER, LABELS, ROUTING_TABLE } from "./api/names.ts";
import { CELL_KINDS } from "./stores.ts";
import { newCenter } from "./testing/center.ts";
import { connectTestCluster, must, type TestCluster, uniqueName, until } from "./testing/cluster.ts";
import { startTestOperator, type TestOperator } from "./testing/operator.ts";
import { type CellRuntime, startCellRuntime } from "./testing/runtime.ts";

let cluster: TestCluster;
let runtime: CellRuntime;
let operator: TestOperator;
/** Writes as a person with kubectl does. */
let hand: KubeClient;
const region = uniqueName("region");
const name = uniqueName("drift");
const namespace = `cell-${name}`;

beforeAll(async () => {
  cluster = await connectTestCluster();
  runtime = startCellRuntime(cluster.client);
  hand = clientNamed("kubectl-edit");
  operator = await startTestOperator(cluster);
  must(await cluster.client.create(FULFILLMENT_CENTER, newCenter(name, region)));
  await ready();
});
afterAll(async () => {
  await operator?.stop();
  await cluster?.client.remove(FULFILLMENT_CENTER, { name });
  await cluster?.client.patch(FULFILLMENT_CENTER, { name }, { metadata: { finalizers: null } });
  await runtime?.stop();
  await cluster?.client.remove(KINDS.namespace, { name: namespace });
  await cluster?.client.remove(ROUTING_TABLE, { name: region });
  await hand?.close();
  await cluster?.close();
});

function clientNamed(fieldManager: string): KubeClient {
  const userAgent = "operator-tests";
  return createKubeClient(cluster.config, {
    log: silentLog,
    metrics: silentMetrics,
    userAgent,
    fieldManager,
  });
}

async function ready(): Promise<void> {
  await until(`${name} is Ready`, async () => {
    const fc = must(await cluster.client.get<FulfillmentCenter>(FULFILLMENT_CENTER, { name }));
    const condition = findCondition(fc.status?.conditions, "Ready");
    return condition?.status === "True" && condition.observedGeneration === fc.metadata.generation;
  });
}

const at = (object: string) => ({ name: object, namespace });
const get = async (ref: ResourceRef, object: string) => must(await cluster.client.get(ref, at(object)));

/** What the operator answers for in an object: everything but what Kubernetes counts and keeps itself. */
function essence(object: KubeObject): string {
  const { spec, data, metadata } = object;
  const { clusterIP: _ip, clusterIPs: _ips, ...own } = (spec ?? {}) as Record<string, unknown>;
  return JSON.stringify([own, data, metadata.labels, metadata.annotations?.[ANNOTATIONS.applied]]);
}

interface Edit {
  readonly title: string;
  readonly ref: ResourceRef;
  readonly object: string;
  readonly change: Record<string, unknown> | "delete";
}

/** Changes that only their kinds can have. */
const OWN_CHANGES: readonly [ResourceRef, string, Record<string, unknown>][] = [
  [KINDS.deployment, "cell", { spec: { replicas: 3 } }],
  [KINDS.deployment, "cell", { spec: { strategy: { type: "Recreate", rollingUpdate: null } } }],
  [KINDS.deployment, "cell", { spec: { template: { spec: { terminationGracePeriodSeconds: 1 } } } }],
  [KINDS.deployment, "cell", { spec: { template: { spec: { nodeSelector: { nowhere: "yes" } } } } }],
  [KINDS.deployment, "cell", { spec: { template: { metadata: { labels: { added: "yes" } } } } }],
  [KINDS.statefulSet, "cache", { spec: { replicas: 0 } }],
  [KINDS.statefulSet, "database", { spec: { template: { spec: { terminationGracePeriodSeconds: 0 } } } }],
  [KINDS.service, "orders", { spec: { selector: { nobody: "has" } } }],
  [KINDS.service, "orders", { spec: { ports: [{ name: "http", port: 9, targetPort: "orders" }] } }],
  [
    KINDS.service,
    "orders",
    {
      spec: {
        ports: [
          { name: "http", port: 7002, targetPort: "orders" },
          { name: "more", port: 9, targetPort: 9 },
        ],
      },
    },
  ],
  [KINDS.service, "cache", { spec: { externalIPs: ["192.0.2.7"] } }],
  [KINDS.networkPolicy, "default-deny", { spec: { policyTypes: ["Ingress"] } }],
  [KINDS.networkPolicy, "default-deny", { spec: { podSelector: { matchLabels: { nobody: "has" } } } }],
  [KINDS.networkPolicy, "default-deny", { spec: { ingress: [{}] } }],
  [KINDS.secret, "database", { data: { orders: "YnkgaGFuZA==" } }],
  [KINDS.secret, "cache", { data: { password: null } }],
  [KINDS.secret, "trust", { data: { added: "YnkgaGFuZA==" } }],
  [KINDS.resourceQuota, "cell", { spec: { hard: { pods: "1" } } }],
  [KINDS.resourceQuota, "cell", { spec: { hard: { "count/pods": "1" } } }],
  [KINDS.podDisruptionBudget, "cache", { spec: { maxUnavailable: 0 } }],
  [KINDS.serviceAccount, "cell", { automountServiceAccountToken: true }],
];

/** On one object of each kind: its marks are taken off or falsified, and it is deleted. */
async function editsOfEveryKind(): Promise<Edit[]> {
  const edits: Edit[] = [];
  for (const ref of CELL_KINDS) {
    // A Job that is deleted has done its work; nobody waits for it.
    if (ref.kind === "Job") continue;
    const { items } = must(
      await cluster.client.list(ref, { namespace, labelSelector: `${LABELS.center}=${name}` }),
    );
    const object = items[0]?.metadata.name ?? "";
    const labels = (change: object) => ({ metadata: { labels: change } });
    edits.push(
      {
        title: "loses the mark that it is followed by",
        ref,
        object,
        change: labels({ [LABELS.managedBy]: null }),
      },
      { title: "gets another center's mark", ref, object, change: labels({ [LABELS.center]: "another" }) },
      { title: "is deleted", ref, object, change: "delete" },
    );
  }
  for (const [ref, object, change] of OWN_CHANGES)
    edits.push({ title: `is changed: ${JSON.stringify(change).slice(0, 90)}`, ref, object, change });
  const annotation = { metadata: { annotations: { [ANNOTATIONS.applied]: "by hand" } } };
  for (const ref of [KINDS.deployment, KINDS.service])
    edits.push({
      title: "says that it was applied",
      ref,
      object: ref === KINDS.service ? "orders" : "cell",
      change: annotation,
    });
  return edits;
}

it("corrects every change by hand in every kind of object, within seconds, and says so", async () => {
  const tookMs: number[] = [];
  let slowest = { ms: 0, edit: "" };
  for (const { title, ref, object, change } of await editsOfEveryKind()) {
    const before = await get(ref, object);
    const startMs = performance.now();
    if (change === "delete") must(await hand.remove(ref, at(object)));
    else must(await hand.patch(ref, at(object), change));
    await until(`${ref.kind} ${object}, which ${title}, is as before`, async () => {
      const live = await cluster.client.get(ref, at(object));
      if (!live.ok || essence(live.value) !== essence(before)) return false;
      return change !== "delete" || live.value.metadata.uid !== before.metadata.uid;
    });
    const ms = performance.now() - startMs;
    tookMs.push(ms);
    if (ms > slowest.ms) slowest = { ms, edit: `${ref.kind} ${object} ${title}` };
  }
  tookMs.sort((a, b) => a - b);
  const percentile = (share: number) => Math.round(tookMs[Math.ceil(tookMs.length * share) - 1] ?? 0);
  console.log(
    `${tookMs.length} edits corrected: p50 ${percentile(0.5)} ms, p99 ${percentile(0.99)} ms (${slowest.edit})`,
  );
  expect(tookMs.length).toBeGreaterThanOrEqual(50);
  await ready();
  // One object's Events are bounded, so the first of them stand for all.
  await until("the Events say what was corrected", async () => {
    const notes = await corrections();
    return (
      notes.includes(
        'ResourceQuota/cell: metadata.labels["cells.fulfillment.io/center"] had been changed by kubectl-edit and was put back.',
      ) && notes.includes("ResourceQuota/cell had been deleted and was made again.")
    );
  });
});

async function corrections(): Promise<string[]> {
  const { items } = must(await cluster.client.list(KINDS.event, { namespace: "default" }));
  return items
    .filter(
      ({ reason, regarding }) => reason === "DriftCorrected" && (regarding as { name: string }).name === name,
    )
    .map(({ note }) => String(note));
}

const deployment = () => get(KINDS.deployment, "cell");
const replicas = async () => ((await deployment()).spec as { replicas: number }).replicas;

it("leaves the number of replicas to an autoscaler through restarts and a rollout, and takes it back when that is gone", async () => {
  const autoscaler = {
    apiVersion: "autoscaling/v2",
    kind: "HorizontalPodAutoscaler",
    metadata: { name: "busy", namespace },
    spec: {
      scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "cell" },
      minReplicas: 1,
      maxReplicas: 4,
      metrics: [
        {
          type: "Resource",
          resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 80 } },
        },
      ],
    },
  };
  must(await hand.create(KINDS.horizontalPodAutoscaler, autoscaler));
  // There are no metrics here: what the controller of autoscalers would write is written as it writes it.
  const controller = clientNamed("horizontal-pod-autoscaler");
  const scale = async (count: number) =>
    must(
      await controller.patch(
        KINDS.deployment,
        at("cell"),
        { spec: { replicas: count } },
        { subresource: "scale" },
      ),
    );
  const poke = async (spec: object) => {
    must(await cluster.client.patch(FULFILLMENT_CENTER, { name }, { spec }));
    await ready();
  };
  const counted = async (count: number) => {
    await until(`${count} pods are counted`, async () => {
      const fc = must(await cluster.client.get<FulfillmentCenter>(FULFILLMENT_CENTER, { name }));
      return fc.status?.services?.[0]?.ready === count;
    });
    expect(await replicas()).toBe(count);
  };
  try {
    await scale(3);
    await counted(3);
    await poke({ capacity: { maxOrdersPerMinute: 601 } });
    await counted(3);
    await operator.stop();
    operator = await startTestOperator(cluster);
    await until("the new operator leads", () => operator.operator.isLeading());
    await scale(2);
    await counted(2);
    await poke({ release: { image: "registry.example/cell:2" } });
    await counted(2);
    expect(JSON.stringify((await deployment()).spec)).toContain("registry.example/cell:2");
  } finally {
    await controller.close();
  }
  const before = await corrections();
  must(await hand.remove(KINDS.horizontalPodAutoscaler, at("busy")));
  await counted(1);
  expect(await corrections()).toEqual(before);
});

it("restarts nothing when another operator takes over", async () => {
  const owner = (await deployment()).metadata.uid;
  const sets = async () =>
    must(await cluster.client.list(KINDS.replicaSet, { namespace }))
      .items.filter(({ metadata }) => metadata.ownerReferences?.some(({ uid }) => uid === owner))
      .map(({ metadata }) => metadata.name)
      .sort();
  const before = await sets();
  await operator.stop();
  operator = await startTestOperator(cluster, { identity: "operator-upgraded" });
  await until("the new operator leads", () => operator.operator.isLeading());
  must(
    await cluster.client.patch(FULFILLMENT_CENTER, { name }, { metadata: { annotations: { poke: "1" } } }),
  );
  must(await hand.patch(KINDS.service, at("orders"), { metadata: { labels: { [LABELS.center]: null } } }));
  await until(
    "it works",
    async () => (await get(KINDS.service, "orders")).metadata.labels?.[LABELS.center] === name,
  );
  expect(await sets()).toEqual(before);
  expect(operator.writes.map(({ verb, target }) => `${verb} ${target}`)).toEqual([
    `apply ${namespace} Service/orders`,
  ]);
});
