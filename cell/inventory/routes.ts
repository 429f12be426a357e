import { z } from "zod";
import { created, defineRoute, ok, type Principal, type Route } from "../../platform/http.ts";
import { fail } from "../../platform/problem.ts";
import { skuSchema as skuCodeSchema } from "../../platform/schemas.ts";
import * as contract from "./contract.ts";
import { binOf } from "./domain.ts";
import type { Holding } from "./holding.ts";
import type { Drift } from "./reconcile.ts";
import type { StockService } from "./service.ts";

/** What the routes call. */
export interface RouteDeps {
  readonly stock: StockService;
  readonly holding: Holding;
}

/** A comma list of SKU codes without doubles, such as `?sku=milk-1l,rice-5kg`. */
function codesOf(max: number) {
  return z
    .string()
    .transform((text) => [...new Set(text.split(",").filter((code) => code !== ""))])
    .pipe(z.array(skuCodeSchema).min(1).max(max));
}

/** All routes of this slice. */
export function createRoutes(deps: RouteDeps): Route[] {
  return [...masterRoutes(deps), ...stockRoutes(deps), ...holdRoutes(deps)];
}

function masterRoutes({ stock }: RouteDeps): Route[] {
  return [
    defineRoute<z.infer<typeof contract.putSkusBody>>({
      method: "POST",
      path: "/v1/skus",
      summary: "Register SKUs or change their master data",
      access: { roles: ["staff"] },
      body: contract.putSkusBody,
      responses: { 200: contract.putSkusAnswer },
      async handler({ body }) {
        const result = await stock.putSkus(body.skus);
        return result.ok ? ok({ accepted: result.accepted }) : result;
      },
    }),
    defineRoute({
      method: "GET",
      path: "/internal/skus",
      summary: "Master data of SKUs",
      access: "internal",
      query: z.object({ skus: codesOf(contract.MAX_LINES) }),
      responses: { 200: contract.skusAnswer },
      handler: async ({ query }) => ok(await stock.skus(query.skus as unknown as string[])),
    }),
  ];
}

function stockRoutes({ stock }: RouteDeps): Route[] {
  return [
    defineRoute<z.infer<typeof contract.receiptBody>>({
      method: "POST",
      path: "/v1/receipts",
      summary: "Put received goods on hand; idempotent by receiptId",
      access: { roles: ["staff"] },
      body: contract.receiptBody,
      responses: { 201: contract.receiptAnswer },
      async handler({ body: { receiptId: id, lines }, principal }) {
        const result = await stock.run({ kind: "receive", id, lines, actor: personOf(principal) });
        return result.ok ? created(result.answer) : result;
      },
    }),
    defineRoute<z.infer<typeof contract.adjustmentBody>>({
      method: "POST",
      path: "/v1/adjustments",
      summary: "Correct stock after a count or damage; idempotent by adjustmentId",
      access: { roles: ["staff"] },
      body: contract.adjustmentBody,
      responses: { 201: contract.adjustmentAnswer },
      async handler({ body: { adjustmentId: id, reason, lines }, principal }) {
        const result = await stock.run({ kind: "adjust", id, reason, lines, actor: personOf(principal) });
        return result.ok ? created(result.answer) : result;
      },
    }),
    defineRoute<z.infer<typeof contract.reconciliationBody>>({
      method: "POST",
      path: "/v1/reconciliations",
      summary: "Compare balances with the ledger, and repair them when asked to",
      access: { roles: ["staff"] },
      body: contract.reconciliationBody as z.ZodType<z.infer<typeof contract.reconciliationBody>>,
      responses: { 200: contract.reconciliationAnswer },
      async handler({ body }) {
        const { drifts, repaired } = await stock.reconcile(body.skus, body.repair);
        return ok({ drifts: drifts.map(toDrift), repaired });
      },
    }),
    defineRoute({
      method: "GET",
      path: "/v1/stock",
      summary: "Stock of SKUs, with what is available now",
      access: { roles: ["customer", "picker", "courier"] },
      query: z.object({ sku: codesOf(contract.MAX_STOCK_SKUS) }),
      responses: { 200: contract.stockAnswer },
      async handler({ query }) {
        const result = await stock.stock(query.sku as unknown as string[]);
        return result.ok ? ok(result.answer) : result;
      },
    }),
    defineRoute({
      method: "GET",
      path: "/v1/movements",
      summary: "The ledger of one SKU, oldest first",
      access: { roles: ["picker"] },
      query: z.object({ sku: skuCodeSchema, cursor: z.string().max(64).optional() }),
      responses: { 200: contract.movementsAnswer },
      async handler({ query }) {
        const page = await stock.movements(query.sku ?? "", query.cursor);
        if (!page.ok) return page;
        const { movements, nextCursor } = page;
        return ok({ movements, ...(nextCursor === undefined ? {} : { nextCursor }) });
      },
    }),
    defineRoute({
      method: "GET",
      path: "/internal/sellable",
      summary: "SKUs of which something is available; ETag and If-None-Match apply",
      access: "internal",
      responses: { 200: contract.sellableAnswer, 304: undefined },
      async handler({ headers }) {
        const { etag, skus, truncated } = await stock.sellable();
        if (headers["if-none-match"] === etag) return { status: 304, headers: { etag } };
        return ok({ skus, truncated }, { etag });
      },
    }),
  ];
}

/** How the ledger names the person behind a request. */
export function personOf({ user }: Principal): string {
  return `human:${user?.sub ?? "unknown"}`;
}

function toDrift(drift: Drift): z.infer<typeof contract.driftSchema> {
  return {
    sku: drift.sku,
    bin: binOf(drift.bin_id),
    onHandDelta: drift.on_hand,
    allocatedDelta: drift.allocated,
    damagedDelta: drift.damaged,
    openDelta: drift.open,
  };
}

function holdRoutes({ holding }: RouteDeps): Route[] {
  return [
    defineRoute<contract.HoldBody>({
      method: "POST",
      path: "/internal/holds",
      summary: "Hold stock for a while, all lines or none; another call for the hold replaces its lines",
      access: "internal",
      // Idempotent by hold id and key in the hold store itself; a second store would only be slower.
      idempotency: "none",
      body: contract.holdBody,
      responses: { 201: contract.holdAnswer },
      async handler({ body, headers }) {
        const result = await holding.place(body, headers["idempotency-key"]);
        return result.ok ? created(result.answer) : result;
      },
    }),
    defineRoute({
      method: "POST",
      path: "/internal/holds/:holdId/release",
      summary: "Give a hold back before it expires",
      access: "internal",
      idempotency: "none",
      responses: { 200: contract.holdReleaseAnswer },
      async handler({ params }) {
        const holdId = contract.commandIdSchema.safeParse(params.holdId);
        if (!holdId.success) return fail("invalid-request", "The hold id is not valid.");
        const result = await holding.release(holdId.data);
        return result.ok ? ok({ holdId: holdId.data, released: result.released }) : result;
      },
    }),
  ];
}
