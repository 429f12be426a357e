import { deepFreeze } from "../../platform/kube/objects.ts";
import type { Cell } from "./cell.ts";

/** What a cell was built with at one time, beside the cell itself, is of two or three kinds. */
const MAX_VARIANTS = 4;

/**
 * A builder that remembers what it made of a cell for as long as somebody holds that cell: the passes over a cell that is being made all
 * want the same. What it answers is shared, and frozen for that.
 */
export function perCell<T extends object>(build: (cell: Cell) => T): (cell: Cell) => T {
  const built = perCellAnd(() => "", build);
  return (cell) => built(cell, undefined);
}

/** The same for a builder that depends on something else besides, which has a text of its own. */
export function perCellAnd<A, T extends object>(
  textOf: (more: A) => string,
  build: (cell: Cell, more: A) => T,
): (cell: Cell, more: A) => T {
  const built = new WeakMap<Cell, Map<string, T>>();
  return (cell, more) => {
    const variants = built.get(cell) ?? new Map<string, T>();
    const text = textOf(more);
    const known = variants.get(text);
    if (known !== undefined) return known;
    const made = deepFreeze(build(cell, more));
    if (variants.size >= MAX_VARIANTS) variants.clear();
    built.set(cell, variants.set(text, made));
    return made;
  };
}
