import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { findCondition, type KubeObject } from "../platform/kube/objects.ts";
import { ANNOTATIONS, LABELS } from "./api/names.ts";
import { neighboursOf } from "./neighbours.ts";
import { center } from "./testing/center.ts";
import { DENIED } from "./testing/podstatus.ts";
import { provisionedWorld, type World } from "./testing/world.ts";

const REQUIRED = { isolation: { networkPolicy: "Required" as const } };
const isolated = (world: World) => findCondition(world.fc.status?.conditions, "Isolated");
const verdict = (world: World, type = "Isolated") => {
  const condition = findCondition(world.fc.status?.conditions, type);
  return `${condition?.status} ${condition?.reason}`;
};
const jobs = (world: World) =>
  [...world.objects.values()].filter(
    ({ kind, metadata }) => kind === "Job" && metadata.name.startsWith("isolation-probe"),
  );

/** A ready center whose probe is made anew and says this. */
function probed(words: object, spec: object = {}, failed = false): World {
  const world = provisionedWorld(center(spec));
  world.neighbours = [{ name: "busan-haeundae", database: true }];
  world.settle();
  world.endJob("isolation-probe", JSON.stringify(words), failed);
  world.settle();
  return world;
}

describe("Isolated", () => {
  it.each([
    ["denied everywhere", { ...DENIED, denied: 11, cells: 1 }, "True Denied", "True Ready"],
    [
      "reached",
      { ...DENIED, isolation: "Reachable", reached: ["cache.cell-b.svc:6379"] },
      "False Reachable",
      "False Reachable",
    ],
    [
      "nothing denied",
      { ...DENIED, isolation: "NotEnforced", denied: 0 },
      "Unknown NotEnforced",
      "False NotEnforced",
    ],
    [
      "not told",
      { ...DENIED, isolation: "Inconclusive", unclear: ["cache.cell-b.svc:6379"] },
      "Unknown NotProbed",
      "False NotProbed",
    ],
    ["words of something else", { ok: true }, "Unknown NotProbed", "False NotProbed"],
  ])("%s; Ready depends on it only where it is required", (_name, words, isolation, ready) => {
    const required = probed(words, REQUIRED);
    expect([verdict(required), verdict(required, "Ready")]).toEqual([isolation, ready]);
    const declared = probed(words);
    expect([verdict(declared), verdict(declared, "Ready")]).toEqual([isolation, "True Ready"]);
  });

  it("names what was reached, and what to do next", () => {
    const world = probed({ ...DENIED, isolation: "Reachable", reached: ["database.cell-b.svc:5432"] });
    expect(isolated(world)?.message).toContain("database.cell-b.svc:5432");
    expect(isolated(world)?.message).toMatch(/Delete Job isolation-probe-\w+ in cell-seoul-mapo/);
  });

  it("keeps its answer while a new probe runs, and is Ready all the time", () => {
    const world = probed(DENIED, REQUIRED);
    const [before] = jobs(world);
    world.neighbours = [];
    world.settle();
    const [after] = jobs(world);
    expect(after?.metadata.name).not.toBe(before?.metadata.name);
    expect(jobs(world)).toHaveLength(1);
    expect([verdict(world), verdict(world, "Ready")]).toEqual(["True Denied", "True Ready"]);
  });
});

describe("the probe", () => {
  it("waits until the services run", () => {
    const world = provisionedWorld(center());
    const deployment = world.get("Deployment", "cell");
    world.objects.delete(`Job/${jobs(world)[0]?.metadata.name}`);
    world.objects.set("Deployment/cell", { ...deployment, status: {} });
    world.settle();
    expect(jobs(world)).toEqual([]);
    world.readyWorkloads();
    world.settle();
    expect(jobs(world)).toHaveLength(1);
  });

  it("is made anew when the policies change, when another cell comes, and when somebody deletes it", () => {
    const world = provisionedWorld(center());
    const names = [jobs(world)[0]?.metadata.name];
    world.neighbours = [{ name: "busan-haeundae", database: true }];
    world.settle();
    names.push(jobs(world)[0]?.metadata.name);
    const { messaging } = world.fc.spec;
    world.fc = {
      ...world.fc,
      spec: { ...world.fc.spec, messaging: { ...messaging, bootstrapServers: "k:9999" } },
    };
    world.settle();
    world.endJob("provision", JSON.stringify({ ok: true, epoch: world.fc.status?.epoch, schema: "s1" }));
    world.settle();
    world.readyWorkloads();
    world.settle();
    names.push(jobs(world)[0]?.metadata.name);
    expect(new Set(names).size).toBe(3);
    world.objects.delete(`Job/${names[2]}`);
    world.settle();
    expect(jobs(world)).toHaveLength(1);
  });

  it("without proof is repeated after five minutes where isolation is required, and nowhere else", () => {
    const words = { ...DENIED, isolation: "NotEnforced", denied: 0 };
    const required = probed(words, REQUIRED);
    expect(required.plan().requeueAfterMs).toBeLessThanOrEqual(300_000);
    required.nowMs += 300_000;
    expect(required.plan().prune.map(({ metadata }) => metadata.name)).toEqual([
      jobs(required)[0]?.metadata.name,
    ]);
    required.pass();
    required.settle();
    required.endJob("isolation-probe", JSON.stringify(DENIED));
    expect([required.settle().requeueAfterMs, verdict(required, "Ready")]).toEqual([undefined, "True Ready"]);

    const declared = probed(words);
    declared.nowMs += 86_400_000;
    expect(declared.plan()).toMatchObject({ prune: [] });
    expect(declared.plan().requeueAfterMs).toBeUndefined();
  });

  it("that failed is not repeated as a failed provision Job is", () => {
    const world = probed({ ...DENIED, isolation: "Inconclusive", unclear: ["x:1"] }, {}, true);
    world.nowMs += 60_000;
    expect(world.plan()).toMatchObject({ prune: [] });
  });
});

/** Seconds until the next try of each probe that ends like this, as often as `times` says. */
function waits(world: World, end: () => void, times: number): number[] {
  const seconds: number[] = [];
  for (let count = 0; count < times; count++) {
    end();
    const { requeueAfterMs = 0 } = world.settle();
    world.nowMs += requeueAfterMs - 1;
    expect(world.plan().objects.filter(({ metadata }) => isNew(world, metadata.name))).toEqual([]);
    world.nowMs += 1;
    world.settle();
    expect(jobs(world)).toHaveLength(1);
    seconds.push(requeueAfterMs / 1000);
  }
  return seconds;
}
const isNew = (world: World, name: string) =>
  name.startsWith("isolation-probe-") && !world.objects.has(`Job/${name}`);

describe("a probe that is killed", () => {
  it.each([REQUIRED, {}])("is repeated by itself, ever more rarely, until one answers (%j)", (spec) => {
    const world = provisionedWorld(center(spec));
    world.neighbours = [{ name: "busan-haeundae", database: true }];
    world.settle();
    const kill = () => world.endJob("isolation-probe", "", true);
    expect(waits(world, kill, 7)).toEqual([10, 20, 40, 80, 160, 300, 300]);
    expect(verdict(world)).toBe("Unknown NotProbed");
    world.endJob("isolation-probe", JSON.stringify(DENIED));
    expect(world.settle().requeueAfterMs).toBeUndefined();
    expect([verdict(world), verdict(world, "Ready")]).toEqual(["True Denied", "True Ready"]);
  });

  it("is told of, with what happens next", () => {
    const world = probed({}, {}, true);
    expect(isolated(world)?.message).toMatch(
      /without an answer.*describe job\/isolation-probe-\w+\. It is tried again by itself/,
    );
  });

  it("is followed by one alone when the operator dies between making that and removing the old one", () => {
    const world = probed({}, {}, true);
    world.nowMs += 10_000;
    const { objects, prune } = world.plan();
    const [next] = objects.filter(({ metadata }) => isNew(world, metadata.name));
    const name = jobs(world)[0]?.metadata.name;
    expect(next?.metadata.name).toBe(`${name}-1`);
    expect(prune.map(({ metadata }) => metadata.name)).toEqual([name]);
    if (next !== undefined) world.objects.set(`Job/${next.metadata.name}`, next);
    world.settle();
    expect(jobs(world).map(({ metadata }) => metadata.name)).toEqual([`${name}-1`]);
  });

  it("begins to be counted anew with other policies, neighbours or images", () => {
    const world = probed({}, {}, true);
    world.nowMs += 10_000;
    world.settle();
    world.neighbours = [];
    world.settle();
    expect(jobs(world).map(({ metadata }) => metadata.name)).toEqual([
      expect.stringMatching(/^isolation-probe-\w+$/),
    ]);
  });
});

describe("a probe whose pod is gone after it had ended well", () => {
  it("leaves the last answer in force, is repeated, and the center is Ready all the time", () => {
    const world = probed(DENIED, REQUIRED);
    const before = isolated(world);
    const loseNode = () => {
      world.pods = [];
    };
    expect(waits(world, loseNode, 1)).toEqual([10]);
    expect([isolated(world), verdict(world, "Ready")]).toEqual([before, "True Ready"]);
    world.endJob("isolation-probe", JSON.stringify({ ...DENIED, isolation: "Reachable", reached: ["x:1"] }));
    world.settle();
    expect([verdict(world), verdict(world, "Ready")]).toEqual(["False Reachable", "False Reachable"]);
  });

  it("and that nobody has heard leaves nothing known", () => {
    const world = provisionedWorld(center());
    world.fc = {
      ...world.fc,
      status: {
        ...world.fc.status,
        conditions: (world.fc.status?.conditions ?? []).filter(({ type }) => type !== "Isolated"),
      },
    };
    world.pods = [];
    world.settle();
    expect(verdict(world)).toBe("Unknown NotProbed");
  });
});

describe("neighbours", () => {
  const centers = ["a", "b", "c", "d", "e"].map((name) => center({}, { name, status: { admittedEpoch: 1 } }));
  const among = (list: typeof centers) => ({
    list: () => list,
    get: (name: string) => list.find(({ metadata }) => metadata.name === name),
  });
  const names = (of: string, list = centers, jobs: KubeObject[] = []) =>
    neighboursOf(of, jobs, among(list)).map(({ name }) => name);
  const probe = (cells: string, second: number): KubeObject => ({
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: {
      name: `isolation-probe-${second}`,
      labels: { [LABELS.component]: "isolation-probe" },
      annotations: { [ANNOTATIONS.neighbours]: cells },
      creationTimestamp: `2026-11-21T08:00:0${second}Z`,
    },
  });

  it("are the next two, round the ring, and each cell is tried by two", () => {
    expect(names("b")).toEqual(["c", "d"]);
    expect(names("e")).toEqual(["a", "b"]);
    for (const { metadata } of centers)
      expect(centers.filter((one) => names(one.metadata.name).includes(metadata.name))).toHaveLength(2);
  });

  it("stay those that the newest probe has tried, as long as they are there", () => {
    expect(names("b", centers, [probe("a,c", 1), probe("a,e", 2)])).toEqual(["a", "e"]);
    expect(names("b", centers.slice(0, 4), [probe("a,e", 2)])).toEqual(["a", "c"]);
    expect(names("b", centers, [probe("d", 1)])).toEqual(["c", "d"]);
    expect(names("b", centers, [probe("b,c", 1)])).toEqual(["c", "d"]);
  });

  it("are cells that have served and stay", () => {
    expect(names("a", [...centers.slice(0, 2), center({}, { name: "z" })])).toEqual(["b"]);
    expect(names("a", [])).toEqual([]);
  });

  it("are the same as those of the sorted ring, in whatever order cells are known", () => {
    void fc.assert(
      fc.property(
        fc.uniqueArray(fc.stringMatching(/^[a-f]{1,3}$/), { minLength: 1, maxLength: 12 }),
        (all) => {
          const list = all.map((name) => center({}, { name, status: { admittedEpoch: 1 } }));
          const [own = ""] = all;
          const sorted = all.slice(1).sort();
          const at = sorted.filter((one) => one < own).length;
          const ring = [...sorted.slice(at), ...sorted.slice(0, at)];
          expect(names(own, list)).toEqual(ring.slice(0, 2).sort());
        },
      ),
    );
  });
});
