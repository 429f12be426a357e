import type { Tx } from "../../platform/sql.ts";

export interface Parcel {
  readonly orderId: string;
  readonly sub: string | undefined;
  readonly courierId: string | undefined;
  readonly deliverTo: { readonly latitude: number; readonly longitude: number } | undefined;
  readonly promisedAt: Date | undefined;
  readonly ended: "delivered" | "cancelled" | undefined;
}

interface Row {
  order_id: string;
  sub: string | null;
  courier_id: string | null;
  latitude: number | null;
  longitude: number | null;
  promised_at: Date | null;
  ended: "delivered" | "cancelled" | null;
}

export async function findParcel(tx: Tx, orderId: string): Promise<Parcel | undefined> {
  const rows = await tx.query<Row>(
    "SELECT order_id, sub, courier_id, latitude, longitude, promised_at, ended FROM tracking.parcel WHERE order_id = $1",
    [orderId],
  );
  const row = rows[0];
  if (!row) return undefined;
  const { latitude, longitude } = row;
  return {
    orderId: row.order_id,
    sub: row.sub ?? undefined,
    courierId: row.courier_id ?? undefined,
    deliverTo: latitude === null || longitude === null ? undefined : { latitude, longitude },
    promisedAt: row.promised_at ?? undefined,
    ended: row.ended ?? undefined,
  };
}

/** What is learned comes in any order, so each fact is set by itself. */
/** Where parcels go. Each order once: one statement changes no row twice. */
export async function saveDestinations(
  tx: Tx,
  parcels: readonly { orderId: string; latitude: number; longitude: number; promisedAt: Date }[],
): Promise<void> {
  await tx.query(
    `INSERT INTO tracking.parcel (order_id, latitude, longitude, promised_at)
     SELECT * FROM unnest($1::TEXT[], $2::FLOAT8[], $3::FLOAT8[], $4::TIMESTAMPTZ[])
     ON CONFLICT (order_id) DO UPDATE SET latitude = excluded.latitude, longitude = excluded.longitude,
       promised_at = excluded.promised_at, updated_at = now()`,
    [
      parcels.map(({ orderId }) => orderId),
      parcels.map(({ latitude }) => latitude),
      parcels.map(({ longitude }) => longitude),
      parcels.map(({ promisedAt }) => promisedAt),
    ],
  );
}

export async function saveOwner(tx: Tx, orderId: string, sub: string): Promise<void> {
  await tx.query(
    `INSERT INTO tracking.parcel (order_id, sub) VALUES ($1, $2)
     ON CONFLICT (order_id) DO UPDATE SET sub = excluded.sub, updated_at = now()`,
    [orderId, sub],
  );
}

/** Who carries it; `undefined` takes the courier off only when it still is the one named in `from`. */
export async function saveCourier(tx: Tx, orderId: string, courierId: string): Promise<void> {
  await tx.query(
    `INSERT INTO tracking.parcel (order_id, courier_id) VALUES ($1, $2)
     ON CONFLICT (order_id) DO UPDATE SET courier_id = excluded.courier_id, updated_at = now()`,
    [orderId, courierId],
  );
}

export async function removeCourier(tx: Tx, orderId: string, courierId: string): Promise<void> {
  await tx.query(
    "UPDATE tracking.parcel SET courier_id = NULL, updated_at = now() WHERE order_id = $1 AND courier_id = $2",
    [orderId, courierId],
  );
}

export async function saveEnd(tx: Tx, orderId: string, ended: "delivered" | "cancelled"): Promise<void> {
  await tx.query(
    `INSERT INTO tracking.parcel (order_id, ended) VALUES ($1, $2)
     ON CONFLICT (order_id) DO UPDATE SET ended = COALESCE(parcel.ended, excluded.ended), updated_at = now()`,
    [orderId, ended],
  );
}
