import { describe, expect, it } from "vitest";
import { findCondition, type KubeObject } from "../platform/kube/objects.ts";
import type { FulfillmentCenterInput } from "./api/fulfillment-center.ts";
import type { FulfillmentCenterStatus } from "./api/fulfillment-center-status.ts";
import { ANNOTATIONS } from "./api/names.ts";
import { noticesBetween } from "./notices.ts";
import { center } from "./testing/center.ts";
import { verdict } from "./testing/reading.ts";
import { createWorld, provisionedWorld, type World } from "./testing/world.ts";

const message = (world: World, type: string) =>
  findCondition(world.fc.status?.conditions, type)?.message ?? "";
/** Passes once, and gives the Events that the change of status makes. */
const told = (world: World) => {
  const before = world.fc.status;
  world.pass();
  return noticesBetween(before, world.fc.status as FulfillmentCenterStatus).map(
    ({ type, reason, action }) => `${type} ${action} ${reason}`,
  );
};
const ago = (world: World, seconds: number) => new Date(world.nowMs - seconds * 1000).toISOString();

describe("a namespace that is not gone because of somebody else's finalizer", () => {
  const terminating = (seconds: number): World => {
    const world = provisionedWorld(center({ deletion: { policy: "Delete" } }));
    const namespace = world.namespace as KubeObject;
    world.objects.clear();
    world.pods = [];
    world.namespace = {
      ...namespace,
      metadata: { ...namespace.metadata, deletionTimestamp: ago(world, seconds) },
      status: {
        conditions: [
          {
            type: "NamespaceContentRemaining",
            status: "True",
            message: "Some resources are remaining: configmaps. has 1 resource instances",
          },
          {
            type: "NamespaceFinalizersRemaining",
            status: "True",
            message:
              "Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances",
          },
          { type: "NamespaceDeletionContentFailure", status: "False", message: "All content deleted" },
        ],
      },
    };
    return world;
  };
  const blockers = [
    {
      kind: "Namespace",
      name: "cell-seoul-mapo",
      reason:
        "NamespaceFinalizersRemaining: Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances",
    },
    {
      kind: "Namespace",
      name: "cell-seoul-mapo",
      reason: "NamespaceContentRemaining: Some resources are remaining: configmaps. has 1 resource instances",
    },
  ];

  it("is named when a center is deleted, and looked at again by itself", () => {
    const world = terminating(6);
    world.fc = { ...world.fc, metadata: { ...world.fc.metadata, deletionTimestamp: ago(world, 7) } };
    expect(told(world)).toEqual(["Warning Deleting FinalizersRemaining"]);
    expect(world.fc.status?.blockers).toEqual(blockers);
    expect(message(world, "Deleting")).toContain("example.com/hold");
    expect(world.plan().requeueAfterMs).toBe(5000);
    world.namespace = undefined;
    expect(world.pass().finalizer).toBe("remove");
  });

  it("is named when the namespace of a living center is deleted, and the cell is made anew when it is gone", () => {
    const world = terminating(6);
    expect(told(world)).toContain("Warning Reconciling NamespaceTerminating");
    expect([verdict(world, "Ready"), world.fc.status?.blockers]).toEqual([
      "False NamespaceTerminating",
      blockers,
    ]);
    expect(message(world, "Ready")).toContain("example.com/hold");
    world.namespace = undefined;
    world.settle();
    expect([world.namespace !== undefined, world.fc.status?.blockers]).toEqual([true, undefined]);
  });

  it("is not accused while it is on its way", () => {
    const world = terminating(4);
    world.pass();
    expect(world.fc.status?.blockers).toBeUndefined();
    expect(message(world, "Ready")).toContain("still being deleted");
  });
});

describe("a deletion of the cell's own objects that does not end", () => {
  const deleting = (): World => {
    const world = provisionedWorld(center({ deletion: { policy: "Delete" } }));
    world.fc = { ...world.fc, metadata: { ...world.fc.metadata, deletionTimestamp: ago(world, 60) } };
    return world;
  };

  it.each<[string, KubeObject, string]>([
    [
      "a pod past its grace",
      { apiVersion: "v1", kind: "Pod", metadata: { name: "cell-0" } },
      "it is past its grace period; is its node still there?",
    ],
    [
      "a pod with a finalizer",
      { apiVersion: "v1", kind: "Pod", metadata: { name: "cell-0", finalizers: ["example.com/hold"] } },
      "finalizer example.com/hold keeps it",
    ],
  ])("names %s", (_title, object, reason) => {
    const world = deleting();
    world.pods = [{ ...object, metadata: { ...object.metadata, deletionTimestamp: ago(world, 5) } }];
    world.pass();
    expect(world.fc.status?.blockers).toEqual([{ kind: "Pod", name: "cell-0", reason }]);
    expect(verdict(world, "Deleting")).toBe("True FinalizersRemaining");
    world.pods = [];
    world.pass();
    expect([verdict(world, "Deleting"), world.fc.status?.blockers]).toEqual([
      "True RemovingTopics",
      undefined,
    ]);
  });

  it("names a claim that a pod still uses", () => {
    const world = deleting();
    const finalizers = ["kubernetes.io/pvc-protection"];
    const metadata = { name: "data-database-0", finalizers, deletionTimestamp: ago(world, 5) };
    world.claims = [{ apiVersion: "v1", kind: "PersistentVolumeClaim", metadata }];
    world.pass();
    expect(world.fc.status?.blockers).toEqual([
      {
        kind: "PersistentVolumeClaim",
        name: "data-database-0",
        reason: "the volume is in use by a pod that is not gone",
      },
    ]);
  });

  it("names a finalizer of somebody else on the center itself", () => {
    const world = deleting();
    world.fc = { ...world.fc, metadata: { ...world.fc.metadata, finalizers: ["example.com/hold"] } };
    expect(told(world)).toEqual(["Warning Deleting FinalizersRemaining"]);
    expect(world.fc.status?.blockers).toEqual([
      {
        kind: "FulfillmentCenter",
        name: "seoul-mapo",
        reason: "finalizer example.com/hold is not the operator's",
      },
    ]);
    expect(message(world, "Deleting")).toContain("kubectl edit fc seoul-mapo");
  });
});

describe("a full quota", () => {
  const withQuota = (world: World, used: Record<string, string>) => {
    const quota = world.get("ResourceQuota", "cell");
    const { hard } = quota.spec as { hard: Record<string, string> };
    const nothing = Object.fromEntries(Object.keys(hard).map((resource) => [resource, "0"]));
    world.objects.set("ResourceQuota/cell", { ...quota, status: { hard, used: { ...nothing, ...used } } });
  };
  const starting = (spec: Partial<FulfillmentCenterInput>): World => {
    const world = createWorld(center(spec));
    world.settle();
    return world;
  };

  it.each([
    ["pods", { quota: { pods: 1 } }, { pods: "1" }, "raise isolation.quota.pods"],
    [
      "memory",
      { quota: { memory: "256Mi" } },
      { "requests.memory": "192Mi" },
      "raise isolation.quota.memory",
    ],
    ["cpu", { quota: { cpu: "150m" } }, { "requests.cpu": "0.1" }, "raise isolation.quota.cpu"],
    [
      "storage",
      { quota: { storage: "1Gi" } },
      { "requests.storage": "1Gi" },
      "raise isolation.quota.storage",
    ],
  ])("of %s is named, and passes when there is room again", (_what, isolation, used, remedy) => {
    const world = starting({ isolation });
    withQuota(world, used);
    expect(told(world)).toEqual(["Warning Stalled QuotaExceeded"]);
    expect([verdict(world, "DatabaseReady"), verdict(world, "Ready")]).toEqual([
      "False QuotaExceeded",
      "False QuotaExceeded",
    ]);
    expect(message(world, "Stalled")).toContain(remedy);
    expect(world.fc.status?.blockers?.map(({ kind, name }) => `${kind} ${name}`)).toEqual([
      "ResourceQuota cell",
    ]);
    world.readyWorkloads();
    world.pass();
    expect([verdict(world, "Stalled"), world.fc.status?.blockers]).toEqual(["False Progressing", undefined]);
  });

  it("that has room is not accused of pods that are on their way", () => {
    const world = starting({});
    withQuota(world, {});
    world.pass();
    expect(verdict(world, "DatabaseReady")).toBe("False Starting");
  });

  it("keeps a Job's pod back", () => {
    const world = starting({ isolation: { quota: { pods: 2 } } });
    world.readyWorkloads();
    world.settle();
    withQuota(world, { pods: "2" });
    world.pass();
    expect(verdict(world, "SchemaMigrated")).toBe("False QuotaExceeded");
  });

  it("is what a Deployment says of its pods", () => {
    const world = provisionedWorld(center());
    const cell = world.get("Deployment", "cell");
    const refusal =
      'pods "cell-5d9-x7" is forbidden: exceeded quota: cell, requested: pods=1,requests.memory=704Mi, used: pods=3, limited: pods=3';
    const conditions = [{ type: "ReplicaFailure", status: "True", reason: "FailedCreate", message: refusal }];
    const status = { ...(cell.status as object), conditions, availableReplicas: 0, readyReplicas: 0 };
    world.objects.set("Deployment/cell", { ...cell, status });
    world.pass();
    expect(verdict(world, "ServicesReady")).toBe("False QuotaExceeded");
    expect(world.fc.status?.blockers).toEqual([
      { kind: "ResourceQuota", name: "cell", reason: "exceeded quota: pods, requests.memory" },
    ]);
    expect(message(world, "Stalled")).toContain(
      "raise isolation.quota.pods and isolation.quota.memory, or leave it out",
    );
  });
});

describe("a deleted Secret", () => {
  const NAMES = ["database", "cache", "trust", "recovery"];
  const without = (...names: string[]): { world: World; before: string[] } => {
    const world = provisionedWorld(center());
    const before = NAMES.map((name) => JSON.stringify(world.get("Secret", name).data));
    for (const name of names) world.objects.delete(`Secret/${name}`);
    return { world, before };
  };
  const contents = (world: World) => NAMES.map((name) => JSON.stringify(world.get("Secret", name).data));

  it.each(NAMES)("%s comes back with the same content, and no pod is restarted for it", (name) => {
    const { world, before } = without(name);
    const deployment = JSON.stringify(world.get("Deployment", "cell").spec);
    expect(told(world)).toEqual(["Warning Reconciling SecretMissing"]);
    expect(verdict(world, "Provisioned")).toBe("False SecretMissing");
    world.settle();
    expect([contents(world), verdict(world, "Ready")]).toEqual([before, "True Ready"]);
    expect(JSON.stringify(world.get("Deployment", "cell").spec)).toBe(deployment);
  });

  it("that is gone with its copy is not replaced by words that nobody knows; it goes on when it is put back", () => {
    const { world, before } = without("database", "recovery");
    const lost = world.pass();
    expect([lost.objects, lost.prune]).toEqual([[], []]);
    expect([verdict(world, "Stalled"), verdict(world, "Available")]).toEqual([
      "True SecretLost",
      "True Serving",
    ]);
    expect(message(world, "Stalled")).toContain("Secret database of namespace cell-seoul-mapo is gone");
    const data = JSON.parse(before[0] ?? "");
    world.objects.set("Secret/database", {
      ...world.get("Secret", "cache"),
      metadata: { ...world.get("Secret", "cache").metadata, name: "database" },
      data,
    });
    world.settle();
    expect([contents(world), verdict(world, "Ready")]).toEqual([before, "True Ready"]);
  });

  it("of a cell whose namespace was replaced is made new: its data is lost anyhow", () => {
    const { world, before } = without(...NAMES);
    world.namespace = undefined;
    world.objects.clear();
    world.settle();
    expect(contents(world)[0]).not.toBe(before[0]);
  });

  it("of volumes that were adopted without their Secrets is not made up", () => {
    const world = createWorld(center());
    const labels = { "app.kubernetes.io/component": "database" };
    world.claims = [
      { apiVersion: "v1", kind: "PersistentVolumeClaim", metadata: { name: "data-database-0", labels } },
    ];
    world.pass();
    expect(verdict(world, "Stalled")).toBe("True SecretLost");
  });
});

describe("a retained namespace", () => {
  const heir = (spec: Partial<FulfillmentCenterInput>): World => {
    const old = provisionedWorld(center({ deletion: { policy: "Retain" } }));
    old.fc = { ...old.fc, metadata: { ...old.fc.metadata, deletionTimestamp: ago(old, 9) } };
    old.pass();
    old.collect();
    old.settle();
    const uid = "7d1f0c52-0000-4000-8000-000000000002";
    const next = createWorld(center(spec, { uid }), old.nowMs);
    next.namespace = old.namespace as KubeObject;
    next.objects = old.objects;
    const annotations = { [ANNOTATIONS.adopt]: old.namespace?.metadata.uid ?? "" };
    next.fc = { ...next.fc, metadata: { ...next.fc.metadata, annotations } };
    next.settle();
    return next;
  };
  const external = { host: "db", cidr: "10.0.0.0/24", secretRef: { name: "shard" } };

  it.each<[string, Partial<FulfillmentCenterInput>, string]>([
    ["another region", { region: "kr-busan" }, "set region to kr-seoul"],
    ["another engine", { database: { engine: "CockroachDB" } }, "set database.engine to PostgreSQL"],
    [
      "an external database",
      { database: { engine: "PostgreSQL", external } },
      "set database.engine to PostgreSQL",
    ],
  ])("is not given to an heir with %s", (_title, spec, sentence) => {
    const world = heir(spec);
    expect([verdict(world, "Stalled"), world.plan().objects]).toEqual(["True AdoptionRefused", []]);
    expect(message(world, "Stalled")).toContain(sentence);
  });

  it("is given to an heir that fits", () => {
    expect(verdict(heir({}), "Stalled")).toBe("False Progressing");
  });
});

describe("a paused center", () => {
  const paused = (): World => {
    const world = provisionedWorld(center());
    world.fc = { ...world.fc, spec: { ...world.fc.spec, paused: true } };
    world.settle();
    return world;
  };

  it("changes nothing and still reports what happens", () => {
    const world = paused();
    expect([verdict(world, "Available"), verdict(world, "Degraded")]).toEqual([
      "True Serving",
      "False NotDegraded",
    ]);
    const cell = world.get("Deployment", "cell");
    world.objects.set("Deployment/cell", { ...cell, status: { replicas: 1 } });
    world.pods = [
      {
        ...{ apiVersion: "v1", kind: "Pod", metadata: { name: "cell-0" } },
        status: { containerStatuses: [{ name: "cell", state: { waiting: { reason: "ErrImagePull" } } }] },
      },
    ];
    const plan = world.pass();
    expect([plan.objects, plan.prune]).toEqual([[], []]);
    expect(verdict(world, "Available")).toBe("False ServicesNotReady");
    expect(world.fc.status).toMatchObject({
      services: [{ name: "cell", replicas: 1, ready: 0 }],
      blockers: [{ kind: "Pod", name: "cell-0", reason: "ErrImagePull" }],
    });
  });

  it("says that its data is lost as soon as it is", () => {
    const world = paused();
    world.namespace = undefined;
    world.objects.clear();
    world.pods = [];
    expect(told(world)).toContain("Warning DataLost NamespaceReplaced");
    expect([verdict(world, "Available"), world.fc.status?.lostNamespaceUid === undefined]).toEqual([
      "False DataLost",
      false,
    ]);
    expect(world.namespace).toBeUndefined();
  });
});
