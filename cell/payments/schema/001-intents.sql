CREATE TABLE IF NOT EXISTS payments.intent (
  intent_id TEXT NOT NULL PRIMARY KEY,
  order_id TEXT NOT NULL,
  method TEXT NOT NULL,
  amount_minor INT8 NOT NULL CHECK (amount_minor >= 0),
  currency TEXT NOT NULL,
  status TEXT NOT NULL,
  capture_asked_minor INT8 NOT NULL DEFAULT 0,
  captured_minor INT8 NOT NULL DEFAULT 0 CHECK (captured_minor >= 0),
  refund_asked_minor INT8 NOT NULL DEFAULT 0,
  refunded_minor INT8 NOT NULL DEFAULT 0 CHECK (refunded_minor >= 0),
  decline_reason TEXT,
  version INT8 NOT NULL DEFAULT 1,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  CONSTRAINT captured_was_authorised CHECK (capture_asked_minor <= amount_minor AND captured_minor <= capture_asked_minor),
  CONSTRAINT refunded_was_captured CHECK (refund_asked_minor <= captured_minor AND refunded_minor <= refund_asked_minor)
);
CREATE INDEX IF NOT EXISTS intent_by_order ON payments.intent (order_id);
-- One row for each movement that the processor is asked for: the queue, and the record of what was asked under which key.
CREATE TABLE IF NOT EXISTS payments.operation (
  operation_id TEXT NOT NULL PRIMARY KEY,
  intent_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('authorize', 'capture', 'void', 'refund')),
  amount_minor INT8 NOT NULL CHECK (amount_minor >= 0),
  state TEXT NOT NULL CHECK (state IN ('pending', 'done', 'refused', 'superseded')),
  attempts INT8 NOT NULL DEFAULT 0,
  reason TEXT,
  next_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  done_at TIMESTAMPTZ
);
CREATE INDEX IF NOT EXISTS operation_due ON payments.operation (state, next_at);
CREATE INDEX IF NOT EXISTS operation_by_intent ON payments.operation (intent_id);
