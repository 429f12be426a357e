import { describe, expect, it } from "vitest";
import type { RoutedCell, RoutingTableSpec } from "./api/routing-table.ts";
import { paceOf } from "./routing-pace.ts";

const cell = (name: string, more: Partial<RoutedCell> = {}) =>
  ({ name, mode: "Active", weight: 100, epoch: 1, ...more }) as RoutedCell;
const table = (...cells: RoutedCell[]): RoutingTableSpec => ({ version: 1, cells, tombstones: [] });

const two = table(cell("a"), cell("b", { weight: 0 }));

describe("the pace of a region's table", () => {
  it.each([
    ["the first cell", undefined, table(cell("a")), 1040],
    ["the first table, of a cell that is being made", undefined, table(cell("a", { weight: 0 })), 1040],
    ["the first cell of a table, which is being made", table(), table(cell("a", { weight: 0 })), 1040],
    ["one more cell", two, table(...two.cells, cell("c")), 1120],
    ["a cell that is being made", two, table(...two.cells, cell("c", { weight: 0 })), 60_000],
    [
      "a cell that is being made beside one that is given weight",
      two,
      table(cell("a"), cell("b"), cell("c", { weight: 0 })),
      1120,
    ],
    ["a cell that is given weight", two, table(cell("a"), cell("b")), 1080],
    ["a cell that leaves", two, table(cell("a")), 1000],
    ["a cell that loses weight", two, table(cell("a", { weight: 0 }), cell("b", { weight: 0 })), 1000],
    ["a cell that is drained", two, table(cell("a", { mode: "Draining" }), cell("b", { weight: 0 })), 1000],
    ["a new epoch beside a new cell", two, table(cell("a", { epoch: 2 }), cell("b"), cell("c")), 1000],
  ])("%s", (_title, current, next, ms) => {
    expect(paceOf(current, next)).toBe(ms);
  });

  it("waits for company longer in a long table", () => {
    const cells = Array.from({ length: 100 }, (_, n) => cell(`c-${n}`));
    expect(paceOf(table(...cells.slice(1)), table(...cells))).toBe(5000);
  });
});
