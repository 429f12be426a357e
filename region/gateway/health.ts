/**
 * Whether this gateway gives a cell new orders, judged from its own probes and forwards alone.
 * Pure: time comes in with each observation.
 */
export interface CellHealth {
  readonly removed: boolean;
  readonly failuresInRow: number;
  readonly successesInRow: number;
  /** Epoch milliseconds of the first failure of the current row of failures. */
  readonly firstFailureAtMs: number | undefined;
  readonly removedAtMs: number | undefined;
  readonly restoredAtMs: number | undefined;
}

export interface HealthRules {
  /** Failures in a row until a cell is taken out. */
  readonly removeAfter: number;
  /** Good probes in a row until it is taken back, so that a flapping cell stays out. */
  readonly restoreAfter: number;
}

export const HEALTH_RULES: HealthRules = { removeAfter: 3, restoreAfter: 3 };

export const UNSEEN: CellHealth = {
  removed: false,
  failuresInRow: 0,
  successesInRow: 0,
  firstFailureAtMs: undefined,
  removedAtMs: undefined,
  restoredAtMs: undefined,
};

/** The next state after one observation. `mayRemove` is the region's say: the last cell in service stays in. */
export function judge(
  health: CellHealth,
  observation: { readonly ok: boolean; readonly atMs: number },
  mayRemove: boolean,
  rules: HealthRules = HEALTH_RULES,
): CellHealth {
  if (observation.ok) {
    const successesInRow = Math.min(health.successesInRow + 1, rules.restoreAfter);
    const restored = health.removed && successesInRow >= rules.restoreAfter;
    return {
      ...health,
      failuresInRow: 0,
      successesInRow,
      firstFailureAtMs: health.removed && !restored ? health.firstFailureAtMs : undefined,
      removed: health.removed && !restored,
      restoredAtMs: restored ? observation.atMs : health.restoredAtMs,
    };
  }
  const failuresInRow = Math.min(health.failuresInRow + 1, rules.removeAfter);
  const removes = !health.removed && failuresInRow >= rules.removeAfter && mayRemove;
  return {
    ...health,
    successesInRow: 0,
    failuresInRow,
    firstFailureAtMs: health.firstFailureAtMs ?? observation.atMs,
    removed: health.removed || removes,
    removedAtMs: removes ? observation.atMs : health.removedAtMs,
  };
}

/** Automatic removal never takes the last cell that is in service: with none left, health itself is in doubt. */
export function mayRemove(
  name: string,
  cells: ReadonlyMap<string, CellHealth>,
  intended: readonly string[],
): boolean {
  return intended.some((other) => other !== name && !(cells.get(other)?.removed ?? false));
}
