CREATE TABLE IF NOT EXISTS orders.orders (
  id TEXT NOT NULL PRIMARY KEY,
  sub TEXT NOT NULL,
  idempotency_key TEXT NOT NULL,
  state TEXT NOT NULL,
  version INT8 NOT NULL,
  payment_status TEXT NOT NULL DEFAULT 'none',
  payment_method TEXT NOT NULL,
  delivery_method TEXT NOT NULL DEFAULT 'courier' CHECK (delivery_method IN ('courier', 'carrier', 'locker')),
  parent_order_id TEXT,
  lines JSONB NOT NULL,
  short_lines JSONB NOT NULL DEFAULT '[]',
  total_minor INT8 NOT NULL CHECK (total_minor >= 0),
  currency TEXT NOT NULL,
  latitude FLOAT8 NOT NULL,
  longitude FLOAT8 NOT NULL,
  promised_at TIMESTAMPTZ NOT NULL,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  UNIQUE (sub, idempotency_key)
);
CREATE INDEX IF NOT EXISTS orders_by_sub ON orders.orders (sub, created_at);
CREATE INDEX IF NOT EXISTS orders_by_state ON orders.orders (state, created_at);
CREATE TABLE IF NOT EXISTS orders.state_log (
  order_id TEXT NOT NULL,
  event_id TEXT NOT NULL,
  version INT8 NOT NULL,
  event TEXT NOT NULL,
  from_state TEXT NOT NULL,
  to_state TEXT NOT NULL,
  outcome TEXT NOT NULL CHECK (outcome IN ('applied', 'stale', 'too-early')),
  actor TEXT NOT NULL,
  at TIMESTAMPTZ NOT NULL DEFAULT now(),
  PRIMARY KEY (order_id, event_id, outcome)
);
CREATE INDEX IF NOT EXISTS state_log_by_version ON orders.state_log (order_id, version);
-- Personal data, encrypted; the only table of this slice that holds any.
CREATE TABLE IF NOT EXISTS orders.contact (
  order_id TEXT NOT NULL PRIMARY KEY,
  wrapped_key BYTEA NOT NULL,
  nonce BYTEA NOT NULL,
  ciphertext BYTEA NOT NULL,
  tag BYTEA NOT NULL
);
CREATE TABLE IF NOT EXISTS orders.price (
  sku TEXT NOT NULL,
  valid_from TIMESTAMPTZ NOT NULL,
  amount_minor INT8 NOT NULL CHECK (amount_minor >= 0),
  currency TEXT NOT NULL,
  PRIMARY KEY (sku, valid_from)
);
CREATE TABLE IF NOT EXISTS orders.parked_event (
  event_id TEXT NOT NULL PRIMARY KEY,
  order_id TEXT NOT NULL,
  event TEXT NOT NULL,
  actor TEXT NOT NULL,
  details JSONB NOT NULL,
  parked_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS parked_event_by_order ON orders.parked_event (order_id, parked_at);
CREATE TABLE IF NOT EXISTS orders.effect (
  order_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('capture', 'void', 'release')),
  done BOOL NOT NULL DEFAULT false,
  attempts INT8 NOT NULL DEFAULT 0,
  next_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  PRIMARY KEY (order_id, kind)
);
CREATE INDEX IF NOT EXISTS effect_due ON orders.effect (done, next_at);
