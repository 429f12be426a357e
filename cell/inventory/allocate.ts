import { fail } from "../../platform/problem.ts";
import type { Allocation, AllocationLine, LedgerView, SqlHold } from "./commands.ts";
import type { Bin } from "./contract.ts";
import { aggregate, chooseBins, type Demand, sellableOf } from "./domain.ts";
import { type CommandOf, type Decision, movement, openOf, outOfStock, unknownSkus } from "./moves.ts";

/** A hold can be renewed, but not for ever. */
export const MAX_HOLD_LIFE_MS = 30 * 60 * 1000;

/** Binds stock to an order, all lines or none. */
export function decideAllocate(view: LedgerView, command: CommandOf<"allocate">): Decision {
  const existing = view.allocations.get(command.id);
  if (existing) {
    return fail("conflict", `Hold ${command.id} was ${existing.state} before: take a new hold.`, {
      state: existing.state,
    });
  }
  const demands = aggregate(command.lines);
  const missing = unknownSkus(
    view,
    demands.map((line) => line.sku),
  );
  if (missing) return missing;
  const shares = demands.map((line) => ({
    ...line,
    bins: chooseBins(view.balances.get(line.sku) ?? [], line.quantity),
  }));
  const short = shares
    .filter((line) => !line.bins)
    .map(({ sku, quantity }) => ({
      sku,
      requested: quantity,
      available: sellableOf(view.balances.get(sku) ?? []),
    }));
  if (short.length > 0) return outOfStock(short);

  const lines = shares.flatMap(({ sku, bins }) => (bins ?? []).map((share) => ({ sku, ...share })));
  const answer = {
    allocationId: command.id,
    orderId: command.orderId,
    lines: shares.map(({ sku, quantity, bins }) => ({
      sku,
      quantity,
      barcode: view.skus.get(sku)?.barcode ?? "",
      weightGrams: view.skus.get(sku)?.weightGrams ?? 0,
      bins: (bins ?? []).map((share) => ({ bin: share.bin, quantity: share.quantity })),
    })),
  };
  return {
    ok: true,
    answer,
    change: {
      movements: lines.map((line) =>
        movement("allocate", command.id, line, { allocated: line.quantity }, { holdId: command.id }),
      ),
      allocation: {
        holdId: command.id,
        orderId: command.orderId,
        state: "allocated",
        lines: lines.map(({ sku, binId, bin, quantity }) => fresh(sku, binId, bin, quantity)),
      },
      removeHold: command.id,
      drop: command.id,
      events: [
        {
          type: "inventory.allocated.v1",
          subject: command.id,
          version: 1,
          data: { holdId: command.id, orderId: command.orderId, lines: demands },
        },
      ],
    },
  };
}

function fresh(sku: string, binId: string, bin: Bin, quantity: number): AllocationLine {
  return { sku, binId, bin, quantity, picked: 0, shorted: 0, putBack: 0, released: 0, returned: 0 };
}

/** Gives back what no picker has taken yet. */
export function decideRelease(view: LedgerView, command: CommandOf<"release">): Decision {
  const found = view.allocations.get(command.id);
  // A release that overtakes its allocate leaves a mark, so that the late one finds the hold closed.
  const before: Allocation = found ?? { holdId: command.id, orderId: "", state: "released", lines: [] };
  const open = before.lines.filter((line) => openOf(line) > 0);
  return {
    ok: true,
    answer: { allocationId: command.id, released: open.reduce((sum, line) => sum + openOf(line), 0) },
    change: {
      movements: open.map((line) =>
        movement("release", command.id, line, { allocated: -openOf(line) }, { holdId: command.id }),
      ),
      allocation: {
        ...before,
        state: "released",
        lines: before.lines.map((line) => ({ ...line, released: line.released + openOf(line) })),
      },
      removeHold: command.id,
      drop: command.id,
    },
  };
}

/**
 * A hold in SQL, for the time in which the hold store cannot be trusted. Holds there are unknown here, so this may promise what
 * they promise, too; the allocation decides. An allocation never asks about the holds of others: the first to pay is served.
 */
export function decideHold(view: LedgerView, command: CommandOf<"hold">): Decision {
  const allocation = view.allocations.get(command.id);
  if (allocation)
    return fail("conflict", `Hold ${command.id} was ${allocation.state} before: take a new hold.`);
  const own = view.holds.get(command.id);
  if (own && (own.owner !== command.owner || own.orderId !== command.orderId)) {
    return fail("conflict", `Hold ${command.id} belongs to another order: take a new id.`);
  }
  if (own && own.callKey === command.callKey) {
    return { ok: true, answer: { expiresAtMs: own.expiresAtMs, how: "same" }, change: { movements: [] } };
  }
  const lines = aggregate(command.lines);
  const missing = unknownSkus(
    view,
    lines.map((line) => line.sku),
  );
  if (missing) return missing;
  const short = lines
    .map(({ sku, quantity }) => ({
      sku,
      requested: quantity,
      available:
        sellableOf(view.balances.get(sku) ?? []) -
        ((view.held.get(sku) ?? 0) - unitsIn(own?.lines ?? [], sku)),
    }))
    .filter((line) => line.available < line.requested);
  if (short.length > 0) return outOfStock(short);
  const createdAtMs = own?.createdAtMs ?? view.nowMs;
  const wantedMs = Math.min(view.nowMs + command.ttlMs, createdAtMs + MAX_HOLD_LIFE_MS);
  const isLater = own !== undefined && wantedMs > own.expiresAtMs;
  const expiresAtMs = isLater && own.extended ? own.expiresAtMs : wantedMs;
  const extended = isLater || (own?.extended ?? false);
  const { id: holdId, orderId, owner, callKey } = command;
  const hold: SqlHold = { holdId, orderId, owner, callKey, createdAtMs, expiresAtMs, extended, lines };
  const how = own ? "replaced" : "new";
  return { ok: true, answer: { expiresAtMs, how }, change: { movements: [], hold } };
}

function unitsIn(lines: readonly Demand[], sku: string): number {
  return lines.find((line) => line.sku === sku)?.quantity ?? 0;
}
