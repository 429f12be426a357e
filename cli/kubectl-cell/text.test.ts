import { describe, expect, it } from "vitest";
import type { RoutingTable } from "../../operator/api/routing-table.ts";
import { previewChange } from "../../operator/preview/preview.ts";
import { center, SETTINGS } from "../../operator/testing/center.ts";
import { createWorld, provisionedWorld, type World } from "../../operator/testing/world.ts";
import { type CenterPlan, changesSomething } from "./plan.ts";
import { planText } from "./plan-text.ts";
import { reportOf } from "./report.ts";
import { ageOf, statusScreen, statusTable } from "./status-text.ts";
import { wrap } from "./terminal.ts";

const PLAIN = { columns: 100, colours: false };
const nowMs = Date.parse("2026-11-21T08:20:00Z");
const hashless = (text: string) =>
  text.replace(/-[0-9a-f]{10}\b/g, "-<hash>").replace(/\b17\d{8}\b/g, "<epoch>");

function planOf(world: World, spec: Record<string, unknown>, fields: CenterPlan["fields"] = []): CenterPlan {
  const next = { ...world.fc, spec: { ...world.fc.spec, ...spec } } as World["fc"];
  const preview = previewChange({
    ...{ current: world.fc, next, observed: world.observed(), settings: SETTINGS, nowMs: world.nowMs },
    random: () => "word",
    assumed: false,
  });
  return {
    center: next.metadata.name,
    action: fields.length > 0 ? "change" : "none",
    fields,
    notes: [],
    preview,
  };
}

describe("a plan in words", () => {
  it("of a release", () => {
    const image = { path: "spec.release.image", after: "registry.example/cell:2" };
    const plan = planOf(provisionedWorld(center()), { release: { image: image.after } }, [image]);
    expect(hashless(planText(plan, PLAIN))).toMatchInlineSnapshot(`
      "FulfillmentCenter seoul-mapo changes in 1 field
        spec.release.image: (not set) → registry.example/cell:2

      What changes in the cell
        Deployment
          ~ cell
              spec.template.spec.containers[cell].image: registry.example/cell:1 → registry.example/cell:2
        Job
          + provision-<hash>
          - provision-<hash>

      What restarts, in this order
        1.  Job provision-<hash> runs: makes roles, schema and topics; services keep running
            meanwhile, and new ones wait for it.
        2.  Deployment cell restarts: a new pod is ready before the old one ends, so requests go on.

      Plan: 1 to make, 1 to change, 1 to delete; 1 workload restarts, 1 Job runs."
    `);
    expect(changesSomething(plan)).toBe(true);
  });

  it("of nothing says so in its last line", () => {
    const plan = planOf(provisionedWorld(center()), {});
    expect(planText(plan, PLAIN).split("\n").at(-1)).toBe("Plan: nothing changes, nothing restarts.");
    expect(changesSomething(plan)).toBe(false);
  });

  it("is no wider than the terminal but where a value is", () => {
    const plan = planOf(provisionedWorld(center()), { topology: "Separate" });
    const wide = planText(plan, { columns: 60, colours: false })
      .split("\n")
      .filter((line) => line.length > 60 && !line.startsWith("Plan:"));
    expect(wide.every((line) => line.includes("→"))).toBe(true);
  });

  it("has colours only where there is a person to see them", () => {
    const plan = planOf(provisionedWorld(center()), { topology: "Separate" });
    expect(planText(plan, PLAIN)).not.toContain("\u001b[");
    expect(planText(plan, { ...PLAIN, colours: true })).toContain("\u001b[32m");
  });
});

describe("a status in words", () => {
  const table = (weight: number) =>
    ({
      spec: { version: 3, cells: [{ name: "seoul-mapo", mode: "Active", weight }], tombstones: [] },
    }) as unknown as RoutingTable;
  const event = {
    ...{ apiVersion: "events.k8s.io/v1", kind: "Event", metadata: { name: "e" } },
    ...{
      type: "Normal",
      reason: "Ready",
      note: "The cell runs as its spec asks.",
      eventTime: "2026-11-21T08:15:00Z",
    },
    regarding: { kind: "FulfillmentCenter", name: "seoul-mapo" },
  };

  it("of a center that is ready", () => {
    const { fc } = provisionedWorld(center());
    expect(
      hashless(statusScreen(reportOf(fc, { table: table(100), events: [event] }), PLAIN, nowMs)),
    ).toMatchInlineSnapshot(`
      "seoul-mapo  Ready  mode Active  region kr-seoul
      The cell runs as its spec asks.

      Namespace  cell-seoul-mapo
      Services   1/1
      Release    registry.example/cell:1
      Database   PostgreSQL, volumes of 1Gi
      Routing    Active, weight 100
      Epoch      <epoch>

      ✓ Provisioned       Namespace cell-seoul-mapo and its quota, policies, identities and Secrets exist.
      ✓ DatabaseReady     Every pod of the database is ready (1 of 1).
      ✓ SchemaMigrated    Roles, schema and lease row are as this release needs them.
      ✓ CacheReady        Every pod of the cache is ready (1 of 1).
      ✓ TopicsReady       The topics cells.seoul-mapo.* exist.
      ✓ ServicesReady     Every Deployment runs the desired release.
      ? Isolated          Policies are declared, but no probe has seen a denied packet: whether they hold
                          depends on the network plugin.

      Events
      5m   Ready: The cell runs as its spec asks.

      Next: nothing to do. Before a change, look at what it will do.
        kubectl cell plan -f FILE"
    `);
  });

  it("of one on its way ends with what to do, too", () => {
    const world = createWorld(center({ topology: "Separate" }));
    world.settle();
    const screen = statusScreen(reportOf(world.fc, { table: undefined, events: [] }), PLAIN, nowMs);
    expect(screen).toContain("Routing    not in the table");
    expect(screen.split("\n").slice(-2)).toEqual([
      "Next: wait; nobody has to act.",
      "  kubectl wait --for=condition=Ready fc/seoul-mapo --timeout=5m",
    ]);
  });

  it("of all centers is a table that points at the one to look at", () => {
    const ready = reportOf(provisionedWorld(center()).fc, { table: table(100), events: [] });
    const waiting = reportOf(createWorld(center({}, { name: "seoul-jung" })).fc, {
      table: undefined,
      events: [],
    });
    expect(statusTable([ready, waiting], PLAIN, nowMs)).toMatchInlineSnapshot(`
      "NAME        PHASE    MODE    REGION    SERVICES  ROUTING             AGE  MESSAGE
      seoul-mapo  Ready    Active  kr-seoul  1/1       Active, weight 100       The cell runs as its spec…
      seoul-jung  Pending  Active  kr-seoul  none yet  -                        The operator has not look…

      Next: look at seoul-jung, which is Pending: kubectl cell status seoul-jung"
    `);
    expect(statusTable([], PLAIN, nowMs)).toContain("There are no centers.");
    for (const line of statusTable([ready, waiting], { columns: 50, colours: false }, nowMs)
      .split("\n")
      .slice(0, 3))
      expect(line.length).toBeLessThanOrEqual(50);
  });
});

describe("the terminal", () => {
  it("wraps at words, and tells ages in one unit", () => {
    expect(wrap("aa bb cc dd", 5, "  ")).toBe("aa bb\n  cc\n  dd");
    const ago = (seconds: number) => ageOf(new Date(nowMs - seconds * 1000).toISOString(), nowMs);
    expect([ago(5), ago(119), ago(121), ago(7300), ago(200_000), ageOf(undefined, nowMs)]).toEqual([
      ...["5s", "119s", "2m", "2h", "2d", ""],
    ]);
  });
});
