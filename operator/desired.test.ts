import { describe, expect, it } from "vitest";
import { findCondition } from "../platform/kube/objects.ts";
import { toYaml } from "../platform/yaml.ts";
import { ANNOTATIONS, FINALIZER } from "./api/names.ts";
import { center } from "./testing/center.ts";
import { createWorld, provisionedWorld, type World } from "./testing/world.ts";

const identities = (objects: readonly { kind: string; metadata: { name: string } }[]) =>
  objects.map(({ kind, metadata }) => `${kind}/${metadata.name.replace(/-[0-9a-f]{10}$/, "-<hash>")}`);

const verdict = (world: World, type: string) => {
  const condition = findCondition(world.fc.status?.conditions, type);
  return condition === undefined ? undefined : `${condition.status} ${condition.reason}`;
};

const summary = (world: World) => ({
  phase: world.fc.status?.phase,
  conditions: Object.fromEntries(
    (world.fc.status?.conditions ?? []).map(({ type }) => [type, verdict(world, type)]),
  ),
});

describe("a new center", () => {
  it("gets the finalizer and every condition on the first visit, and no object yet", () => {
    const fc = center();
    const world = createWorld({ ...fc, metadata: { ...fc.metadata, finalizers: [] } });
    const plan = world.pass();
    expect({ objects: plan.objects, prune: plan.prune, finalizer: plan.finalizer }).toEqual({
      objects: [],
      prune: [],
      finalizer: "add",
    });
    expect(world.fc.metadata.finalizers).toEqual([FINALIZER]);
    expect(summary(world)).toMatchInlineSnapshot(`
      {
        "conditions": {
          "Available": "False NotBuilt",
          "CacheReady": "Unknown Pending",
          "DataLost": "False DataPresent",
          "DatabaseReady": "Unknown Pending",
          "Degraded": "False NotDegraded",
          "Deleting": "False NotDeleting",
          "Draining": "False NotDraining",
          "Isolated": "Unknown Pending",
          "Provisioned": "Unknown Pending",
          "Ready": "Unknown Pending",
          "Reconciling": "True Pending",
          "SchemaMigrated": "Unknown Pending",
          "ServicesReady": "Unknown Pending",
          "Stalled": "False Progressing",
          "TopicsReady": "Unknown Pending",
        },
        "phase": "Pending",
      }
    `);
  });

  it("issues the epoch in one pass and builds with it in the next", () => {
    const world = createWorld(center());
    const first = world.pass();
    expect(first.status.epoch).toBe(Math.floor(world.nowMs / 1000) + 1);
    expect(identities(first.objects)).not.toContain("Job/provision-<hash>");
    const epoch = first.status.epoch;
    world.nowMs += 3_600_000;
    world.readyWorkloads();
    const second = world.pass();
    expect(second.status.epoch).toBe(epoch);
    expect(identities(second.objects)).toContain("Job/provision-<hash>");
  });
});

describe.each(["Separate", "Compact"] as const)("%s", (topology) => {
  it("is built in steps: stores first, then the Job, then the services", () => {
    const world = createWorld(center({ topology }));
    world.settle();
    const starting = { objects: identities(world.plan().objects), ...summary(world) };
    world.readyWorkloads();
    world.settle();
    const migrating = summary(world);
    world.endJob("provision", JSON.stringify({ ok: true, epoch: world.fc.status?.epoch, schema: "s1" }));
    world.settle();
    const rollingOut = summary(world);
    world.readyWorkloads();
    world.settle();
    expect({ starting, migrating, rollingOut, ready: summary(world) }).toMatchSnapshot();
  });

  it("is, when ready, exactly these objects and this status", async () => {
    const world = provisionedWorld(center({ topology }));
    const plan = world.settle();
    const documents = [...plan.objects, { status: plan.status }].map(toYaml).join("---\n");
    await expect(documents).toMatchFileSnapshot(`testing/snapshots/${topology.toLowerCase()}.yaml`);
    expect(plan.prune).toEqual([]);
    expect(plan.requeueAfterMs).toBeUndefined();
  });

  it("does not change while nothing happens", () => {
    const world = provisionedWorld(center({ topology }));
    const before = JSON.stringify([world.fc.status, world.plan().objects]);
    world.nowMs += 86_400_000;
    const plan = world.pass();
    expect(JSON.stringify([world.fc.status, plan.objects])).toBe(before);
  });
});

describe("the provision Job", () => {
  const migrating = () => {
    const world = createWorld(center());
    world.settle();
    world.readyWorkloads();
    world.settle();
    return world;
  };

  it.each([
    ["KafkaUnreachable", "TopicsReady", "False KafkaUnreachable"],
    ["DatabaseUnreachable", "SchemaMigrated", "False DatabaseUnreachable"],
  ])("that failed with %s is made again after a while", (reason, type, expected) => {
    const world = migrating();
    world.endJob(
      "provision",
      JSON.stringify({ ok: false, reason, message: "It could not be reached." }),
      true,
    );
    const waiting = world.pass();
    expect(verdict(world, type)).toBe(expected);
    expect(verdict(world, "Stalled")).toBe("False Progressing");
    expect(waiting.prune).toEqual([]);
    expect(waiting.requeueAfterMs).toBe(20_000);
    world.nowMs += 20_000;
    const again = world.pass();
    expect(identities(again.prune)).toEqual(["Job/provision-<hash>"]);
    expect(identities(again.objects)).not.toContain("Job/provision-<hash>");
    world.collect();
    expect(identities(world.pass().objects)).toContain("Job/provision-<hash>");
  });

  it("that failed to migrate waits for a person", () => {
    const world = migrating();
    world.endJob(
      "provision",
      JSON.stringify({ ok: false, reason: "MigrationFailed", message: "orders/002: bad column" }),
      true,
    );
    world.nowMs += 3_600_000;
    const plan = world.settle();
    expect(verdict(world, "Stalled")).toBe("True MigrationFailed");
    expect(verdict(world, "Ready")).toBe("False MigrationFailed");
    expect(world.fc.status?.phase).toBe("Stalled");
    expect(findCondition(world.fc.status?.conditions, "Stalled")?.message).toMatch(
      /orders\/002: bad column\..*release\.image/,
    );
    expect(plan.prune).toEqual([]);
  });

  it("that found a newer epoch in the lease row leads to one that is higher still", () => {
    const world = migrating();
    const first = world.fc.status?.epoch ?? 0;
    world.endJob(
      "provision",
      JSON.stringify({ ok: false, reason: "EpochOlder", message: "older", epoch: first + 5000 }),
      true,
    );
    world.pass();
    expect(world.fc.status?.epoch).toBe(first + 5001);
    world.settle();
    world.endJob("provision", JSON.stringify({ ok: true, epoch: first + 5001, schema: "s1" }));
    world.settle();
    world.readyWorkloads();
    world.settle();
    expect(verdict(world, "Ready")).toBe("True Ready");
    expect(world.fc.status?.epoch).toBe(first + 5001);
  });
});

describe("a ready center", () => {
  it("keeps the old services running until the new release is migrated", () => {
    const world = provisionedWorld(center());
    world.fc = {
      ...world.fc,
      metadata: { ...world.fc.metadata, generation: 2 },
      spec: { ...world.fc.spec, release: { image: "registry.example/cell:2" } },
    };
    const plan = world.settle();
    expect(identities(plan.objects)).not.toContain("Deployment/cell");
    expect(JSON.stringify(world.get("Deployment", "cell"))).toContain("registry.example/cell:1");
    expect([verdict(world, "Ready"), verdict(world, "Available"), world.fc.status?.phase]).toEqual([
      "False Migrating",
      "True Serving",
      "Updating",
    ]);
    world.endJob("provision", JSON.stringify({ ok: true, epoch: world.fc.status?.epoch }));
    world.settle();
    expect(verdict(world, "ServicesReady")).toBe("False RollingOut");
    world.readyWorkloads();
    world.settle();
    expect(verdict(world, "Ready")).toBe("True Ready");
    expect(world.fc.status?.release).toEqual({
      current: "registry.example/cell:2",
      previous: "registry.example/cell:1",
    });
    expect([...world.objects.keys()].filter((key) => key.startsWith("Job/"))).toHaveLength(1);
  });

  it("is not rolled out while a pod of the last release still runs", () => {
    const world = provisionedWorld(center());
    const cell = world.get("Deployment", "cell");
    world.objects.set("Deployment/cell", { ...cell, status: { ...(cell.status as object), replicas: 2 } });
    world.settle();
    expect(verdict(world, "ServicesReady")).toBe("False RollingOut");
  });

  it("changes topology without a gap: what served goes when its successors stand", () => {
    const world = provisionedWorld(center({ topology: "Separate" }));
    world.fc = { ...world.fc, spec: { ...world.fc.spec, topology: "Compact" } };
    world.settle();
    expect([...world.objects.keys()].filter((key) => key.startsWith("Deployment/"))).toHaveLength(8);
    expect(verdict(world, "Available")).toBe("True Serving");
    world.readyWorkloads();
    world.settle();
    expect([...world.objects.keys()].filter((key) => key.startsWith("Deployment/"))).toEqual([
      "Deployment/cell",
    ]);
    expect([...world.objects.keys()].filter((key) => key.startsWith("ServiceAccount/")).sort()).toEqual([
      "ServiceAccount/cache",
      "ServiceAccount/cell",
      "ServiceAccount/database",
      "ServiceAccount/provision",
    ]);
  });

  it("stays admitted to routing when its pods fail", () => {
    const world = provisionedWorld(center());
    const cell = world.get("Deployment", "cell");
    world.objects.set("Deployment/cell", {
      ...cell,
      status: { ...(cell.status as object), availableReplicas: 0, readyReplicas: 0 },
    });
    world.settle();
    expect([verdict(world, "Available"), world.fc.status?.phase]).toEqual([
      "False ServicesNotReady",
      "Unavailable",
    ]);
    expect(world.fc.status?.admittedEpoch).toBe(world.fc.status?.epoch);
  });

  it("never makes a password or key anew, and completes a Secret that lost an entry", () => {
    const world = provisionedWorld(center());
    const before = world.get("Secret", "database").data as Record<string, string>;
    const { orders: _lost, ...rest } = before;
    world.objects.set("Secret/database", { ...world.get("Secret", "database"), data: rest });
    world.settle();
    const after = world.get("Secret", "database").data as Record<string, string>;
    expect({ ...after, orders: before.orders }).toEqual(before);
    expect(after.orders).toMatch(/./);
  });

  it("grows its volumes without touching the StatefulSet's claim templates", () => {
    const world = provisionedWorld(center());
    world.claims = [
      {
        apiVersion: "v1",
        kind: "PersistentVolumeClaim",
        metadata: {
          name: "data-database-0",
          namespace: "cell-seoul-mapo",
          labels: { "app.kubernetes.io/component": "database" },
        },
        spec: { resources: { requests: { storage: "1Gi" } } },
      },
    ];
    world.fc = {
      ...world.fc,
      spec: { ...world.fc.spec, database: { ...world.fc.spec.database, storage: "2Gi" } },
    };
    const plan = world.settle();
    expect(world.claims[0]?.spec).toEqual({ resources: { requests: { storage: "2Gi" } } });
    const set = plan.objects.find(
      ({ kind, metadata }) => kind === "StatefulSet" && metadata.name === "database",
    );
    expect(JSON.stringify(set?.spec)).toContain('"storage":"1Gi"');
  });
});

describe("modes", () => {
  it("draining: runs on, takes no new orders", () => {
    const world = provisionedWorld(center());
    world.fc = { ...world.fc, spec: { ...world.fc.spec, mode: "Draining" } };
    world.settle();
    expect(summary(world)).toMatchSnapshot();
  });

  it("fenced: a Job raises the lease; unfenced: the services come back with a higher epoch", () => {
    const world = provisionedWorld(center());
    const first = world.fc.status?.epoch ?? 0;
    world.fc = { ...world.fc, spec: { ...world.fc.spec, mode: "Fenced" } };
    world.settle();
    expect([verdict(world, "Ready"), world.fc.status?.phase]).toEqual(["False Fencing", "Fencing"]);
    const fencedEpoch = world.fc.status?.fencedEpoch ?? 0;
    expect(fencedEpoch).toBeGreaterThan(first);
    expect(world.fc.status?.epoch).toBe(first);
    world.endJob("fence", JSON.stringify({ ok: true, epoch: fencedEpoch }));
    world.settle();
    expect([verdict(world, "Ready"), verdict(world, "Available"), world.fc.status?.phase]).toEqual([
      "True Fenced",
      "False Fenced",
      "Fenced",
    ]);

    world.fc = { ...world.fc, spec: { ...world.fc.spec, mode: "Active" } };
    const issuing = world.pass();
    expect(issuing.status.epoch).toBeGreaterThan(fencedEpoch);
    expect(identities(issuing.objects).filter((one) => /^(Job|Deployment)/.test(one))).toEqual([]);
    world.settle();
    const last = world.fc.status?.epoch ?? 0;
    expect(last).toBeGreaterThan(fencedEpoch);
    expect(world.fc.status?.fencedEpoch).toBeUndefined();
    world.endJob("provision", JSON.stringify({ ok: true, epoch: last }));
    world.settle();
    expect(JSON.stringify(world.get("Deployment", "cell"))).toContain(
      `{"name":"CELL_EPOCH","value":"${last}"}`,
    );
    world.readyWorkloads();
    world.settle();
    expect([verdict(world, "Ready"), world.fc.status?.admittedEpoch]).toEqual(["True Ready", last]);
  });

  it("paused: changes nothing, whatever the spec says", () => {
    const world = provisionedWorld(center());
    world.fc = { ...world.fc, spec: { ...world.fc.spec, paused: true, topology: "Separate" } };
    const plan = world.settle();
    expect([plan.objects, plan.prune, world.fc.status?.phase]).toEqual([[], [], "Paused"]);
    expect(verdict(world, "Available")).toBe("True Serving");
  });
});

describe("a held workload", () => {
  const held = (mark: string) => {
    const world = provisionedWorld(center());
    const cell = world.get("Deployment", "cell");
    const annotations = { ...cell.metadata.annotations, [ANNOTATIONS.heldUntil]: mark };
    world.objects.set("Deployment/cell", {
      ...cell,
      metadata: { ...cell.metadata, annotations },
      spec: { ...(cell.spec as object), replicas: 0 },
    });
    return world;
  };

  it("is left alone whole until the mark expires, and then corrected", () => {
    const world = held("2026-11-21T08:05:00Z");
    const plan = world.pass();
    expect(identities(plan.objects)).not.toContain("Deployment/cell");
    expect(plan.requeueAfterMs).toBe(300_000);
    world.nowMs += 300_000;
    expect(identities(world.pass().objects)).toContain("Deployment/cell");
  });

  it.each([
    ["tomorrow", "not an RFC 3339 time"],
    ["2026-11-21T08:16:00Z", "more than 15 minutes ahead"],
  ])("with the mark %s is not held, and an Event says why", (mark, why) => {
    const plan = held(mark).pass();
    expect(identities(plan.objects)).toContain("Deployment/cell");
    expect(plan.notices).toEqual([
      expect.objectContaining({ type: "Warning", reason: "HoldIgnored", note: expect.stringContaining(why) }),
    ]);
  });
});

describe("a namespace", () => {
  const foreign = {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: "cell-seoul-mapo", uid: "theirs" },
  };

  it("with a center's label but not our own is somebody else's", () => {
    const world = createWorld(center());
    const labels = { "cells.fulfillment.io/center": "seoul-mapo", "app.kubernetes.io/managed-by": "helm" };
    world.namespace = { ...foreign, metadata: { ...foreign.metadata, labels } };
    world.settle();
    expect(verdict(world, "Stalled")).toBe("True NamespaceTaken");
    expect(findCondition(world.fc.status?.conditions, "Stalled")?.message).toContain("somebody else");
  });

  it("that somebody else made is not touched", () => {
    const world = createWorld(center());
    world.namespace = foreign;
    const plan = world.settle();
    expect([plan.objects, plan.prune]).toEqual([[], []]);
    expect(summary(world)).toMatchSnapshot();
    expect(world.namespace).toBe(foreign);
  });

  it("that held orders and vanished is rebuilt with a higher epoch and admitted only after a person said so", () => {
    const world = provisionedWorld(center());
    const before = world.fc.status?.epoch ?? 0;
    world.namespace = undefined;
    world.objects.clear();
    world.pods = [];
    world.settle();
    world.readyWorkloads();
    world.settle();
    expect(world.fc.status?.epoch).toBeGreaterThan(before);
    world.endJob("provision", JSON.stringify({ ok: true, epoch: world.fc.status?.epoch }));
    world.settle();
    world.readyWorkloads();
    world.settle();
    expect([verdict(world, "DataLost"), verdict(world, "Ready"), verdict(world, "Available")]).toEqual([
      "True NamespaceReplaced",
      "False DataLost",
      "False DataLost",
    ]);
    expect(world.fc.status?.admittedEpoch).toBeUndefined();
    const uid = world.namespace!.metadata.uid ?? "";
    world.fc = {
      ...world.fc,
      metadata: { ...world.fc.metadata, annotations: { [ANNOTATIONS.acknowledgeDataLoss]: uid } },
    };
    world.settle();
    expect([verdict(world, "DataLost"), verdict(world, "Ready")]).toEqual([
      "False DataPresent",
      "True Ready",
    ]);
    expect(world.fc.status?.admittedEpoch).toBe(world.fc.status?.epoch);
  });
});
