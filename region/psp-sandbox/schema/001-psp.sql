CREATE SCHEMA IF NOT EXISTS psp;
CREATE TABLE IF NOT EXISTS psp.authorization_state (
  key TEXT NOT NULL PRIMARY KEY,
  merchant TEXT NOT NULL,
  status TEXT NOT NULL CHECK (status IN ('approved', 'declined', 'voided')),
  amount_minor INT8 NOT NULL CHECK (amount_minor >= 0),
  currency TEXT NOT NULL,
  captured_minor INT8 NOT NULL DEFAULT 0 CHECK (captured_minor >= 0),
  refunded_minor INT8 NOT NULL DEFAULT 0 CHECK (refunded_minor >= 0),
  reference TEXT,
  CONSTRAINT captured_was_authorised CHECK (captured_minor <= amount_minor),
  CONSTRAINT refunded_was_captured CHECK (refunded_minor <= captured_minor)
);
CREATE TABLE IF NOT EXISTS psp.entry (
  key TEXT NOT NULL PRIMARY KEY,
  kind TEXT NOT NULL CHECK (kind IN ('authorization', 'capture', 'void', 'refund')),
  status TEXT NOT NULL CHECK (status IN ('approved', 'declined', 'voided', 'done')),
  authorization_key TEXT NOT NULL,
  merchant TEXT NOT NULL,
  amount_minor INT8 NOT NULL CHECK (amount_minor >= 0),
  currency TEXT NOT NULL,
  body_hash TEXT NOT NULL,
  reason TEXT,
  reference TEXT,
  at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS entry_by_merchant ON psp.entry (merchant, at, key);
CREATE INDEX IF NOT EXISTS entry_by_reference ON psp.entry (reference);
CREATE TABLE IF NOT EXISTS psp.fault (
  kind TEXT NOT NULL PRIMARY KEY,
  ratio FLOAT8 NOT NULL,
  until TIMESTAMPTZ NOT NULL
);
