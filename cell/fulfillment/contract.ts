import { z } from "zod";
import { eventOf } from "../../platform/events.ts";
import { coordinatesSchema, quantitySchema } from "../../platform/schemas.ts";
import { PICK_LIST_STATES } from "./domain.ts";

export const binSchema = z.object({ aisle: z.int(), position: z.int(), level: z.int() });
const eventId = z.string().regex(/^[\w.:-]{1,36}$/, "1 to 36 letters, digits or _ . : -");

export const pickListAnswer = z
  .object({
    id: z.string(),
    orderId: z.string(),
    state: z.enum(PICK_LIST_STATES),
    tote: z.string().optional(),
    packageBarcode: z.string().optional(),
    promisedAt: z.string(),
    /** In the order of walking. */
    lines: z.array(
      z.object({
        id: z.string(),
        sku: z.string(),
        barcode: z.string(),
        weightGrams: z.int(),
        bin: binSchema,
        quantity: z.int(),
        picked: z.int(),
        short: z.int(),
      }),
    ),
  })
  .meta({ id: "PickList" });
export type PickListAnswer = z.infer<typeof pickListAnswer>;

export const pickListsQuery = z.object({
  state: z.enum(PICK_LIST_STATES).optional(),
  cursor: z.string().max(200).optional(),
  limit: z.coerce.number().int().min(1).max(100).optional(),
});
export const pickListsAnswer = z.object({
  pickLists: z.array(pickListAnswer),
  nextCursor: z.string().optional(),
});

export const startBody = z.object({ tote: z.string().min(1).max(64) });
export const scanBody = z.object({
  eventId,
  lineId: z.string().min(1).max(120),
  bin: binSchema,
  barcode: z.string().min(1).max(64),
  quantity: quantitySchema,
});
export type ScanBody = z.infer<typeof scanBody>;
export const shortBody = z.object({ eventId, lineId: z.string().min(1).max(120), quantity: quantitySchema });
export type ShortBody = z.infer<typeof shortBody>;
/** How many units of a line are in the tote, as counted after a mismatch of the weight. */
export const recountBody = z.object({
  eventId,
  lineId: z.string().min(1).max(120),
  quantity: z.int().min(0).max(999),
});
export type RecountBody = z.infer<typeof recountBody>;
export const packBody = z.object({
  weightGrams: z.int().min(0).max(1_000_000),
  packageBarcode: z.string().min(4).max(64).optional(),
});
export const packAnswer = z.object({ packageBarcode: z.string() });

const order = z.object({ orderId: z.string(), pickListId: z.string() });
/** Subject of all events: the pick list's id. */
export const fulfillmentPickingStarted = eventOf("fulfillment.picking_started.v1", order);
const units = z.array(z.object({ sku: z.string(), quantity: z.int() }));
export const fulfillmentShort = eventOf("fulfillment.short.v1", order.extend({ lines: units }));
/** Every line is resolved. `nothingPicked`: there is nothing to pack, the order ends. */
export const fulfillmentPicked = eventOf(
  "fulfillment.picked.v1",
  order.extend({ short: units, nothingPicked: z.boolean() }),
);
export const fulfillmentPacked = eventOf(
  "fulfillment.packed.v1",
  order.extend({
    packageBarcode: z.string(),
    weightGrams: z.int(),
    deliverTo: coordinatesSchema,
    promisedAt: z.string(),
    lines: units,
  }),
);
/** A package that is closed already goes elsewhere or at another time. */
export const fulfillmentDeliveryChanged = eventOf(
  "fulfillment.delivery_changed.v1",
  order.extend({ deliverTo: coordinatesSchema, promisedAt: z.string() }),
);
/** Nothing of the order is in anybody's tote any more. */
export const fulfillmentPutbackDone = eventOf("fulfillment.putback_done.v1", order);
