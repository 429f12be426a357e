import type { DomainEvent } from "../../platform/events.ts";
import type { Sql } from "../../platform/sql.ts";
import { FLOOR_CONSUMER, REVIEW_CONSUMER, ROAD_CONSUMER } from "./events.ts";
import type { ParkedDetails } from "./transitions.ts";

/**
 * Puts parked events that have fitted no state of their order for an hour with the dead letters, at most `limit`; answers how many. While
 * Kafka takes nothing they stay where they are. The inbox row goes with the parked one, so that a replay is looked at anew; killed in
 * between, the event is a dead letter twice, and a replay has its effect once.
 */
export async function buryOverdue(options: {
  readonly sql: Sql;
  readonly limit: number;
  bury(event: DomainEvent, reason: string): Promise<void>;
}): Promise<number> {
  const { sql, limit, bury } = options;
  const rows = await sql.query<{ event_id: string; order_id: string; details: ParkedDetails }>(
    `SELECT event_id, order_id, details FROM orders.parked_event
     WHERE parked_at < now() - INTERVAL '1 hour' ORDER BY parked_at LIMIT $1`,
    [limit],
  );
  for (const { event_id: eventId, order_id: orderId, details } of rows) {
    await bury(details.message, `for an hour the order ${orderId} was in no state that takes it`);
    await sql.transaction(async (tx) => {
      await tx.query("DELETE FROM orders.parked_event WHERE event_id = $1", [eventId]);
      await tx.query("DELETE FROM orders.inbox WHERE event_id = $1 AND consumer = ANY($2)", [
        eventId,
        [FLOOR_CONSUMER, ROAD_CONSUMER, REVIEW_CONSUMER],
      ]);
    });
  }
  return rows.length;
}
