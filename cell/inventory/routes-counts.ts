import { z } from "zod";
import { created, defineRoute, ok, type Route } from "../../platform/http.ts";
import { fail } from "../../platform/problem.ts";
import { skuSchema as skuCodeSchema, timeSchema } from "../../platform/schemas.ts";
import type { Sql } from "../../platform/sql.ts";
import * as contract from "./contract.ts";
import { readDueCounts, readSheet } from "./countstore.ts";
import { explain } from "./explain.ts";
import { personOf } from "./routes.ts";
import type { StockService } from "./service.ts";

const explainQuery = z.object({
  sku: skuCodeSchema,
  bin: z
    .string()
    .regex(/^\d{1,4}-\d{1,4}-\d{1,2}$/, "aisle-position-level, such as 4-12-0")
    .optional(),
  at: timeSchema.optional(),
});

/** Counting shelves while the floor goes on, and why a balance is what it is. */
export function createCountRoutes({ stock, sql }: { stock: StockService; sql: Sql }): Route[] {
  return [
    defineRoute({
      method: "GET",
      path: "/v1/counts/due",
      summary: "Bins that should be counted, those that wait longest first",
      access: { roles: ["picker"] },
      responses: { 200: contract.countSheetAnswer },
      handler: async () => ok({ lines: await readDueCounts(sql) }),
    }),
    defineRoute({
      method: "GET",
      path: "/v1/counts/sheet",
      summary: "The bins of a SKU, and the version to name when they are counted",
      access: { roles: ["picker"] },
      query: z.object({ sku: skuCodeSchema }),
      responses: { 200: contract.countSheetAnswer },
      handler: async ({ query }) => ok({ lines: await readSheet(sql, [query.sku ?? ""]) }),
    }),
    defineRoute<z.infer<typeof contract.countBody>>({
      method: "POST",
      path: "/v1/counts",
      summary: "What lay in bins, counted while picking went on; idempotent by countId",
      access: { roles: ["picker"] },
      body: contract.countBody,
      responses: { 201: contract.countAnswer },
      async handler({ body: { countId: id, lines }, principal }) {
        const result = await stock.run({ kind: "count", id, actor: personOf(principal), lines });
        return result.ok ? created(result.answer) : result;
      },
    }),
    defineRoute({
      method: "GET",
      path: "/v1/stock/explain",
      summary: "Why a balance is what it is, or was at a time: its movements",
      access: { roles: ["staff"] },
      query: explainQuery,
      responses: { 200: contract.explainAnswer },
      handler: ({ query }) => answer(sql, query),
    }),
    defineRoute({
      method: "GET",
      path: "/internal/explain",
      summary: "Why a balance is what it is, or was at a time: its movements",
      access: "internal",
      query: explainQuery,
      responses: { 200: contract.explainAnswer },
      handler: ({ query }) => answer(sql, query),
    }),
  ];
}

async function answer(sql: Sql, query: Readonly<Record<string, string | undefined>>) {
  const at = query.at === undefined ? undefined : new Date(query.at);
  const found = await explain(sql, { sku: query.sku ?? "", binId: query.bin, at });
  return found ? ok(found) : fail("not-found", `This center knows no SKU ${query.sku}.`);
}
