import { isDeleting, type KubeObject } from "../platform/kube/objects.ts";
import type { Priority } from "../platform/kube/ready.ts";
import type { Change } from "../platform/kube/store.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import { cellNamespace, LABELS } from "./api/names.ts";
import { isNeighbour, NEIGHBOURS, triedBy } from "./neighbours.ts";
import { isSettled } from "./settled.ts";
import { centersOf, type Stores } from "./stores.ts";

export interface Wakers {
  center(name: string, delayMs: number, priority?: Priority): void;
  region(name: string): void;
}

/** Changes inside a cell that is being built come in bursts: pods start, counts go up one by one. */
const BURST_MS = 200;
/** With many cells under way each takes its time anyway: what changes in one meanwhile shares a pass. */
const BURST_MS_PER_CELL = 2;
const BURST_MAX_MS = 2_000;

/** How long a change inside a cell that is not settled waits for others of that cell, while so many are not. */
export function burstOf(unsettled: number): number {
  return Math.min(BURST_MAX_MS, BURST_MS + BURST_MS_PER_CELL * unsettled);
}

/** Maps every change in the local copies to the centers and regions that it may concern. */
export function wakeOnChange(stores: Stores, wakers: Wakers): void {
  const byName = new Map<string, string>();
  const joined = new Set<string>();
  const unsettled = new Set<string>();
  stores.centers.onChange(({ type, object, initial }) => {
    const { name } = object.metadata;
    if (type === "deleted" || isSettled(object.status?.conditions)) unsettled.delete(name);
    else unsettled.add(name);
    const joins = type !== "deleted" && isNeighbour(object);
    if (joins !== joined.has(name)) {
      if (joins) joined.add(name);
      else joined.delete(name);
      if (!initial) for (const prober of probersOf(stores, name, joined)) wakers.center(prober, BURST_MS);
    }
    byName.set(cellNamespace(object.metadata.name), object.metadata.name);
    wakers.center(object.metadata.name, 0, initial ? "low" : "normal");
    wakers.region(object.spec.region);
  });
  stores.tables.onChange(({ object }) => {
    wakers.region(object.metadata.name);
    for (const fc of stores.centersOfRegion(object.metadata.name))
      if (waitsForTable(fc)) wakers.center(fc.metadata.name, 0);
  });
  stores.namespaces.onChange(({ object, initial }) => {
    const center = byName.get(object.metadata.name) ?? object.metadata.labels?.[LABELS.center];
    if (center !== undefined) wakers.center(center, 0, initial ? "low" : "normal");
  });
  const inCell = ({ object, initial }: { object: KubeObject; initial?: true }) => {
    for (const center of centersOf(object)) {
      // The first list of each kind brings every cell; the cells themselves are in it.
      if (initial) wakers.center(center, 0, "low");
      else if (unsettled.has(center)) wakers.center(center, burstOf(unsettled.size));
      // In a cell that is as it should be a change is a person's, or a failure.
      else wakers.center(center, 0);
    }
  };
  for (const store of [...stores.owned, stores.pods, stores.claims, stores.autoscalers])
    store.onChange(inCell);
  for (const store of [stores.services, stores.secrets])
    store.onChange((change) => wakeRegions(stores, wakers, change));
}

/** Cells that may probe this one when it comes: those with too few others until then. When it goes: those that do. */
function probersOf(stores: Stores, name: string, joined: ReadonlySet<string>): string[] {
  if (joined.has(name)) return joined.size > NEIGHBOURS + 1 ? [] : [...joined].filter((one) => one !== name);
  return [...joined].filter((one) => triedBy(stores.ofCenter(stores.jobs, one)).includes(name));
}

/** A deletion waits until the table no longer names the cell. */
function waitsForTable(fc: FulfillmentCenter): boolean {
  return isDeleting(fc);
}

function wakeRegions(stores: Stores, wakers: Wakers, { object, initial }: Change<KubeObject>): void {
  const { labels } = object.metadata;
  const center = labels?.[LABELS.center];
  const fc = center === undefined ? undefined : stores.centers.get(center);
  if (fc !== undefined) wakers.region(fc.spec.region);
  // The key of a region's gateways is in the trust Secret of each of its cells.
  const region = labels?.[LABELS.region];
  if (center !== undefined || region === undefined) return;
  wakers.region(region);
  // Nobody works before the first list of every kind is there: each center is looked at with this key in it.
  if (initial) return;
  for (const each of stores.centersOfRegion(region)) wakers.center(each.metadata.name, BURST_MS);
}
