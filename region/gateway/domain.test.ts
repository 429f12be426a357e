import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isSliceName } from "../../platform/slices.ts";
import { type CellView, cellCursorOf, destinationOf, mergePages, route, type TableCell } from "./domain.ts";
import { cellNamed } from "./testing/tables.ts";

const HERE = { latitude: 37.5, longitude: 127 };
/** One hundredth of a degree of latitude is 1.1 km. */
const north = (hundredths: number) => ({ latitude: 37.5 + hundredths / 100, longitude: 127 });
const request = { deliverTo: HERE, skus: ["apple"] };
const view = (fields: Partial<CellView>): CellView => ({
  removed: false,
  accepting: true,
  queueMinutes: 0,
  ...fields,
});
const near = cellNamed("near", { location: north(1) });
const far = cellNamed("far", { location: north(4) });

describe("route", () => {
  it.each<[string, TableCell[], [string, CellView][], unknown]>([
    ["nearest first", [far, near], [], { ok: true, candidates: ["near", "far"] }],
    ["nobody covers", [cellNamed("away", { location: north(40) })], [], { ok: false, code: "no-center" }],
    [
      "the near one is removed",
      [near, far],
      [["near", view({ removed: true })]],
      { ok: true, candidates: ["far"] },
    ],
    ["the near one drains", [{ ...near, mode: "Draining" }, far], [], { ok: true, candidates: ["far"] }],
    [
      "the near one is full",
      [near, far],
      [["near", view({ accepting: false })]],
      { ok: true, candidates: ["far"] },
    ],
    [
      "a long queue loses to distance",
      [near, far],
      [["near", view({ queueMinutes: 60 })]],
      { ok: true, candidates: ["far", "near"] },
    ],
    [
      "missing stock goes last, but is asked",
      [near, far],
      [["near", view({ skus: new Set() })]],
      { ok: true, candidates: ["far", "near"] },
    ],
    [
      "a tenth of the weight costs ten times",
      [{ ...near, weight: 10 }, far],
      [],
      { ok: true, candidates: ["far", "near"] },
    ],
    ["all drain", [{ ...near, mode: "Draining" }], [], { ok: false, code: "not-accepting" }],
    [
      "one drains, one is gone",
      [{ ...near, mode: "Draining" }, far],
      [["far", view({ removed: true })]],
      { ok: false, code: "cell-unavailable" },
    ],
    [
      "weight zero",
      [{ ...near, weight: 0 }],
      [],
      { ok: false, code: "cell-unavailable", passedOver: [{ cell: "near", reason: "weight-zero" }] },
    ],
  ])("%s", (_name, cells, views, expected) => {
    expect(route({ version: 1, cells }, request, new Map(views))).toMatchObject(expected as object);
  });

  const cellArbitrary = fc.record({
    mode: fc.constantFrom("Active" as const, "Draining" as const, "Fenced" as const),
    weight: fc.integer({ min: 0, max: 100 }),
    north: fc.integer({ min: 0, max: 10 }),
    removed: fc.boolean(),
    accepting: fc.boolean(),
  });

  it("offers exactly the covering cells that are in service, or names a reason for each", () => {
    fc.assert(
      fc.property(fc.array(cellArbitrary, { maxLength: 12 }), (drawn) => {
        const cells = drawn.map((d, i) =>
          cellNamed(`c${i}`, { mode: d.mode, weight: d.weight, location: north(d.north) }),
        );
        const views = new Map(
          drawn.map((d, i) => [`c${i}`, view({ removed: d.removed, accepting: d.accepting })]),
        );
        const decision = route({ version: 1, cells }, request, views);
        const covering = drawn.flatMap((d, i) => (d.north * 1_113 <= 5_000 ? [{ ...d, name: `c${i}` }] : []));
        const fit = covering.filter((d) => d.mode === "Active" && d.weight > 0 && !d.removed && d.accepting);
        const offered = decision.ok ? [...decision.candidates] : [];
        expect(offered.sort()).toEqual(fit.map(({ name }) => name).sort());
        expect(offered.length + decision.passedOver.length).toBe(covering.length);
        if (!decision.ok) expect(decision.code === "no-center").toBe(covering.length === 0);
      }),
    );
  });

  it("does not depend on the order of the table", () => {
    fc.assert(
      fc.property(
        fc.shuffledSubarray([near, far, cellNamed("x"), cellNamed("y")], { minLength: 4 }),
        (cells) => {
          expect(route({ version: 1, cells }, request)).toMatchObject({
            candidates: ["x", "y", "near", "far"],
          });
        },
      ),
    );
  });
});

describe("destinationOf", () => {
  const id = "a_seoul-mapo_019200000000-7000-8000-000000000000";
  const uuid = "01920000-0000-7000-8000-000000000000";
  const ord = `ord_seoul-mapo_${uuid}`;
  it.each<[string, string, unknown]>([
    ["POST", "/v1/orders", { kind: "place" }],
    [
      "GET",
      `/v1/orders/${ord}`,
      { kind: "cell", center: "seoul-mapo", slice: "orders", path: `/v1/orders/${ord}` },
    ],
    ["POST", `/v1/orders/${ord}/cancel`, { kind: "cell", slice: "orders", path: `/v1/orders/${ord}/cancel` }],
    ["GET", "/v1/orders", { kind: "history" }],
    ["PUT", "/v1/orders", { kind: "unknown" }],
    ["POST", `/v1/orders/${ord}/returns`, { kind: "cell", slice: "orders" }],
    ["POST", `/v1/returns/ret_seoul-mapo_${uuid}/receive`, { kind: "cell", slice: "orders" }],
    ["GET", `/v1/tracking/${ord}/stream`, { kind: "cell", slice: "tracking" }],
    ["POST", `/v1/pick-lists/pck_seoul-mapo_${uuid}/scans`, { kind: "cell", slice: "fulfillment" }],
    ["POST", `/v1/assignments/asg_seoul-mapo_${uuid}/ack`, { kind: "cell", slice: "dispatch" }],
    ["POST", `/v1/couriers/cou_seoul-mapo_${uuid}/shift/start`, { kind: "cell", slice: "couriers" }],
    [
      "POST",
      "/v1/centers/seoul-mapo/inventory/receipts",
      { kind: "cell", center: "seoul-mapo", slice: "inventory", path: "/v1/receipts" },
    ],
    ["GET", "/v1/centers/seoul-mapo/orders/openapi.json", { kind: "cell", path: "/openapi.json" }],
    [
      "POST",
      "/v1/webhooks/payments/seoul-mapo",
      { kind: "webhook", center: "seoul-mapo", slice: "payments", path: "/internal/webhooks/processor" },
    ],
    ["GET", "/v1/webhooks/payments/seoul-mapo", { kind: "unknown" }],
    ["POST", "/v1/webhooks/payments", { kind: "unknown" }],
    ["POST", "/v1/webhooks/orders/seoul-mapo", { kind: "unknown" }],
    ["POST", "/v1/webhooks/payments/seoul-mapo/more", { kind: "unknown" }],
    ["GET", "/v1/centers/seoul-mapo/orders", { kind: "unknown" }],
    ["GET", "/v1/centers/seoul-mapo/internal/x", { kind: "unknown" }],
    ["GET", `/v1/orders/pck_seoul-mapo_${uuid}`, { kind: "unknown" }],
    ["GET", `/v1/orders/${id}`, { kind: "unknown" }],
    ["GET", "/v1/constructor/x", { kind: "unknown" }],
    ["GET", "/internal/summary", { kind: "unknown" }],
    ["GET", "//internal/summary", { kind: "unknown" }],
    ["GET", "/", { kind: "unknown" }],
  ])("%s %s", (method, path, expected) => {
    expect(destinationOf(method, path, isSliceName)).toMatchObject(expected as object);
  });
});

describe("a history over several cells", () => {
  const centers = ["a", "b", "c"];
  /** A cell's answer as its slice gives it: newest first, the cursor left out, one page. */
  const pageOf = (center: string, all: readonly string[], limit: number, cursor?: string) => {
    const before = cursor === undefined ? undefined : cellCursorOf(center, cursor);
    const own = all.filter((id) => id.startsWith(`ord_${center}_`) && (before === undefined || id < before));
    const orders = own
      .sort()
      .reverse()
      .slice(0, limit)
      .map((id) => ({ id }));
    return { center, orders, ...(orders.length === limit ? { nextCursor: orders.at(-1)?.id } : {}) };
  };

  it("has every order once, newest first, whatever the size of a page", () => {
    const where = fc.array(fc.constantFrom(...centers), { maxLength: 40 });
    fc.assert(
      fc.property(where, fc.integer({ min: 1, max: 7 }), (places, limit) => {
        const times = places.map((_, index) => `01939a3e-${String(index).padStart(4, "0")}-7000`);
        const all = places.map((center, index) => `ord_${center}_${times[index]}`);
        const seen: string[] = [];
        let cursor: string | undefined;
        for (let pages = 0; pages <= places.length + 1; pages++) {
          const page = mergePages(
            centers.map((center) => pageOf(center, all, limit, cursor)),
            limit,
          );
          seen.push(...page.orders.map(({ id }) => id));
          cursor = page.nextCursor;
          if (cursor === undefined) break;
        }
        expect(cursor).toBeUndefined();
        expect(seen).toEqual([...all].reverse());
      }),
    );
  });
});
