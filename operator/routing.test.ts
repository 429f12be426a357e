import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { SLICE_NAMES } from "../platform/slices.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import type { RoutingTableSpec } from "./api/routing-table.ts";
import { nextRoutingTable, type RoutingInput } from "./routing.ts";
import { center } from "./testing/center.ts";

const services = SLICE_NAMES.map((name, index) => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name },
  spec: { clusterIP: `198.19.0.${index + 1}` },
}));

const input = (
  name: string,
  status: FulfillmentCenter["status"] = { epoch: 5, admittedEpoch: 5 },
  spec: Parameters<typeof center>[0] = {},
  more: Partial<RoutingInput> = {},
): RoutingInput => ({
  name,
  fc: center(spec, { name, ...(status ? { status } : {}) }),
  services,
  publicKey: '{"kid":"k"}',
  ...more,
});

describe("the routing table", () => {
  it("is whole: everything that a gateway needs, in order of names", () => {
    expect(nextRoutingTable([input("b"), input("a")], undefined)).toMatchSnapshot();
  });

  it.each([
    ["available in this epoch", { epoch: 5, admittedEpoch: 5 }, {}, 100],
    ["never available", { epoch: 5 }, {}, 0],
    ["available only in an earlier epoch", { epoch: 6, admittedEpoch: 5 }, {}, 0],
    ["draining", { epoch: 5, admittedEpoch: 5 }, { mode: "Draining" as const }, 0],
    ["fenced", { epoch: 5, admittedEpoch: 5, fencedEpoch: 9 }, { mode: "Fenced" as const }, 0],
    ["with lost data", { epoch: 5, admittedEpoch: 5, lostNamespaceUid: "x" }, {}, 0],
  ])("a cell that is %s has the right weight", (_title, status, spec, weight) => {
    expect(nextRoutingTable([input("a", status, spec)], undefined)?.cells[0]?.weight).toBe(weight);
  });

  it("says nothing new when nothing has changed", () => {
    const table = nextRoutingTable([input("a"), input("b")], undefined);
    expect(nextRoutingTable([input("b"), input("a")], table)).toBeUndefined();
  });

  it("waits for addresses and key before a cell enters, and keeps one that is in", () => {
    expect(
      nextRoutingTable([input("a", undefined, {}, { services: services.slice(1) })], undefined)?.cells,
    ).toEqual([]);
    expect(nextRoutingTable([input("a", undefined, {}, { publicKey: undefined })], undefined)?.cells).toEqual(
      [],
    );
    const table = nextRoutingTable([input("a")], undefined);
    expect(
      nextRoutingTable([input("a", undefined, {}, { services: [], publicKey: undefined })], table),
    ).toBeUndefined();
    expect(
      nextRoutingTable([{ name: "a", fc: undefined, services, publicKey: undefined }], table),
    ).toBeUndefined();
  });

  it("leaves a paused or protected cell as it is", () => {
    const table = nextRoutingTable([input("a")], undefined);
    expect(
      nextRoutingTable([input("a", undefined, { paused: true, mode: "Draining" })], table),
    ).toBeUndefined();
    const metadata = { name: "a", deletionTimestamp: "2026-11-21T09:00:00Z" };
    const status = { epoch: 5, admittedEpoch: 5 };
    const kept = { ...input("a"), fc: center({ deletion: { protection: true } }, { metadata, status }) };
    expect(nextRoutingTable([kept], table)).toBeUndefined();
    const gone = { ...input("a"), fc: center({}, { metadata, status }) };
    expect(nextRoutingTable([gone], table)).toEqual({
      version: 2,
      cells: [],
      tombstones: [{ name: "a", epoch: 5 }],
    });
  });

  it("keeps the highest epoch of every name for ever, in an entry or a tombstone, and its version only grows", () => {
    const step = fc.uniqueArray(
      fc.record({ name: fc.constantFrom("a", "b", "c", "d"), rise: fc.integer({ min: 0, max: 3 }) }),
      {
        selector: ({ name }) => name,
      },
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 12 }), (steps) => {
        let table: RoutingTableSpec | undefined;
        const epochs = new Map<string, number>();
        for (const present of steps) {
          for (const { name, rise } of present) epochs.set(name, (epochs.get(name) ?? 1) + rise);
          const next = nextRoutingTable(
            present.map(({ name }) => input(name, { epoch: epochs.get(name)! })),
            table,
          );
          if (next !== undefined) expect(next.version).toBe((table?.version ?? 0) + 1);
          table = next ?? table;
          const known = new Map(
            [...(table?.cells ?? []), ...(table?.tombstones ?? [])].map(({ name, epoch }) => [name, epoch]),
          );
          for (const [name, epoch] of epochs) expect(known.get(name)).toBe(epoch);
          expect(known.size).toBe((table?.cells.length ?? 0) + (table?.tombstones.length ?? 0));
        }
      }),
    );
  });
});
