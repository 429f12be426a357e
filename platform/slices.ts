/** The services of a cell, in the order in which an order passes them. */
export const SLICE_NAMES = [
  "inventory",
  "orders",
  "payments",
  "fulfillment",
  "dispatch",
  "couriers",
  "tracking",
] as const;

export type SliceName = (typeof SLICE_NAMES)[number];

/** HTTP port of each slice, the same in both topologies. */
export const SLICE_PORTS: Readonly<Record<SliceName, number>> = {
  inventory: 7001,
  orders: 7002,
  payments: 7003,
  fulfillment: 7004,
  dispatch: 7005,
  couriers: 7006,
  tracking: 7007,
};

/** True for the name of a slice of a cell. */
export function isSliceName(text: string): text is SliceName {
  return (SLICE_NAMES as readonly string[]).includes(text);
}
