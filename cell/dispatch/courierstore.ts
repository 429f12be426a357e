import type { Tx } from "../../platform/sql.ts";

export interface FreeCourier {
  readonly id: string;
  readonly latitude: number;
  readonly longitude: number;
}

/** Couriers on shift, not paused, without an active assignment; those whose shift began nearest to the center first. */
export async function freeCouriers(
  tx: Tx,
  center: { readonly latitude: number; readonly longitude: number },
  limit: number,
): Promise<FreeCourier[]> {
  return tx.query(
    `SELECT c.id, c.latitude, c.longitude FROM dispatch.courier c
     LEFT JOIN dispatch.courier_slot s ON s.courier_id = c.id
     WHERE c.on_shift AND c.paused_until <= now() AND s.courier_id IS NULL
     ORDER BY (c.latitude - $1::FLOAT8) * (c.latitude - $1::FLOAT8)
       + (c.longitude - $2::FLOAT8) * (c.longitude - $2::FLOAT8) * cos(radians($1::FLOAT8)) * cos(radians($1::FLOAT8)), c.id LIMIT $3`,
    [center.latitude, center.longitude, limit],
  );
}

/** Takes the courier's slot; false when somebody has it. */
export async function takeSlot(tx: Tx, courierId: string, assignmentId: string): Promise<boolean> {
  const rows = await tx.query(
    `INSERT INTO dispatch.courier_slot (courier_id, assignment_id) VALUES ($1, $2)
     ON CONFLICT (courier_id) DO NOTHING RETURNING courier_id`,
    [courierId, assignmentId],
  );
  return rows.length === 1;
}

export async function freeSlot(tx: Tx, courierId: string, assignmentId: string): Promise<void> {
  await tx.query("DELETE FROM dispatch.courier_slot WHERE courier_id = $1 AND assignment_id = $2", [
    courierId,
    assignmentId,
  ]);
}

/** An offer let pass. Two within half an hour pause the courier for ten minutes. */
export async function addStrike(tx: Tx, courierId: string, orderId: string): Promise<void> {
  await tx.query(
    `INSERT INTO dispatch.strike (courier_id, order_id) VALUES ($1, $2)
     ON CONFLICT (courier_id, order_id) DO UPDATE SET at = now()`,
    [courierId, orderId],
  );
  await tx.query(
    `UPDATE dispatch.courier SET paused_until = now() + INTERVAL '10 minutes' WHERE id = $1 AND
       (SELECT count(*) FROM dispatch.strike WHERE courier_id = $1 AND at > now() - INTERVAL '30 minutes') >= 2`,
    [courierId],
  );
}

/** Couriers who let this order pass; true for those who did so within the last `recentSeconds`. */
export async function struckCouriers(
  tx: Tx,
  orderId: string,
  recentSeconds: number,
): Promise<Map<string, boolean>> {
  const rows = await tx.query<{ courier_id: string; recent: boolean }>(
    `SELECT courier_id, at > now() - $2::INT8 * INTERVAL '1 second' AS recent FROM dispatch.strike WHERE order_id = $1`,
    [orderId, recentSeconds],
  );
  return new Map(rows.map((row) => [row.courier_id, row.recent]));
}

/** Forgets strikes that no rule looks at any more; at most `limit`. */
export async function sweepStrikes(tx: Tx, limit: number): Promise<number> {
  const rows = await tx.query(
    `DELETE FROM dispatch.strike WHERE (courier_id, order_id) IN (SELECT courier_id, order_id FROM dispatch.strike
       WHERE at < now() - INTERVAL '7 days' ORDER BY at LIMIT $1) RETURNING order_id`,
    [limit],
  );
  return rows.length;
}

/** What dispatch knows of a courier's shift; an older event than the last one changes nothing. */
export async function saveCourier(
  tx: Tx,
  courier: {
    id: string;
    onShift: boolean;
    version: number;
    position?: { latitude: number; longitude: number };
  },
): Promise<boolean> {
  const { latitude, longitude } = courier.position ?? { latitude: 0, longitude: 0 };
  const rows = await tx.query(
    `INSERT INTO dispatch.courier (id, on_shift, latitude, longitude, event_version) VALUES ($1, $2, $3, $4, $5)
     ON CONFLICT (id) DO UPDATE SET on_shift = excluded.on_shift, event_version = excluded.event_version,
       latitude = CASE WHEN $6::bool THEN excluded.latitude ELSE courier.latitude END,
       longitude = CASE WHEN $6::bool THEN excluded.longitude ELSE courier.longitude END
     WHERE courier.event_version < excluded.event_version RETURNING id`,
    [courier.id, courier.onShift, latitude, longitude, courier.version, courier.position !== undefined],
  );
  return rows.length === 1;
}
