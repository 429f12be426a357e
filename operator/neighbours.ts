import { isDeleting } from "../platform/kube/objects.ts";
import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import type { Neighbour } from "./build/probe.ts";

/** Each cell tries this many others: with all of them, one new cell would set every cell of a fleet to work. */
export const NEIGHBOURS = 2;

/** Whether a center has a cell that listens, so that being kept out of it means something. */
export function isNeighbour(center: FulfillmentCenter): boolean {
  return center.status?.admittedEpoch !== undefined && !isDeleting(center);
}

/** The cells that follow in the order of names, the first again after the last; sorted by name. */
export function neighboursOf(name: string, centers: readonly FulfillmentCenter[]): Neighbour[] {
  const others = centers.filter((one) => one.metadata.name !== name && isNeighbour(one));
  return ring(
    name,
    others.map(({ metadata }) => metadata.name),
  )
    .after.map((other) => others.find(({ metadata }) => metadata.name === other)!)
    .map(({ metadata, spec }) => ({ name: metadata.name, database: spec.database.external === undefined }));
}

/** Who tries to reach a cell: those that come before it. They look again when it comes or goes. */
export function probersOf(name: string, names: readonly string[]): string[] {
  return ring(name, names).before;
}

function ring(name: string, names: readonly string[]): { before: string[]; after: string[] } {
  const sorted = names.filter((one) => one !== name).sort();
  const at = sorted.filter((one) => one < name).length;
  const turned = [...sorted.slice(at), ...sorted.slice(0, at)];
  return { after: turned.slice(0, NEIGHBOURS).sort(), before: turned.slice(-NEIGHBOURS) };
}
