/**
 * What happens to one life of the operator. Calls are counted from 0, reads and writes alike, from the start of that life.
 * - crash-before, crash-after: it dies at a call, which reaches the API server only with the second
 * - stale: from a call on its watches tell nothing for a while, then everything at once
 * - gap: the same, but what was missed is never told: a new list shows what it led to
 *   With `of` only the watch of that kind is held back: watches are connections of their own.
 * - lapse: from a call on its lease is not renewed in time, and its writes are refused for a while; nobody else takes the lease
 * - past: its first lists show the state that the flow began with, and its watches tell nothing for a while
 */
export type Fault =
  | { readonly kind: "crash-before" | "crash-after"; readonly at: number }
  | { readonly kind: "stale" | "gap"; readonly at: number; readonly of?: string }
  | { readonly kind: "lapse"; readonly at: number }
  | { readonly kind: "past" }
  | { readonly kind: "none" };

/** How long watches tell nothing: longer than the operator waits for a copy that lags behind its own writes. */
export const HOLD_MS = 12_000;

/** How long a lease has lapsed: an attempt to renew it that is answered late. */
export const LAPSE_MS = 4_000;

/** Faults of an operator's lives in turn, as text: `crash-after@12/past`. Lives after the last of them are left in peace. */
export function formatFaults(faults: readonly Fault[]): string {
  return faults
    .map((fault) => {
      const of = "of" in fault && fault.of !== undefined ? `:${fault.of}` : "";
      return "at" in fault ? `${fault.kind}@${fault.at}${of}` : fault.kind;
    })
    .join("/");
}

/** The reverse of formatFaults; undefined for a text that is none. */
export function parseFaults(text: string): Fault[] | undefined {
  const faults = text.split("/").map((part): Fault | undefined => {
    if (part === "past" || part === "none") return { kind: part };
    const [, sort, at] = /^(crash-before|crash-after|lapse)@(\d{1,6})$/.exec(part) ?? [];
    if (sort !== undefined) return { kind: sort as "crash-before", at: Number(at) };
    const [, lag, lagAt, of] = /^(stale|gap)@(\d{1,6})(?::([A-Z][A-Za-z]{1,62}))?$/.exec(part) ?? [];
    if (lag === undefined) return undefined;
    return { kind: lag as "stale", at: Number(lagAt), ...(of === undefined ? {} : { of }) };
  });
  return faults.every((fault) => fault !== undefined) ? faults : undefined;
}

export const isCrash = (fault: Fault): fault is Fault & { readonly at: number } =>
  fault.kind === "crash-before" || fault.kind === "crash-after";
