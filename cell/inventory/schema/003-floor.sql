-- Picked units of a delivered order that came back.
ALTER TABLE inventory.allocation_line ADD COLUMN IF NOT EXISTS returned INT8 NOT NULL DEFAULT 0;
-- What left for another center and has not been said to be there.
CREATE TABLE IF NOT EXISTS inventory.in_transit (
  transfer_id TEXT NOT NULL,
  sku TEXT NOT NULL,
  bin_id TEXT NOT NULL,
  to_center TEXT NOT NULL,
  quantity INT8 NOT NULL CHECK (quantity > 0),
  created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  arrived_at TIMESTAMPTZ,
  PRIMARY KEY (transfer_id, sku, bin_id)
);
CREATE INDEX IF NOT EXISTS in_transit_by_age ON inventory.in_transit (arrived_at, created_at);
