import { z } from "zod";

/** zod schemas that several contracts share. */
export const moneySchema = z
  .object({
    amountMinor: z.int().min(0).max(1_000_000_000_000),
    currency: z.string().regex(/^[A-Z]{3}$/, "an ISO 4217 code such as KRW"),
  })
  .meta({ id: "Money", description: "Minor units of a currency." });

export const coordinatesSchema = z
  .object({ latitude: z.number().min(-90).max(90), longitude: z.number().min(-180).max(180) })
  .meta({ id: "Coordinates", description: "Degrees, WGS 84." });

export const skuSchema = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, "1 to 64 of A-Z a-z 0-9 . _ -");

export const quantitySchema = z.int().min(1).max(999);

/** An id with this prefix, such as `ord_seoul-mapo_0192…`. */
export function idSchema(prefix: string) {
  return z
    .string()
    .max(96)
    .regex(
      new RegExp(`^${prefix}_[a-z0-9-]{1,40}_[0-9a-f-]{36}$`),
      `an id such as ${prefix}_<center>_<uuid>`,
    );
}

/** Time in RFC 3339. */
export const timeSchema = z.iso.datetime({ offset: true });
