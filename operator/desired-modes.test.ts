import { describe, expect, it } from "vitest";
import { findCondition } from "../platform/kube/objects.ts";
import { ANNOTATIONS } from "./api/names.ts";
import { center } from "./testing/center.ts";
import { identities, summary, verdict } from "./testing/reading.ts";
import { createWorld, provisionedWorld } from "./testing/world.ts";

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
