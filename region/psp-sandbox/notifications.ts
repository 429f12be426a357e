import type { Clock } from "../../platform/clock.ts";
import { newUuid } from "../../platform/ids.ts";
import { errorText, type Logger } from "../../platform/log.ts";
import type { Sql, Tx } from "../../platform/sql.ts";
import { SIGNATURE_HEADER, signWebhook } from "../../platform/webhook.ts";
import { type Entry, type Manner, mannerBody, type Notification, notificationSchema } from "./contract.ts";

/** The way to the merchants. */
export interface Telling {
  /** What the signatures are made with. */
  readonly secret: string;
  /** Sends one body; undefined when the merchant has taken it, else why not. */
  deliver(
    merchant: string,
    body: Notification,
    headers: Readonly<Record<string, string>>,
  ): Promise<string | undefined>;
}

/** Tells merchants of movements: written down with the movement, sent later, as often as it takes. */
export interface Notifications {
  /** In the transaction of the movement. */
  note(tx: Tx, entry: Entry): Promise<void>;
  /** Sends what is due; answers how many that were. */
  runDue(): Promise<number>;
  manner(): Promise<Manner>;
  setManner(manner: Manner): Promise<void>;
}

export interface NotificationsDeps {
  readonly sql: Sql;
  readonly telling: Telling | undefined;
  readonly clock: Clock;
  readonly log: Logger;
  random(): number;
}

const BATCH = 32;
const MAX_ATTEMPTS = 12;
/** Longer than a delivery may take. */
const CLAIM_SECONDS = 10;
const RETRY_MAX_SECONDS = 600;
const FRESH_MS = 250;

interface Due {
  delivery_id: string;
  merchant: string;
  body: string;
  attempts: number;
}

/** Makes the notifications of one processor. */
export function createNotifications(deps: NotificationsDeps): Notifications {
  const { sql, telling, clock, log, random } = deps;
  let reading: Promise<Manner> | undefined;
  let readAtMs = Number.NEGATIVE_INFINITY;

  async function read(): Promise<Manner> {
    const [row] = await sql.query<Manner>(
      `SELECT copies, delay_ms AS "delayMs", spread_ms AS "spreadMs", answer_delay_ms AS "answerDelayMs"
       FROM psp.manner WHERE id = 'all'`,
    );
    return row ?? mannerBody.parse({});
  }

  /** Who asks while it is being read waits for that. */
  function manner(): Promise<Manner> {
    if (!reading || clock.nowMs() - readAtMs >= FRESH_MS) {
      readAtMs = clock.nowMs();
      reading = read();
    }
    return reading;
  }

  async function send({ secret, deliver }: Telling, due: Due): Promise<void> {
    const headers = { [SIGNATURE_HEADER]: signWebhook(secret, due.body, Math.floor(clock.nowMs() / 1000)) };
    const body = notificationSchema.parse(JSON.parse(due.body));
    const refusal = await deliver(due.merchant, body, headers).catch(errorText);
    const isOver = refusal === undefined || due.attempts >= MAX_ATTEMPTS;
    if (refusal !== undefined)
      log.info(
        { event: body.id, attempts: due.attempts, refusal, isOver },
        "a merchant has not taken a notification",
      );
    if (isOver) await sql.query("DELETE FROM psp.notification WHERE delivery_id = $1", [due.delivery_id]);
    else
      await sql.query(
        "UPDATE psp.notification SET due_at = now() + $2::INT8 * INTERVAL '1 second' WHERE delivery_id = $1",
        [due.delivery_id, Math.min(RETRY_MAX_SECONDS, 2 ** Math.min(due.attempts - 1, 10))],
      );
  }

  return {
    manner,
    async setManner({ copies, delayMs, spreadMs, answerDelayMs }) {
      await sql.query(
        `INSERT INTO psp.manner (id, copies, delay_ms, spread_ms, answer_delay_ms) VALUES ('all', $1, $2, $3, $4)
         ON CONFLICT (id) DO UPDATE SET copies = excluded.copies, delay_ms = excluded.delay_ms,
           spread_ms = excluded.spread_ms, answer_delay_ms = excluded.answer_delay_ms`,
        [copies, delayMs, spreadMs, answerDelayMs],
      );
      readAtMs = Number.NEGATIVE_INFINITY;
    },
    async note(tx, entry) {
      const { copies, delayMs, spreadMs } = await manner();
      const event = { id: `evt_${newUuid()}`, type: `${entry.kind}.${entry.status}`, entry };
      // As the schema orders its members, so that what is signed is what is sent.
      const body = JSON.stringify(notificationSchema.parse(event));
      for (let copy = 0; copy < copies; copy++)
        await tx.query(
          `INSERT INTO psp.notification (delivery_id, event_id, merchant, body, due_at)
           VALUES ($1, $2, $3, $4, now() + $5::INT8 * INTERVAL '1 millisecond')`,
          [newUuid(), event.id, entry.merchant, body, Math.round(delayMs + random() * spreadMs)],
        );
    },
    async runDue() {
      if (!telling) return 0;
      const due = await sql.query<Due>(
        `UPDATE psp.notification SET attempts = attempts + 1, due_at = now() + INTERVAL '${CLAIM_SECONDS} seconds'
         WHERE delivery_id IN (SELECT delivery_id FROM psp.notification WHERE due_at <= now() ORDER BY due_at LIMIT $1
           FOR UPDATE SKIP LOCKED) RETURNING delivery_id, merchant, body, attempts`,
        [BATCH],
      );
      await Promise.all(due.map((one) => send(telling, one)));
      return due.length;
    },
  };
}
