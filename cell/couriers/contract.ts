import { z } from "zod";
import { eventOf } from "../../platform/events.ts";
import { coordinatesSchema } from "../../platform/schemas.ts";
import { SHIFTS } from "./domain.ts";

export const vehicleSchema = z.enum(["bicycle", "scooter", "car", "foot"]);
export const createBody = z.object({
  name: z.string().min(1).max(200),
  phone: z.string().min(3).max(40).optional(),
  vehicle: vehicleSchema,
  /** The user that signs in on this courier's device; without one, any courier of the center may act. */
  userSub: z.string().min(1).max(128).optional(),
});
export type CreateBody = z.infer<typeof createBody>;
export const courierAnswer = z
  .object({
    id: z.string(),
    vehicle: vehicleSchema,
    shift: z.enum(SHIFTS),
    position: coordinatesSchema.optional(),
  })
  .meta({ id: "Courier" });
export type CourierAnswer = z.infer<typeof courierAnswer>;
export const emptyBody = z.object({});
export const couriersQuery = z.object({ onShift: z.enum(["true", "false"]).optional() });
export const couriersAnswer = z.object({ couriers: z.array(courierAnswer) });

/** `userSub` is absent when any courier of the center may act for this one. Never changes. */
export const courierUserAnswer = z.object({ id: z.string(), userSub: z.string().optional() });

/** Subject of all events: the courier's id. No names, no numbers. */
export const couriersShiftStarted = eventOf(
  "couriers.shift_started.v1",
  z.object({ courierId: z.string(), latitude: z.number(), longitude: z.number(), vehicle: vehicleSchema }),
);
const who = z.object({ courierId: z.string() });
export const couriersShiftEnded = eventOf("couriers.shift_ended.v1", who);
/** On shift, but not heard of for five minutes. */
export const couriersOffline = eventOf("couriers.offline.v1", who);
