import { appendEvents } from "../../platform/outbox.ts";
import type { Tx } from "../../platform/sql.ts";
import type { Effects } from "./batch.ts";
import type { Allocation } from "./commands.ts";
import { writeCounts } from "./countstore.ts";

/** The SQL schema of this slice. */
export const SCHEMA = "inventory";

/** Longer than it takes any replica to reach a hold store that is back, and to look at it. */
const MOVED_FOR_SECONDS = 5;

/** A row is not as it was read, or cannot bear the change. */
export class UnbearableBatch extends Error {}

/**
 * Writes what a batch decided. Throws when a row is not as it was read; the transaction is then to be run again. No statement needs the
 * answer of one before it, so all of them travel together; the database carries them out in this order.
 */
export async function writeEffects(tx: Tx, effects: Effects): Promise<void> {
  await Promise.all([
    writeBalances(tx, effects),
    writeMovements(tx, effects),
    writeTransfers(tx, effects),
    writeCounts(tx, effects),
    writeAllocations(tx, effects),
    writeHolds(tx, effects),
    writeAnswers(tx, effects),
    writeDue(tx, effects),
    appendEvents(tx, SCHEMA, effects.events),
  ]);
}

async function writeAnswers(tx: Tx, { answers }: Effects): Promise<void> {
  if (answers.length === 0) return;
  await tx.query(
    `INSERT INTO inventory.command (command_id, body_hash, answer)
     SELECT k, h, a FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[]) AS n (k, h, a)
     ON CONFLICT (command_id) DO NOTHING`,
    [
      answers.map((row) => row.key),
      answers.map((row) => row.bodyHash),
      answers.map((row) => JSON.stringify(row.answer)),
    ],
  );
}

async function writeBalances(tx: Tx, { balances }: Effects): Promise<void> {
  if (balances.length === 0) return;
  const made: Promise<unknown>[] = [];
  const fresh = balances.filter((row) => row.isNew);
  if (fresh.length > 0) {
    const bins = tx.query(
      `INSERT INTO inventory.bin (bin_id, aisle, slot, level)
       SELECT DISTINCT * FROM unnest($1::TEXT[], $2::INT8[], $3::INT8[], $4::INT8[]) AS n (b, a, s, l)
       ON CONFLICT (bin_id) DO NOTHING`,
      [
        fresh.map((row) => row.binId),
        fresh.map((row) => row.bin.aisle),
        fresh.map((row) => row.bin.position),
        fresh.map((row) => row.bin.level),
      ],
    );
    const rows = tx.query(
      `INSERT INTO inventory.balance (sku, bin_id)
       SELECT s, b FROM unnest($1::TEXT[], $2::TEXT[]) AS n (s, b) ON CONFLICT (sku, bin_id) DO NOTHING`,
      [fresh.map((row) => row.sku), fresh.map((row) => row.binId)],
    );
    made.push(bins, rows);
  }
  // Relative and conditional: whatever was read before, a row that cannot bear the change is not changed.
  const changing = tx.query<{ sku: string }>(
    `UPDATE inventory.balance AS b
     SET on_hand = b.on_hand + d.h, allocated = b.allocated + d.a, damaged = b.damaged + d.x, version = b.version + 1
     FROM unnest($1::TEXT[], $2::TEXT[], $3::INT8[], $4::INT8[], $5::INT8[]) AS d (s, n, h, a, x)
     WHERE b.sku = d.s AND b.bin_id = d.n AND b.on_hand + d.h >= 0 AND b.allocated + d.a >= 0 AND b.damaged + d.x >= 0
       AND b.allocated + d.a + b.damaged + d.x <= b.on_hand + d.h
     RETURNING b.sku`,
    [
      balances.map((row) => row.sku),
      balances.map((row) => row.binId),
      balances.map((row) => row.onHand),
      balances.map((row) => row.allocated),
      balances.map((row) => row.damaged),
    ],
  );
  const [changed] = await Promise.all([changing, ...made]);
  if (changed.length !== balances.length) {
    throw new UnbearableBatch(
      `${balances.length - changed.length} of ${balances.length} balance rows cannot bear the batch`,
    );
  }
}

async function writeMovements(tx: Tx, { movements }: Effects): Promise<void> {
  if (movements.length === 0) return;
  await tx.query(
    `INSERT INTO inventory.movement (sku, bin_id, version, ordinal, kind, command_id, hold_id, actor,
       on_hand_delta, allocated_delta, damaged_delta)
     SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::INT8[], $4::INT8[], $5::TEXT[], $6::TEXT[], $7::TEXT[], $8::TEXT[],
       $9::INT8[], $10::INT8[], $11::INT8[])`,
    [
      movements.map((row) => row.sku),
      movements.map((row) => row.binId),
      movements.map((row) => row.version),
      movements.map((row) => row.ordinal),
      movements.map((row) => row.kind),
      movements.map((row) => row.commandId),
      movements.map((row) => row.holdId ?? null),
      movements.map((row) => row.actor ?? null),
      movements.map((row) => row.onHandDelta),
      movements.map((row) => row.allocatedDelta),
      movements.map((row) => row.damagedDelta),
    ],
  );
}

/** What leaves for another center is in transit from the same moment on. */
async function writeTransfers(tx: Tx, { movements }: Effects): Promise<void> {
  const sums = new Map<string, { id: string; sku: string; binId: string; center: string; units: number }>();
  for (const { kind, commandId: id, sku, binId, actor = "", onHandDelta } of movements) {
    if (kind !== "transfer-out") continue;
    const key = `${id} ${sku} ${binId}`;
    const units = (sums.get(key)?.units ?? 0) - onHandDelta;
    sums.set(key, { id, sku, binId, center: actor.replace(/^center:/, ""), units });
  }
  if (sums.size === 0) return;
  const rows = [...sums.values()];
  await tx.query(
    `INSERT INTO inventory.in_transit (transfer_id, sku, bin_id, to_center, quantity)
     SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::INT8[])`,
    [
      rows.map((row) => row.id),
      rows.map((row) => row.sku),
      rows.map((row) => row.binId),
      rows.map((row) => row.center),
      rows.map((row) => row.units),
    ],
  );
}

async function writeAllocations(tx: Tx, { allocations }: Effects): Promise<void> {
  if (allocations.length === 0) return;
  const added = allocations.filter(({ before }) => !before).map(({ after }) => after);
  const writing: Promise<unknown>[] = [];
  if (added.length > 0) {
    const rows = tx.query(
      `INSERT INTO inventory.allocation (hold_id, order_id, state)
       SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[])`,
      [added.map((row) => row.holdId), added.map((row) => row.orderId), added.map((row) => row.state)],
    );
    writing.push(rows, insertLines(tx, added));
  }
  const closed = allocations.filter(({ before, after }) => before && before.state !== after.state);
  if (closed.length > 0) {
    const rows = tx.query(
      `UPDATE inventory.allocation SET state = 'released', updated_at = now() WHERE hold_id = ANY($1::TEXT[])`,
      [closed.map(({ after }) => after.holdId)],
    );
    writing.push(rows);
  }
  await Promise.all([...writing, moveLines(tx, allocations)]);
}

async function insertLines(tx: Tx, added: readonly Allocation[]): Promise<void> {
  const lines = added.flatMap((row) => row.lines.map((line) => ({ holdId: row.holdId, ...line })));
  if (lines.length === 0) return;
  await tx.query(
    `INSERT INTO inventory.allocation_line (hold_id, sku, bin_id, quantity, picked, shorted, put_back, released)
     SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::INT8[], $5::INT8[], $6::INT8[], $7::INT8[], $8::INT8[])`,
    [
      lines.map((line) => line.holdId),
      lines.map((line) => line.sku),
      lines.map((line) => line.binId),
      lines.map((line) => line.quantity),
      lines.map((line) => line.picked),
      lines.map((line) => line.shorted),
      lines.map((line) => line.putBack),
      lines.map((line) => line.released),
    ],
  );
}

async function moveLines(tx: Tx, allocations: Effects["allocations"]): Promise<void> {
  const moved = allocations.flatMap(({ before, after }) =>
    !before
      ? []
      : after.lines.flatMap((line, index) => {
          const was = before.lines[index];
          if (!was || was === line) return [];
          return [
            {
              holdId: after.holdId,
              sku: line.sku,
              binId: line.binId,
              picked: line.picked - was.picked,
              shorted: line.shorted - was.shorted,
              putBack: line.putBack - was.putBack,
              released: line.released - was.released,
              returned: line.returned - was.returned,
            },
          ];
        }),
  );
  if (moved.length === 0) return;
  const changed = await tx.query(
    `UPDATE inventory.allocation_line AS l
     SET picked = l.picked + d.p, shorted = l.shorted + d.s, put_back = l.put_back + d.b, released = l.released + d.r,
       returned = l.returned + d.t
     FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::INT8[], $5::INT8[], $6::INT8[], $7::INT8[], $8::INT8[])
       AS d (hold_id, sku, bin_id, p, s, b, r, t)
     WHERE l.hold_id = d.hold_id AND l.sku = d.sku AND l.bin_id = d.bin_id
       AND l.put_back + d.b + l.returned + d.t <= l.picked + d.p
     RETURNING l.sku`,
    [
      moved.map((line) => line.holdId),
      moved.map((line) => line.sku),
      moved.map((line) => line.binId),
      moved.map((line) => line.picked),
      moved.map((line) => line.shorted),
      moved.map((line) => line.putBack),
      moved.map((line) => line.released),
      moved.map((line) => line.returned),
    ],
  );
  if (changed.length !== moved.length)
    throw new UnbearableBatch(
      `${moved.length - changed.length} of ${moved.length} allocation lines cannot bear the batch`,
    );
}

async function writeHolds(tx: Tx, { putHolds, removeHolds }: Effects): Promise<void> {
  const gone = [...removeHolds, ...putHolds.map((hold) => hold.holdId)];
  if (gone.length === 0) return;
  const removing = [
    tx.query(`DELETE FROM inventory.hold_line WHERE hold_id = ANY($1::TEXT[])`, [gone]),
    tx.query(`DELETE FROM inventory.hold WHERE hold_id = ANY($1::TEXT[])`, [gone]),
  ];
  if (putHolds.length === 0) {
    await Promise.all(removing);
    return;
  }
  const putting = tx.query(
    `INSERT INTO inventory.hold (hold_id, order_id, owner, call_key, created_at, expires_at, extended)
     SELECT h, o, w, k, to_timestamp(c / 1000.0), to_timestamp(e / 1000.0), x
     FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[], $5::FLOAT8[], $6::FLOAT8[], $7::BOOL[])
       AS n (h, o, w, k, c, e, x)`,
    [
      putHolds.map((hold) => hold.holdId),
      putHolds.map((hold) => hold.orderId),
      putHolds.map((hold) => hold.owner),
      putHolds.map((hold) => hold.callKey),
      putHolds.map((hold) => hold.createdAtMs),
      putHolds.map((hold) => hold.expiresAtMs),
      putHolds.map((hold) => hold.extended),
    ],
  );
  const lines = putHolds.flatMap((hold) => hold.lines.map((line) => ({ holdId: hold.holdId, ...line })));
  const lining = tx.query(
    `INSERT INTO inventory.hold_line (hold_id, sku, quantity)
     SELECT * FROM unnest($1::TEXT[], $2::TEXT[], $3::INT8[])`,
    [lines.map((line) => line.holdId), lines.map((line) => line.sku), lines.map((line) => line.quantity)],
  );
  await Promise.all([...removing, putting, lining]);
}

/** Notes for the hold store: written with the change itself, so that no crash can lose them. */
async function writeDue(tx: Tx, { mirrors, drops, settled }: Effects): Promise<void> {
  const writing: Promise<unknown>[] = [];
  const doneMirrors = settled.flatMap((entry) => entry.mirrors);
  if (doneMirrors.length > 0) {
    const deleting = tx.query(
      `DELETE FROM inventory.mirror_due WHERE (sku, version) IN (SELECT * FROM unnest($1::TEXT[], $2::INT8[]))`,
      [doneMirrors.map((row) => row.sku), doneMirrors.map((row) => row.version)],
    );
    writing.push(deleting);
  }
  const doneHolds = settled.flatMap((entry) => entry.holdIds);
  if (doneHolds.length > 0)
    writing.push(tx.query(`DELETE FROM inventory.drop_due WHERE hold_id = ANY($1::TEXT[])`, [doneHolds]));
  const moved = settled.flatMap((entry) => entry.movedHolds);
  if (moved.length > 0) writing.push(forgetMoved(tx, moved));
  if (mirrors.length > 0) {
    const noting = tx.query(
      `INSERT INTO inventory.mirror_due (sku, version) SELECT * FROM unnest($1::TEXT[], $2::INT8[])
       ON CONFLICT (sku) DO UPDATE SET version = excluded.version, due_at = now()`,
      [mirrors.map((row) => row.sku), mirrors.map((row) => row.version)],
    );
    writing.push(noting);
  }
  if (drops.length > 0) {
    const noting = tx.query(
      `INSERT INTO inventory.drop_due (hold_id) SELECT * FROM unnest($1::TEXT[]) ON CONFLICT (hold_id) DO NOTHING`,
      [drops],
    );
    writing.push(noting);
  }
  await Promise.all(writing);
}

/**
 * A replica that has not looked at the hold store since it was away goes on taking holds here, and must see those that have moved: they are
 * kept for longer than that look takes. Only the rows that were moved: a hold that was placed anew since then has another call key.
 */
async function forgetMoved(tx: Tx, moved: Effects["settled"][number]["movedHolds"]): Promise<void> {
  const rows = [moved.map((row) => row.holdId), moved.map((row) => row.callKey)];
  const gone = await tx.query<{ hold_id: string }>(
    `DELETE FROM inventory.hold WHERE (hold_id, call_key) IN (SELECT * FROM unnest($1::TEXT[], $2::TEXT[]))
       AND (expires_at < now() OR moved_at < now() - INTERVAL '${MOVED_FOR_SECONDS} seconds') RETURNING hold_id`,
    rows,
  );
  await Promise.all([
    tx.query(
      `UPDATE inventory.hold SET moved_at = now()
       WHERE (hold_id, call_key) IN (SELECT * FROM unnest($1::TEXT[], $2::TEXT[])) AND moved_at IS NULL`,
      rows,
    ),
    tx.query("DELETE FROM inventory.hold_line WHERE hold_id = ANY($1::TEXT[])", [
      gone.map((row) => row.hold_id),
    ]),
  ]);
}
