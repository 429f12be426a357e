import * as z from "zod";

const resultSchema = z.object({
  isolation: z.enum(["Denied", "Reachable", "NotEnforced", "Inconclusive"]),
  /** Attempts whose packets were dropped. */
  denied: z.int().min(0),
  /** Other cells that were tried. */
  cells: z.int().min(0),
  /** What answered and must not, as host:port. */
  reached: z.array(z.string().max(256)).max(8),
  /** What neither answered nor was dropped. */
  unclear: z.array(z.string().max(256)).max(8),
});

/** What the isolation probe writes as its termination message. */
export type IsolationResult = z.output<typeof resultSchema>;

/** Reads a termination message; undefined when it is not one of the probe's. */
export function parseIsolationResult(text: string | undefined): IsolationResult | undefined {
  if (text === undefined || text === "") return undefined;
  try {
    const result = resultSchema.safeParse(JSON.parse(text));
    return result.success ? result.data : undefined;
  } catch {
    return undefined;
  }
}
