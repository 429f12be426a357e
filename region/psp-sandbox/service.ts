import { createHash } from "node:crypto";
import { type Failure, fail, isFailure } from "../../platform/problem.ts";
import type { Sql, Tx } from "../../platform/sql.ts";
import type { AuthorizationBody, CaptureBody, Entry, RefundBody, VoidBody } from "./contract.ts";
import { decideAuthorization, mayCapture, mayRefund, mayVoid } from "./domain.ts";
import {
  changeAuthorization,
  findEntry,
  insertAuthorization,
  insertEntry,
  KeyTaken,
  lockAuthorization,
} from "./store.ts";

export type Moved = { readonly ok: true; readonly entry: Entry; readonly repeated: boolean } | Failure;

/** Moves money, each movement once under its key. */
export interface Processor {
  authorize(body: AuthorizationBody, forcedDecline: boolean): Promise<Moved>;
  capture(body: CaptureBody): Promise<Moved>;
  void(body: VoidBody): Promise<Moved>;
  refund(body: RefundBody): Promise<Moved>;
  find(key: string): Promise<Entry | undefined>;
}

/** ISO 4217's code for tests: the void of an authorization that never came has no currency of its own. */
const NO_CURRENCY = "XTS";

/** The processor over its own schema. `note` writes down, in the same transaction, whom to tell of a new movement. */
export function createProcessor(sql: Sql, note?: (tx: Tx, entry: Entry) => Promise<void>): Processor {
  /** The same key and body give the stored movement; another body under the key is a mistake of the merchant's. */
  async function once<B extends { key: string }>(
    kind: Entry["kind"],
    body: B,
    move: (tx: Tx, bodyHash: string) => Promise<Entry | Failure>,
  ): Promise<Moved> {
    const bodyHash = createHash("sha256")
      .update(JSON.stringify([kind, body]))
      .digest("hex");
    const before = await repeated(body.key, bodyHash);
    if (before) return before;
    try {
      const moved = await sql.transaction(async (tx) => {
        const done = await move(tx, bodyHash);
        if (!isFailure(done)) await note?.(tx, done);
        return done;
      });
      return isFailure(moved) ? moved : { ok: true, entry: moved, repeated: false };
    } catch (error) {
      if (!(error instanceof KeyTaken)) throw error;
      // Its twin came first by a moment: what that one wrote is the answer.
      const twin = await repeated(body.key, bodyHash);
      if (twin) return twin;
      throw error;
    }
  }

  /** Read outside of the transaction: looking for what is not there makes strangers conflict at SERIALIZABLE. */
  async function repeated(key: string, bodyHash: string): Promise<Moved | undefined> {
    const found = await findEntry(sql, key);
    if (!found) return undefined;
    if (found.bodyHash === bodyHash) return { ok: true, entry: found.entry, repeated: true };
    return fail("idempotency-key-reused", "This key belongs to another movement; use a new one.");
  }

  return {
    authorize: (body, forcedDecline) =>
      once("authorization", body, async (tx, bodyHash) => {
        const { key, merchant, amount, method, reference } = body;
        const named = reference === undefined ? {} : { reference };
        const wanted = decideAuthorization({ method, forcedDecline, closed: false });
        const isOpen = await insertAuthorization(tx, key, {
          merchant,
          status: wanted.status,
          amountMinor: amount.amountMinor,
          currency: amount.currency,
          capturedMinor: 0,
          refundedMinor: 0,
          ...named,
        });
        const { status, reason } = isOpen
          ? wanted
          : decideAuthorization({ method, forcedDecline, closed: true });
        const entry = {
          key,
          kind: "authorization",
          status,
          authorizationKey: key,
          merchant,
          amount,
        } as const;
        return insertEntry(tx, { ...entry, ...named, ...(reason === undefined ? {} : { reason }) }, bodyHash);
      }),
    capture: (body) =>
      once("capture", body, async (tx, bodyHash) => {
        const found = await lockAuthorization(tx, body.authorizationKey);
        const allowed = mayCapture(found, body.amount);
        if (!allowed.ok) return allowed;
        await changeAuthorization(tx, body.authorizationKey, { capturedMinor: body.amount.amountMinor });
        return insertEntry(tx, movement("capture", body, found), bodyHash);
      }),
    refund: (body) =>
      once("refund", body, async (tx, bodyHash) => {
        const found = await lockAuthorization(tx, body.authorizationKey);
        const allowed = mayRefund(found, body.amount);
        if (!allowed.ok) return allowed;
        await changeAuthorization(tx, body.authorizationKey, { refundedMinor: body.amount.amountMinor });
        return insertEntry(tx, movement("refund", body, found), bodyHash);
      }),
    void: (body) =>
      once("void", body, async (tx, bodyHash) => {
        const found = await lockAuthorization(tx, body.authorizationKey);
        const allowed = mayVoid(found);
        if (!allowed.ok) return allowed;
        const amount = { amountMinor: found?.amountMinor ?? 0, currency: found?.currency ?? NO_CURRENCY };
        if (found) await changeAuthorization(tx, body.authorizationKey, { voided: true });
        else {
          const isClosed = await insertAuthorization(tx, body.authorizationKey, {
            merchant: body.merchant,
            status: "voided",
            ...amount,
            capturedMinor: 0,
            refundedMinor: 0,
          });
          // Saying "done" while the authorization slipped in would leave its money reserved for ever.
          if (!isClosed) throw new Error("an authorization appeared inside of a serializable transaction");
        }
        return insertEntry(
          tx,
          movement("void", { ...body, amount }, found ?? { merchant: body.merchant }),
          bodyHash,
        );
      }),
    async find(key) {
      return (await findEntry(sql, key))?.entry;
    },
  };
}

function movement(
  kind: "capture" | "refund" | "void",
  body: { key: string; authorizationKey: string; amount: Entry["amount"] },
  of: { merchant: string; reference?: string } | undefined,
): Omit<Entry, "at"> {
  return {
    key: body.key,
    kind,
    status: "done",
    authorizationKey: body.authorizationKey,
    merchant: of?.merchant ?? "",
    amount: body.amount,
    ...(of?.reference === undefined ? {} : { reference: of.reference }),
  };
}
