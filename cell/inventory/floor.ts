import { type Failure, fail } from "../../platform/problem.ts";
import type { Allocation, AllocationLine, EventDraft, LedgerView } from "./commands.ts";
import { aggregate, binIdOf } from "./domain.ts";
import { type CommandOf, type Decision, movement, openOf, outOf } from "./moves.ts";

/** The allocation line that a floor command touches, if it has that many units left to resolve. */
function openLine(
  view: LedgerView,
  command: CommandOf<"pick"> | CommandOf<"short">,
): AllocationLine | Failure {
  const allocation = view.allocations.get(command.holdId);
  if (!allocation) return fail("not-found", `There is no allocation ${command.holdId}.`);
  const binId = binIdOf(command.bin);
  const line = allocation.lines.find((other) => other.sku === command.sku && other.binId === binId);
  if (!line) {
    return fail(
      "conflict",
      `Allocation ${command.holdId} has no SKU ${command.sku} in bin ${binId}: go to the bin of the pick list.`,
    );
  }
  const open = openOf(line);
  if (open < command.quantity) {
    return fail(
      "conflict",
      `Only ${open} units of SKU ${command.sku} in bin ${binId} are left to pick, not ${command.quantity}.`,
      {
        open,
      },
    );
  }
  return line;
}

function resolved(
  view: LedgerView,
  holdId: string,
  line: AllocationLine,
  deltas: Partial<AllocationLine>,
): Allocation {
  const allocation = view.allocations.get(holdId)!;
  return {
    ...allocation,
    lines: allocation.lines.map((other) => (other === line ? { ...line, ...deltas } : other)),
  };
}

/** A picker took allocated units off the shelf. */
export function decidePick(view: LedgerView, command: CommandOf<"pick">): Decision {
  const line = openLine(view, command);
  if ("ok" in line) return line;
  const { quantity, holdId, actor } = command;
  return {
    ok: true,
    answer: { pickId: command.id },
    change: {
      movements: [
        movement("pick", command.id, command, { onHand: -quantity, allocated: -quantity }, { holdId, actor }),
      ],
      allocation: resolved(view, holdId, line, { picked: line.picked + quantity }),
    },
  };
}

/** Allocated units were not on the shelf: the ledger shrinks. */
export function decideShort(view: LedgerView, command: CommandOf<"short">): Decision {
  const line = openLine(view, command);
  if ("ok" in line) return line;
  const { quantity, holdId, sku, bin } = command;
  const event: EventDraft = {
    type: "inventory.shrunk.v1",
    subject: command.id,
    version: 1,
    data: { sku, quantity, bin, holdId, shortId: command.id },
  };
  return {
    ok: true,
    answer: { shortId: command.id },
    change: {
      movements: [
        movement("short", command.id, command, { onHand: -quantity, allocated: -quantity }, { holdId }),
      ],
      allocation: resolved(view, holdId, line, { shorted: line.shorted + quantity }),
      events: [event],
    },
  };
}

/** Picked units go back on a shelf and can be sold again. */
export function decidePutback(view: LedgerView, command: CommandOf<"putback">): Decision {
  const allocation = view.allocations.get(command.holdId);
  if (!allocation) return fail("not-found", `There is no allocation ${command.holdId}.`);
  const lines = [...allocation.lines];
  for (const { sku, quantity } of aggregate(command.lines)) {
    let left = quantity;
    for (const [index, line] of lines.entries()) {
      if (line.sku !== sku || left === 0) continue;
      const back = Math.min(left, outOf(line));
      lines[index] = { ...line, putBack: line.putBack + back };
      left -= back;
    }
    if (left > 0) {
      return fail(
        "conflict",
        `Only ${quantity - left} picked units of SKU ${sku} are out for ${command.holdId}, not ${quantity}.`,
        {
          open: quantity - left,
        },
      );
    }
  }
  return {
    ok: true,
    answer: { putbackId: command.id, units: command.lines.reduce((sum, line) => sum + line.quantity, 0) },
    change: {
      movements: command.lines.map((line) =>
        movement("putback", command.id, line, { onHand: line.quantity }, { holdId: command.holdId }),
      ),
      allocation: { ...allocation, lines },
    },
  };
}
