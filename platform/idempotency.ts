import { createHash, randomUUID } from "node:crypto";
import { createGroup } from "./group.ts";
import type { HttpResult } from "./http.ts";
import { type Failure, fail, isFailure, PROBLEMS } from "./problem.ts";
import type { Sql } from "./sql.ts";

export interface IdempotentCall {
  readonly key: string;
  /** Who and what: keys of two users, or on two paths, are two keys. */
  readonly scope: string;
  readonly body: string;
}

/** Same key and body: the same answer. Same key and another body: 422. Still running: 409. */
export interface IdempotencyStore {
  run(call: IdempotentCall, execute: () => Promise<HttpResult | Failure>): Promise<HttpResult | Failure>;
  /** Deletes answers that are older than the retention, at most `limit`; answers how many. */
  sweep(limit: number): Promise<number>;
}

/** A run that was killed may be repeated after this long; handlers are idempotent by their key themselves. */
const LEASE_SECONDS = 35;
const RETENTION_DAYS = 30;

interface Row {
  body_hash: string;
  state: "running" | "done";
  response: { failure?: Failure; result?: HttpResult } | null;
  expired: boolean;
}

interface Claim {
  readonly call: IdempotentCall;
  readonly bodyHash: string;
  readonly owner: string;
}

interface Completion {
  readonly call: IdempotentCall;
  readonly owner: string;
  readonly response: string;
}

const nameOf = ({ call }: Claim): string => `${call.scope} ${call.key}`;

/** The store of one slice, in the table that its schema was given. */
export function sqlIdempotency(sql: Sql, schema: string): IdempotencyStore {
  const table = `${schema}.idempotency`;

  /** True for each that was written. Sorted, so that two replicas that write the same keys wait for each other in one direction only. */
  const write = createGroup<Claim, boolean>({
    sql,
    isOneStatement: true,
    async run(tx, claims) {
      const sorted = [...claims].sort((left, right) => (nameOf(left) < nameOf(right) ? -1 : 1));
      const rows = await tx.query<{ owner: string }>(
        `INSERT INTO ${table} (scope, key, body_hash, state, owner, lease_until)
         SELECT n.scope, n.key, n.hash, 'running', n.owner, now() + INTERVAL '${LEASE_SECONDS} seconds'
         FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[]) AS n (scope, key, hash, owner)
         ON CONFLICT (scope, key) DO NOTHING RETURNING owner`,
        [
          sorted.map(({ call }) => call.scope),
          sorted.map(({ call }) => call.key),
          sorted.map(({ bodyHash }) => bodyHash),
          sorted.map(({ owner }) => owner),
        ],
      );
      const written = new Set(rows.map(({ owner }) => owner));
      return claims.map(({ owner }) => written.has(owner));
    },
  });

  const complete = createGroup<Completion, undefined>({
    sql,
    isOneStatement: true,
    async run(tx, completions) {
      await tx.query(
        `UPDATE ${table} AS i SET state = 'done', response = n.response::JSONB
         FROM unnest($1::TEXT[], $2::TEXT[], $3::TEXT[], $4::TEXT[]) AS n (scope, key, owner, response)
         WHERE i.scope = n.scope AND i.key = n.key AND i.owner = n.owner AND i.state = 'running'`,
        [
          completions.map(({ call }) => call.scope),
          completions.map(({ call }) => call.key),
          completions.map(({ owner }) => owner),
          completions.map(({ response }) => response),
        ],
      );
      return completions.map(() => undefined);
    },
  });

  async function claim(call: IdempotentCall, bodyHash: string, owner: string): Promise<Row | undefined> {
    if (await write({ call, bodyHash, owner })) return undefined;
    const found = await sql.query<Row>(
      `SELECT body_hash, state, response, lease_until < now() AS expired FROM ${table} WHERE scope = $1 AND key = $2`,
      [call.scope, call.key],
    );
    return found[0] ?? { body_hash: bodyHash, state: "running", response: null, expired: false };
  }

  async function takeOver(call: IdempotentCall, owner: string): Promise<boolean> {
    const rows = await sql.query(
      `UPDATE ${table} SET owner = $3, lease_until = now() + INTERVAL '${LEASE_SECONDS} seconds'
       WHERE scope = $1 AND key = $2 AND state = 'running' AND lease_until < now() RETURNING key`,
      [call.scope, call.key, owner],
    );
    return rows.length === 1;
  }

  async function finish(call: IdempotentCall, owner: string, answer: HttpResult | Failure): Promise<void> {
    if (!isStored(answer)) {
      await sql.query(
        `DELETE FROM ${table} WHERE scope = $1 AND key = $2 AND owner = $3 AND state = 'running'`,
        [call.scope, call.key, owner],
      );
      return;
    }
    const response = isFailure(answer) ? { failure: answer } : { result: answer };
    await complete({ call, owner, response: JSON.stringify(response) });
  }

  return {
    async run(call, execute) {
      const bodyHash = createHash("sha256").update(call.body).digest("hex");
      const owner = randomUUID();
      const found = await claim(call, bodyHash, owner);
      if (found) {
        if (found.body_hash !== bodyHash)
          return fail(
            "idempotency-key-reused",
            "This Idempotency-Key was used with another body; use a new key.",
          );
        if (found.state === "done") return replayed(found);
        if (!found.expired || !(await takeOver(call, owner)))
          return fail(
            "request-in-progress",
            "The same request is still running; repeat it to get its answer.",
          );
      }
      let answer: HttpResult | Failure;
      try {
        answer = await execute();
      } catch (error) {
        await finish(call, owner, fail("internal", "")).catch(() => undefined);
        throw error;
      }
      await finish(call, owner, answer);
      return answer;
    },
    async sweep(limit) {
      const rows = await sql.query(
        `DELETE FROM ${table} WHERE (scope, key) IN (SELECT scope, key FROM ${table}
           WHERE created_at < now() - INTERVAL '${RETENTION_DAYS} days' ORDER BY created_at LIMIT $1) RETURNING key`,
        [limit],
      );
      return rows.length;
    },
  };
}

/** A failure of ours, or a request that was never valid, says nothing about the key: the next try runs anew. */
function isStored(answer: HttpResult | Failure): boolean {
  const status = isFailure(answer) ? PROBLEMS[answer.code].status : answer.status;
  return (
    status < 500 &&
    status !== 400 &&
    status !== 429 &&
    !(isFailure(answer) && answer.code === "request-in-progress")
  );
}

function replayed(row: Row): HttpResult | Failure {
  const { failure, result } = row.response ?? {};
  const headers = { ...(failure ?? result)?.headers, "Idempotent-Replayed": "true" };
  return failure ? { ...failure, headers } : { status: 200, ...result, headers };
}
