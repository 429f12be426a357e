import { AsyncLocalStorage } from "node:async_hooks";

/** Who may run beside whom: as many at once as get along, or one alone. Whoever came first goes first. */
export interface Turns {
  /** Runs it beside others, as soon as there is room, nobody runs alone and nobody waits to. */
  together<T>(run: () => Promise<T>): Promise<T>;
  /** Runs it while nothing else does. */
  alone<T>(run: () => Promise<T>): Promise<T>;
  /** Somebody met others: half as many at once from now on. */
  met(): void;
  /** Somebody met nobody: slowly more again. */
  passed(): void;
}

/** How much room one that met nobody makes for others. Ten in a row let one more in. */
const STEP = 0.1;

interface Waiting {
  readonly alone: boolean;
  start(): void;
}

/**
 * Makes the turns, for at most `most` at once. What is begun inside of a turn, however deep, belongs to it and waits for none: two turns of one caller would
 * wait for each other.
 */
export function createTurns(most: number): Turns {
  const inside = new AsyncLocalStorage<true>();
  const queue: Waiting[] = [];
  let width = most;
  let running = 0;
  let isOneAlone = false;

  function admit(): void {
    for (let [next] = queue; next !== undefined; [next] = queue) {
      if (isOneAlone || running >= (next.alone ? 1 : Math.floor(width))) return;
      queue.shift();
      running++;
      isOneAlone = next.alone;
      next.start();
    }
  }

  async function take<T>(alone: boolean, run: () => Promise<T>): Promise<T> {
    if (inside.getStore()) return run();
    await new Promise<void>((start) => {
      queue.push({ alone, start });
      admit();
    });
    try {
      return await inside.run(true, run);
    } finally {
      running--;
      isOneAlone = false;
      admit();
    }
  }

  return {
    together: (run) => take(false, run),
    alone: (run) => take(true, run),
    met() {
      width = Math.max(1, width / 2);
    },
    passed() {
      width = Math.min(most, width + STEP);
    },
  };
}
