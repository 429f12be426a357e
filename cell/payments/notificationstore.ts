import type { Tx } from "../../platform/sql.ts";

/** Notes an event of the processor; false when it was told before. */
export async function insertNotification(
  tx: Tx,
  eventId: string,
  type: string,
  operationId: string,
): Promise<boolean> {
  const rows = await tx.query(
    `INSERT INTO payments.notification (event_id, type, operation_id) VALUES ($1, $2, $3)
     ON CONFLICT (event_id) DO NOTHING RETURNING event_id`,
    [eventId, type, operationId],
  );
  return rows.length === 1;
}

const NOTIFICATION_DAYS = 30;

/** Forgets events that were told long ago, at most `limit`; a repetition is told to be late by then, by its signature. */
export async function sweepNotifications(tx: Tx, limit: number): Promise<number> {
  const rows = await tx.query(
    `DELETE FROM payments.notification WHERE event_id IN (SELECT event_id FROM payments.notification
       WHERE received_at < now() - INTERVAL '${NOTIFICATION_DAYS} days' ORDER BY received_at LIMIT $1) RETURNING event_id`,
    [limit],
  );
  return rows.length;
}
