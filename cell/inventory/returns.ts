import { fail } from "../../platform/problem.ts";
import type { AllocationLine, LedgerView } from "./commands.ts";
import { aggregate, type BinShare } from "./domain.ts";
import { type CommandOf, type Decision, movement, openOf, outOf, unknownSkus, unlawful } from "./moves.ts";

/** Gives back some units of an allocation that no picker has taken; the rest stays allocated. All lines or none. */
export function decideReleaseLines(view: LedgerView, command: CommandOf<"release-lines">): Decision {
  const { holdId, id } = command;
  const allocation = view.allocations.get(holdId);
  if (!allocation) return fail("not-found", `There is no allocation ${holdId}.`);
  const demands = aggregate(command.lines);
  const taken = take(allocation.lines, demands, openOf);
  if ("short" in taken) {
    const { sku, requested, found } = taken.short;
    return fail(
      "conflict",
      `Only ${found} units of SKU ${sku} are open in ${holdId}, not ${requested}: what is picked comes back by a putback.`,
      { sku, open: found },
    );
  }
  return {
    ok: true,
    answer: {
      allocationId: holdId,
      released: demands.reduce((sum, line) => sum + line.quantity, 0),
      lines: demands.map(({ sku, quantity }) => ({ sku, released: quantity })),
    },
    change: {
      movements: taken.shares.map(({ line, quantity }) =>
        movement("release", id, line, { allocated: -quantity }, { holdId }),
      ),
      allocation: {
        ...allocation,
        lines: change(allocation.lines, taken.shares, (line, units) => ({
          ...line,
          released: line.released + units,
        })),
      },
    },
  };
}

/** Units of a delivered order come back: to a shelf, or on hand but damaged, which keeps them from sale. All lines or none. */
export function decideReturn(view: LedgerView, command: CommandOf<"return">): Decision {
  const { holdId, id, orderId, actor } = command;
  const allocation = view.allocations.get(holdId);
  if (!allocation || allocation.orderId !== orderId)
    return fail("not-found", `Order ${orderId} has no allocation ${holdId}.`);
  const taken = take(allocation.lines, aggregate(command.lines), outOf);
  if ("short" in taken) {
    const { sku, requested, found } = taken.short;
    return fail("conflict", `Only ${found} units of SKU ${sku} are out for ${holdId}, not ${requested}.`, {
      sku,
      open: found,
    });
  }
  // Each line of the command goes to its own bin, else to those from which its units were picked.
  const homes = taken.shares.map(({ line, quantity }) => ({ ...line, quantity }));
  const movements = command.lines.flatMap((line) => {
    const kind = `return-${line.condition}` as const;
    const places = line.bin ? [{ bin: line.bin, quantity: line.quantity }] : homesOf(homes, line);
    return places.map(({ bin, quantity }) =>
      movement(
        kind,
        id,
        { sku: line.sku, bin },
        { onHand: quantity, damaged: line.condition === "damaged" ? quantity : 0 },
        { holdId, actor },
      ),
    );
  });
  return {
    ok: true,
    answer: { returnId: id, units: command.lines.reduce((sum, line) => sum + line.quantity, 0) },
    change: {
      movements,
      allocation: {
        ...allocation,
        lines: change(allocation.lines, taken.shares, (line, units) => ({
          ...line,
          returned: line.returned + units,
        })),
      },
    },
  };
}

/** Goods leave for another center, or come from one. Only what is free may leave. */
export function decideTransfer(
  view: LedgerView,
  command: CommandOf<"transfer-out" | "transfer-in">,
): Decision {
  const { id, kind, center, lines } = command;
  const missing = unknownSkus(
    view,
    lines.map((line) => line.sku),
  );
  if (missing) return missing;
  const sign = kind === "transfer-in" ? 1 : -1;
  const movements = lines.map((line) =>
    movement(kind, id, line, { onHand: sign * line.quantity }, { actor: `center:${center}` }),
  );
  const refused = unlawful(view, movements);
  if (refused) return refused;
  return {
    ok: true,
    answer: { transferId: id, units: lines.reduce((sum, line) => sum + line.quantity, 0) },
    change: { movements },
  };
}

interface Share {
  readonly line: AllocationLine;
  readonly quantity: number;
}

/** Spreads a demand over the lines that have units of this kind; the first SKU of which there are too few, else. */
function take(
  lines: readonly AllocationLine[],
  demands: readonly { sku: string; quantity: number }[],
  unitsOf: (line: AllocationLine) => number,
): { shares: Share[] } | { short: { sku: string; requested: number; found: number } } {
  const shares: Share[] = [];
  for (const { sku, quantity } of demands) {
    let left = quantity;
    for (const line of lines) {
      if (line.sku !== sku) continue;
      const units = Math.min(left, unitsOf(line));
      if (units > 0) shares.push({ line, quantity: units });
      left -= units;
    }
    if (left > 0) return { short: { sku, requested: quantity, found: quantity - left } };
  }
  return { shares };
}

function change(
  lines: readonly AllocationLine[],
  shares: readonly Share[],
  by: (line: AllocationLine, units: number) => AllocationLine,
): AllocationLine[] {
  return lines.map((line) => {
    const share = shares.find((other) => other.line === line);
    return share ? by(line, share.quantity) : line;
  });
}

/** Takes a line's units out of the bins that are still to be given; the bins' quantities are used up. */
function homesOf(
  homes: { sku: string; bin: BinShare["bin"]; quantity: number }[],
  line: { sku: string; quantity: number },
): { bin: BinShare["bin"]; quantity: number }[] {
  const places: { bin: BinShare["bin"]; quantity: number }[] = [];
  let left = line.quantity;
  for (const home of homes) {
    if (home.sku !== line.sku) continue;
    const quantity = Math.min(left, home.quantity);
    if (quantity > 0) places.push({ bin: home.bin, quantity });
    home.quantity -= quantity;
    left -= quantity;
  }
  return places;
}
