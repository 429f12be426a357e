import type { Tx } from "../../platform/sql.ts";
import type { CreateBody } from "./contract.ts";
import type { Shift } from "./domain.ts";

export interface Courier {
  readonly id: string;
  readonly vehicle: CreateBody["vehicle"];
  readonly userSub: string | undefined;
  readonly shift: Shift;
  readonly version: number;
  readonly position?: { readonly latitude: number; readonly longitude: number };
}

interface Row {
  id: string;
  vehicle: CreateBody["vehicle"];
  user_sub: string | null;
  shift: Shift;
  version: number;
  latitude: number | null;
  longitude: number | null;
}

const COLUMNS = "id, vehicle, user_sub, shift, version, latitude, longitude";

function toCourier(row: Row): Courier {
  const { id, vehicle, shift, version, latitude, longitude } = row;
  const position = latitude === null || longitude === null ? undefined : { latitude, longitude };
  return {
    id,
    vehicle,
    shift,
    version,
    userSub: row.user_sub ?? undefined,
    ...(position ? { position } : {}),
  };
}

export async function insertCourier(tx: Tx, courier: CreateBody & { id: string }): Promise<void> {
  await tx.query(
    "INSERT INTO couriers.courier (id, name, phone, vehicle, user_sub) VALUES ($1, $2, $3, $4, $5)",
    [courier.id, courier.name, courier.phone ?? null, courier.vehicle, courier.userSub ?? null],
  );
}

export async function findCourier(tx: Tx, id: string, lock = false): Promise<Courier | undefined> {
  const rows = await tx.query<Row>(
    `SELECT ${COLUMNS} FROM couriers.courier WHERE id = $1 ${lock ? "FOR UPDATE" : ""}`,
    [id],
  );
  return rows[0] && toCourier(rows[0]);
}

export async function listCouriers(tx: Tx, onShiftOnly: boolean, limit: number): Promise<Courier[]> {
  const rows = await tx.query<Row>(
    `SELECT ${COLUMNS} FROM couriers.courier WHERE NOT $1::bool OR shift = 'on' ORDER BY id LIMIT $2`,
    [onShiftOnly, limit],
  );
  return rows.map(toCourier);
}

export async function saveShift(
  tx: Tx,
  id: string,
  change: {
    shift: Shift;
    version: number;
    heartbeat: boolean;
    position?: { latitude: number; longitude: number };
  },
): Promise<void> {
  await tx.query(
    `UPDATE couriers.courier SET shift = $2, version = $3, latitude = COALESCE($4, latitude),
       longitude = COALESCE($5, longitude), heartbeat_at = CASE WHEN $6::bool THEN now() ELSE heartbeat_at END
     WHERE id = $1`,
    [
      id,
      change.shift,
      change.version,
      change.position?.latitude ?? null,
      change.position?.longitude ?? null,
      change.heartbeat,
    ],
  );
}

/** Couriers on shift whose last heartbeat is older than `afterSeconds`, locked. */
export async function lockSilent(tx: Tx, afterSeconds: number, limit: number): Promise<Courier[]> {
  const rows = await tx.query<Row>(
    `SELECT ${COLUMNS} FROM couriers.courier
     WHERE shift = 'on' AND heartbeat_at < now() - $1::INT8 * INTERVAL '1 second'
     ORDER BY heartbeat_at LIMIT $2 FOR UPDATE SKIP LOCKED`,
    [afterSeconds, limit],
  );
  return rows.map(toCourier);
}
