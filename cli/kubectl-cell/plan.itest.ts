import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { must } from "../../operator/testing/cluster.ts";
import { KINDS } from "../../platform/kube/kinds.ts";
import type { CenterPlan } from "./plan.ts";
import {
  manifestOf,
  type PluginWorld,
  planned,
  readCenter,
  settled,
  snapshotOf,
  startPluginWorld,
} from "./testing/center.ts";
import { runKubectl, runPlugin } from "./testing/running.ts";

let world: PluginWorld;
beforeAll(async () => {
  world = await startPluginWorld();
});
afterAll(() => world?.close());
/** What happened between two snapshots. */
function happened(before: ReadonlyMap<string, string>, after: ReadonlyMap<string, string>): string[] {
  return [
    ...[...after].filter(([id]) => !before.has(id)).map(([id]) => `create ${id}`),
    ...[...after]
      .filter(([id, text]) => before.has(id) && before.get(id) !== text)
      .map(([id]) => `change ${id}`),
    ...[...before.keys()].filter((id) => !after.has(id)).map((id) => `delete ${id}`),
  ].sort();
}

/** Epochs are drawn at the time of the change, and are part of what a Job's name is made from. */
const epochless = (lines: readonly string[]) =>
  [...new Set(lines.map((line) => line.replace(/(Job\/(?:provision|fence))-[0-9a-f]{10}$/, "$1")))].sort();
const foretold = ({ preview }: CenterPlan) =>
  preview.changes
    .filter(({ kind }) => kind !== "Namespace")
    .map(({ action, kind, name: object }) => `${action} ${kind}/${object}`)
    .sort();

describe("kubectl cell plan", () => {
  it("foretells a new center, and the operator then makes exactly that", async () => {
    const plan = await planned(world, manifestOf(world));
    expect(await readCenter(world)).toBeUndefined();
    expect(plan).toMatchObject({ center: world.name, action: "create", notes: [] });
    expect((await runKubectl(world.dir, ["apply", "-f", "-"], manifestOf(world))).err).toBe("");
    await settled(world);
    const made = happened(new Map(), await snapshotOf(world)).filter(
      (line) => !line.includes("PersistentVolumeClaim"),
    );
    expect(epochless(foretold(plan))).toEqual(epochless(made));
  });

  it.each<[string, Record<string, unknown>, "exact" | "epochless"]>([
    ["nothing", {}, "exact"],
    ["another image", { release: { image: "registry.example/cell:2" } }, "exact"],
    ["two pods of a service", { services: [{ name: "orders", replicas: 2 }] }, "exact"],
    [
      "more memory of a service",
      { services: [{ name: "orders", resources: { requests: { memory: "300Mi" } } }] },
      "exact",
    ],
    ["the other topology", { topology: "Separate" }, "exact"],
    [
      "another currency, in seven Deployments",
      { topology: "Separate", market: { currency: "JPY" } },
      "exact",
    ],
    ["more of the cache, with its volume", { cache: { memory: "128Mi" } }, "exact"],
    ["draining", { mode: "Draining" }, "exact"],
    ["fencing", { mode: "Fenced" }, "epochless"],
    ["its end", {}, "epochless"],
  ])("foretells %s", async (_title, spec, precision) => {
    await settled(world);
    const before = await snapshotOf(world);
    const plan = await planned(world, manifestOf(world, spec));
    expect(plan.preview.pending).toEqual([]);
    expect((await runKubectl(world.dir, ["apply", "-f", "-"], manifestOf(world, spec))).err).toBe("");
    await settled(world);
    const done = happened(before, await snapshotOf(world));
    const exact = precision === "exact";
    expect(exact ? foretold(plan) : epochless(foretold(plan))).toEqual(exact ? done : epochless(done));
    console.log(`${_title}: ${done.length} changes foretold, ${done.length} made`);
  });

  it("foretells more storage: the claim grows, and nothing restarts", async () => {
    await settled(world);
    const before = await snapshotOf(world);
    const larger = manifestOf(world, {}, "2Gi");
    const plan = await planned(world, larger);
    expect((await runKubectl(world.dir, ["apply", "-f", "-"], larger)).err).toBe("");
    await settled(world);
    expect(foretold(plan)).toEqual(happened(before, await snapshotOf(world)));
    expect(foretold(plan)).toContain("change PersistentVolumeClaim/data-database-0");
    expect(plan.preview.steps.flatMap(({ effects }) => effects.map(({ what }) => what))).toEqual(["grow"]);
  });

  it("refuses what the API server refuses, with its sentence, and exits with 1", async () => {
    const { code, out, err } = await runPlugin(
      world.dir,
      ["plan", "-f", "-"],
      manifestOf(world, { region: "elsewhere", database: { engine: "PostgreSQL", storage: "512Mi" } }),
    );
    expect([code, out]).toEqual([1, ""]);
    expect(err).toContain("region cannot be changed: make a new center instead");
    expect(err).toContain("database.storage only grows: volumes cannot shrink");
  });

  it("exits like a diff when asked to", async () => {
    const same = manifestOf(world, {}, "2Gi");
    const other = manifestOf(world, { topology: "Separate" }, "2Gi");
    const at = ["plan", "--exit-code", "--operator-namespace", world.cluster.namespace, "-f", "-"];
    expect([
      (await runPlugin(world.dir, at, same)).code,
      (await runPlugin(world.dir, at, other)).code,
    ]).toEqual([0, 2]);
    expect((await runPlugin(world.dir, at.slice(0, 1).concat(at.slice(2)), other)).code).toBe(0);
  });

  it("tells what a deletion keeps and loses, and deletes nothing", async () => {
    const { code, out } = await runPlugin(world.dir, ["plan", "--delete", world.name]);
    expect(code).toBe(0);
    expect(out).toMatch(/lost: {3}Namespace\/cell-it-.*PersistentVolumeClaim\/data-database-0/s);
    expect((await readCenter(world))?.metadata.deletionTimestamp).toBeUndefined();
  });

  it("shows no value of a Secret", async () => {
    const secrets = must(
      await world.cluster.client.list(KINDS.secret, { namespace: `cell-${world.name}` }),
    ).items;
    const values = secrets.flatMap(({ data }) => Object.values((data ?? {}) as Record<string, string>));
    const { out } = await runPlugin(world.dir, ["plan", "--delete", world.name, "-o", "json"]);
    expect(values.length).toBeGreaterThan(5);
    for (const value of values) {
      expect(out).not.toContain(value);
      expect(out).not.toContain(Buffer.from(value, "base64").toString());
    }
  });
});
