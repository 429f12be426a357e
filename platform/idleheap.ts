import { getHeapStatistics } from "node:v8";

/** What the engine says of itself. */
export interface Engine {
  /** Microseconds of processor that this process has used so far. */
  cpuMicros(): number;
  /** Bytes of heap in use, garbage included. */
  heapBytes(): number;
  /** Collects all garbage before it returns; undefined where the process was not started with --expose-gc. */
  readonly collect: (() => void) | undefined;
}

export interface IdleHeapOptions {
  readonly engine?: Engine;
  readonly everyMs?: number;
  /** Told of each collection, in bytes. */
  readonly onCollected?: (freed: { readonly before: number; readonly after: number }) => void;
}

const EVERY_MS = 5_000;
/** Of one processor: less than this since the last look counts as idle. */
const IDLE_SHARE = 0.05;
/** Less garbage than this is not worth a pause. */
const WORTH_BYTES = 16 * 1024 * 1024;

/**
 * Gives memory back once after each burst of work: the engine collects garbage only while more is made, so that a process that has
 * become idle keeps what its last burst left for as long as it stays idle. Returns the way to stop it; without --expose-gc it does
 * nothing.
 */
export function giveBackWhenIdle(options: IdleHeapOptions = {}): () => void {
  const { engine = systemEngine(), everyMs = EVERY_MS, onCollected } = options;
  const { collect } = engine;
  if (collect === undefined) return () => {};
  let cpuMicros = engine.cpuMicros();
  // What is alive after a collection; at the start nobody knows.
  let settledBytes = 0;
  const timer = setInterval(() => {
    const now = engine.cpuMicros();
    const share = (now - cpuMicros) / (everyMs * 1000);
    cpuMicros = now;
    const before = engine.heapBytes();
    if (share >= IDLE_SHARE || before - settledBytes < WORTH_BYTES) return;
    collect();
    settledBytes = engine.heapBytes();
    cpuMicros = engine.cpuMicros();
    onCollected?.({ before, after: settledBytes });
  }, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}

/** V8's own collector, as --expose-gc puts it among the globals. */
type Collector = (how: { type: "major"; execution: "sync"; flavor: "last-resort" }) => void;

function systemEngine(): Engine {
  const { gc } = globalThis as { gc?: Collector };
  return {
    cpuMicros() {
      const { user, system } = process.cpuUsage();
      return user + system;
    },
    heapBytes: () => getHeapStatistics().used_heap_size,
    // A regular collection keeps the freed pages for later, and the operating system sees nothing of it.
    collect:
      gc === undefined ? undefined : () => gc({ type: "major", execution: "sync", flavor: "last-resort" }),
  };
}
