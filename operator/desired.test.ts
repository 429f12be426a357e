import { describe, expect, it } from "vitest";
import { findCondition } from "../platform/kube/objects.ts";
import { toYaml } from "../platform/yaml.ts";
import { FINALIZER } from "./api/names.ts";
import { center } from "./testing/center.ts";
import { identities, summary, verdict } from "./testing/reading.ts";
import { createWorld, provisionedWorld } from "./testing/world.ts";

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
          "Available": "False DatabaseNotReady",
          "CacheReady": "False Starting",
          "DataLost": "False DataPresent",
          "DatabaseReady": "False Starting",
          "Degraded": "False NotDegraded",
          "Deleting": "False NotDeleting",
          "Draining": "False NotDraining",
          "Isolated": "Unknown NotProbed",
          "Provisioned": "False Creating",
          "Ready": "False Creating",
          "Reconciling": "True Creating",
          "Rotating": "False NotRotating",
          "SchemaMigrated": "False WaitingForDatabase",
          "ServicesReady": "False WaitingForSchema",
          "Stalled": "False Progressing",
          "TopicsReady": "False WaitingForJob",
        },
        "phase": "Provisioning",
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

  it("has what bounds and closes pods before any pod, and what the quota need not hold back before the quota", () => {
    const kinds = createWorld(center({ topology }))
      .settle()
      .objects.map(({ kind }) => kind);
    const first = (kind: string) => kinds.indexOf(kind);
    const last = (kind: string) => kinds.lastIndexOf(kind);
    expect(first("Namespace")).toBe(0);
    for (const kind of ["ResourceQuota", "LimitRange", "NetworkPolicy", "ServiceAccount"])
      expect(last(kind), kind).toBeLessThan(first("StatefulSet"));
    for (const kind of ["Service", "Secret"]) expect(last(kind), kind).toBeLessThan(first("ResourceQuota"));
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
