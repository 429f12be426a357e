import { expect, it } from "vitest";
import { findCondition } from "../platform/kube/objects.ts";
import { center } from "./testing/center.ts";
import { createWorld } from "./testing/world.ts";

it("a CockroachDB without certificates says so, and goes on when they are there", () => {
  const world = createWorld(center({ database: { engine: "CockroachDB" } }));
  const reason = (type: string) => findCondition(world.fc.status?.conditions, type)?.reason;
  const jobs = () => [...world.objects.keys()].filter((key) => key.startsWith("Job/")).length;
  world.settle();
  const message = "Secret database-certificates in namespace cell-seoul-mapo has no ca.crt.";
  world.endJob("database-init", JSON.stringify({ ok: false, reason: "CertificatesMissing", message }), true);
  world.settle();
  expect([reason("DatabaseReady"), reason("Ready")]).toEqual(["CertificatesMissing", "CertificatesMissing"]);
  expect(findCondition(world.fc.status?.conditions, "DatabaseReady")?.message).toContain(message);
  world.nowMs += 20_000;
  world.pass();
  world.collect();
  world.settle();
  world.readyWorkloads(["StatefulSet"]);
  world.settle();
  // The nodes are up, but the role to provision with is not made yet.
  expect([reason("SchemaMigrated"), jobs()]).toEqual(["WaitingForDatabase", 1]);
  world.endJob("database-init", "");
  world.settle();
  expect([reason("DatabaseReady"), reason("SchemaMigrated"), jobs()]).toEqual(["Ready", "Migrating", 2]);
});
