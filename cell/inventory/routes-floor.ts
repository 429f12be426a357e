import type { z } from "zod";
import { created, defineRoute, ok, type Route } from "../../platform/http.ts";
import { fail } from "../../platform/problem.ts";
import type { Sql } from "../../platform/sql.ts";
import type { StockLine } from "./commands.ts";
import * as contract from "./contract.ts";
import { readAllocation } from "./reads.ts";
import type { StockService } from "./service.ts";
import { markArrived, readInTransit } from "./transfers.ts";

/** Allocations and what the floor does with them. All are idempotent by the id in the body or path. */
export function createFloorRoutes({ stock, sql }: { stock: StockService; sql: Sql }): Route[] {
  return [...allocationRoutes(stock, sql), ...pickRoutes(stock), ...returnRoutes(stock, sql)];
}

function allocationRoutes(stock: StockService, sql: Sql): Route[] {
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
    defineRoute<contract.AllocationReleaseBody>({
      method: "POST",
      path: "/internal/allocations/:holdId/release",
      summary:
        "Give back what no picker has taken, all of it or some lines; an allocation that comes after a whole release is refused",
      access: "internal",
      idempotency: "none",
      body: contract.allocationReleaseBody,
      responses: { 200: contract.allocationReleaseAnswer },
      async handler({ params, body: { lines, releaseId } }) {
        const holdId = contract.commandIdSchema.safeParse(params.holdId);
        if (!holdId.success) return fail("invalid-request", "The hold id is not valid.");
        const result = await stock.run(
          lines === undefined || releaseId === undefined
            ? { kind: "release", id: holdId.data }
            : { kind: "release-lines", id: releaseId, holdId: holdId.data, lines },
        );
        return result.ok ? ok(result.answer) : result;
      },
    }),
  ];
}

function returnRoutes(stock: StockService, sql: Sql): Route[] {
  const transfer = async (
    kind: "transfer-out" | "transfer-in",
    id: string,
    center: string,
    lines: StockLine[],
  ) => {
    const result = await stock.run({ kind, id, center, lines });
    return result.ok ? created(result.answer) : result;
  };
  return [
    defineRoute<contract.ReturnBody>({
      method: "POST",
      path: "/internal/returns",
      summary: "Units of a delivered order come back, to a shelf or as damaged; idempotent by returnId",
      access: "internal",
      idempotency: "none",
      body: contract.returnBody,
      responses: { 201: contract.returnAnswer },
      async handler({ body: { returnId: id, actor, ...rest } }) {
        const result = await stock.run({ kind: "return", id, ...rest, actor: `${actor.kind}:${actor.id}` });
        return result.ok ? created(result.answer) : result;
      },
    }),
    defineRoute<z.infer<typeof contract.transferOutBody>>({
      method: "POST",
      path: "/internal/transfers/out",
      summary: "Free units leave for another center; idempotent by transferId",
      access: "internal",
      idempotency: "none",
      body: contract.transferOutBody,
      responses: { 201: contract.transferAnswer },
      handler: ({ body: { transferId, toCenter, lines } }) =>
        transfer("transfer-out", transferId, toCenter, lines),
    }),
    defineRoute<z.infer<typeof contract.transferInBody>>({
      method: "POST",
      path: "/internal/transfers/in",
      summary: "Units of another center have come; idempotent by transferId",
      access: "internal",
      idempotency: "none",
      body: contract.transferInBody,
      responses: { 201: contract.transferAnswer },
      handler: ({ body: { transferId, fromCenter, lines } }) =>
        transfer("transfer-in", transferId, fromCenter, lines),
    }),
    defineRoute({
      method: "POST",
      path: "/internal/transfers/:transferId/arrived",
      summary: "The other center has the goods: they are no longer in transit; again says the same",
      access: "internal",
      idempotency: "none",
      responses: { 200: contract.transferAnswer },
      async handler({ params }) {
        const units = await markArrived(sql, params.transferId ?? "");
        if (units === undefined)
          return fail("not-found", `No transfer ${params.transferId} left this center.`);
        return ok({ transferId: params.transferId ?? "", units });
      },
    }),
    defineRoute({
      method: "GET",
      path: "/internal/transfers",
      summary: "What left for other centers and has not been said to be there, oldest first",
      access: "internal",
      responses: { 200: contract.inTransitAnswer },
      handler: async () => ok(await readInTransit(sql)),
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
