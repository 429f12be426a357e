import type { FulfillmentCenter, FulfillmentCenterSpec } from "../api/fulfillment-center.ts";
import { cellNamespace, LABELS, MANAGER } from "../api/names.ts";
import type { OperatorSettings } from "../api/settings.ts";

/** Where a cell is in a change of its credentials: all three are equal unless one is under way. */
export interface Generations {
  readonly generation: number;
  readonly serving: number;
  readonly settled: number;
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

/** The cell as builders see it. */
export function cellOf(
  fc: FulfillmentCenter,
  settings: OperatorSettings,
  epoch: number,
  credentials: Generations = fc.status?.credentials ?? FIRST,
): Cell {
  const { name, uid = "" } = fc.metadata;
  return { name, uid, namespace: cellNamespace(name), spec: fc.spec, settings, epoch, credentials };
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
