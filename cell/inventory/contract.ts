import { z } from "zod";
import { eventOf } from "../../platform/events.ts";
import { quantitySchema, skuSchema as skuCodeSchema } from "../../platform/schemas.ts";

/** Most lines in one hold, allocation or receipt; one order has no more either. */
export const MAX_LINES = 100;
/** Most SKUs that one stock question may name. */
export const MAX_STOCK_SKUS = 100;
/** Most SKUs in the summary of what is in stock. */
export const MAX_SELLABLE_SKUS = 10_000;

/** The id that makes a command repeatable: same id, same answer, one effect. */
export const commandIdSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._:-]{0,119}$/, "use 1 to 120 letters, digits or . _ : -");
/** Where in the building: aisle, position along it, level above the floor. */
export const binSchema = z.object({
  aisle: z.number().int().min(0).max(9_999),
  position: z.number().int().min(0).max(9_999),
  level: z.number().int().min(0).max(99),
});
/** Who touched the stock; robots and people write the same movements. */
export const actorSchema = z.object({
  kind: z.enum(["human", "robot", "system"]),
  id: z.string().min(1).max(120),
});
export type Bin = z.infer<typeof binSchema>;
export type Actor = z.infer<typeof actorSchema>;

export const skuSchema = z.object({
  sku: skuCodeSchema,
  barcode: z.string().min(1).max(64),
  name: z.string().min(1).max(200),
  weightGrams: z.number().int().min(0).max(1_000_000),
  temperature: z.enum(["ambient", "chilled", "frozen"]),
});
export type Sku = z.infer<typeof skuSchema>;
export const putSkusBody = z.object({ skus: z.array(skuSchema).min(1).max(500) });
export const putSkusAnswer = z.object({ accepted: z.number().int() });
/** Answer of `GET /internal/skus?skus=a,b`: unknown codes are listed, not dropped. */
export const skusAnswer = z.object({ skus: z.array(skuSchema), unknown: z.array(z.string()) });

export const receiptBody = z.object({
  receiptId: commandIdSchema,
  lines: z
    .array(z.object({ sku: skuCodeSchema, bin: binSchema, quantity: z.number().int().min(1).max(1_000_000) }))
    .min(1)
    .max(500),
});
export const receiptAnswer = z.object({ receiptId: z.string(), units: z.number().int() });

/** Corrections by a count or by damage; deltas, never absolute numbers. */
export const adjustmentBody = z.object({
  adjustmentId: commandIdSchema,
  reason: z.enum(["count", "damage", "restock", "shrink"]),
  lines: z
    .array(
      z.object({
        sku: skuCodeSchema,
        bin: binSchema,
        onHandDelta: z.number().int().min(-1_000_000).max(1_000_000),
        damagedDelta: z.number().int().min(-1_000_000).max(1_000_000),
      }),
    )
    .min(1)
    .max(MAX_LINES),
});
export const adjustmentAnswer = z.object({ adjustmentId: z.string() });

/** `available` = onHand - reserved - allocated - damaged; below zero for a moment when counted stock shrinks under open holds. */
export const stockSchema = z.object({
  sku: z.string(),
  onHand: z.number().int(),
  reserved: z.number().int(),
  allocated: z.number().int(),
  damaged: z.number().int(),
  available: z.number().int(),
  version: z.number().int(),
});
export type Stock = z.infer<typeof stockSchema>;
/** `reservedKnown` is false while holds cannot be read; `reserved` is then what SQL knows. */
export const stockAnswer = z.object({ stock: z.array(stockSchema), reservedKnown: z.boolean() });
export type StockAnswer = z.infer<typeof stockAnswer>;

export const movementSchema = z.object({
  id: z.string(),
  sku: z.string(),
  bin: binSchema,
  kind: z.string(),
  commandId: z.string(),
  holdId: z.string().optional(),
  /** `human:u-1`, or the other center of a transfer; absent where nobody was named. */
  actor: z.string().optional(),
  onHandDelta: z.number().int(),
  allocatedDelta: z.number().int(),
  damagedDelta: z.number().int(),
  version: z.number().int(),
  at: z.string(),
});
export type Movement = z.infer<typeof movementSchema>;
export const movementsAnswer = z.object({
  movements: z.array(movementSchema),
  nextCursor: z.string().optional(),
});

/** Compares balances with the ledger; `repair` brings a balance back to what the ledger says and writes down that it did. */
export const reconciliationBody = z.object({
  skus: z.array(skuCodeSchema).min(1).max(MAX_STOCK_SKUS),
  repair: z.boolean().default(false),
});
export const driftSchema = z.object({
  sku: z.string(),
  bin: binSchema,
  /** What the ledger has more than the balance. */
  onHandDelta: z.number().int(),
  allocatedDelta: z.number().int(),
  damagedDelta: z.number().int(),
  /** What open allocations have more than the balance's `allocated`. */
  openDelta: z.number().int(),
});
export const reconciliationAnswer = z.object({ drifts: z.array(driftSchema), repaired: z.number().int() });

export const orderLineSchema = z.object({ sku: skuCodeSchema, quantity: quantitySchema });
export type OrderLine = z.infer<typeof orderLineSchema>;
const orderLines = z.array(orderLineSchema).min(1).max(MAX_LINES);

/** `POST /internal/holds`. Same hold with the same lines (or the same Idempotency-Key): same answer; other lines replace the old ones. */
export const holdBody = z.object({
  holdId: commandIdSchema,
  orderId: z.string().min(1).max(120),
  owner: z.string().min(1).max(200),
  lines: orderLines,
  ttlSeconds: z.number().int().min(1).max(1_800).optional(),
});
export type HoldBody = z.infer<typeof holdBody>;
export const holdAnswer = z.object({ holdId: z.string(), expiresAt: z.string(), generation: z.string() });
export type HoldAnswer = z.infer<typeof holdAnswer>;
/** One line of `extra.short` of a 409 out-of-stock. */
export const shortLineSchema = z.object({
  sku: z.string(),
  requested: z.number().int(),
  available: z.number().int(),
});
export type ShortLine = z.infer<typeof shortLineSchema>;
export const holdReleaseAnswer = z.object({ holdId: z.string(), released: z.boolean() });

/** `POST /internal/allocations`; idempotent by `holdId`. */
export const allocationBody = z.object({
  holdId: commandIdSchema,
  orderId: z.string().min(1).max(120),
  lines: orderLines,
});
export type AllocationBody = z.infer<typeof allocationBody>;
export const allocatedLineSchema = z.object({
  sku: z.string(),
  quantity: z.number().int(),
  barcode: z.string(),
  weightGrams: z.number().int(),
  bins: z.array(z.object({ bin: binSchema, quantity: z.number().int() })),
});
export type AllocatedLine = z.infer<typeof allocatedLineSchema>;
export const allocationAnswer = z.object({
  allocationId: z.string(),
  orderId: z.string(),
  lines: z.array(allocatedLineSchema),
});
export type AllocationAnswer = z.infer<typeof allocationAnswer>;

/** What became of each allocated unit: open + picked + shorted + released = allocated; putBack and returned are part of picked. */
export const allocationStateAnswer = z.object({
  allocationId: z.string(),
  orderId: z.string(),
  state: z.enum(["allocated", "released"]),
  lines: z.array(
    z.object({
      sku: z.string(),
      bin: binSchema,
      quantity: z.number().int(),
      picked: z.number().int(),
      shorted: z.number().int(),
      putBack: z.number().int(),
      released: z.number().int(),
      returned: z.number().int(),
    }),
  ),
});
/** Without `lines` all that is open goes back and the allocation ends; with them only so much, under a `releaseId` of its own. */
export const allocationReleaseBody = z
  .object({
    reason: z.string().min(1).max(200),
    releaseId: commandIdSchema.optional(),
    lines: orderLines.optional(),
  })
  .refine((body) => (body.lines === undefined) === (body.releaseId === undefined), {
    error: "lines and releaseId go together: send both, or neither to release everything",
    path: ["releaseId"],
  });
export type AllocationReleaseBody = z.infer<typeof allocationReleaseBody>;
/** `released` = units that went back to sale, by SKU in `lines` when lines were named; picked units come back by putback only. */
export const allocationReleaseAnswer = z.object({
  allocationId: z.string(),
  released: z.number().int(),
  lines: z.array(z.object({ sku: z.string(), released: z.number().int() })).optional(),
});
export type AllocationReleaseAnswer = z.infer<typeof allocationReleaseAnswer>;

export const pickBody = z.object({
  pickId: commandIdSchema,
  holdId: commandIdSchema,
  sku: skuCodeSchema,
  bin: binSchema,
  quantity: quantitySchema,
  actor: actorSchema,
});
export const pickAnswer = z.object({ pickId: z.string() });
export const shortBody = z.object({
  shortId: commandIdSchema,
  holdId: commandIdSchema,
  sku: skuCodeSchema,
  bin: binSchema,
  quantity: quantitySchema,
});
export const shortAnswer = z.object({ shortId: z.string() });
/** Picked units go back on a shelf; any bin will do. */
export const putbackBody = z.object({
  putbackId: commandIdSchema,
  holdId: commandIdSchema,
  lines: z
    .array(z.object({ sku: skuCodeSchema, bin: binSchema, quantity: quantitySchema }))
    .min(1)
    .max(500),
});
export const putbackAnswer = z.object({ putbackId: z.string(), units: z.number().int() });

/** Goods of a delivered order come back: `sellable` to a shelf, by default that of the pick; `damaged` are kept from sale. */
export const returnBody = z.object({
  returnId: commandIdSchema,
  orderId: z.string().min(1).max(120),
  holdId: commandIdSchema,
  lines: z
    .array(
      z.object({
        sku: skuCodeSchema,
        bin: binSchema.optional(),
        quantity: quantitySchema,
        condition: z.enum(["sellable", "damaged"]),
      }),
    )
    .min(1)
    .max(MAX_LINES),
  actor: actorSchema,
});
export type ReturnBody = z.infer<typeof returnBody>;
export const returnAnswer = z.object({ returnId: z.string(), units: z.number().int() });

const centerSchema = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/, "the name of a center: a DNS label");
const transferLines = z
  .array(z.object({ sku: skuCodeSchema, bin: binSchema, quantity: z.number().int().min(1).max(1_000_000) }))
  .min(1)
  .max(MAX_LINES);
/** Goods leave for another center, and are in transit until it says that they came. */
export const transferOutBody = z.object({
  transferId: commandIdSchema,
  toCenter: centerSchema,
  lines: transferLines,
});
/** Goods of another center have come. */
export const transferInBody = z.object({
  transferId: commandIdSchema,
  fromCenter: centerSchema,
  lines: transferLines,
});
export const transferAnswer = z.object({ transferId: z.string(), units: z.number().int() });
/** `truncated` when there are more lines than fit. */
export const inTransitAnswer = z.object({
  lines: z.array(
    z.object({
      transferId: z.string(),
      sku: z.string(),
      bin: binSchema,
      toCenter: z.string(),
      quantity: z.number().int(),
      since: z.string(),
    }),
  ),
  truncated: z.boolean(),
});

/** A cycle count, while picking goes on: what lay in each bin, and the SKU's versions of before and after the look. */
export const countBody = z.object({
  countId: commandIdSchema,
  lines: z
    .array(
      z.object({
        sku: skuCodeSchema,
        bin: binSchema,
        counted: z.number().int().min(0).max(1_000_000),
        fromVersion: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
        toVersion: z.number().int().min(0).max(Number.MAX_SAFE_INTEGER),
      }),
    )
    .min(1)
    .max(MAX_LINES),
});
/**
 * `recount`: units of the bin moved while it was counted, nothing was changed. `partly`: some of the missing units are promised to
 * orders and stay on the books until their picker reports them short.
 */
export const countAnswer = z.object({
  countId: z.string(),
  lines: z.array(
    z.object({
      sku: z.string(),
      bin: binSchema,
      outcome: z.enum(["matched", "corrected", "partly", "recount"]),
      difference: z.number().int(),
      applied: z.number().int(),
      version: z.number().int(),
    }),
  ),
});
export type CountAnswer = z.infer<typeof countAnswer>;
/** Bins to be counted, with the version to send back as `fromVersion`; the quantity on the books is not told. */
export const countSheetAnswer = z.object({
  lines: z.array(
    z.object({ sku: z.string(), bin: binSchema, version: z.number().int(), reason: z.string().optional() }),
  ),
});

const balanceSchema = z.object({
  onHand: z.number().int(),
  allocated: z.number().int(),
  damaged: z.number().int(),
});
/** A balance at a time, and the movements that make it: `before` is the sum of those that are not listed. */
export const explainAnswer = z.object({
  sku: z.string(),
  bin: binSchema.optional(),
  at: z.string(),
  balance: balanceSchema,
  before: balanceSchema.extend({ movements: z.number().int() }),
  movements: z.array(movementSchema),
  /** Where balances were brought back to their movements, up to then. */
  repairs: z.array(balanceSchema.extend({ bin: binSchema, at: z.string() })),
  /**
   * Holds of the SKU, up to then, newest last: they change no balance. One that became an allocation within seconds is told by its
   * movement, under the same hold id.
   */
  holds: z.array(
    z.object({
      kind: z.enum(["reserve", "release", "expire"]),
      holdId: z.string(),
      orderId: z.string().optional(),
      units: z.number().int(),
      at: z.string(),
    }),
  ),
  /** Only when no time was asked for: what the balance says, which must be the same. */
  stored: balanceSchema.optional(),
});
export type ExplainAnswer = z.infer<typeof explainAnswer>;

/** `GET /internal/sellable`: SKUs with something available, sorted; `truncated` when there are more than fit. ETag and If-None-Match apply. */
export const sellableAnswer = z.object({ skus: z.array(z.string()), truncated: z.boolean() });
export type SellableAnswer = z.infer<typeof sellableAnswer>;

/** Stock became bound to an order. Subject = hold id. */
export const inventoryAllocated = eventOf(
  "inventory.allocated.v1",
  z.object({
    holdId: z.string(),
    orderId: z.string(),
    lines: z.array(z.object({ sku: z.string(), quantity: z.number().int() })),
  }),
);
/** Units the ledger believed in were not on the shelf. Subject = short id. */
export const inventoryShrunk = eventOf(
  "inventory.shrunk.v1",
  z.object({
    sku: z.string(),
    quantity: z.number().int(),
    bin: binSchema,
    holdId: z.string(),
    shortId: z.string(),
  }),
);
