-- What proves a delivery; the value may be personal data.
CREATE TABLE IF NOT EXISTS dispatch.proof (
  assignment_id TEXT NOT NULL PRIMARY KEY,
  kind TEXT NOT NULL,
  value TEXT NOT NULL,
  at TIMESTAMPTZ NOT NULL DEFAULT now()
);
-- When the next round without a courier counts.
ALTER TABLE dispatch.job ADD COLUMN IF NOT EXISTS round_at TIMESTAMPTZ NOT NULL DEFAULT now();
-- The last line: one parcel is with one courier, one courier has one parcel.
CREATE UNIQUE INDEX IF NOT EXISTS assignment_one_per_order ON dispatch.assignment (order_id) WHERE state IN ('offered', 'assigned', 'handed_over', 'arrived');
CREATE UNIQUE INDEX IF NOT EXISTS assignment_one_per_courier ON dispatch.assignment (courier_id) WHERE state IN ('offered', 'assigned', 'handed_over', 'arrived');
CREATE INDEX IF NOT EXISTS assignment_by_courier_id ON dispatch.assignment (courier_id, id);
CREATE INDEX IF NOT EXISTS strike_by_order ON dispatch.strike (order_id);
CREATE INDEX IF NOT EXISTS strike_by_time ON dispatch.strike (at);
