import { readFileSync } from "node:fs";
import { join } from "node:path";
import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findCondition, type KubeObject } from "../platform/kube/objects.ts";
import { SLICE_NAMES } from "../platform/slices.ts";
import { ANNOTATIONS } from "./api/names.ts";
import { noticesBetween } from "./notices.ts";
import { planRollout, ROLLOUT_ORDER } from "./rollout.ts";
import { center } from "./testing/center.ts";
import { verdict } from "./testing/reading.ts";
import { provisionedWorld, type World } from "./testing/world.ts";
import { rolloutOf } from "./workloads.ts";

const OLD = "registry.example/cell:1";
const NEW = "registry.example/cell:2";

function setImage(world: World, image: string): void {
  const generation = (world.fc.metadata.generation ?? 0) + 1;
  world.fc = {
    ...world.fc,
    metadata: { ...world.fc.metadata, generation },
    spec: { ...world.fc.spec, release: { image } },
  };
}

/** As when the provision Job of the wanted release has ended well. */
function migrate(world: World): void {
  world.settle();
  const running = [...world.objects.values()].some(
    ({ kind, status }) => kind === "Job" && status === undefined,
  );
  if (running)
    world.endJob("provision", JSON.stringify({ ok: true, epoch: world.fc.status?.epoch, schema: "s" }));
  world.settle();
}

function separate(image?: string): World {
  const world = provisionedWorld(center({ topology: "Separate" }));
  if (image === undefined) return world;
  setImage(world, image);
  migrate(world);
  return world;
}

const imageOf = (object: KubeObject | undefined) =>
  (object?.spec as { template: { spec: { containers: { image: string }[] } } } | undefined)?.template.spec
    .containers[0]?.image;
const running = (world: World, image: string) =>
  ROLLOUT_ORDER.filter((name) => imageOf(world.objects.get(`Deployment/${name}`)) === image);
const revisionOf = (object: KubeObject | undefined) => object?.metadata.annotations?.[ANNOTATIONS.revision];
const message = (world: World, type: string) =>
  findCondition(world.fc.status?.conditions, type)?.message ?? "";

function count(world: World, name: string, available: number): void {
  const live = world.get("Deployment", name);
  const status = {
    observedGeneration: live.metadata.generation,
    replicas: 1,
    updatedReplicas: 1,
    readyReplicas: available,
    availableReplicas: available,
  };
  world.objects.set(`Deployment/${name}`, { ...live, status });
}

function pod(name: string, component: string, container: Record<string, unknown>): KubeObject {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      name,
      labels: { "app.kubernetes.io/component": component },
      creationTimestamp: "2026-11-21T09:00:00Z",
    },
    status: { containerStatuses: [{ name: component, ready: false, ...container }] },
  };
}

describe("a release in a cell that serves", () => {
  it("reaches no slice before its schema is there", () => {
    const world = separate();
    setImage(world, NEW);
    world.settle();
    expect(running(world, OLD)).toEqual(ROLLOUT_ORDER);
    migrate(world);
    expect(running(world, NEW)).toEqual(["inventory"]);
  });

  it("goes from slice to slice, each when the one before is complete, and the status says where it is", () => {
    const world = separate(NEW);
    const order: string[] = [];
    for (const name of ROLLOUT_ORDER) {
      order.push(name);
      expect(running(world, NEW)).toEqual(order);
      expect(world.fc.status?.release).toEqual({ current: OLD });
      expect(world.fc.status?.services?.find((service) => service.name === name)?.image).toBe(NEW);
      expect(message(world, "ServicesReady")).toContain(
        order.length < 7 ? `Rolling out ${name} (${order.length} of 7)` : "Waiting for dispatch",
      );
      expect(verdict(world, "Available")).toBe("True Serving");
      count(world, name, 1);
      world.settle();
    }
    expect(verdict(world, "Ready")).toBe("True Ready");
    expect(world.fc.status?.release).toEqual({ current: NEW, previous: OLD });
  });

  it("keeps what waits as it was: a hand's change there is put back", () => {
    const world = separate(NEW);
    const orders = world.get("Deployment", "orders");
    world.objects.set("Deployment/orders", { ...orders, spec: { ...(orders.spec as object), replicas: 0 } });
    world.objects.delete("Deployment/tracking");
    world.settle();
    expect(world.get("Deployment", "orders").spec).toEqual(orders.spec);
    expect(imageOf(world.get("Deployment", "tracking"))).toBe(OLD);
    expect(running(world, NEW)).toEqual(["inventory"]);
  });

  it("stops before any slice when the Job of its schema cannot start, and says to what to go back", () => {
    const world = separate();
    setImage(world, NEW);
    world.settle();
    const job = [...world.objects.values()].find(
      ({ kind, spec }) => kind === "Job" && JSON.stringify(spec).includes(NEW),
    ) as KubeObject;
    const stuck = pod("provision-x", "provision", { state: { waiting: { reason: "ImagePullBackOff" } } });
    const owner = {
      apiVersion: "batch/v1",
      kind: "Job",
      name: job.metadata.name,
      uid: job.metadata.uid ?? "",
    };
    world.pods.push({ ...stuck, metadata: { ...stuck.metadata, ownerReferences: [owner] } });
    world.settle();
    expect(running(world, NEW)).toEqual([]);
    expect(verdict(world, "Stalled")).toBe("True RolloutFailed");
    expect(verdict(world, "Available")).toBe("True Serving");
    const text = message(world, "Stalled");
    expect(text).toContain(`does not start with ${NEW}: pod provision-x cannot start: ImagePullBackOff.`);
    expect(text).toContain(`Services keep what they run. Set release.image back to ${OLD}`);
    setImage(world, OLD);
    world.pods = [];
    world.settle();
    expect(verdict(world, "Stalled")).not.toContain("True");
  });

  it.each([
    [
      "whose rollout has passed its deadline",
      (world: World) => {
        const live = world.get("Deployment", "payments");
        const given = {
          type: "Progressing",
          status: "False",
          reason: "ProgressDeadlineExceeded",
          message: "ReplicaSet has timed out progressing.",
        };
        world.objects.set("Deployment/payments", {
          ...live,
          status: { ...(live.status as object), conditions: [given] },
        });
      },
      "timed out progressing",
    ],
    [
      "whose image cannot be had",
      (world: World) => {
        world.pods.push(
          pod("payments-x", "payments", { state: { waiting: { reason: "ImagePullBackOff" } } }),
        );
      },
      "pod payments-x cannot start: ImagePullBackOff",
    ],
    [
      "whose pod ends again and again",
      (world: World) => {
        world.pods.push(
          pod("payments-x", "payments", {
            restartCount: 3,
            state: { running: {} },
            lastState: { terminated: { exitCode: 78 } },
          }),
        );
      },
      "pod payments-x ends again and again with exit code 78",
    ],
  ])("stops at a slice %s, and goes back when the image is set back", (_title, fail, why) => {
    const world = separate(NEW);
    count(world, "inventory", 1);
    world.settle();
    const before = world.fc.status;
    fail(world);
    world.settle();
    for (let passes = 0; passes < 5; passes++) world.pass();
    expect(running(world, NEW)).toEqual(["inventory", "payments"]);
    expect(verdict(world, "Stalled")).toBe("True RolloutFailed");
    expect(verdict(world, "Available")).toBe("True Serving");
    const text = message(world, "Stalled");
    expect(text).toContain(`Deployment payments does not become ready with ${NEW}: `);
    expect(text).toContain(why);
    expect(text).toContain("The rollout stops there: couriers, orders, fulfillment, tracking, dispatch keep");
    expect(text).toContain(`set release.image back to ${OLD}`);
    expect(noticesBetween(before, world.fc.status ?? {})).toContainEqual(
      expect.objectContaining({ type: "Warning", reason: "RolloutFailed", note: text }),
    );

    setImage(world, OLD);
    world.pods = [];
    migrate(world);
    for (const name of ["inventory", "payments"]) count(world, name, 1);
    world.settle();
    for (const name of ["inventory", "payments"]) count(world, name, 1);
    world.settle();
    expect(running(world, OLD)).toEqual(ROLLOUT_ORDER);
    expect(verdict(world, "Ready")).toBe("True Ready");
    expect(world.fc.status?.release).toEqual({ current: OLD });
  });

  it("stops while a slice that has it lacks pods, and while the cache is away", () => {
    const world = separate(NEW);
    count(world, "inventory", 1);
    world.settle();
    count(world, "payments", 1);
    count(world, "inventory", 0);
    world.settle();
    expect(running(world, NEW)).toEqual(["inventory", "payments"]);
    expect(message(world, "ServicesReady")).toContain("Rolling out inventory (2 of 7)");
    count(world, "inventory", 1);
    const cache = world.get("StatefulSet", "cache");
    world.objects.set("StatefulSet/cache", {
      ...cache,
      status: { ...(cache.status as object), readyReplicas: 0, availableReplicas: 0 },
    });
    world.settle();
    expect(running(world, NEW)).toEqual(["inventory", "payments"]);
    expect(verdict(world, "Degraded")).toBe("True CacheNotReady");
    expect(message(world, "ServicesReady")).toContain(
      "The rollout waits at 2 of 7, because the cell is Degraded",
    );
    world.readyWorkloads(["StatefulSet"]);
    world.settle();
    expect(running(world, NEW)).toEqual(["inventory", "payments", "couriers"]);
  });

  it("begins with a slice that is broken: the release may be its cure", () => {
    const world = separate();
    count(world, "tracking", 0);
    setImage(world, NEW);
    migrate(world);
    expect(running(world, NEW)).toEqual(["tracking"]);
    count(world, "tracking", 1);
    world.settle();
    expect(running(world, NEW)).toEqual(["inventory", "tracking"]);
  });

  it("is told apart from pods that fail long after it", () => {
    const world = separate();
    count(world, "orders", 0);
    world.pods.push(pod("orders-x", "orders", { restartCount: 9, state: { running: {} } }));
    world.settle();
    expect(verdict(world, "Stalled")).toBe("False Progressing");
    expect(verdict(world, "ServicesReady")).toBe("False RollingOut");
  });
});

it("changes what pods read from Secrets one slice after the other, too", () => {
  const world = separate();
  const checksum = (name: string) =>
    (world.get("Deployment", name).spec as { template: { metadata: { annotations: object } } }).template
      .metadata.annotations;
  const before = checksum("inventory");
  const secret = world.get("Secret", "cache");
  const data = { ...(secret.data as object), password: Buffer.from("another").toString("base64") };
  world.objects.set("Secret/cache", { ...secret, data });
  const changed = () =>
    ROLLOUT_ORDER.filter((name) => JSON.stringify(checksum(name)) !== JSON.stringify(before));
  const order: string[] = [];
  for (const name of ROLLOUT_ORDER) {
    world.settle();
    order.push(name);
    expect(changed()).toEqual(order);
    count(world, name, 1);
  }
});

it("gives every slice a new epoch at once: with the old one none of them can write", () => {
  const world = separate();
  const at = (mode: "Fenced" | "Active") => {
    world.fc = { ...world.fc, spec: { ...world.fc.spec, mode } };
    world.settle();
  };
  at("Fenced");
  world.endJob("fence", JSON.stringify({ ok: true, epoch: world.fc.status?.fencedEpoch }));
  at("Active");
  migrate(world);
  const epoch = `{"name":"CELL_EPOCH","value":"${world.fc.status?.epoch}"}`;
  for (const name of ROLLOUT_ORDER) expect(JSON.stringify(world.get("Deployment", name))).toContain(epoch);
});

it("touches one slice at a time on every way, and arrives", () => {
  const event = fc.record({
    what: fc.constantFrom("ready", "ready", "break", "want", "delete", "block"),
    name: fc.constantFrom(...ROLLOUT_ORDER),
    revision: fc.constantFrom("a", "b", "c"),
  });
  const deployment = (name: string, revision: string, available?: number): KubeObject => ({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name, generation: 1, annotations: { [ANNOTATIONS.revision]: revision } },
    spec: { replicas: 1 },
    ...(available === undefined
      ? {}
      : {
          status: {
            observedGeneration: 1,
            replicas: 1,
            updatedReplicas: available,
            readyReplicas: 1,
            availableReplicas: available,
          },
        }),
  });
  const arrives = fc.property(fc.array(event, { maxLength: 40 }), (events) => {
    const live = new Map(ROLLOUT_ORDER.map((name) => [name as string, deployment(name, "a", 1)]));
    let revision = "a";
    const pass = (blockedBy?: string) => {
      const input = {
        wanted: ROLLOUT_ORDER.map((name) => deployment(name, revision)),
        earlier: ROLLOUT_ORDER.map((name) => deployment(name, "a")),
        provisioned: true,
        serving: true,
        blockedBy,
      };
      const before = new Map(live);
      const { apply } = planRollout(input, { objects: [...live.values()] });
      const moved = apply.filter((object) => {
        const was = live.get(object.metadata.name);
        const same = revisionOf(was) === revisionOf(object);
        if (!same) live.set(object.metadata.name, { ...object, status: deployment("", "", 0).status });
        return was !== undefined && !same;
      });
      expect(moved.length).toBeLessThanOrEqual(1);
      const unfinished = [...before.values()].filter(
        (object) => revisionOf(object) === revision && !rolloutOf(object).complete,
      );
      if (moved.length > 0) expect(unfinished).toEqual([]);
      for (const { metadata } of moved) expect(revisionOf(live.get(metadata.name))).toBe(revision);
    };
    for (const one of events) {
      const { what, name } = one;
      const revisionNow = revisionOf(live.get(name));
      if (what === "want") revision = one.revision;
      else if (what === "delete") live.delete(name);
      else if (what !== "block" && revisionNow !== undefined)
        live.set(name, deployment(name, revisionNow, what === "ready" ? 1 : 0));
      pass(what === "block" ? "the cache is away" : undefined);
    }
    for (let round = 0; round < 10; round++) {
      pass();
      for (const [name, object] of live) live.set(name, deployment(name, revisionOf(object)!, 1));
    }
    expect([...live.values()].map(revisionOf)).toEqual(ROLLOUT_ORDER.map(() => revision));
  });
  void fc.assert(arrives);
});

it("reaches who answers a call before who makes it", () => {
  expect([...ROLLOUT_ORDER].sort()).toEqual([...SLICE_NAMES].sort());
  const calls = SLICE_NAMES.flatMap((slice) => {
    const text = readFileSync(join(import.meta.dirname, "..", "cell", slice, "slice.ts"), "utf8");
    const named = [...text.matchAll(/clients\.(\w+)/g)].map(([, callee]) => callee!);
    const taken = [...text.matchAll(/\{([\w, ]+)\} = clients/g)].flatMap(([, names]) => names!.split(","));
    return [...named, ...taken].map((callee) => [slice, callee.trim()] as const);
  });
  expect(calls.length).toBeGreaterThan(5);
  const rank = (name: string) => (ROLLOUT_ORDER as readonly string[]).indexOf(name);
  expect(calls.filter(([caller, callee]) => rank(callee) >= rank(caller))).toEqual([]);
});
