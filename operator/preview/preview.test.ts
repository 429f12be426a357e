import { describe, expect, it } from "vitest";
import type { FulfillmentCenter } from "../api/fulfillment-center.ts";
import { center, SETTINGS } from "../testing/center.ts";
import { createWorld, provisionedWorld, type World } from "../testing/world.ts";
import { type Preview, previewChange } from "./preview.ts";

const preview = (world: World, next: FulfillmentCenter, isNew = false) =>
  previewChange({
    current: isNew ? undefined : world.fc,
    next,
    observed: world.observed(),
    settings: SETTINGS,
    nowMs: world.nowMs,
    random: () => "word",
    assumed: false,
  });
const withSpec = (world: World, spec: Record<string, unknown>): FulfillmentCenter =>
  ({ ...world.fc, spec: { ...world.fc.spec, ...spec } }) as FulfillmentCenter;
const leaving = (world: World): FulfillmentCenter => ({
  ...world.fc,
  metadata: { ...world.fc.metadata, deletionTimestamp: "2026-11-21T08:00:00Z" },
});
const plain = (name: string) => name.replace(/-[0-9a-f]{10}$/, "-<hash>");
/** "~ Deployment/cell": what becomes of each object. */
const marks = ({ changes }: Pick<Preview, "changes">) =>
  changes
    .map(
      ({ action, kind, name }) =>
        `${{ create: "+", change: "~", delete: "-" }[action]} ${kind}/${plain(name)}`,
    )
    .sort();
const steps = ({ steps: all }: Preview) =>
  all.map(({ effects }) => effects.map(({ object, what }) => `${plain(object)} ${what}`).join(", "));
const fields = ({ changes }: Preview, object: string) =>
  changes
    .filter(({ kind, name }) => `${kind}/${name}` === object)
    .flatMap((change) => change.fields.map(({ path, before, after }) => `${path}: ${before} → ${after}`));

/** What the operator itself does about the same change, pass by pass, in a world whose workloads follow. */
function carriedOut(world: World, next: FulfillmentCenter): string[] {
  const told = () =>
    new Map([...world.objects].map(([key, { spec }]) => [plain(key), [key, JSON.stringify(spec)]]));
  const before = told();
  world.fc = next;
  for (let count = 0; count < 12; count++) {
    const state = JSON.stringify([...told()]);
    world.settle();
    world.readyWorkloads();
    for (const [key, { kind, status }] of world.objects)
      if (kind === "Job" && status === undefined)
        world.endJob(key.slice("Job/".length, key.lastIndexOf("-")), JSON.stringify({ ok: true }));
    if (count > 0 && state === JSON.stringify([...told()])) break;
  }
  const after = told();
  const found = new Set<string>();
  for (const [name, [key, spec]] of after) {
    const old = before.get(name);
    if (old === undefined) found.add(`+ ${name}`);
    else if (old[0] !== key) found.add(`+ ${name}`).add(`- ${name}`);
    else if (old[1] !== spec) found.add(`~ ${name}`);
  }
  for (const name of before.keys()) if (!after.has(name)) found.add(`- ${name}`);
  return [...found].sort();
}

const CHANGES: [string, Record<string, unknown>][] = [
  ["an image", { release: { image: "registry.example/cell:2" } }],
  ["storage", { database: { engine: "PostgreSQL", storage: "2Gi" } }],
  ["topology", { topology: "Separate" }],
  ["replicas", { services: [{ name: "orders", replicas: 2 }] }],
  ["resources", { services: [{ name: "orders", resources: { requests: { memory: "256Mi" } } }] }],
  ["a cache with more memory", { cache: { memory: "256Mi", persistence: true } }],
  ["draining", { mode: "Draining" }],
  ["fencing", { mode: "Fenced" }],
  ["the market", { market: { currency: "JPY", locale: "ja-JP" } }],
  ["partitions", { messaging: { partitions: 6, retentionHours: 168 } }],
  ["a pause", { paused: true, topology: "Separate" }],
];

describe("a preview says what the operator then does", () => {
  it("nothing, when nothing changes", () => {
    const world = provisionedWorld(center());
    expect(preview(world, world.fc)).toMatchObject({ pending: [], changes: [], routing: [], steps: [] });
  });

  it.each(CHANGES)("about %s", (_title, spec) => {
    const world = provisionedWorld(center());
    const found = preview(world, withSpec(world, spec));
    expect(found.pending).toEqual([]);
    expect(marks(found)).toEqual(carriedOut(world, withSpec(world, spec)));
  });

  it.each(["Compact", "Separate"] as const)("about a new center in %s", (topology) => {
    const world = createWorld(center({ topology }));
    const { status: _none, ...fresh } = world.fc;
    const found = preview(world, fresh as FulfillmentCenter, true);
    const done = carriedOut(world, world.fc);
    expect(marks(found)).toEqual([...done, "+ Namespace/cell-seoul-mapo"].sort());
    expect(found.outcome.phase).toBe("Ready");
  });
});

describe("what restarts", () => {
  const stepsOf = (spec: Record<string, unknown>, first: Parameters<typeof center>[0] = {}) => {
    const world = provisionedWorld(center(first));
    return preview(world, withSpec(world, spec));
  };

  it("a release: first the Job, then the services", () => {
    expect(steps(stepsOf({ release: { image: "registry.example/cell:2" } }))).toEqual([
      "Job/provision-<hash> run",
      "Deployment/cell restart",
    ]);
  });

  it("another topology: the new services start, then the old ones stop", () => {
    expect(steps(stepsOf({ topology: "Separate" })).at(-1)).toBe("Deployment/cell stop");
    expect(steps(stepsOf({ topology: "Separate" }))[0]).toContain("Deployment/orders start");
  });

  it("more replicas: nothing", () => {
    expect(steps(stepsOf({ services: [{ name: "orders", replicas: 3 }] }))).toEqual([
      "Deployment/cell scale",
    ]);
  });

  it("more storage: nothing, the claim grows in use", () => {
    const world = provisionedWorld(center());
    const claim = {
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      metadata: {
        name: "data-database-0",
        namespace: "cell-seoul-mapo",
        labels: { "app.kubernetes.io/component": "database" },
      },
      spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
    };
    world.claims = [claim];
    const found = preview(world, withSpec(world, { database: { engine: "PostgreSQL", storage: "2Gi" } }));
    expect(steps(found)).toEqual(["PersistentVolumeClaim/data-database-0 grow"]);
    expect(fields(found, "PersistentVolumeClaim/data-database-0")).toEqual([
      "spec.resources.requests.storage: 1Gi → 2Gi",
    ]);
  });

  it("a mode: nothing but the Job that fences", () => {
    expect(steps(stepsOf({ mode: "Draining" }))).toEqual([]);
    const found = stepsOf({ mode: "Fenced" });
    expect(steps(found)).toEqual(["Job/fence-<hash> run"]);
    expect(found.routing.map(({ path, after }) => `${path} ${after}`)).toEqual(["mode Fenced", "weight 0"]);
  });

  it("the end of a fence: a new epoch, so every service", () => {
    const world = provisionedWorld(center());
    carriedOut(world, withSpec(world, { mode: "Fenced" }));
    const found = preview(world, withSpec(world, { mode: "Active" }));
    expect(steps(found)).toEqual(["Job/provision-<hash> run", "Deployment/cell restart"]);
    expect(fields(found, "Deployment/cell").join()).toContain("env[CELL_EPOCH]");
  });

  it("nothing while paused, and the preview says why", () => {
    const found = stepsOf({ paused: true, topology: "Separate" });
    expect(steps(found)).toEqual([]);
    expect(found.stopped).toContain("paused");
  });
});

describe("what was not asked for", () => {
  it("is told apart: what somebody changed by hand is under way already", () => {
    const world = provisionedWorld(center());
    const cell = world.get("Deployment", "cell");
    world.objects.set("Deployment/cell", { ...cell, spec: { ...(cell.spec as object), replicas: 0 } });
    const found = preview(world, withSpec(world, { mode: "Draining" }));
    expect(marks({ changes: found.pending })).toEqual(["~ Deployment/cell"]);
    expect(marks(found)).toEqual([]);
  });

  it("is not told when something had to be assumed, and what is told stays the same", () => {
    const world = provisionedWorld(center());
    const next = withSpec(world, { release: { image: "registry.example/cell:2" } });
    const known = preview(world, next);
    const { objects, ...rest } = world.observed();
    const blind = previewChange({
      current: world.fc,
      next,
      observed: { ...rest, objects: objects.filter(({ kind }) => kind !== "Secret") },
      settings: { ...SETTINGS, images: { ...SETTINGS.images, redis: "(unknown)", cell: "(unknown)" } },
      nowMs: world.nowMs,
      random: () => "other",
      assumed: true,
    });
    expect(blind.pending).toEqual([]);
    expect(marks(blind)).toEqual(marks(known));
    expect(steps(blind)).toEqual(steps(known));
  });
});

describe("a deletion", () => {
  it("with Retain keeps the namespace, its volumes and Secrets", () => {
    const world = provisionedWorld(center({ deletion: { policy: "Retain" } }));
    const found = preview(world, leaving(world));
    expect(found.left).toEqual({
      adopt: world.namespace?.metadata.uid,
      kept: ["Namespace/cell-seoul-mapo", "Secret/database", "Secret/cache", "Secret/trust"],
      lost: [],
    });
    expect(marks(found)).toContain("- StatefulSet/database");
  });

  it("with Delete loses everything, the topics too", () => {
    const world = provisionedWorld(center({ deletion: { policy: "Delete" } }));
    const found = preview(world, leaving(world));
    expect(found.left?.kept).toEqual([]);
    expect(found.left?.lost).toContain("Secret/trust");
    expect(steps(found).at(-1)).toBe("Job/remove-<hash> run");
  });

  it("that is protected does nothing, and says how to go on", () => {
    const world = provisionedWorld(center({ deletion: { policy: "Delete", protection: true } }));
    const found = preview(world, leaving(world));
    expect([found.changes, found.steps]).toEqual([[], []]);
    expect(found.stopped).toContain("deletion.protection");
  });
});

it("shows no value of a Secret", () => {
  const world = provisionedWorld(center());
  for (const next of [withSpec(world, { topology: "Separate" }), leaving(world)])
    expect(JSON.stringify(preview(world, next))).not.toMatch(/secret-\d|cell-d/);
});
