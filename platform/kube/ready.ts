/** `low` is for keys that only a first list brought: a change that somebody waits for comes before them. */
export type Priority = "normal" | "low";

/** Keys in the order in which they are handed out. Each key must be in the list at most once. */
export interface ReadyList {
  push(key: string, priority: Priority, nowMs: number): void;
  /** Lifts a key that waits with low priority; it waits behind the normal ones from now on. */
  promote(key: string, nowMs: number): void;
  shift(nowMs: number): string | undefined;
  depth(priority: Priority): number;
  readonly length: number;
}

/** A low key that has waited this long gets every other turn, so that it comes however many new keys there are. */
const AGED_MS = 30_000;

interface Waiting {
  readonly key: string;
  readonly sinceMs: number;
}

/** Makes an empty list. */
export function createReadyList(): ReadyList {
  const normal = createFifo<Waiting>();
  const low = createFifo<Waiting>();
  /** The entry that counts for a key that waits with low priority; others of the same key were promoted. */
  const waitingLow = new Map<string, Waiting>();
  let agedHadLastTurn = false;

  function headOfLow(): Waiting | undefined {
    for (let head = low.peek(); head !== undefined; head = low.peek()) {
      if (waitingLow.get(head.key) === head) return head;
      low.shift();
    }
    return undefined;
  }

  return {
    push(key, priority, nowMs) {
      const waiting = { key, sinceMs: nowMs };
      if (priority === "normal") {
        normal.push(waiting);
        return;
      }
      low.push(waiting);
      waitingLow.set(key, waiting);
    },
    promote(key, nowMs) {
      if (waitingLow.delete(key)) normal.push({ key, sinceMs: nowMs });
    },
    shift(nowMs) {
      const head = headOfLow();
      const isAged = head !== undefined && nowMs - head.sinceMs >= AGED_MS && !agedHadLastTurn;
      if (head === undefined || (normal.length > 0 && !isAged)) {
        agedHadLastTurn = false;
        return normal.shift()?.key;
      }
      agedHadLastTurn = isAged;
      low.shift();
      waitingLow.delete(head.key);
      return head.key;
    },
    depth: (priority) => (priority === "low" ? waitingLow.size : normal.length),
    get length() {
      return normal.length + waitingLow.size;
    },
  };
}

/** First in, first out, without moving what waits: Array.shift moves everything once a list is long. */
function createFifo<T>() {
  let items: (T | undefined)[] = [];
  let head = 0;
  return {
    push: (item: T) => void items.push(item),
    peek: () => items[head],
    shift(): T | undefined {
      const item = items[head];
      if (item === undefined) return undefined;
      items[head++] = undefined;
      if (head * 2 > items.length) {
        items = items.slice(head);
        head = 0;
      }
      return item;
    },
    get length() {
      return items.length - head;
    },
  };
}
