import type { Money } from "../../platform/money.ts";
import { REVIEW_REASONS, type ReviewReason } from "./contract.ts";

/** What is known of a customer before an order. */
export interface History {
  /** First seen less than a day ago, or never. */
  readonly isNew: boolean;
  /** Some payment of theirs has been captured. */
  readonly hasPaid: boolean;
  /** One that went to this address. */
  readonly hasPaidHere: boolean;
}

export interface RiskPolicy {
  /** By currency, in its minor units: from here on a payment counts as high. A currency that is not named has no high ones. */
  readonly highValueMinor: Readonly<Record<string, number>>;
  /** From this score on a person looks first. */
  readonly reviewScore: number;
}

export interface Assessment {
  readonly score: number;
  readonly reasons: readonly ReviewReason[];
  readonly needsReview: boolean;
}

/** Any one alone is everyday life; with the default of 100 it takes a high value and something strange beside it. */
const WEIGHTS: Readonly<Record<ReviewReason, number>> = {
  "high-value": 60,
  "new-account": 40,
  "address-mismatch": 40,
};
/** At most one of the two that need the history can be true: one is about who has paid before, the other about who has not. */
const HISTORY_WEIGHT = Math.max(WEIGHTS["new-account"], WEIGHTS["address-mismatch"]);

const isHigh = (amount: Money, policy: RiskPolicy): boolean =>
  amount.amountMinor >= (policy.highValueMinor[amount.currency] ?? Number.POSITIVE_INFINITY);

/** Whether the history could change what comes out: if not, it need not be read. */
export function needsHistory(amount: Money, policy: RiskPolicy): boolean {
  return (isHigh(amount, policy) ? WEIGHTS["high-value"] : 0) + HISTORY_WEIGHT >= policy.reviewScore;
}

/** Adds up what speaks for a look by a person; without a history only the amount speaks. */
export function assess(amount: Money, history: History | undefined, policy: RiskPolicy): Assessment {
  const found: Readonly<Record<ReviewReason, boolean>> = {
    "high-value": isHigh(amount, policy),
    "new-account": history?.isNew === true && !history.hasPaid,
    "address-mismatch": history?.hasPaid === true && !history.hasPaidHere,
  };
  const reasons = REVIEW_REASONS.filter((reason) => found[reason]);
  const score = reasons.reduce((sum, reason) => sum + WEIGHTS[reason], 0);
  return { score, reasons, needsReview: score >= policy.reviewScore };
}
