import { type Failure, fail } from "../../platform/problem.ts";

/** What the processor knows of one authorization. Amounts in minor units of `currency`. */
export interface AuthorizationState {
  readonly status: "approved" | "declined" | "voided";
  readonly amountMinor: number;
  readonly currency: string;
  readonly capturedMinor: number;
  readonly refundedMinor: number;
}

/** A token that is declined whatever happens, for tests of that path. */
export const DECLINED_METHOD = "tok_declined";

/** Whether a new authorization is approved; `closed` says that its key was voided before it came. */
export function decideAuthorization(input: {
  readonly method: string;
  readonly forcedDecline: boolean;
  readonly closed: boolean;
}): { status: AuthorizationState["status"]; reason?: string } {
  if (input.closed) return { status: "voided", reason: "voided before it arrived" };
  if (input.method === DECLINED_METHOD) return { status: "declined", reason: "insufficient funds" };
  if (input.forcedDecline) return { status: "declined", reason: "declined by the issuer" };
  return { status: "approved" };
}

export type Allowed = { readonly ok: true } | Failure;

const missing = fail("not-found", "There is no such authorization.");

/** Captures of one authorization never sum up to more than it. */
export function mayCapture(
  found: AuthorizationState | undefined,
  amount: { amountMinor: number; currency: string },
): Allowed {
  if (!found) return missing;
  if (found.status !== "approved") return fail("unprocessable", `The authorization is ${found.status}.`);
  if (amount.currency !== found.currency)
    return fail("unprocessable", `The authorization is in ${found.currency}.`);
  const leftMinor = found.amountMinor - found.capturedMinor;
  if (amount.amountMinor > leftMinor)
    return fail("unprocessable", `Only ${leftMinor} ${found.currency} are left to capture.`, { leftMinor });
  return { ok: true };
}

/** Refunds never sum up to more than was captured. */
export function mayRefund(
  found: AuthorizationState | undefined,
  amount: { amountMinor: number; currency: string },
): Allowed {
  if (!found) return missing;
  if (amount.currency !== found.currency)
    return fail("unprocessable", `The authorization is in ${found.currency}.`);
  const leftMinor = found.capturedMinor - found.refundedMinor;
  if (amount.amountMinor > leftMinor)
    return fail("unprocessable", `Only ${leftMinor} ${found.currency} are left to refund.`, { leftMinor });
  return { ok: true };
}

/** What was captured is refunded, not voided. */
export function mayVoid(found: AuthorizationState | undefined): Allowed {
  if (found && found.capturedMinor > 0)
    return fail("unprocessable", "The authorization was captured; refund it instead.");
  return { ok: true };
}
