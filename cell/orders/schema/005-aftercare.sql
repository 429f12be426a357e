ALTER TABLE orders.orders ADD COLUMN IF NOT EXISTS cancelled_lines JSONB NOT NULL DEFAULT '[]';
-- What the floor will be told when the payment of an order that is looked at has passed.
CREATE TABLE IF NOT EXISTS orders.review (
  order_id TEXT NOT NULL PRIMARY KEY,
  lines JSONB NOT NULL,
  asked_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS orders.return_case (
  id TEXT NOT NULL PRIMARY KEY,
  order_id TEXT NOT NULL,
  request_key TEXT NOT NULL,
  state TEXT NOT NULL,
  version INT8 NOT NULL DEFAULT 1,
  lines JSONB NOT NULL,
  inspected JSONB NOT NULL DEFAULT '[]',
  refund_minor INT8 NOT NULL CHECK (refund_minor >= 0),
  currency TEXT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  receive_by TIMESTAMPTZ NOT NULL,
  UNIQUE (order_id, request_key)
);
CREATE INDEX IF NOT EXISTS return_case_due ON orders.return_case (state, receive_by);
CREATE TABLE IF NOT EXISTS orders.return_log (
  return_id TEXT NOT NULL,
  version INT8 NOT NULL,
  event TEXT NOT NULL,
  from_state TEXT NOT NULL,
  to_state TEXT NOT NULL,
  actor TEXT NOT NULL,
  at TIMESTAMPTZ NOT NULL DEFAULT now(),
  PRIMARY KEY (return_id, version)
);
CREATE TABLE IF NOT EXISTS orders.refund (
  id TEXT NOT NULL PRIMARY KEY,
  order_id TEXT NOT NULL,
  amount_minor INT8 NOT NULL CHECK (amount_minor > 0),
  currency TEXT NOT NULL,
  reason TEXT NOT NULL,
  state TEXT NOT NULL DEFAULT 'asked' CHECK (state IN ('asked', 'taken', 'refused')),
  created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS refund_by_order ON orders.refund (order_id);
-- A user's history is read by id, newest first, which is what the index over the time could not give.
CREATE INDEX IF NOT EXISTS orders_by_sub_id ON orders.orders (sub, id);
DROP INDEX IF EXISTS orders.orders_by_sub;
