import * as z from "zod";

const resultSchema = z.union([
  z.object({ ok: z.literal(true), epoch: z.int().optional(), schema: z.string().max(256).optional() }),
  z.object({
    ok: z.literal(false),
    reason: z.string().regex(/^[A-Z][A-Za-z]{0,62}$/),
    message: z.string().max(4096),
    epoch: z.int().optional(),
  }),
]);

/** What a provision Job writes as its termination message. */
export type ProvisionResult = z.output<typeof resultSchema>;

/** Reads a termination message; undefined when the process died without writing one that we know. */
export function parseProvisionResult(text: string | undefined): ProvisionResult | undefined {
  if (text === undefined || text === "") return undefined;
  try {
    const result = resultSchema.safeParse(JSON.parse(text));
    return result.success ? result.data : undefined;
  } catch {
    return undefined;
  }
}
