import { describe, expect, it } from "vitest";
import type { FulfillmentCenterInput } from "./api/fulfillment-center.ts";
import { ANNOTATIONS } from "./api/names.ts";
import { center } from "./testing/center.ts";
import { type Kstatus, kstatusOf } from "./testing/kstatus.ts";
import { verdict } from "./testing/reading.ts";
import { createWorld, provisionedWorld, type World } from "./testing/world.ts";

const ready = (spec: Partial<FulfillmentCenterInput> = {}) => provisionedWorld(center(spec));
const changed = (spec: object, world = ready()): World => {
  world.fc = {
    ...world.fc,
    metadata: { ...world.fc.metadata, generation: (world.fc.metadata.generation ?? 0) + 1 },
    spec: { ...world.fc.spec, ...spec },
  };
  return world;
};
const settled = (world: World): World => {
  world.settle();
  return world;
};
const failedJob = (reason: string): World => {
  const world = createWorld(center());
  world.settle();
  world.readyWorkloads();
  world.settle();
  world.endJob("provision", JSON.stringify({ ok: false, reason, message: "It went wrong." }), true);
  world.pass();
  return world;
};
const withoutNamespace = (): World => {
  const world = ready();
  world.namespace = undefined;
  world.objects.clear();
  world.pods = [];
  world.settle();
  return world;
};
const rebuilt = (): World => {
  const world = withoutNamespace();
  world.readyWorkloads();
  world.settle();
  world.endJob("provision", JSON.stringify({ ok: true, epoch: world.fc.status?.epoch }));
  world.settle();
  world.readyWorkloads();
  world.settle();
  return world;
};

/** What every tool that waits by kstatus sees of each state. */
const STATES: readonly [string, () => World, Kstatus, string][] = [
  [
    "just made, not looked at",
    () => createWorld(center({}, { status: { observedGeneration: -1 } })),
    "InProgress",
    "undefined",
  ],
  [
    "first visit",
    () => {
      const world = createWorld(center());
      world.fc = { ...world.fc, metadata: { ...world.fc.metadata, finalizers: [] } };
      world.pass();
      return world;
    },
    "InProgress",
    "False Creating",
  ],
  ["starting", () => settled(createWorld(center())), "InProgress", "False Starting"],
  ["waiting for Kafka", () => failedJob("KafkaUnreachable"), "InProgress", "False WaitingForTopics"],
  ["a migration failed", () => failedJob("MigrationFailed"), "Failed", "False MigrationFailed"],
  ["ready", () => ready(), "Current", "True Ready"],
  [
    "ready, a newer spec not looked at",
    () => changed({ release: { image: "cell:2" } }),
    "InProgress",
    "True Ready",
  ],
  ["rolling out", () => settled(changed({ release: { image: "cell:2" } })), "InProgress", "False Migrating"],
  ["draining", () => settled(changed({ mode: "Draining" })), "Current", "True Ready"],
  ["fencing", () => settled(changed({ mode: "Fenced" })), "InProgress", "False Fencing"],
  ["paused", () => settled(changed({ paused: true })), "InProgress", "Unknown Paused"],
  [
    "a spec that cannot be used",
    () => settled(changed({ coverage: { radiusMeters: 1 } })),
    "Failed",
    "False InvalidSpec",
  ],
  ["namespace lost, cell being rebuilt", withoutNamespace, "InProgress", "False DataLost"],
  ["namespace lost, cell rebuilt empty", rebuilt, "Failed", "False DataLost"],
  [
    "namespace lost and the loss acknowledged",
    () => {
      const world = rebuilt();
      const annotations = { [ANNOTATIONS.acknowledgeDataLoss]: world.namespace?.metadata.uid ?? "" };
      world.fc = { ...world.fc, metadata: { ...world.fc.metadata, annotations } };
      return settled(world);
    },
    "Current",
    "True Ready",
  ],
  [
    "somebody else's namespace",
    () => {
      const world = createWorld(center());
      world.namespace = {
        apiVersion: "v1",
        kind: "Namespace",
        metadata: { name: "cell-seoul-mapo", uid: "x" },
      };
      return settled(world);
    },
    "Failed",
    "False NamespaceTaken",
  ],
  [
    "being deleted",
    () => {
      const world = ready({ deletion: { policy: "Delete" } });
      world.fc = {
        ...world.fc,
        metadata: { ...world.fc.metadata, deletionTimestamp: "2026-11-21T08:00:00Z" },
      };
      world.pass();
      return world;
    },
    "Terminating",
    "False Deleting",
  ],
];

describe("a tool that waits by kstatus", () => {
  it.each(STATES)("%s", (_title, make, expected, condition) => {
    const world = make();
    expect([kstatusOf(world.fc), String(verdict(world, "Ready"))]).toEqual([expected, condition]);
  });
});
