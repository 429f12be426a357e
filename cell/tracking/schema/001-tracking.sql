CREATE TABLE IF NOT EXISTS tracking.parcel (
  order_id TEXT NOT NULL PRIMARY KEY,
  sub TEXT,
  courier_id TEXT,
  latitude FLOAT8,
  longitude FLOAT8,
  promised_at TIMESTAMPTZ,
  ended TEXT CHECK (ended IN ('delivered', 'cancelled')),
  assignment_version INT8 NOT NULL DEFAULT 0,
  updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS parcel_by_courier ON tracking.parcel (courier_id);
