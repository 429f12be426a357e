import type { FulfillmentCenter } from "./api/fulfillment-center.ts";
import { ANNOTATIONS } from "./api/names.ts";
import type { RoutingTable } from "./api/routing-table.ts";
import type { Observed } from "./observed.ts";

export interface Epochs {
  /** Number that the cell's writers carry. */
  readonly epoch: number;
  /** Number in the lease row while the center is fenced. */
  readonly fencedEpoch: number | undefined;
  /** True when one of them was issued in this pass: it must be in the status before anything is built with it. */
  readonly issued: boolean;
}

/** Highest number known for a name from the region's table: its entry, or the tombstone of an earlier life. */
export function tableEpoch(table: RoutingTable | undefined, name: string): number {
  const of = (list: readonly { name: string; epoch: number }[] | undefined) =>
    list?.find((entry) => entry.name === name)?.epoch ?? 0;
  return Math.max(of(table?.spec.cells), of(table?.spec.tombstones));
}

/**
 * Keeps the cell's epoch, or issues the next: max(table, lease row, retained data, unix seconds) + 1. The clock is one of
 * them so that a number stays new even when both status and table were restored from an old backup.
 */
export function decideEpochs(
  fc: FulfillmentCenter,
  observed: Pick<Observed, "namespace" | "table">,
  facts: {
    /** What the provision Job found in the lease row. */
    readonly leaseEpoch?: number | undefined;
    /** The namespace is not the one that this epoch was issued for. */
    readonly startOver: boolean;
  },
  nowMs: number,
): Epochs {
  const { epoch, fencedEpoch } = fc.status ?? {};
  const known = tableEpoch(observed.table, fc.metadata.name);
  const retained = Number(observed.namespace?.metadata.annotations?.[ANNOTATIONS.epoch] ?? 0) || 0;
  const leaseEpoch = facts.leaseEpoch ?? 0;
  const next = () =>
    Math.max(known, leaseEpoch, retained, epoch ?? 0, fencedEpoch ?? 0, Math.floor(nowMs / 1000)) + 1;

  const released = fencedEpoch !== undefined && fc.spec.mode !== "Fenced";
  // A table ahead of the status means that the status was set back; a lease row ahead, that the data had another life.
  const behind = epoch !== undefined && (known > epoch || (fencedEpoch === undefined && leaseEpoch > epoch));
  if (epoch === undefined || released || behind || facts.startOver) {
    return { epoch: next(), fencedEpoch: undefined, issued: true };
  }
  if (fc.spec.mode === "Fenced" && fencedEpoch === undefined)
    return { epoch, fencedEpoch: next(), issued: true };
  return { epoch, fencedEpoch, issued: false };
}
