import { isDeleting, type KubeObject } from "../platform/kube/objects.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import { ANNOTATIONS } from "./api/names.ts";
import type { Neighbour } from "./build/probe.ts";
import { isIsolationJob } from "./isolation.ts";

/** Each cell tries this many others: with all of them, one new cell would set every cell of a fleet to work. */
export const NEIGHBOURS = 2;

/** Whether a center has a cell that listens, so that being kept out of it means something. */
export function isNeighbour(center: FulfillmentCenter | undefined): center is FulfillmentCenter {
  return center?.status?.admittedEpoch !== undefined && !isDeleting(center);
}

/** Where centers are looked up. */
export interface Centers {
  get(name: string): FulfillmentCenter | undefined;
  list(): readonly FulfillmentCenter[];
}

/**
 * The cells that a cell tries, sorted by name: those that it has tried before, as `jobs` say, as long as they are there,
 * so that a cell that comes sets only those to work that have tried too few. Others are the next in the order of names,
 * the first again after the last: spread over the fleet.
 */
export function neighboursOf(name: string, jobs: readonly KubeObject[], centers: Centers): Neighbour[] {
  const kept = triedBy(jobs)
    .filter((other) => other !== name && isNeighbour(centers.get(other)))
    .slice(0, NEIGHBOURS);
  const names = kept.length < NEIGHBOURS ? [...kept, ...nextAfter(name, kept, centers.list())] : kept;
  return names.sort().map((other) => ({
    name: other,
    database: centers.get(other)?.spec.database.external === undefined,
  }));
}

/** Names of the cells that the newest probe of a cell tries. */
export function triedBy(jobs: readonly KubeObject[]): string[] {
  const made = ({ metadata }: KubeObject) => Date.parse(metadata.creationTimestamp ?? "") || 0;
  const newest = jobs
    .filter(isIsolationJob)
    .reduce<KubeObject | undefined>(
      (best, job) => (best === undefined || made(job) >= made(best) ? job : best),
      undefined,
    );
  const text = newest?.metadata.annotations?.[ANNOTATIONS.neighbours] ?? "";
  return text.split(",").filter((other) => other !== "");
}

/** The next neighbours in the ring of names, without sorting a fleet for each pass over each cell. */
function nextAfter(name: string, kept: readonly string[], centers: readonly FulfillmentCenter[]): string[] {
  const wanted = NEIGHBOURS - kept.length;
  const after: string[] = [];
  const before: string[] = [];
  for (const center of centers) {
    const other = center.metadata.name;
    if (other === name || kept.includes(other) || !isNeighbour(center)) continue;
    const list = other > name ? after : before;
    if (list.length === wanted && other >= (list.at(-1) ?? "")) continue;
    list.push(other);
    list.sort();
    if (list.length > wanted) list.pop();
  }
  return [...after, ...before].slice(0, wanted);
}
