import { canonicalJson } from "../platform/canonical.ts";
import type { RoutedCell, RoutingTableSpec } from "./api/routing-table.ts";

/** Changes of one region within this time become one write. */
export const COALESCE_MS = 1000;
/**
 * A write costs the API server and each gateway as much as the table is long, and a region that grows by a hundred cells changes it twice for each.
 * What can wait therefore waits longer in a long table.
 */
const COALESCE_MS_PER_CELL = 40;
/** That a cell is being made changes nothing for a gateway: it mostly travels with the next change that does. */
const NEWS_OF_NOBODY_MS = 60_000;

/** Milliseconds between the last write of a region's table and one that turns `current` into `next`. */
export function paceOf(current: RoutingTableSpec | undefined, next: RoutingTableSpec): number {
  if (!onlyGains(current, next)) return COALESCE_MS;
  const isNews = current !== undefined && current.cells.length > 0;
  if (isNews && weightOf(next) === weightOf(current)) return NEWS_OF_NOBODY_MS;
  return COALESCE_MS + COALESCE_MS_PER_CELL * next.cells.length;
}

function weightOf({ cells }: RoutingTableSpec): number {
  return cells.reduce((sum, { weight }) => sum + weight, 0);
}

/** Whether cells only come, or are given weight: until that is known, orders go on to the cells that have them now. */
function onlyGains(current: RoutingTableSpec | undefined, next: RoutingTableSpec): boolean {
  const after = new Map(next.cells.map((cell) => [cell.name, cell]));
  return (current?.cells ?? []).every((before) => {
    const cell = after.get(before.name);
    return cell !== undefined && cell.weight >= before.weight && sameBesidesWeight(before, cell);
  });
}

function sameBesidesWeight(before: RoutedCell, after: RoutedCell): boolean {
  return canonicalJson({ ...before, weight: 0 }) === canonicalJson({ ...after, weight: 0 });
}
