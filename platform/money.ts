/** An amount in minor units (cents, won) of an ISO 4217 currency. Never a float. */
export interface Money {
  readonly amountMinor: number;
  readonly currency: string;
}

/** Adds amounts of one currency; throws on mixed currencies or a sum that is no safe integer. */
export function addMoney(a: Money, b: Money): Money {
  if (a.currency !== b.currency) throw new Error(`cannot add ${b.currency} to ${a.currency}`);
  return checked(a.amountMinor + b.amountMinor, a.currency);
}

/** Price times quantity; throws when the product is no safe integer. */
export function timesMoney(price: Money, quantity: number): Money {
  return checked(price.amountMinor * quantity, price.currency);
}

/** The sum over all, zero in `currency` when there are none. */
export function sumMoney(amounts: readonly Money[], currency: string): Money {
  return amounts.reduce(addMoney, { amountMinor: 0, currency });
}

export function sameMoney(a: Money, b: Money): boolean {
  return a.amountMinor === b.amountMinor && a.currency === b.currency;
}

function checked(amountMinor: number, currency: string): Money {
  if (!Number.isSafeInteger(amountMinor))
    throw new Error(`amount ${amountMinor} ${currency} is no safe integer`);
  return { amountMinor, currency };
}
