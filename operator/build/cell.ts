import type { FulfillmentCenterSpec } from "../api/fulfillment-center.ts";
import { LABELS, MANAGER } from "../api/names.ts";
import type { OperatorSettings } from "../api/settings.ts";

/** Everything a builder may depend on. The same value always builds the same objects. */
export interface Cell {
  readonly name: string;
  readonly uid: string;
  readonly namespace: string;
  readonly spec: FulfillmentCenterSpec;
  readonly settings: OperatorSettings;
  /** Number that every write of this cell carries. */
  readonly epoch: number;
}

/** Image that runs the slices and the Jobs. */
export function cellImage(cell: Cell): string {
  return cell.spec.release.image ?? cell.settings.images.cell;
}

export function kafkaBrokers(cell: Cell): string {
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
