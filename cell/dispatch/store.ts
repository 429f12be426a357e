import type { Tx } from "../../platform/sql.ts";
import type { AssignmentState } from "./domain.ts";

export interface Job {
  readonly orderId: string;
  readonly packageBarcode: string;
  readonly deliverTo: { readonly latitude: number; readonly longitude: number };
  readonly promisedAt: Date;
  readonly rounds: number;
}

export interface Assignment {
  readonly id: string;
  readonly orderId: string;
  readonly courierId: string;
  readonly state: AssignmentState;
  readonly version: number;
  readonly offeredAt: Date;
  readonly ackBy: Date;
  readonly deliverTo: { readonly latitude: number; readonly longitude: number };
  readonly promisedAt: Date;
  readonly packageBarcode: string;
}

interface AssignmentRow {
  id: string;
  order_id: string;
  courier_id: string;
  state: AssignmentState;
  version: number;
  offered_at: Date;
  ack_by: Date;
  latitude: number;
  longitude: number;
  promised_at: Date;
  package_barcode: string;
}

const ASSIGNMENT = `SELECT a.id, a.order_id, a.courier_id, a.state, a.version, a.offered_at, a.ack_by, j.latitude,
  j.longitude, j.promised_at, j.package_barcode FROM dispatch.assignment a JOIN dispatch.job j ON j.order_id = a.order_id`;

function toAssignment(row: AssignmentRow): Assignment {
  return {
    id: row.id,
    orderId: row.order_id,
    courierId: row.courier_id,
    state: row.state,
    version: row.version,
    offeredAt: row.offered_at,
    ackBy: row.ack_by,
    deliverTo: { latitude: row.latitude, longitude: row.longitude },
    promisedAt: row.promised_at,
    packageBarcode: row.package_barcode,
  };
}

/** A packed order waits for a courier; one that was called off before stays so. */
export async function insertJob(tx: Tx, job: Omit<Job, "rounds">): Promise<boolean> {
  const rows = await tx.query(
    `INSERT INTO dispatch.job (order_id, state, package_barcode, latitude, longitude, promised_at)
     VALUES ($1, 'waiting', $2, $3, $4, $5) ON CONFLICT (order_id) DO NOTHING RETURNING order_id`,
    [job.orderId, job.packageBarcode, job.deliverTo.latitude, job.deliverTo.longitude, job.promisedAt],
  );
  return rows.length === 1;
}

/** Called off, also when the packed parcel has not been heard of yet. */
export async function callOffJob(tx: Tx, orderId: string): Promise<void> {
  await tx.query(
    `INSERT INTO dispatch.job (order_id, state) VALUES ($1, 'called_off')
     ON CONFLICT (order_id) DO UPDATE SET state = 'called_off' WHERE job.state <> 'done'`,
    [orderId],
  );
}

export async function saveJob(
  tx: Tx,
  orderId: string,
  state: "waiting" | "offered" | "assigned" | "done",
): Promise<void> {
  await tx.query(
    "UPDATE dispatch.job SET state = $2, next_at = now() WHERE order_id = $1 AND state <> 'called_off'",
    [orderId, state],
  );
}

/** Jobs without a courier whose next round is due, most urgent first, locked. */
export async function lockWaitingJobs(tx: Tx, limit: number): Promise<Job[]> {
  const rows = await tx.query<Record<string, never>>(
    `SELECT order_id, package_barcode, latitude, longitude, promised_at, rounds FROM dispatch.job
     WHERE state = 'waiting' AND next_at <= now() ORDER BY promised_at LIMIT $1 FOR UPDATE SKIP LOCKED`,
    [limit],
  );
  return (rows as unknown as (AssignmentRow & { rounds: number })[]).map((row) => ({
    orderId: row.order_id,
    packageBarcode: row.package_barcode,
    deliverTo: { latitude: row.latitude, longitude: row.longitude },
    promisedAt: row.promised_at,
    rounds: row.rounds,
  }));
}

export async function hasWaitingJobs(tx: Tx): Promise<boolean> {
  const rows = await tx.query(
    "SELECT 1 FROM dispatch.job WHERE state = 'waiting' AND next_at <= now() LIMIT 1",
  );
  return rows.length > 0;
}

/** Nobody was free: the next round comes later. True when this is the round at which a person should look. */
export async function postponeJob(
  tx: Tx,
  orderId: string,
  seconds: number,
  escalateAfter: number,
): Promise<boolean> {
  const rows = await tx.query<{ rounds: number; fresh: boolean }>(
    `UPDATE dispatch.job SET rounds = rounds + 1, next_at = now() + $2::INT8 * INTERVAL '1 second',
       escalated = escalated OR rounds + 1 >= $3 WHERE order_id = $1
     RETURNING rounds, (escalated AND rounds = $3) AS fresh`,
    [orderId, seconds, escalateAfter],
  );
  return rows[0]?.fresh ?? false;
}

export interface FreeCourier {
  readonly id: string;
  readonly latitude: number;
  readonly longitude: number;
}

/** Couriers on shift, not paused, without an active assignment. */
export async function freeCouriers(tx: Tx, limit: number): Promise<FreeCourier[]> {
  return tx.query(
    `SELECT c.id, c.latitude, c.longitude FROM dispatch.courier c
     LEFT JOIN dispatch.courier_slot s ON s.courier_id = c.id
     WHERE c.on_shift AND c.paused_until <= now() AND s.courier_id IS NULL ORDER BY c.id LIMIT $1`,
    [limit],
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

export async function insertAssignment(
  tx: Tx,
  assignment: { id: string; orderId: string; courierId: string; ackSeconds: number },
): Promise<void> {
  await tx.query(
    `INSERT INTO dispatch.assignment (id, order_id, courier_id, state, ack_by)
     VALUES ($1, $2, $3, 'offered', now() + $4::INT8 * INTERVAL '1 second')`,
    [assignment.id, assignment.orderId, assignment.courierId, assignment.ackSeconds],
  );
}

export async function lockAssignment(tx: Tx, id: string): Promise<Assignment | undefined> {
  const rows = await tx.query<AssignmentRow>(`${ASSIGNMENT} WHERE a.id = $1 FOR UPDATE OF a`, [id]);
  return rows[0] && toAssignment(rows[0]);
}

export async function findAssignment(tx: Tx, id: string): Promise<Assignment | undefined> {
  const rows = await tx.query<AssignmentRow>(`${ASSIGNMENT} WHERE a.id = $1`, [id]);
  return rows[0] && toAssignment(rows[0]);
}

/** The active assignment of an order or of a courier, locked. */
export async function lockActive(
  tx: Tx,
  by: { orderId: string } | { courierId: string },
): Promise<Assignment | undefined> {
  const column = "orderId" in by ? "a.order_id" : "a.courier_id";
  const value = "orderId" in by ? by.orderId : by.courierId;
  const rows = await tx.query<AssignmentRow>(
    `${ASSIGNMENT} WHERE ${column} = $1 AND a.state IN ('offered', 'assigned', 'handed_over', 'arrived') FOR UPDATE OF a`,
    [value],
  );
  return rows[0] && toAssignment(rows[0]);
}

/** Offers whose time to answer is over, locked. */
export async function lockExpired(tx: Tx, limit: number): Promise<Assignment[]> {
  const rows = await tx.query<AssignmentRow>(
    `${ASSIGNMENT} WHERE a.state = 'offered' AND a.ack_by < now() ORDER BY a.ack_by LIMIT $1 FOR UPDATE OF a SKIP LOCKED`,
    [limit],
  );
  return rows.map(toAssignment);
}

export async function saveAssignment(
  tx: Tx,
  id: string,
  change: { state: AssignmentState; version: number; proofKind?: string },
): Promise<void> {
  await tx.query(
    `UPDATE dispatch.assignment SET state = $2, version = $3, proof_kind = COALESCE($4, proof_kind), updated_at = now()
     WHERE id = $1`,
    [id, change.state, change.version, change.proofKind ?? null],
  );
}

/** The newest ones that fit, oldest of them first: what is offered now is always among them. */
export async function listAssignments(
  tx: Tx,
  filter: { courierId?: string | undefined; state?: string | undefined; limit: number },
): Promise<Assignment[]> {
  const rows = await tx.query<AssignmentRow>(
    `${ASSIGNMENT} WHERE ($1::TEXT IS NULL OR a.courier_id = $1) AND ($2::TEXT IS NULL OR a.state = $2)
     ORDER BY a.id DESC LIMIT $3`,
    [filter.courierId ?? null, filter.state ?? null, filter.limit],
  );
  return rows.map(toAssignment).reverse();
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

export async function struckCouriers(tx: Tx, orderId: string): Promise<Set<string>> {
  const rows = await tx.query<{ courier_id: string }>(
    "SELECT courier_id FROM dispatch.strike WHERE order_id = $1",
    [orderId],
  );
  return new Set(rows.map((row) => row.courier_id));
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
