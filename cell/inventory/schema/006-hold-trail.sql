-- Holds that ended without an allocation, and those that wait for one: rights come and go in the hold store, this is what is
-- remembered of them. What became an allocation is in the ledger, under the same hold id.
CREATE TABLE IF NOT EXISTS inventory.hold_event (
  event_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  hold_id TEXT NOT NULL,
  order_id TEXT,
  kind TEXT NOT NULL CHECK (kind IN ('reserve', 'release', 'expire')),
  sku TEXT NOT NULL,
  units INT8 NOT NULL,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS hold_event_by_sku ON inventory.hold_event (sku, created_at);
CREATE INDEX IF NOT EXISTS hold_event_by_age ON inventory.hold_event (created_at);
