import { describe, expect, it } from "vitest";
import type { KubeObject } from "../platform/kube/objects.ts";
import { findCondition } from "../platform/kube/objects.ts";
import { ANNOTATIONS } from "./api/names.ts";
import { secretData } from "./observed.ts";
import { center } from "./testing/center.ts";
import { provisionedWorld, type World } from "./testing/world.ts";

const ask = (world: World, value: string) => {
  const { metadata } = world.fc;
  const annotations = { ...metadata.annotations, [ANNOTATIONS.rotateCredentials]: value };
  world.fc = { ...world.fc, metadata: { ...metadata, annotations } };
};
const secrets = (world: World) => secretData([...world.objects.values()]);
const words = (world: World) => JSON.stringify({ ok: true, epoch: world.fc.status?.epoch, schema: "s1" });
const jobs = (world: World) =>
  [...world.objects.values()].filter(({ kind }) => kind === "Job").map(({ metadata }) => metadata.name);
const rotating = (world: World) => findCondition(world.fc.status?.conditions, "Rotating");
const envOf = (object: KubeObject) => {
  const { template } = object.spec as {
    template: { spec: { containers: { env: { name: string; value?: string; valueFrom?: unknown }[] }[] } };
  };
  return Object.fromEntries(
    (template.spec.containers[0]?.env ?? []).map((one) => [one.name, one.value ?? one.valueFrom]),
  );
};
const keyOf = (secret: string, key: string) => ({ secretKeyRef: { name: secret, key } });

/** Takes a world through a whole change. */
function rotate(world: World, value: string): void {
  ask(world, value);
  world.settle();
  world.endJob("provision", words(world));
  for (let count = 0; count < 8; count++) {
    world.settle();
    world.readyWorkloads();
  }
  world.settle();
  world.endJob("retire", words(world));
  world.settle();
}

describe("new credentials", () => {
  it("are made beside the old ones, put in force, gone over to, and then the old ones are worthless", () => {
    const world = provisionedWorld(center({ topology: "Compact" }));
    const before = secrets(world);
    expect(world.fc.status?.credentials).toBeUndefined();
    expect(rotating(world)?.status).toBe("False");

    ask(world, "first");
    const issued = world.pass();
    expect(issued.status.credentials).toEqual({ generation: 1, serving: 0, settled: 0, request: "first" });
    expect(issued.notices.map(({ reason }) => reason)).toEqual(["RotationStarted"]);
    expect(secrets(world)).toEqual(before);

    world.settle();
    const both = secrets(world);
    expect(both.database).toMatchObject({ orders: before.database?.orders ?? "" });
    expect(both.database?.["orders-1"]).not.toBe(before.database?.orders);
    expect(both.database?.["admin-before-1"]).toBe(before.database?.["admin-password"]);
    expect(both.database?.["admin-password"]).not.toBe(before.database?.["admin-password"]);
    expect(both.cache?.["users.acl"]).toContain(`>${before.cache?.password} >${both.cache?.["password-1"]}`);
    expect(envOf(world.get("Deployment", "cell")).CREDENTIALS_GENERATION).toBeUndefined();
    expect(rotating(world)).toMatchObject({ status: "True", reason: "Admitting" });

    world.endJob("provision", words(world));
    world.settle();
    const env = envOf(world.get("Deployment", "cell"));
    expect(env).toMatchObject({
      CREDENTIALS_GENERATION: "1",
      DATABASE_PASSWORD_ORDERS: keyOf("database", "orders-1"),
      REDIS_URL: keyOf("cache", "url-1"),
    });
    expect(rotating(world)?.reason).toBe("RollingOut");
    expect(secrets(world)).toEqual(both);
    expect(jobs(world).some((name) => name.startsWith("retire-"))).toBe(false);

    world.readyWorkloads();
    world.settle();
    expect(world.fc.status?.credentials).toMatchObject({ generation: 1, serving: 1, settled: 0 });
    expect(secrets(world).cache?.["users.acl"]).not.toContain(before.cache?.password);
    expect(rotating(world)?.reason).toBe("Retiring");
    const rolled = world.get("Deployment", "cell").metadata.generation;

    world.endJob("retire", words(world));
    const settled = world.pass();
    expect(settled.notices.map(({ reason }) => reason)).toEqual(["Rotated"]);
    world.settle();
    const after = secrets(world);
    for (const old of ["orders", "admin-before-1"]) expect(after.database).not.toHaveProperty(old);
    expect(after.cache).not.toHaveProperty("password");
    expect(after.trust).not.toHaveProperty("cell-key.jwk");
    expect(after.database?.["orders-1"]).toBe(both.database?.["orders-1"]);
    expect(after.trust?.["contact-key"]).toBe(before.trust?.["contact-key"]);
    expect(world.get("Deployment", "cell").metadata.generation).toBe(rolled);
    expect(jobs(world).some((name) => name.startsWith("retire-"))).toBe(false);
    expect(findCondition(world.fc.status?.conditions, "Ready")?.status).toBe("True");
  });

  it("are those of the role that owns the cell's database on a shared server, too", () => {
    const external = { host: "db.example", cidr: "10.20.0.0/24", secretRef: { name: "shared" } };
    const world = provisionedWorld(center({ database: { engine: "PostgreSQL", external } }));
    const before = secrets(world).database?.owner;
    const entryOf = () => {
      const live = [...world.objects.values()].filter(({ metadata }) => /^provision-/.test(metadata.name));
      return live.map((job) => envOf(job).DATABASE_OWNER_PASSWORD);
    };
    expect(entryOf()).toEqual([keyOf("database", "owner")]);
    ask(world, "first");
    world.settle();
    expect(secrets(world).database).toMatchObject({ owner: before });
    expect(secrets(world).database?.["owner-1"]).not.toBe(before);
    expect(entryOf()).toContainEqual(keyOf("database", "owner-1"));
    rotate(world, "first");
    expect(world.fc.status?.credentials).toMatchObject({ generation: 1, settled: 1 });
    expect(Object.keys(secrets(world).database ?? {})).not.toContain("owner");
    expect(entryOf()).toEqual([keyOf("database", "owner-1")]);
  });

  it("restart no store", () => {
    const world = provisionedWorld(center({ topology: "Compact" }));
    const generations = () =>
      ["database", "cache"].map((name) => world.get("StatefulSet", name).metadata.generation);
    const before = generations();
    rotate(world, "first");
    rotate(world, "second");
    expect(world.fc.status?.credentials).toMatchObject({ generation: 2, settled: 2, request: "second" });
    expect(generations()).toEqual(before);
  });

  it("are signed with by a key that every service has known since it started", () => {
    const world = provisionedWorld(center({ topology: "Compact" }));
    const kids = () =>
      (JSON.parse(secrets(world).trust?.["jwks.json"] ?? "") as { keys: { kid: string }[] }).keys.map(
        ({ kid }) => kid,
      );
    expect(kids()).toEqual(["cell-key", "next-key", "gateway-key"]);
  });

  it("reach one slice after the other, and the old ones stay good until the last", () => {
    const world = provisionedWorld(center({ topology: "Separate" }));
    ask(world, "first");
    world.settle();
    world.endJob("provision", words(world));
    world.settle();
    const changed = () =>
      [...world.objects.values()].filter(
        (object) => object.kind === "Deployment" && envOf(object).CREDENTIALS_GENERATION === "1",
      ).length;
    for (let count = 1; count <= 7; count++) {
      expect(changed()).toBe(count);
      expect(world.fc.status?.credentials?.serving).toBe(0);
      expect(secrets(world).database).toHaveProperty("orders");
      world.readyWorkloads();
      world.settle();
    }
    expect(world.fc.status?.credentials?.serving).toBe(1);
  });

  it("do not take the old ones out of force while a pod is still on its way out", () => {
    const world = provisionedWorld(center({ topology: "Compact" }));
    ask(world, "first");
    world.settle();
    world.endJob("provision", words(world));
    world.settle();
    world.readyWorkloads();
    const leaving = {
      apiVersion: "v1",
      kind: "Pod",
      metadata: {
        name: "cell-old",
        deletionTimestamp: "2026-11-21T08:00:00Z",
        labels: { "slice.cells.fulfillment.io/orders": "" },
      },
    };
    world.pods.push(leaving);
    world.settle();
    expect(jobs(world).some((name) => name.startsWith("retire-"))).toBe(false);
    world.pods = world.pods.filter((pod) => pod !== leaving);
    world.settle();
    expect(jobs(world).some((name) => name.startsWith("retire-"))).toBe(true);
  });
});

describe("a rotation", () => {
  it("is asked for once by each value, and not by what a new center is made with", () => {
    const fresh = center({ topology: "Compact" });
    const annotations = { [ANNOTATIONS.rotateCredentials]: "from the start" };
    const world = provisionedWorld({ ...fresh, metadata: { ...fresh.metadata, annotations } });
    expect(world.fc.status?.credentials).toEqual({
      generation: 0,
      serving: 0,
      settled: 0,
      request: "from the start",
    });
    rotate(world, "first");
    const { credentials } = world.fc.status ?? {};
    world.settle();
    expect(world.fc.status?.credentials).toEqual(credentials);
  });

  it("that is asked for during another waits for its end", () => {
    const world = provisionedWorld(center({ topology: "Compact" }));
    ask(world, "first");
    world.settle();
    ask(world, "second");
    world.settle();
    expect(world.fc.status?.credentials).toMatchObject({ generation: 1, request: "first" });
  });

  it("says why it does not go on, and goes on by itself", () => {
    const world = provisionedWorld(center({ topology: "Compact" }));
    ask(world, "first");
    world.settle();
    world.endJob("provision", words(world));
    world.settle();
    world.readyWorkloads();
    world.settle();
    const message = "Redis does not take the new credentials: no connection.";
    world.endJob("retire", JSON.stringify({ ok: false, reason: "CacheUnreachable", message }), true);
    world.settle();
    expect(rotating(world)).toMatchObject({ status: "True", reason: "CacheUnreachable" });
    expect(rotating(world)?.message).toContain(message.slice(0, 40));
    world.nowMs += 30_000;
    world.pass();
    world.collect();
    world.settle();
    world.endJob("retire", words(world));
    world.settle();
    expect(rotating(world)?.status).toBe("False");
  });

  it("goes on from the Secrets when a new center takes over an earlier one's data", () => {
    const world = provisionedWorld(center({ topology: "Compact" }));
    rotate(world, "first");
    const kept = secrets(world).database;
    const { credentials: _gone, ...status } = world.fc.status ?? {};
    const { annotations: _none, ...metadata } = world.fc.metadata;
    world.fc = { ...world.fc, metadata, status };
    world.settle();
    expect(world.fc.status?.credentials).toMatchObject({ generation: 1, settled: 1 });
    expect(secrets(world).database).toEqual(kept);
  });
});
