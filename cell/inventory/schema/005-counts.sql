-- What people found on the shelves, and what the ledger had expected; a short pick is a count that nobody planned.
CREATE TABLE IF NOT EXISTS inventory.counted (
  count_id TEXT NOT NULL,
  sku TEXT NOT NULL,
  bin_id TEXT NOT NULL,
  outcome TEXT NOT NULL CHECK (outcome IN ('matched', 'corrected', 'partly', 'recount', 'short')),
  difference INT8 NOT NULL,
  applied INT8 NOT NULL,
  actor TEXT,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  PRIMARY KEY (count_id, sku, bin_id)
);
CREATE INDEX IF NOT EXISTS counted_by_age ON inventory.counted (created_at);
-- Bins that somebody should count; `checked_at` says since when the books of the SKU are known to agree with each other.
CREATE TABLE IF NOT EXISTS inventory.count_due (
  sku TEXT NOT NULL,
  bin_id TEXT NOT NULL,
  reason TEXT NOT NULL,
  due_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  checked_at TIMESTAMPTZ,
  PRIMARY KEY (sku, bin_id)
);
CREATE TABLE IF NOT EXISTS inventory.reconcile_due (
  id INT8 PRIMARY KEY,
  due_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
INSERT INTO inventory.reconcile_due (id) VALUES (1) ON CONFLICT (id) DO NOTHING;
CREATE TABLE IF NOT EXISTS inventory.reconcile_run (
  run_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  reason TEXT NOT NULL,
  skus INT8 NOT NULL,
  drifts INT8 NOT NULL,
  repaired INT8 NOT NULL,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS reconcile_run_by_age ON inventory.reconcile_run (created_at);
CREATE INDEX IF NOT EXISTS repair_by_sku ON inventory.repair (sku, created_at);
