import { AsyncLocalStorage } from "node:async_hooks";

/** Who may run beside whom: as many at once as get along, or one alone. Whoever came first goes first. */
export interface Turns {
  /** Runs it beside others, as soon as there is room, nobody runs alone and nobody waits to. */
  together<T>(run: () => Promise<T>): Promise<T>;
  /** Runs it while nothing else does. */
  alone<T>(run: () => Promise<T>): Promise<T>;
  /** Somebody met others: a quarter fewer at once from now on. */
  met(): void;
  /** Somebody met nobody: slowly more again. */
  passed(): void;
}

/**
 * What one that met others, or nobody, does to the number that may run at once. It settles where what is gained is what is
 * lost: at about nine when one in ten meets others, at two when one in three does. A halving instead of the quarter would
 * leave two at one in ten.
 */
const SHRINK = 0.75;
const STEP = 0.25;

interface Waiting {
  readonly alone: boolean;
  start(): void;
}

/** More than any server lets in; a queue without an end would only hide that nothing moves. */
const MAX_WAITING = 2_000;

/** Nobody else may wait: refused before anything was begun. */
export class TooManyWait extends Error {}

/**
 * Makes the turns, for at most `most` at once. What is begun inside of a turn, however deep, belongs to it and waits for none: two turns of one caller would
 * wait for each other. Throws TooManyWait when `maxWaiting` wait already.
 */
export function createTurns(most: number, maxWaiting = MAX_WAITING): Turns {
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
    if (queue.length >= maxWaiting)
      throw new TooManyWait(`${maxWaiting} transactions wait for their turn already`);
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
      width = Math.max(1, width * SHRINK);
    },
    passed() {
      width = Math.min(most, width + STEP);
    },
  };
}
