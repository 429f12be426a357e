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

/** A parcel that waits or is under way goes elsewhere; an older word than the last one changes nothing. */
export async function moveJob(
  tx: Tx,
  { orderId, deliverTo, promisedAt }: Pick<Job, "orderId" | "deliverTo" | "promisedAt">,
  version: number,
): Promise<boolean> {
  const rows = await tx.query(
    `UPDATE dispatch.job SET latitude = $2, longitude = $3, promised_at = $4, delivery_version = $5
     WHERE order_id = $1 AND delivery_version < $5 RETURNING order_id`,
    [orderId, deliverTo.latitude, deliverTo.longitude, promisedAt, version],
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

/** Nobody was free: the next look comes after `lookSeconds`; every `roundSeconds` of waiting count as a round. Answers the rounds. */
export async function postponeJob(
  tx: Tx,
  orderId: string,
  { lookSeconds, roundSeconds }: { lookSeconds: number; roundSeconds: number },
): Promise<number> {
  const rows = await tx.query<{ rounds: number }>(
    `UPDATE dispatch.job SET next_at = now() + $2::INT8 * INTERVAL '1 second',
       rounds = CASE WHEN round_at <= now() THEN rounds + 1 ELSE rounds END,
       round_at = CASE WHEN round_at <= now() THEN now() + $3::INT8 * INTERVAL '1 second' ELSE round_at END
     WHERE order_id = $1 RETURNING rounds`,
    [orderId, lookSeconds, roundSeconds],
  );
  return rows[0]?.rounds ?? 0;
}

/** An offer came to nothing: that is a round too. Answers the rounds. */
export async function countRound(tx: Tx, orderId: string): Promise<number> {
  const rows = await tx.query<{ rounds: number }>(
    "UPDATE dispatch.job SET rounds = rounds + 1 WHERE order_id = $1 RETURNING rounds",
    [orderId],
  );
  return rows[0]?.rounds ?? 0;
}

/** Marks the job for a person's eyes; false when it was marked before. */
export async function escalateJob(tx: Tx, orderId: string): Promise<boolean> {
  const rows = await tx.query(
    "UPDATE dispatch.job SET escalated = true WHERE order_id = $1 AND NOT escalated RETURNING order_id",
    [orderId],
  );
  return rows.length === 1;
}

/** Parcels that wait for a courier, and how many of them a person should look at. */
export async function countWaiting(tx: Tx): Promise<{ waiting: number; escalated: number }> {
  const rows = await tx.query<{ waiting: number; escalated: number }>(
    `SELECT count(*)::INT8 AS waiting, count(*) FILTER (WHERE escalated)::INT8 AS escalated FROM dispatch.job
     WHERE state IN ('waiting', 'offered')`,
  );
  return rows[0] ?? { waiting: 0, escalated: 0 };
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

export async function hasExpired(tx: Tx): Promise<boolean> {
  const rows = await tx.query(
    "SELECT 1 FROM dispatch.assignment WHERE state = 'offered' AND ack_by < now() LIMIT 1",
  );
  return rows.length > 0;
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

/** Keeps what proves a delivery. */
export async function saveProof(
  tx: Tx,
  assignmentId: string,
  proof: { kind: string; value: string },
): Promise<void> {
  await tx.query(
    `INSERT INTO dispatch.proof (assignment_id, kind, value) VALUES ($1, $2, $3)
     ON CONFLICT (assignment_id) DO NOTHING`,
    [assignmentId, proof.kind, proof.value],
  );
}
