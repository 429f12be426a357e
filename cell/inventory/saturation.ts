import type { Metrics } from "../../platform/metrics.ts";
import type { Worker } from "../../platform/workers.ts";
import type { HoldStore, SkuLevel } from "./holds.ts";

/** SKUs that are named in metrics: the fullest ones of the moment, whichever they are. */
export const NAMED_SKUS = 20;

/** Tells which SKUs are nearly all held, and how fast holds come and go. */
export function createSaturation({ holds, metrics }: { holds: HoldStore; metrics: Metrics }): Worker {
  const ratio = metrics.gauge(
    "inventory_sku_saturation_ratio",
    `Held units of what is not bound to orders, for the ${NAMED_SKUS} SKUs with the highest share.`,
    ["sku"],
  );
  const full = metrics.gauge("inventory_skus_all_held", "SKUs of which every unit for sale is held.");
  const expired = metrics.gauge(
    "inventory_holds_expired",
    "Holds that ended by their time since the hold store was rebuilt last.",
  );
  return {
    name: "inventory-saturation",
    intervalMs: 10_000,
    async run() {
      const levels = await holds.levels();
      if (!levels) return;
      const held = fullest(levels);
      full.set({}, held.filter(({ share }) => share >= 1).length);
      ratio.replace(held.slice(0, NAMED_SKUS).map(({ sku, share }) => ({ labels: { sku }, value: share })));
      expired.set({}, (await holds.status()).everExpired);
    },
  };
}

/** SKUs of which something is held, the fullest first; a share of 1 or more is all that can be sold. */
export function fullest(levels: readonly SkuLevel[]): { sku: string; share: number }[] {
  return levels
    .filter(({ reserved }) => reserved > 0)
    .map(({ sku, sellable, reserved }) => ({ sku, share: sellable > 0 ? reserved / sellable : 1 }))
    .sort((left, right) => right.share - left.share || (left.sku < right.sku ? -1 : 1));
}
