import { z } from "zod";
import { coordinatesSchema, timeSchema } from "../../platform/schemas.ts";

export const fixSchema = coordinatesSchema.extend({
  courierId: z.string().min(1).max(120),
  /** Counts the fixes of one device; a repeated or older one changes nothing. */
  seq: z.int().min(0),
  accuracyMeters: z.number().min(0).max(100_000).optional(),
  deviceTime: timeSchema,
});
export type Fix = z.infer<typeof fixSchema>;
export const positionsBody = z.union([fixSchema, z.object({ positions: z.array(fixSchema).min(1).max(50) })]);
export const positionsAccepted = z.object({ accepted: z.int(), ignored: z.int() });

export const positionsQuery = z.object({ courierIds: z.string().min(1).max(20_000) });
export const positionsAnswer = z.object({
  positions: z.array(coordinatesSchema.extend({ courierId: z.string(), ageSeconds: z.number() })),
});

/** `waiting`: no courier yet. After the end the position is nobody's business any more. */
export const trackingAnswer = z
  .object({
    orderId: z.string(),
    status: z.enum(["waiting", "on_the_way", "delivered", "cancelled"]),
    position: coordinatesSchema.extend({ ageSeconds: z.number() }).optional(),
    etaSeconds: z.number().optional(),
    promisedAt: z.string().optional(),
  })
  .meta({ id: "Tracking" });
export type TrackingAnswer = z.infer<typeof trackingAnswer>;
