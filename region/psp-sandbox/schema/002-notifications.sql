-- What merchants have yet to be told; deleted when they have heard it, or when telling them was given up.
CREATE TABLE IF NOT EXISTS psp.notification (
  delivery_id TEXT NOT NULL PRIMARY KEY,
  event_id TEXT NOT NULL,
  merchant TEXT NOT NULL,
  body TEXT NOT NULL,
  attempts INT8 NOT NULL DEFAULT 0,
  due_at TIMESTAMPTZ NOT NULL,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS notification_due ON psp.notification (due_at);
CREATE TABLE IF NOT EXISTS psp.manner (
  id TEXT NOT NULL PRIMARY KEY,
  copies INT8 NOT NULL,
  delay_ms INT8 NOT NULL,
  spread_ms INT8 NOT NULL,
  answer_delay_ms INT8 NOT NULL
);
