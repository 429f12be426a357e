/** The life of a pick list. `cancelling` waits for the picker to put back what is in the tote. */
export const PICK_LIST_STATES = ["open", "picking", "picked", "packed", "cancelling", "cancelled"] as const;
export type PickListState = (typeof PICK_LIST_STATES)[number];

/** `resolve`: every line is picked or short. `exhaust`: every line is short. `mismatch`: the package's weight cannot be right. */
export const PICK_LIST_EVENTS = [
  "start",
  "resolve",
  "exhaust",
  "mismatch",
  "pack",
  "cancel",
  "putback",
] as const;
export type PickListEvent = (typeof PICK_LIST_EVENTS)[number];

/**
 * Any pair that is not listed changes nothing. Back in `picking` after a mismatch there is nothing left to scan: the picker counts the
 * tote, says what is missing, and packs from there.
 */
export const PICK_LIST_TRANSITIONS: Readonly<
  Record<PickListState, Readonly<Partial<Record<PickListEvent, PickListState>>>>
> = {
  open: { start: "picking", cancel: "cancelled" },
  picking: { resolve: "picked", exhaust: "cancelled", pack: "packed", cancel: "cancelling" },
  picked: { pack: "packed", mismatch: "picking", cancel: "cancelling" },
  packed: { cancel: "cancelling" },
  cancelling: { putback: "cancelled" },
  cancelled: {},
};

/** The next state, or undefined when the event changes nothing in this state. */
export function nextPickListState(state: PickListState, event: PickListEvent): PickListState | undefined {
  return PICK_LIST_TRANSITIONS[state][event];
}

export interface Bin {
  readonly aisle: number;
  readonly position: number;
  readonly level: number;
}

export interface PickLine {
  readonly id: string;
  readonly sku: string;
  readonly barcode: string;
  readonly weightGrams: number;
  readonly bin: Bin;
  readonly quantity: number;
  readonly picked: number;
  readonly short: number;
}

/**
 * The order in which a picker walks: up the first aisle, down the next (S-shape), bins of one spot from the floor up.
 * Only aisles with something to pick count, so the direction alternates between visited aisles.
 */
export function walkOrder<L extends { readonly bin: Bin }>(lines: readonly L[]): L[] {
  const aisles = [...new Set(lines.map(({ bin }) => bin.aisle))].sort((a, b) => a - b);
  const direction = new Map(aisles.map((aisle, index) => [aisle, index % 2 === 0 ? 1 : -1]));
  return [...lines].sort(
    (a, b) =>
      a.bin.aisle - b.bin.aisle ||
      (direction.get(a.bin.aisle) ?? 1) * (a.bin.position - b.bin.position) ||
      a.bin.level - b.bin.level,
  );
}

/** Units of a line that are neither picked nor short. */
export function openUnits(line: Pick<PickLine, "quantity" | "picked" | "short">): number {
  return line.quantity - line.picked - line.short;
}

export function allResolved(lines: readonly PickLine[]): boolean {
  return lines.every((line) => openUnits(line) === 0);
}

export function nothingPicked(lines: readonly PickLine[]): boolean {
  return lines.every((line) => line.picked === 0);
}

/** What scans have resolved: units of one line that are in the tote, are not on the shelf, or were counted out of the tote again. */
export interface Resolution {
  readonly lineId: string;
  readonly kind: "pick" | "short" | "recount";
  readonly quantity: number;
}

/** The lines after a scan. A recount moves units from picked to short. */
export function resolveLines(lines: readonly PickLine[], scan: Resolution): PickLine[] {
  return lines.map((line) => {
    if (line.id !== scan.lineId) return line;
    if (scan.kind === "pick") return { ...line, picked: line.picked + scan.quantity };
    const picked = scan.kind === "recount" ? line.picked - scan.quantity : line.picked;
    return { ...line, picked, short: line.short + scan.quantity };
  });
}

/** What a package should weigh, packaging aside. */
export function contentWeightGrams(lines: readonly PickLine[]): number {
  return lines.reduce((sum, { picked, weightGrams }) => sum + picked * weightGrams, 0);
}

/** Packaging may add up to this, and scales and goods may differ by a twentieth. */
const PACKAGING_GRAMS = 1_500;
const TOLERANCE = 0.05;

/** Whether a weighed package can hold what was picked, neither less nor more. */
export function weightFits(expectedGrams: number, measuredGrams: number): boolean {
  return (
    measuredGrams >= expectedGrams * (1 - TOLERANCE) &&
    measuredGrams <= expectedGrams * (1 + TOLERANCE) + PACKAGING_GRAMS
  );
}

/** Sums lines by SKU. */
export function unitsBySku(
  lines: readonly PickLine[],
  units: (line: PickLine) => number,
): { sku: string; quantity: number }[] {
  const sums = new Map<string, number>();
  for (const line of lines) sums.set(line.sku, (sums.get(line.sku) ?? 0) + units(line));
  return [...sums].filter(([, quantity]) => quantity > 0).map(([sku, quantity]) => ({ sku, quantity }));
}
