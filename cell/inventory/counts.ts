import { fail } from "../../platform/problem.ts";
import type { CountBase, CountedLine, CountLine, LedgerView } from "./commands.ts";
import { binIdOf, isLawful, type MovementDraft, versionOf } from "./domain.ts";
import { type CommandOf, type Decision, movement, unknownSkus } from "./moves.ts";

/** More movements than these while somebody counted, and the count says nothing. */
export const MAX_REPLAYED = 1_000;

/**
 * Somebody counted bins while the floor went on. Each line says between which versions of the SKU its bin was looked at; what
 * moved later is replayed on top, so a count never stops a picker. When units of the bin moved in between, nobody can know whether
 * they were counted: the line changes nothing and asks for another count.
 */
export function decideCount(view: LedgerView, command: CommandOf<"count">): Decision {
  const missing = unknownSkus(
    view,
    command.lines.map((line) => line.sku),
  );
  if (missing) return missing;
  const doubled = new Set(command.lines.map((line) => `${line.sku} ${binIdOf(line.bin)}`));
  if (doubled.size < command.lines.length)
    return fail("unprocessable", "A bin is in the list twice: send one count of each.");
  const movements: MovementDraft[] = [];
  const counted: CountedLine[] = [];
  for (const line of command.lines) {
    const version = versionOf(view.balances.get(line.sku) ?? []);
    if (line.fromVersion > line.toVersion || line.toVersion > version)
      return fail(
        "unprocessable",
        `SKU ${line.sku} is at version ${version}: send the versions that the count sheet showed, the earlier one first.`,
        { sku: line.sku, version },
      );
    const result = judge(view, line);
    counted.push({ ...result, version });
    if (result.applied !== 0)
      movements.push(
        movement("count", command.id, line, { onHand: result.applied }, { actor: command.actor }),
      );
  }
  return {
    ok: true,
    answer: {
      countId: command.id,
      lines: counted.map(({ sku, bin, outcome, difference, applied, version }) => ({
        ...{ sku, bin, outcome, difference, applied, version },
      })),
    },
    change: {
      movements,
      counts: counted.map((line) => ({ ...line, countId: command.id, actor: command.actor })),
    },
  };
}

function judge(view: LedgerView, line: CountLine): Omit<CountedLine, "version"> {
  const { sku, bin } = line;
  const binId = binIdOf(bin);
  const base = view.counts.get(`${sku} ${binId}`) ?? { onHand: 0, movements: [] };
  const differences = differencesOf(base, line);
  const [difference = 0] = differences;
  if (differences.size !== 1 || base.movements.length > MAX_REPLAYED)
    return { sku, bin, outcome: "recount", difference: 0, applied: 0 };
  if (difference === 0) return { sku, bin, outcome: "matched", difference, applied: 0 };
  const now = view.balances.get(sku)?.find((row) => row.binId === binId);
  const { onHand = 0, allocated = 0, damaged = 0 } = now ?? {};
  // Units that are promised, or lie there broken, stay on the books until their picker finds them missing.
  const applied = Math.max(difference, allocated + damaged - onHand);
  if (!isLawful({ onHand: onHand + applied, allocated, damaged }))
    throw new Error(`a count of ${sku} in ${binId} was cut to ${applied} units, which is not lawful`);
  return { sku, bin, outcome: applied === difference ? "corrected" : "partly", difference, applied };
}

/** Counted minus what the books said, for every moment at which the bin may have been looked at. */
function differencesOf(base: CountBase, line: CountLine): Set<number> {
  const later = base.movements.filter((move) => move.version > line.toVersion);
  const during = base.movements.filter(
    (move) => move.version > line.fromVersion && move.version <= line.toVersion,
  );
  let onHand = base.onHand - sum(later) - sum(during);
  const differences = new Set([line.counted - onHand]);
  for (const move of during) {
    onHand += move.onHandDelta;
    differences.add(line.counted - onHand);
  }
  return differences;
}

function sum(moves: CountBase["movements"]): number {
  return moves.reduce((total, move) => total + move.onHandDelta, 0);
}
