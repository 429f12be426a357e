import type { FulfillmentCenter, FulfillmentCenterSpec } from "../api/fulfillment-center.ts";
import { cellNamespace, LABELS, MANAGER } from "../api/names.ts";
import type { OperatorSettings } from "../api/settings.ts";

/** Where a cell is in a change of its credentials: all three are equal unless one is under way. */
export interface Generations {
  readonly generation: number;
  readonly serving: number;
  readonly settled: number;
}

/** Generations that are in force or about to be, or that somebody may still use. */
export function generationsInUse({
  generation,
  settled,
}: Pick<Generations, "generation" | "settled">): number[] {
  return Array.from({ length: generation - settled + 1 }, (_, index) => settled + index);
}

/** Everything a builder may depend on. The same value always builds the same objects. */
export interface Cell {
  readonly name: string;
  readonly uid: string;
  readonly namespace: string;
  readonly spec: FulfillmentCenterSpec;
  readonly settings: OperatorSettings;
  /** Number that every write of this cell carries. */
  readonly epoch: number;
  readonly credentials: Generations;
}

const FIRST: Generations = { generation: 0, serving: 0, settled: 0 };

/** More than are being made at one time in any fleet that one operator runs. */
const MAX_KNOWN = 4_096;
const KNOWN = new Map<string, { readonly text: string; readonly cell: Cell }>();

/** The cell as builders see it; the same one as long as it is made of the same, until it is forgotten. */
export function cellOf(
  fc: FulfillmentCenter,
  settings: OperatorSettings,
  epoch: number,
  credentials: Generations = fc.status?.credentials ?? FIRST,
): Cell {
  const { name, uid = "" } = fc.metadata;
  const { spec } = fc;
  const text = JSON.stringify([uid, spec, epoch, credentials]);
  const known = KNOWN.get(name);
  if (known?.text === text && known.cell.settings === settings) return known.cell;
  const cell = { name, uid, namespace: cellNamespace(name), spec, settings, epoch, credentials };
  if (KNOWN.size >= MAX_KNOWN) KNOWN.clear();
  KNOWN.set(name, { text, cell });
  return cell;
}

/** Lets go of a cell, and with it of what was built for it: one that is as it should be is seldom looked at. */
export function forgetCell(name: string): void {
  KNOWN.delete(name);
}

/** Image that runs the slices and the Jobs. */
export function cellImage(cell: Cell): string {
  return cell.spec.release.image ?? cell.settings.images.cell;
}

export function kafkaBrokers(cell: Pick<Cell, "spec" | "settings">): string {
  return cell.spec.messaging.bootstrapServers ?? cell.settings.kafka.brokers;
}

/** Labels of every object of a cell: pruning and watching select by them. */
export function ownerLabels(cell: Pick<Cell, "name">): Record<string, string> {
  return { [LABELS.managedBy]: MANAGER, [LABELS.center]: cell.name };
}

/** Metadata of a namespaced object of the cell. */
export function metadata(cell: Cell, name: string, component?: string) {
  const labels = ownerLabels(cell);
  if (component !== undefined) labels[LABELS.component] = component;
  return { name, namespace: cell.namespace, labels };
}
