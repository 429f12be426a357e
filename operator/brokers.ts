import { knock } from "../platform/knock.ts";
import { type KubeTime, sleep } from "../platform/kube/ports.ts";

/** What is known of the Kafka brokers of a center. */
export interface Brokers {
  /** host:port with commas between. */
  readonly list: string;
  /** `away`: they had answered and do so no more. `unknown`: nobody has looked, or none of them has ever answered this process. */
  readonly state: "unknown" | "reached" | "away";
}

/** True when a broker of the list takes a connection. Never rejects. */
export type Reach = (list: string) => Promise<boolean>;

export interface BrokerWatch {
  of(list: string): Brokers;
  /** Looks at every list in use until the signal. */
  run(signal: AbortSignal): Promise<void>;
}

/** Two misses in a row are said: some 6 s after the brokers have gone, and one that restarts is nobody's concern. */
export const BROKER_LOOK_MS = 3_000;
const MISSES = 2;
const CONNECT_MS = 1_500;
const MAX_LISTS = 64;
const MAX_TRIED = 5;

interface Known {
  state: Brokers["state"];
  misses: number;
}

/**
 * Looks at the Kafka of the centers, once for all that share it. Only what has answered before can be missed: brokers that the operator's
 * own network never lets it reach are none of its business.
 */
export function createBrokerWatch(options: {
  readonly reach: Reach;
  /** The lists of all centers, repetitions allowed. */
  readonly inUse: () => Iterable<string>;
  /** Called when what is known of a list has changed. */
  readonly onChange: (list: string) => void;
  readonly time: KubeTime;
}): BrokerWatch {
  const { reach, inUse, onChange, time } = options;
  const known = new Map<string, Known>();

  async function look(list: string, signal: AbortSignal): Promise<void> {
    const answers = await reach(list);
    const entry = known.get(list);
    if (signal.aborted || entry === undefined) return;
    entry.misses = answers ? 0 : entry.misses + 1;
    const missed = entry.state !== "unknown" && entry.misses >= MISSES;
    const state = answers ? "reached" : missed ? "away" : entry.state;
    if (state === entry.state) return;
    entry.state = state;
    onChange(list);
  }

  return {
    of: (list) => ({ list, state: known.get(list)?.state ?? "unknown" }),
    async run(signal) {
      while (!signal.aborted) {
        const lists = new Set([...new Set(inUse())].slice(0, MAX_LISTS));
        for (const list of known.keys()) if (!lists.has(list)) known.delete(list);
        for (const list of lists) if (!known.has(list)) known.set(list, { state: "unknown", misses: 0 });
        await Promise.all([...lists].map((list) => look(list, signal)));
        await sleep(time, BROKER_LOOK_MS, signal);
      }
    },
  };
}

/** Reaches for the first brokers of a list at once; the first that takes a connection is enough. */
export async function reachBrokers(list: string): Promise<boolean> {
  const tries = list.split(",").slice(0, MAX_TRIED).map(takesConnection);
  return Promise.any(tries).then(
    () => true,
    () => false,
  );
}

async function takesConnection(address: string): Promise<void> {
  const colon = address.lastIndexOf(":");
  const at = { host: address.slice(0, colon), port: Number(address.slice(colon + 1)) };
  if ((await knock(at, CONNECT_MS)) !== "connected") throw new Error(`${address} takes no connection`);
}
