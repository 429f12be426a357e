import type { z } from "zod";
import { created, defineRoute, ok, type Route } from "../../platform/http.ts";
import { fail } from "../../platform/problem.ts";
import type { Tx } from "../../platform/sql.ts";
import * as contract from "./contract.ts";
import { readAllocation } from "./reads.ts";
import type { StockService } from "./service.ts";

/** Allocations and what the floor does with them. All are idempotent by the id in the body or path. */
export function createFloorRoutes({ stock, sql }: { stock: StockService; sql: Tx }): Route[] {
  return [...allocationRoutes(stock, sql), ...pickRoutes(stock)];
}

function allocationRoutes(stock: StockService, sql: Tx): Route[] {
  return [
    defineRoute<contract.AllocationBody>({
      method: "POST",
      path: "/internal/allocations",
      summary: "Bind stock to an order, all lines or none; idempotent by holdId",
      access: "internal",
      idempotency: "none",
      body: contract.allocationBody,
      responses: { 201: contract.allocationAnswer },
      async handler({ body: { holdId: id, orderId, lines } }) {
        const result = await stock.run({ kind: "allocate", id, orderId, lines });
        return result.ok ? created(result.answer) : result;
      },
    }),
    defineRoute({
      method: "GET",
      path: "/internal/allocations/:holdId",
      summary: "An allocation and what became of its units",
      access: "internal",
      responses: { 200: contract.allocationStateAnswer },
      async handler({ params }) {
        const found = await readAllocation(sql, params.holdId ?? "");
        if (!found) return fail("not-found", `There is no allocation ${params.holdId}.`);
        const { holdId: allocationId, orderId, state, lines } = found;
        return ok({ allocationId, orderId, state, lines: lines.map(({ binId: _, ...line }) => line) });
      },
    }),
    defineRoute<z.infer<typeof contract.allocationReleaseBody>>({
      method: "POST",
      path: "/internal/allocations/:holdId/release",
      summary: "Give back what no picker has taken; an allocation that comes later is refused",
      access: "internal",
      idempotency: "none",
      body: contract.allocationReleaseBody,
      responses: { 200: contract.allocationReleaseAnswer },
      async handler({ params }) {
        const holdId = contract.commandIdSchema.safeParse(params.holdId);
        if (!holdId.success) return fail("invalid-request", "The hold id is not valid.");
        const result = await stock.run({ kind: "release", id: holdId.data });
        return result.ok ? ok(result.answer) : result;
      },
    }),
  ];
}

function pickRoutes(stock: StockService): Route[] {
  return [
    defineRoute<z.infer<typeof contract.pickBody>>({
      method: "POST",
      path: "/internal/picks",
      summary: "Allocated units were taken off the shelf; idempotent by pickId",
      access: "internal",
      idempotency: "none",
      body: contract.pickBody,
      responses: { 201: contract.pickAnswer },
      async handler({ body: { pickId: id, actor, ...rest } }) {
        const result = await stock.run({ kind: "pick", id, ...rest, actor: `${actor.kind}:${actor.id}` });
        return result.ok ? created(result.answer) : result;
      },
    }),
    defineRoute<z.infer<typeof contract.shortBody>>({
      method: "POST",
      path: "/internal/shorts",
      summary: "Allocated units were not on the shelf; idempotent by shortId",
      access: "internal",
      idempotency: "none",
      body: contract.shortBody,
      responses: { 201: contract.shortAnswer },
      async handler({ body: { shortId: id, ...rest } }) {
        const result = await stock.run({ kind: "short", id, ...rest });
        return result.ok ? created(result.answer) : result;
      },
    }),
    defineRoute<z.infer<typeof contract.putbackBody>>({
      method: "POST",
      path: "/internal/putbacks",
      summary: "Picked units are back on a shelf; idempotent by putbackId",
      access: "internal",
      idempotency: "none",
      body: contract.putbackBody,
      responses: { 201: contract.putbackAnswer },
      async handler({ body: { putbackId: id, ...rest } }) {
        const result = await stock.run({ kind: "putback", id, ...rest });
        return result.ok ? created(result.answer) : result;
      },
    }),
  ];
}
