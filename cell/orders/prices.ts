import { addMoney, type Money, sameMoney, timesMoney } from "../../platform/money.ts";
import { type Failure, fail } from "../../platform/problem.ts";
import type { Sql, Tx } from "../../platform/sql.ts";
import type { PlaceBody, PricesBody } from "./contract.ts";
import type { PricedLine } from "./domain.ts";

/** Loads prices; the one with the latest `validFrom` that is not in the future is in force. */
export async function savePrices(sql: Sql, body: PricesBody): Promise<number> {
  const rows = body.prices.map(({ sku, price, validFrom }) => ({
    sku,
    ...price,
    validFrom: validFrom ?? null,
  }));
  await sql.transaction((tx) =>
    tx.query(
      `INSERT INTO orders.price (sku, valid_from, amount_minor, currency)
       SELECT sku, COALESCE(valid_from, now()), amount_minor, currency
       FROM unnest($1::TEXT[], $2::TIMESTAMPTZ[], $3::INT8[], $4::TEXT[]) AS p(sku, valid_from, amount_minor, currency)
       ON CONFLICT (sku, valid_from) DO UPDATE SET amount_minor = excluded.amount_minor, currency = excluded.currency`,
      [
        rows.map(({ sku }) => sku),
        rows.map(({ validFrom }) => validFrom),
        rows.map(({ amountMinor }) => amountMinor),
        rows.map(({ currency }) => currency),
      ],
    ),
  );
  return rows.length;
}

export type Prices = ReadonlyMap<string, Money>;

/** The prices in force of these SKUs. */
export async function readPrices(tx: Tx, skus: Iterable<string>): Promise<Prices> {
  const rows = await tx.query<{ sku: string; amount_minor: number; currency: string }>(
    `SELECT DISTINCT ON (sku) sku, amount_minor, currency FROM orders.price
     WHERE sku = ANY($1) AND valid_from <= now() ORDER BY sku, valid_from DESC`,
    [[...new Set(skus)]],
  );
  return new Map(rows.map((row) => [row.sku, { amountMinor: row.amount_minor, currency: row.currency }]));
}

/** Prices the lines of an order. The client's price is an expectation only: a different one in force is told, not charged. */
export function priceLines(
  prices: Prices,
  lines: PlaceBody["lines"],
  currency: string,
): { ok: true; lines: PricedLine[]; total: Money } | Failure {
  const skus = [...new Set(lines.map(({ sku }) => sku))];
  const unknown = skus.filter((sku) => !prices.has(sku));
  if (unknown.length > 0)
    return fail("unprocessable", `This center has no price for: ${unknown.join(", ")}.`, { unknown });

  const foreign = lines.find(({ expectedPrice }) => expectedPrice && expectedPrice.currency !== currency);
  if (foreign || [...prices.values()].some((price) => price.currency !== currency))
    return fail("unprocessable", `This center sells in ${currency} only.`, { currency });

  const changed = lines.flatMap(({ sku, expectedPrice }) => {
    const price = prices.get(sku);
    return expectedPrice && price && !sameMoney(expectedPrice, price) ? [{ sku, price }] : [];
  });
  if (changed.length > 0)
    return fail("price-changed", "Prices have changed; show them to the customer and order again.", {
      changed,
    });

  const priced = lines.map(({ sku, quantity }) => {
    const price = prices.get(sku);
    if (!price) throw new Error(`no price for ${sku} after the check`);
    return { sku, quantity, price };
  });
  const total = priced.reduce((sum, { price, quantity }) => addMoney(sum, timesMoney(price, quantity)), {
    amountMinor: 0,
    currency,
  });
  return { ok: true, lines: priced, total };
}
