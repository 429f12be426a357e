import type { SoakCenter } from "./center.ts";
import type { Client } from "./client.ts";
import { cancelOrder } from "./customers.ts";
import { pause } from "./time.ts";

export interface ClosingOptions {
  readonly center: SoakCenter;
  readonly client: Client;
  /** Customers who ask at one time. */
  readonly callers: number;
  /** Hears how many orders nobody has begun yet. */
  note(left: number): void;
}

const PAGE = 500;
const LOOK_MS = 250;
/** Rounds without a single cancellation before this is given up: what then remains shows in what has not come to rest. */
const MAX_IDLE_ROUNDS = 40;

interface Open {
  readonly id: string;
  readonly sub: string;
  /** Of all that are open, this page's included. */
  readonly left: number;
}

/**
 * The center closes: customers take back what nobody has begun to pick, while the crew goes on with the rest. Answers how many orders
 * were cancelled in this way.
 */
export async function closeShop(options: ClosingOptions): Promise<number> {
  const { center, client, callers, note } = options;
  let cancelled = 0;

  async function giveBack(queue: Open[]): Promise<void> {
    for (let one = queue.pop(); one !== undefined; one = queue.pop())
      if (await cancelOrder(client, one.sub, one.id)) cancelled++;
  }

  for (let idle = 0; idle < MAX_IDLE_ROUNDS; ) {
    const before = cancelled;
    const open = await center.sql.query<Open>(
      `SELECT id, sub, (count(*) OVER ())::INT8 AS "left" FROM orders.orders
       WHERE state = 'confirmed' ORDER BY created_at DESC LIMIT $1`,
      [PAGE],
    );
    note(open[0]?.left ?? 0);
    if (open.length === 0) break;
    await Promise.all(Array.from({ length: callers }, () => giveBack(open)));
    idle = cancelled > before ? 0 : idle + 1;
    if (cancelled === before) await pause(LOOK_MS);
  }
  return cancelled;
}
