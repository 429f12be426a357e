import { describe, expect, it } from "vitest";
import { findCondition, type KubeObject } from "../platform/kube/objects.ts";
import { center } from "./testing/center.ts";
import { createWorld, provisionedWorld, type World } from "./testing/world.ts";

/** A cell on a database server that somebody else runs. */
const EXTERNAL = { host: "db.example", cidr: "10.20.0.0/24", secretRef: { name: "shared" } };
const external = (more: object = {}) =>
  center({ database: { engine: "PostgreSQL", external: { ...EXTERNAL, ...more } } });

const verdict = (world: World, type: string) => {
  const condition = findCondition(world.fc.status?.conditions, type);
  return condition === undefined ? undefined : `${condition.status} ${condition.reason}`;
};
const message = (world: World, type: string) =>
  findCondition(world.fc.status?.conditions, type)?.message ?? "";

interface Env {
  readonly name: string;
  readonly value?: string;
  readonly valueFrom?: { readonly secretKeyRef?: { name: string; key: string; optional?: boolean } };
}
function environmentOf(object: KubeObject): Map<string, Env> {
  const { template } = object.spec as { template: { spec: { containers: { env: Env[] }[] } } };
  return new Map((template.spec.containers[0]?.env ?? []).map((variable) => [variable.name, variable]));
}
const job = (world: World) =>
  [...world.objects.values()].find(
    ({ kind, metadata }) => kind === "Job" && /^provision-/.test(metadata.name),
  )!;

describe("a cell on a shared server", () => {
  it("has a database and roles that carry its name, and only the Job sees the administrator's URL", () => {
    const world = provisionedWorld(external());
    expect(verdict(world, "Ready")).toBe("True Ready");
    const made = environmentOf(job(world));
    expect(made.get("DATABASE_NAME")?.value).toBe("cell_seoul_mapo");
    expect(made.get("DATABASE_OWNER")?.value).toBe("cell_seoul_mapo");
    expect(made.get("DATABASE_ADMIN_URL")?.valueFrom?.secretKeyRef).toEqual({
      name: "shared",
      key: "admin-url",
      optional: true,
    });
    const served = environmentOf(world.get("Deployment", "cell"));
    expect(served.get("DATABASE_NAME")?.value).toBe("cell_seoul_mapo");
    expect(served.get("DATABASE_ROLE_PREFIX")?.value).toBe("cell_seoul_mapo_");
    expect(served.get("DATABASE_HOST")?.value).toBe("db.example");
    expect(served.get("DATABASE_TLS")?.value).toBe("VerifyFull");
    expect([...served.keys()].filter((name) => /ADMIN|OWNER/.test(name))).toEqual([]);
    expect(world.objects.has("StatefulSet/database")).toBe(false);
  });

  it("may name its database", () => {
    const world = provisionedWorld(external({ name: "mapo", tls: "Disable" }));
    const served = environmentOf(world.get("Deployment", "cell"));
    expect([served.get("DATABASE_NAME")?.value, served.get("DATABASE_TLS")?.value]).toEqual([
      "mapo",
      "Disable",
    ]);
    expect(served.get("DATABASE_ROLE_PREFIX")?.value).toBe("cell_seoul_mapo_");
  });

  it.each([
    ["AdminSecretMissing", "Secret shared has no key admin-url."],
    ["DatabaseUnreachable", "connect ECONNREFUSED 10.20.0.5:5432"],
    ["DatabaseLoginRefused", 'password authentication failed for user "dba"'],
    ["DatabasePermissionDenied", "permission denied to create database: role dba needs CREATEDB."],
    ["DatabaseTaken", "Database mapo belongs to role other."],
  ])("names %s and recovers by itself", (reason, text) => {
    const world = createWorld(external());
    world.settle();
    world.endJob("provision", JSON.stringify({ ok: false, reason, message: text }), true);
    world.settle();
    expect(verdict(world, "DatabaseReady")).toBe(`False ${reason}`);
    expect(message(world, "DatabaseReady")).toContain(text);
    expect(verdict(world, "SchemaMigrated")).toBe("False WaitingForDatabase");
    expect([verdict(world, "Ready"), verdict(world, "Stalled")]).toEqual([
      `False ${reason}`,
      "False Progressing",
    ]);
    world.nowMs += 20_000;
    world.pass();
    world.collect();
    world.settle();
    world.endJob("provision", JSON.stringify({ ok: true, epoch: world.fc.status?.epoch, schema: "s1" }));
    world.settle();
    world.readyWorkloads();
    world.settle();
    expect([verdict(world, "DatabaseReady"), verdict(world, "Ready")]).toEqual([
      "True External",
      "True Ready",
    ]);
  });

  it("that is deleted takes its database with it, or says what is left", () => {
    const world = provisionedWorld({
      ...external(),
      spec: { ...external().spec, deletion: { policy: "Delete", protection: false } },
    });
    world.fc = { ...world.fc, metadata: { ...world.fc.metadata, deletionTimestamp: "2026-11-21T09:00:00Z" } };
    world.pass();
    world.collect();
    world.pass();
    expect(message(world, "Deleting")).toContain("Database and topics are removed by Job");
    const words = { ok: false, reason: "DatabaseUnreachable", message: "connect ECONNREFUSED" };
    world.endJob("remove", JSON.stringify(words), true);
    expect(world.pass().notices).toEqual([
      expect.objectContaining({
        reason: "DatabaseOrphaned",
        note: expect.stringContaining("Database cell_seoul_mapo and the roles cell_seoul_mapo* may be left"),
      }),
    ]);
  });
});
