/**
 * The tables that every slice's schema has, written once: outbox, inbox, idempotency, saga and leases. Only
 * what PostgreSQL and CockroachDB both take; each statement is a migration step of its own.
 */
export function templateStatements(schema: string): string[] {
  return [
    `CREATE TABLE IF NOT EXISTS ${schema}.outbox (
       id UUID NOT NULL DEFAULT gen_random_uuid() PRIMARY KEY, type TEXT NOT NULL, subject TEXT NOT NULL,
       version INT8 NOT NULL, data JSONB NOT NULL, traceparent TEXT, created_at TIMESTAMPTZ NOT NULL DEFAULT now())`,
    `CREATE INDEX IF NOT EXISTS outbox_created_at ON ${schema}.outbox (created_at)`,
    `CREATE TABLE IF NOT EXISTS ${schema}.inbox (
       consumer TEXT NOT NULL, event_id TEXT NOT NULL, seen_at TIMESTAMPTZ NOT NULL DEFAULT now(),
       PRIMARY KEY (consumer, event_id))`,
    `CREATE INDEX IF NOT EXISTS inbox_seen_at ON ${schema}.inbox (seen_at)`,
    `CREATE TABLE IF NOT EXISTS ${schema}.idempotency (
       scope TEXT NOT NULL, key TEXT NOT NULL, body_hash TEXT NOT NULL,
       state TEXT NOT NULL CHECK (state IN ('running', 'done')), owner TEXT NOT NULL, lease_until TIMESTAMPTZ NOT NULL,
       response JSONB, created_at TIMESTAMPTZ NOT NULL DEFAULT now(), PRIMARY KEY (scope, key))`,
    `CREATE INDEX IF NOT EXISTS idempotency_created_at ON ${schema}.idempotency (created_at)`,
    `CREATE TABLE IF NOT EXISTS ${schema}.saga (
       id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL, state JSONB NOT NULL, position INT8 NOT NULL,
       direction TEXT NOT NULL CHECK (direction IN ('forward', 'backward', 'done', 'undone')),
       attempts INT8 NOT NULL DEFAULT 0, failure JSONB, owner TEXT NOT NULL, lease_until TIMESTAMPTZ NOT NULL,
       created_at TIMESTAMPTZ NOT NULL DEFAULT now(), updated_at TIMESTAMPTZ NOT NULL DEFAULT now())`,
    `CREATE INDEX IF NOT EXISTS saga_due ON ${schema}.saga (direction, lease_until)`,
    `CREATE TABLE IF NOT EXISTS ${schema}.worker_lease (
       name TEXT NOT NULL PRIMARY KEY, holder TEXT NOT NULL, until TIMESTAMPTZ NOT NULL)`,
  ];
}
