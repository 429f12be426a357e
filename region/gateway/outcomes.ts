import { type Failure, fail } from "../../platform/problem.ts";
import type { RouteDecision } from "./domain.ts";
import type { PinKey, Pins } from "./pins.ts";

/** What came of handing a request to a cell. `not-sent` is only said when not one byte of it can have been read there. */
export type ForwardOutcome =
  | { readonly kind: "answered"; readonly status: number; readonly headers: Headers; readonly body: Buffer }
  | { readonly kind: "not-sent"; readonly reason: string }
  | { readonly kind: "ambiguous"; readonly reason: string };

type Headers = Readonly<Record<string, string | string[] | undefined>>;
export type Answered = Extract<ForwardOutcome, { kind: "answered" }>;

export interface PlacementDeps {
  readonly pins: Pins;
  /** Sends the order to one cell. */
  forward(cell: string): Promise<ForwardOutcome>;
  /** Has a cell close the key, for the time in which nothing can be pinned. */
  closeKey(cell: string, key: PinKey): Promise<Closing>;
  /** The code under the cell's signature when the answer proves that the cell took nothing for this key. */
  refusalCode(cell: string, key: string, answer: Answered): Promise<string | undefined>;
  log(fields: Record<string, unknown>, message: string): void;
}

export interface PlacementOrder {
  readonly key: PinKey;
  readonly bodyHash: string;
  readonly decision: RouteDecision;
  /** Every cell that covers the address, whatever its health, in an order that the table alone decides. */
  readonly covering: readonly string[];
}

/** What a cell says when it is asked to close a key: it has an order under it, it has none and will have none, or nothing. */
export type Closing = "taken" | "closed" | "unknown";

export const UNKNOWN =
  "The outcome is not known yet: repeat the request with the same Idempotency-Key to learn it.";

/** The code of a problem document; undefined when the answer is none. */
export function problemCodeOf({ body }: Answered): string | undefined {
  return /"code":"([\w-]+)"/.exec(body.toString("utf8", 0, 4_096))?.[1];
}

/** The answer for an order that no cell may be asked for now: 422 where no center covers, else an early 503 with reasons. */
export function refuse(decision: RouteDecision): Failure {
  const passedOver = decision.passedOver;
  if (decision.ok) throw new Error("refuse() is for decisions without a candidate");
  if (decision.code === "no-center")
    return fail("no-center", "No fulfillment center delivers to this address.");
  const reasons = passedOver.map(({ cell, reason }) => `${cell}: ${reason}`).join(", ");
  return fail(
    decision.code,
    `Each center that covers this address is out of service now (${reasons}).`,
    { passedOver },
    5,
  );
}
