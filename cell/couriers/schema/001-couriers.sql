-- name and phone are personal data.
CREATE TABLE IF NOT EXISTS couriers.courier (
  id TEXT NOT NULL PRIMARY KEY,
  name TEXT NOT NULL,
  phone TEXT,
  vehicle TEXT NOT NULL CHECK (vehicle IN ('bicycle', 'scooter', 'car', 'foot')),
  user_sub TEXT,
  shift TEXT NOT NULL DEFAULT 'off' CHECK (shift IN ('off', 'on', 'silent')),
  latitude FLOAT8,
  longitude FLOAT8,
  version INT8 NOT NULL DEFAULT 1,
  heartbeat_at TIMESTAMPTZ,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS courier_by_shift ON couriers.courier (shift, heartbeat_at);
