CREATE TABLE IF NOT EXISTS dispatch.courier (
  id TEXT NOT NULL PRIMARY KEY,
  on_shift BOOL NOT NULL,
  latitude FLOAT8 NOT NULL,
  longitude FLOAT8 NOT NULL,
  event_version INT8 NOT NULL,
  paused_until TIMESTAMPTZ NOT NULL DEFAULT now()
);
-- A courier has one active assignment at most: this row is the lock, its token the proof.
CREATE TABLE IF NOT EXISTS dispatch.courier_slot (
  courier_id TEXT NOT NULL PRIMARY KEY,
  assignment_id TEXT NOT NULL,
  token UUID NOT NULL DEFAULT gen_random_uuid()
);
CREATE TABLE IF NOT EXISTS dispatch.job (
  order_id TEXT NOT NULL PRIMARY KEY,
  state TEXT NOT NULL CHECK (state IN ('waiting', 'offered', 'assigned', 'done', 'called_off')),
  package_barcode TEXT NOT NULL DEFAULT '',
  latitude FLOAT8 NOT NULL DEFAULT 0,
  longitude FLOAT8 NOT NULL DEFAULT 0,
  promised_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  rounds INT8 NOT NULL DEFAULT 0,
  escalated BOOL NOT NULL DEFAULT false,
  next_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS job_due ON dispatch.job (state, next_at);
CREATE TABLE IF NOT EXISTS dispatch.assignment (
  id TEXT NOT NULL PRIMARY KEY,
  order_id TEXT NOT NULL,
  courier_id TEXT NOT NULL,
  state TEXT NOT NULL,
  version INT8 NOT NULL DEFAULT 1,
  offered_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  ack_by TIMESTAMPTZ NOT NULL,
  proof_kind TEXT,
  updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS assignment_by_courier ON dispatch.assignment (courier_id, state);
CREATE INDEX IF NOT EXISTS assignment_by_order ON dispatch.assignment (order_id);
CREATE INDEX IF NOT EXISTS assignment_due ON dispatch.assignment (state, ack_by);
CREATE TABLE IF NOT EXISTS dispatch.strike (
  courier_id TEXT NOT NULL,
  order_id TEXT NOT NULL,
  at TIMESTAMPTZ NOT NULL DEFAULT now(),
  PRIMARY KEY (courier_id, order_id)
);
