import { describe, expect, it } from "vitest";
import { findCondition } from "../platform/kube/objects.ts";
import { ANNOTATIONS, LABELS } from "./api/names.ts";
import type { RoutingTable } from "./api/routing-table.ts";
import { center } from "./testing/center.ts";
import { createWorld, provisionedWorld, type World } from "./testing/world.ts";

const deleting = (policy: "Delete" | "Retain", protection = false): World => {
  const world = provisionedWorld(center({ deletion: { policy, protection } }));
  world.fc = { ...world.fc, metadata: { ...world.fc.metadata, deletionTimestamp: "2026-11-21T09:00:00Z" } };
  return world;
};
const step = (world: World) => findCondition(world.fc.status?.conditions, "Deleting")?.reason;
const kinds = (world: World) => [...new Set([...world.objects.values()].map(({ kind }) => kind))].sort();
const pod = (name: string) => ({ apiVersion: "v1", kind: "Pod", metadata: { name } });

function table(cells: { name: string; epoch: number }[]): RoutingTable {
  return {
    apiVersion: "cells.fulfillment.io/v1alpha1",
    kind: "RoutingTable",
    metadata: { name: "kr-seoul" },
    spec: { version: 1, tombstones: [], cells: cells as RoutingTable["spec"]["cells"] },
  };
}

describe("deleting a center", () => {
  it("with policy Delete goes step by step and leaves nothing", () => {
    const world = deleting("Delete");
    world.table = table([{ name: "seoul-mapo", epoch: 1 }]);
    expect(world.pass().prune).toEqual([]);
    expect(step(world)).toBe("LeavingRouting");

    world.table = table([]);
    world.pods.push(pod("cell-0"));
    world.pass();
    expect(step(world)).toBe("StoppingWorkloads");
    expect(kinds(world)).toEqual([
      "LimitRange",
      "NetworkPolicy",
      "ResourceQuota",
      "Secret",
      "ServiceAccount",
    ]);
    world.pass();
    expect([step(world), kinds(world).includes("Job")]).toEqual(["StoppingWorkloads", false]);

    world.pods = [];
    world.pass();
    expect([step(world), kinds(world).includes("Job")]).toEqual(["RemovingTopics", true]);
    expect(world.namespace).toBeDefined();

    world.endJob("remove", JSON.stringify({ ok: true }));
    world.pass();
    expect([step(world), world.namespace]).toEqual(["DeletingNamespace", undefined]);
    const last = world.pass();
    expect([last.finalizer, world.fc.metadata.finalizers]).toEqual(["remove", []]);
  });

  it("names what the Job says while it is repeated", () => {
    const world = deleting("Delete");
    world.pass();
    world.collect();
    world.pass();
    const message = "No broker of kafka:9092 answered within 3 seconds: connect ECONNREFUSED";
    world.endJob("remove", JSON.stringify({ ok: false, reason: "KafkaUnreachable", message }));
    for (const [key, object] of world.objects)
      if (object.kind === "Job") world.objects.set(key, { ...object, status: { failed: 1 } });
    world.pass();
    expect(step(world)).toBe("KafkaUnreachable");
    const condition = findCondition(world.fc.status?.conditions, "Deleting");
    expect(condition?.message).toMatch(/ECONNREFUSED\. It is tried again\. Topics are removed by Job/);
  });

  it("goes on without Kafka after the Job's deadline and names the topics that are left", () => {
    const world = deleting("Delete");
    world.pass();
    world.collect();
    world.pass();
    world.endJob(
      "remove",
      JSON.stringify({ ok: false, reason: "KafkaUnreachable", message: "no broker answered" }),
      true,
    );
    const plan = world.pass();
    expect(plan.notices).toEqual([
      expect.objectContaining({
        reason: "TopicsOrphaned",
        note: expect.stringContaining("cells.seoul-mapo.*"),
      }),
    ]);
    expect(world.namespace).toBeUndefined();
  });

  it("with policy Retain keeps namespace, Secrets and volumes, marked for who takes them over", () => {
    const world = deleting("Retain");
    const secrets = JSON.stringify(world.get("Secret", "database").data);
    world.pass();
    world.collect();
    world.pass();
    expect(kinds(world)).toEqual(["Secret"]);
    expect(world.namespace?.metadata.labels?.[LABELS.retained]).toBe(world.fc.metadata.uid);
    expect(world.namespace?.metadata.labels?.[LABELS.owner]).toBe("");
    expect(world.pass().finalizer).toBe("remove");

    const { namespace } = world;
    const epoch = world.fc.status?.epoch ?? 0;
    const heir = center({}, { uid: "7d1f0c52-0000-4000-8000-000000000002" });
    const next = createWorld(heir, world.nowMs);
    next.namespace = namespace;
    next.objects = world.objects;
    next.settle();
    expect(findCondition(next.fc.status?.conditions, "Stalled")?.reason).toBe("NamespaceTaken");
    next.fc = {
      ...next.fc,
      metadata: { ...heir.metadata, annotations: { [ANNOTATIONS.adopt]: namespace?.metadata.uid ?? "" } },
    };
    next.settle();
    expect(next.namespace?.metadata.labels).toMatchObject({ [LABELS.owner]: heir.metadata.uid });
    expect(next.namespace?.metadata.labels?.[LABELS.retained]).toBeUndefined();
    expect(next.fc.status?.epoch).toBeGreaterThan(epoch);
    expect(JSON.stringify(next.get("Secret", "database").data)).toBe(secrets);
  });

  it("does nothing while it is protected, and says how to go on", () => {
    const world = deleting("Delete", true);
    const before = [...world.objects.keys()];
    const plan = world.pass();
    expect([plan.objects, plan.prune, plan.finalizer]).toEqual([[], [], "keep"]);
    expect([...world.objects.keys()]).toEqual(before);
    expect(findCondition(world.fc.status?.conditions, "Deleting")?.message).toContain("set it to false");
    expect(findCondition(world.fc.status?.conditions, "Stalled")?.reason).toBe("Protected");
  });

  it("never touches a namespace that is not its own", () => {
    const world = createWorld(
      center(
        {},
        {
          metadata: {
            name: "seoul-mapo",
            deletionTimestamp: "2026-11-21T09:00:00Z",
            finalizers: ["cells.fulfillment.io/cell"],
          },
        },
      ),
    );
    world.namespace = {
      apiVersion: "v1",
      kind: "Namespace",
      metadata: { name: "cell-seoul-mapo", uid: "theirs" },
    };
    const plan = world.pass();
    expect([plan.objects, plan.prune, plan.finalizer]).toEqual([[], [], "remove"]);
  });
});
