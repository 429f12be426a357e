import { z } from "zod";
import { eventOf } from "../../platform/events.ts";
import {
  coordinatesSchema,
  moneySchema,
  quantitySchema,
  skuSchema,
  timeSchema,
} from "../../platform/schemas.ts";
import { binSchema } from "../inventory/contract.ts";
import { paymentMethodSchema } from "../payments/contract.ts";

/** Most lines of one order. */
export const MAX_ORDER_LINES = 100;

/** What a customer sees; computed from shipment and payment, never stored. */
export const PUBLIC_STATUSES = [
  "created",
  "reserved",
  "picking",
  "packed",
  "courier_assigned",
  "out_for_delivery",
  "delivered",
  "cancelled",
  "refunded",
  "partially_fulfilled",
  "payment_failed",
  "rejected",
] as const;
export const publicStatusSchema = z.enum(PUBLIC_STATUSES);
export type PublicStatus = z.infer<typeof publicStatusSchema>;

/** Personal: stored encrypted, and in no event and no log. */
export const contactSchema = z.object({
  name: z.string().trim().min(1).max(100),
  phone: z
    .string()
    .trim()
    .regex(/^[+0-9][0-9 ()-]{3,31}$/, "a phone number such as +82 2 1234 5678"),
  address: z.string().trim().min(1).max(500),
});
export type Contact = z.infer<typeof contactSchema>;

/** `POST /v1/orders`. The center computes the price; `expectedPrice` is what the customer was shown. */
export const placeOrderBody = z.object({
  deliverTo: coordinatesSchema,
  contact: contactSchema,
  lines: z
    .array(z.object({ sku: skuSchema, quantity: quantitySchema, expectedPrice: moneySchema.optional() }))
    .min(1)
    .max(MAX_ORDER_LINES),
  payment: z.object({ method: paymentMethodSchema }),
  delivery: z.object({ method: z.literal("courier") }).optional(),
});
export type PlaceOrderBody = z.infer<typeof placeOrderBody>;

/** `price` is for one unit; `fulfilled` is what the customer gets: it falls when the floor comes up short. */
export const orderLineSchema = z.object({
  sku: z.string(),
  quantity: z.number().int(),
  fulfilled: z.number().int(),
  price: moneySchema,
});
export type OrderLine = z.infer<typeof orderLineSchema>;

export const orderAnswer = z
  .object({
    id: z.string(),
    center: z.string(),
    status: publicStatusSchema,
    /** Grows with each change; also the ETag of the order. */
    version: z.number().int(),
    lines: z.array(orderLineSchema),
    /** What was authorised. */
    total: moneySchema,
    /** What the customer pays for what is fulfilled. */
    payable: moneySchema,
    /** Where the money is, in the words of the payments contract; `none` before authorization. */
    payment: z.string(),
    cancellable: z.boolean(),
    reason: z.string().optional(),
    promisedAt: z.string(),
    createdAt: z.string(),
    updatedAt: z.string(),
  })
  .meta({ id: "Order" });
export type OrderAnswer = z.infer<typeof orderAnswer>;

export const ordersAnswer = z.object({ orders: z.array(orderAnswer), nextCursor: z.string().optional() });
export type OrdersAnswer = z.infer<typeof ordersAnswer>;

export const cancelBody = z.object({ reason: z.string().trim().max(200).optional() });

/** One entry of an order's history. Entries that are not `applied` changed nothing. */
export const logEntrySchema = z.object({
  version: z.number().int(),
  event: z.string(),
  from: z.string(),
  to: z.string(),
  outcome: z.enum(["applied", "stale", "parked"]),
  actor: z.string(),
  reason: z.string().optional(),
  at: z.string(),
});
export const logAnswer = z.object({ orderId: z.string(), entries: z.array(logEntrySchema) });
export type LogAnswer = z.infer<typeof logAnswer>;

/** `POST /v1/prices`; a price holds from `validFrom` (now, when absent) until a later one does. */
export const putPricesBody = z.object({
  prices: z
    .array(z.object({ sku: skuSchema, price: moneySchema, validFrom: timeSchema.optional() }))
    .min(1)
    .max(500),
});
export type PutPricesBody = z.infer<typeof putPricesBody>;
export const putPricesAnswer = z.object({ accepted: z.number().int() });
/** `GET /v1/prices?sku=a,b`: what holds now; SKUs without a price are left out. */
export const pricesAnswer = z.object({ prices: z.array(z.object({ sku: z.string(), price: moneySchema })) });

/** `GET /internal/summary`, with ETag and If-None-Match. `queueMinutes`: how long the floor needs for what waits. */
export const summaryAnswer = z.object({
  center: z.string(),
  epoch: z.number().int(),
  accepting: z.boolean(),
  openOrders: z.number().int(),
  queueMinutes: z.number().int(),
  skus: z.array(z.string()),
  /** True when more SKUs are in stock than the list holds: one that is not named may be there all the same. */
  skusTruncated: z.boolean(),
  etag: z.string(),
});
export type SummaryAnswer = z.infer<typeof summaryAnswer>;

/** `GET /internal/orders/:orderId/owner`. */
export const ownerAnswer = z.object({ orderId: z.string(), sub: z.string() });

/** Payload of the header `x-cells-refusal`, a compact JWS by the cell's key: proof that nothing was taken under `key`. */
export const refusalSchema = z.object({ key: z.string(), code: z.string(), center: z.string() });

const linesSchema = z.array(z.object({ sku: z.string(), quantity: z.number().int() }));

/** Paid for and bound to stock: the floor may start. Subject of all events = order id; `version` = the order's. */
export const orderConfirmed = eventOf(
  "orders.confirmed.v1",
  z.object({
    orderId: z.string(),
    /** Also the id of the allocation. */
    holdId: z.string(),
    lines: z.array(
      z.object({
        sku: z.string(),
        quantity: z.number().int(),
        barcode: z.string(),
        weightGrams: z.number().int(),
        bins: z.array(z.object({ bin: binSchema, quantity: z.number().int() })),
      }),
    ),
    deliverTo: coordinatesSchema,
    promisedAt: z.string(),
    total: moneySchema,
  }),
);
const leavingData = z.object({
  orderId: z.string(),
  /** The state it was in. */
  from: z.string(),
  reason: z.string().optional(),
  lines: linesSchema.optional(),
});
/** The floor has to put goods back before the order is cancelled. */
export const orderCancelling = eventOf("orders.cancelling.v1", leavingData);
export const orderCancelled = eventOf("orders.cancelled.v1", leavingData);
export const orderRejected = eventOf("orders.rejected.v1", leavingData);
export const orderPaymentFailed = eventOf("orders.payment_failed.v1", leavingData);
export const orderDelivered = eventOf(
  "orders.delivered.v1",
  z.object({
    orderId: z.string(),
    lines: linesSchema.optional(),
    payable: moneySchema.optional(),
    partial: z.boolean().optional(),
  }),
);
