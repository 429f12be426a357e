CREATE TABLE IF NOT EXISTS inventory.sku (
  sku TEXT PRIMARY KEY,
  barcode TEXT NOT NULL,
  name TEXT NOT NULL,
  weight_grams INT8 NOT NULL CHECK (weight_grams >= 0),
  temperature TEXT NOT NULL CHECK (temperature IN ('ambient', 'chilled', 'frozen')),
  created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX IF NOT EXISTS sku_barcode ON inventory.sku (barcode);
CREATE TABLE IF NOT EXISTS inventory.bin (
  bin_id TEXT PRIMARY KEY,
  aisle INT8 NOT NULL CHECK (aisle >= 0),
  slot INT8 NOT NULL CHECK (slot >= 0),
  level INT8 NOT NULL CHECK (level >= 0)
);
CREATE TABLE IF NOT EXISTS inventory.balance (
  sku TEXT NOT NULL REFERENCES inventory.sku (sku),
  bin_id TEXT NOT NULL REFERENCES inventory.bin (bin_id),
  on_hand INT8 NOT NULL DEFAULT 0 CHECK (on_hand >= 0),
  allocated INT8 NOT NULL DEFAULT 0 CHECK (allocated >= 0),
  damaged INT8 NOT NULL DEFAULT 0 CHECK (damaged >= 0),
  version INT8 NOT NULL DEFAULT 0,
  PRIMARY KEY (sku, bin_id),
  CONSTRAINT promised_is_there CHECK (allocated + damaged <= on_hand)
);
CREATE TABLE IF NOT EXISTS inventory.movement (
  movement_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  sku TEXT NOT NULL,
  bin_id TEXT NOT NULL,
  version INT8 NOT NULL,
  ordinal INT8 NOT NULL,
  kind TEXT NOT NULL,
  command_id TEXT NOT NULL,
  hold_id TEXT,
  actor TEXT,
  on_hand_delta INT8 NOT NULL,
  allocated_delta INT8 NOT NULL,
  damaged_delta INT8 NOT NULL,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS movement_by_sku ON inventory.movement (sku, version, ordinal);
-- The answer is kept as it was written: JSONB would give it back with its fields in another order.
CREATE TABLE IF NOT EXISTS inventory.command (
  command_id TEXT PRIMARY KEY,
  body_hash TEXT NOT NULL,
  answer TEXT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS command_by_age ON inventory.command (created_at);
CREATE TABLE IF NOT EXISTS inventory.allocation (
  hold_id TEXT PRIMARY KEY,
  order_id TEXT NOT NULL,
  state TEXT NOT NULL CHECK (state IN ('allocated', 'released')),
  created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS inventory.allocation_line (
  hold_id TEXT NOT NULL,
  sku TEXT NOT NULL,
  bin_id TEXT NOT NULL,
  quantity INT8 NOT NULL CHECK (quantity > 0),
  picked INT8 NOT NULL DEFAULT 0 CHECK (picked >= 0),
  shorted INT8 NOT NULL DEFAULT 0 CHECK (shorted >= 0),
  put_back INT8 NOT NULL DEFAULT 0 CHECK (put_back >= 0),
  released INT8 NOT NULL DEFAULT 0 CHECK (released >= 0),
  PRIMARY KEY (hold_id, sku, bin_id),
  CONSTRAINT resolved_is_allocated CHECK (picked + shorted + released <= quantity),
  CONSTRAINT put_back_was_picked CHECK (put_back <= picked)
);
CREATE TABLE IF NOT EXISTS inventory.hold (
  hold_id TEXT PRIMARY KEY,
  order_id TEXT NOT NULL,
  owner TEXT NOT NULL,
  call_key TEXT NOT NULL,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  expires_at TIMESTAMPTZ NOT NULL
);
CREATE INDEX IF NOT EXISTS hold_by_expiry ON inventory.hold (expires_at);
CREATE TABLE IF NOT EXISTS inventory.hold_line (
  hold_id TEXT NOT NULL,
  sku TEXT NOT NULL,
  quantity INT8 NOT NULL CHECK (quantity > 0),
  PRIMARY KEY (hold_id, sku)
);
CREATE INDEX IF NOT EXISTS hold_line_by_sku ON inventory.hold_line (sku);
CREATE TABLE IF NOT EXISTS inventory.mirror_due (
  sku TEXT PRIMARY KEY,
  version INT8 NOT NULL,
  due_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS inventory.drop_due (
  hold_id TEXT PRIMARY KEY,
  due_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS inventory.writer (
  id INT8 PRIMARY KEY
);
INSERT INTO inventory.writer (id) VALUES (1) ON CONFLICT (id) DO NOTHING;
CREATE INDEX IF NOT EXISTS allocation_line_by_sku ON inventory.allocation_line (sku);
CREATE TABLE IF NOT EXISTS inventory.repair (
  repair_id UUID PRIMARY KEY DEFAULT gen_random_uuid(),
  sku TEXT NOT NULL,
  bin_id TEXT NOT NULL,
  on_hand_delta INT8 NOT NULL,
  allocated_delta INT8 NOT NULL,
  damaged_delta INT8 NOT NULL,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
