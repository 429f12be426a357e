import { z } from "zod";
import { eventOf } from "../../platform/events.ts";
import {
  coordinatesSchema,
  idSchema,
  moneySchema,
  quantitySchema,
  skuSchema,
  timeSchema,
} from "../../platform/schemas.ts";
import { PAYMENT_STATUSES, PUBLIC_STATUSES, RETURN_STATES, STATES } from "./domain.ts";

export const MAX_LINES = 100;
/** Returns of one order, those that came to nothing included. */
export const MAX_RETURNS = 20;
export const MAX_PAGE = 100;

export const pricesBody = z.object({
  prices: z
    .array(z.object({ sku: skuSchema, price: moneySchema, validFrom: timeSchema.optional() }))
    .min(1)
    .max(500),
});
export type PricesBody = z.infer<typeof pricesBody>;
export const pricesAnswer = z.object({ accepted: z.int() });

/** Personal: stored encrypted, and in no event, log or stored answer. */
export const contactSchema = z.object({
  name: z.string().min(1).max(200),
  phone: z.string().min(3).max(40),
  address: z.string().min(1).max(500),
});

/** `POST /v1/orders`. `expectedPrice` is for one unit; a different one in force answers 409 price-changed. */
export const placeBody = z.object({
  deliverTo: coordinatesSchema,
  contact: contactSchema,
  lines: z
    .array(z.object({ sku: skuSchema, quantity: quantitySchema, expectedPrice: moneySchema.optional() }))
    .min(1)
    .max(MAX_LINES),
  payment: z.object({ method: z.string().regex(/^tok_[\w-]{1,64}$/, "a payment token such as tok_visa") }),
  delivery: z.object({ method: z.literal("courier") }).optional(),
});
export type PlaceBody = z.infer<typeof placeBody>;

export const orderAnswer = z
  .object({
    id: z.string(),
    center: z.string(),
    status: z.enum(PUBLIC_STATUSES),
    state: z.enum(STATES),
    paymentStatus: z.enum(PAYMENT_STATUSES),
    lines: z.array(z.object({ sku: z.string(), quantity: z.int(), price: moneySchema })),
    shortLines: z.array(z.object({ sku: z.string(), quantity: z.int() })),
    /** Units that the customer has cancelled. */
    cancelledLines: z.array(z.object({ sku: z.string(), quantity: z.int() })),
    /** Of what was ordered. */
    total: moneySchema,
    /** What is charged: without cancelled and short units. */
    due: moneySchema,
    promisedAt: z.string(),
    createdAt: z.string(),
    version: z.int(),
  })
  .meta({ id: "Order" });
export type OrderAnswer = z.infer<typeof orderAnswer>;

export const ordersQuery = z.object({
  cursor: z.string().max(200).optional(),
  status: z.enum(STATES).optional(),
  limit: z.coerce.number().int().min(1).max(MAX_PAGE).optional(),
});
export const ordersAnswer = z.object({ orders: z.array(orderAnswer), nextCursor: z.string().optional() });

export const logAnswer = z.object({
  log: z.array(
    z.object({
      version: z.int(),
      event: z.string(),
      from: z.string(),
      to: z.string(),
      outcome: z.string(),
      actor: z.string(),
      at: z.string(),
    }),
  ),
});

const unitLines = z
  .array(z.object({ sku: skuSchema, quantity: quantitySchema }))
  .min(1)
  .max(MAX_LINES);
/** Without `lines` the whole order. */
export const cancelBody = z.object({ reason: z.string().max(200).optional(), lines: unitLines.optional() });
export type CancelBody = z.infer<typeof cancelBody>;

/** `POST /v1/orders/:orderId/delivery`. Where to needs the contact with it: the address in words and the place are one thing. */
export const deliveryBody = z
  .object({
    deliverTo: coordinatesSchema.optional(),
    contact: contactSchema.optional(),
    /** Until when at the latest; later than promised so far. */
    promisedAt: timeSchema.optional(),
  })
  .refine(({ deliverTo, contact, promisedAt }) => (deliverTo ?? contact ?? promisedAt) !== undefined, {
    message: "say what is to change: deliverTo, contact or promisedAt",
  })
  .refine(({ deliverTo, contact }) => deliverTo === undefined || contact !== undefined, {
    message: "send the contact together with deliverTo",
    path: ["contact"],
  });
export type DeliveryBody = z.infer<typeof deliveryBody>;

/** Words of a list, because what people write may be personal. */
export const RETURN_REASONS = [
  "defective",
  "damaged",
  "wrong_item",
  "not_as_described",
  "changed_mind",
  "other",
] as const;
export const returnBody = z.object({
  lines: z
    .array(z.object({ sku: skuSchema, quantity: quantitySchema, reason: z.enum(RETURN_REASONS) }))
    .min(1)
    .max(MAX_LINES),
});
export type ReturnBody = z.infer<typeof returnBody>;
/** What came, as the floor saw it: at most what the return says. Nothing came, or nothing that may be taken back: no lines. */
export const inspectBody = z.object({
  lines: z
    .array(z.object({ sku: skuSchema, quantity: quantitySchema, condition: z.enum(["sellable", "damaged"]) }))
    .max(MAX_LINES),
});
export type InspectBody = z.infer<typeof inspectBody>;
export const returnAnswer = z
  .object({
    id: z.string(),
    orderId: z.string(),
    state: z.enum(RETURN_STATES),
    lines: z.array(z.object({ sku: z.string(), quantity: z.int(), reason: z.string() })),
    inspected: z.array(z.object({ sku: z.string(), quantity: z.int(), condition: z.string() })),
    /** What is given back: before the inspection as far as can be said. */
    refund: moneySchema,
    createdAt: z.string(),
    /** The goods have to be here by then. */
    receiveBy: z.string(),
  })
  .meta({ id: "Return" });
export type ReturnAnswer = z.infer<typeof returnAnswer>;
export const returnsAnswer = z.object({ returns: z.array(returnAnswer).max(MAX_RETURNS) });

/** `POST /v1/orders/:orderId/refunds`: money without goods. */
export const refundBody = z.object({
  amount: moneySchema.extend({ amountMinor: z.int().min(1).max(1_000_000_000_000) }),
  reason: z.enum(["late", "quality", "missing", "goodwill", "other"]),
});
export type RefundBody = z.infer<typeof refundBody>;
export const refundAnswer = z
  .object({
    id: z.string(),
    orderId: z.string(),
    amount: moneySchema,
    reason: z.string(),
    /** `taken`: payments has taken it on. `refused`: payments will not do it. */
    state: z.enum(["asked", "taken", "refused"]),
    createdAt: z.string(),
  })
  .meta({ id: "Refund" });
export type RefundAnswer = z.infer<typeof refundAnswer>;
/** `POST /internal/orders/:orderId/handover`; idempotent by the assignment. */
export const handoverBody = z.object({ assignmentId: z.string().min(1).max(120) });
/** `POST /internal/keys/close`: `orderId` when the key has an order here, which then stays the one order. */
export const closeKeyBody = z.object({
  sub: z.string().min(1).max(200),
  key: z.string().regex(/^[\x21-\x7e]{1,128}$/, "1 to 128 visible ASCII characters"),
});
export const closeKeyAnswer = z.object({ orderId: z.string().optional() });
export const ownerAnswer = z.object({ sub: z.string() });

/** `GET /internal/summary`: the gateway's probe and its hint for routing. */
export const summaryAnswer = z.object({
  center: z.string(),
  epoch: z.int(),
  accepting: z.boolean(),
  openOrders: z.int(),
  queueMinutes: z.number(),
  skus: z.array(z.string()).max(10_000),
});
export type Summary = z.infer<typeof summaryAnswer>;

/** `GET /internal/drain`: what is left to do before a cell that takes no orders may be changed or taken away; each at most 10,000. */
export const drainAnswer = z.object({
  /** Orders that are in no final state. */
  openOrders: z.int(),
  /** Captures, releases and refunds that are owed for orders, final or not. */
  openEffects: z.int(),
});

const bin = z.object({ aisle: z.int(), position: z.int(), level: z.int() });

/** Stock is allocated and money authorised: the floor may begin. Subject of all events: the order's id. */
export const orderConfirmed = eventOf(
  "orders.confirmed.v1",
  z.object({
    orderId: idSchema("ord"),
    holdId: z.string(),
    lines: z.array(
      z.object({
        sku: z.string(),
        quantity: z.int(),
        barcode: z.string(),
        weightGrams: z.int(),
        bins: z.array(z.object({ bin, quantity: z.int() })),
      }),
    ),
    deliverTo: coordinatesSchema,
    promisedAt: z.string(),
    total: moneySchema,
  }),
);
const ended = z.object({ orderId: idSchema("ord"), from: z.enum(STATES) });
/** The floor holds stock of an order that is no longer wanted: put it back. */
export const orderCancelling = eventOf("orders.cancelling.v1", ended);
export const orderCancelled = eventOf("orders.cancelled.v1", ended);
export const orderDelivered = eventOf("orders.delivered.v1", ended);
/** Units that the floor need not pick any more: `cancelled` in all of what was allocated from each bin, so that it may come twice and late. */
export const orderLinesCancelled = eventOf(
  "orders.lines_cancelled.v1",
  z.object({
    orderId: idSchema("ord"),
    bins: z.array(z.object({ sku: z.string(), bin, cancelled: z.int().min(0) })),
  }),
);
/** Where the order goes and until when, from now on. */
export const orderDeliveryChanged = eventOf(
  "orders.delivery_changed.v1",
  z.object({ orderId: idSchema("ord"), deliverTo: coordinatesSchema, promisedAt: z.string() }),
);
/** A return has moved on. */
export const orderReturnChanged = eventOf(
  "orders.return_changed.v1",
  z.object({ orderId: idSchema("ord"), returnId: idSchema("ret"), state: z.enum(RETURN_STATES) }),
);
export const orderPaymentFailed = eventOf("orders.payment_failed.v1", ended);
export const orderRejected = eventOf("orders.rejected.v1", ended);
