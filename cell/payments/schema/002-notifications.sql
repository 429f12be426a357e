-- What the processor has told of its own accord, by the id of its event: the same one again changes nothing.
CREATE TABLE IF NOT EXISTS payments.notification (
  event_id TEXT NOT NULL PRIMARY KEY,
  type TEXT NOT NULL,
  operation_id TEXT NOT NULL,
  received_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS notification_by_time ON payments.notification (received_at);
