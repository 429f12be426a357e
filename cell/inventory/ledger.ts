import { fail } from "../../platform/problem.ts";
import { decideAllocate, decideHold, decideRelease } from "./allocate.ts";
import type { Command, LedgerView } from "./commands.ts";
import { decideCount } from "./counts.ts";
import { decidePick, decidePutback, decideShort } from "./floor.ts";
import { type CommandOf, type Decision, movement, unknownSkus, unlawful } from "./moves.ts";
import { decideReleaseLines, decideReturn, decideTransfer } from "./returns.ts";

/** Decides one command over what a transaction has read. Pure: no I/O, and the view is not changed. */
export function decide(view: LedgerView, command: Command): Decision {
  switch (command.kind) {
    case "receive":
      return decideReceive(view, command);
    case "adjust":
      return decideAdjust(view, command);
    case "allocate":
      return decideAllocate(view, command);
    case "release":
      return decideRelease(view, command);
    case "release-lines":
      return decideReleaseLines(view, command);
    case "return":
      return decideReturn(view, command);
    case "transfer-out":
    case "transfer-in":
      return decideTransfer(view, command);
    case "count":
      return decideCount(view, command);
    case "pick":
      return decidePick(view, command);
    case "short":
      return decideShort(view, command);
    case "putback":
      return decidePutback(view, command);
    case "hold":
      return decideHold(view, command);
    case "drop-hold":
      return {
        ok: true,
        answer: {
          released: view.holds.has(command.id),
          lines: view.holds.get(command.id)?.lines ?? [],
        },
        change: {
          movements: [],
          ...(view.holds.has(command.id) ? { removeHold: command.id } : {}),
          ...(command.queueDrop ? { drop: command.id } : {}),
        },
      };
    case "settled":
      return { ok: true, answer: {}, change: { movements: [], settled: command } };
  }
}

function decideReceive(view: LedgerView, command: CommandOf<"receive">): Decision {
  const missing = unknownSkus(
    view,
    command.lines.map((line) => line.sku),
  );
  if (missing) return missing;
  return {
    ok: true,
    answer: { receiptId: command.id, units: command.lines.reduce((sum, line) => sum + line.quantity, 0) },
    change: {
      movements: command.lines.map((line) =>
        movement("receive", command.id, line, { onHand: line.quantity }, by(command)),
      ),
    },
  };
}

function by({ actor }: CommandOf<"receive" | "adjust">): { actor?: string } {
  return actor === undefined ? {} : { actor };
}

function decideAdjust(view: LedgerView, command: CommandOf<"adjust">): Decision {
  const missing = unknownSkus(
    view,
    command.lines.map((line) => line.sku),
  );
  if (missing) return missing;
  if (
    command.reason === "shrink" &&
    command.lines.some((line) => line.onHandDelta > 0 || line.damagedDelta > 0)
  )
    return fail("unprocessable", "Stock that shrank cannot grow: send deltas of 0 or less.");
  const movements = command.lines.map((line) =>
    movement(
      command.reason,
      command.id,
      line,
      { onHand: line.onHandDelta, damaged: line.damagedDelta },
      by(command),
    ),
  );
  const refused = unlawful(view, movements);
  if (refused) return refused;
  return { ok: true, answer: { adjustmentId: command.id }, change: { movements } };
}
