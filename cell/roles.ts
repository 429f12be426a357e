import type { SliceDefinition } from "../platform/slice.ts";
import { SLICE_NAMES, type SliceName } from "../platform/slices.ts";
import { couriersSlice } from "./couriers/slice.ts";
import { dispatchSlice } from "./dispatch/slice.ts";
import { fulfillmentSlice } from "./fulfillment/slice.ts";
import { inventorySlice } from "./inventory/slice.ts";
import { ordersSlice } from "./orders/slice.ts";
import { paymentsSlice } from "./payments/slice.ts";
import { trackingSlice } from "./tracking/slice.ts";

/** Every slice of a cell by its name. */
export const SLICES: Readonly<Record<SliceName, SliceDefinition>> = {
  inventory: inventorySlice,
  orders: ordersSlice,
  payments: paymentsSlice,
  fulfillment: fulfillmentSlice,
  dispatch: dispatchSlice,
  couriers: couriersSlice,
  tracking: trackingSlice,
};

/** Who consumes whose topic. */
export const CONSUMERS: ReadonlyMap<SliceName, readonly SliceName[]> = new Map([
  ["orders", ["fulfillment", "dispatch", "tracking"]],
  ["payments", ["orders"]],
  ["fulfillment", ["orders", "dispatch"]],
  ["dispatch", ["orders", "tracking"]],
  ["couriers", ["dispatch"]],
]);

/** Reads `orders` or `inventory,orders`; undefined for a name that is no slice or an empty list. */
export function parseRoles(text: string): SliceName[] | undefined {
  const names = [...new Set(text.split(",").map((name) => name.trim()))];
  if (names.some((name) => !(SLICE_NAMES as readonly string[]).includes(name))) return undefined;
  return names as SliceName[];
}
