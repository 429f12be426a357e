CREATE TABLE IF NOT EXISTS fulfillment.pick_list (
  id TEXT NOT NULL PRIMARY KEY,
  order_id TEXT NOT NULL UNIQUE,
  hold_id TEXT NOT NULL,
  state TEXT NOT NULL,
  version INT8 NOT NULL DEFAULT 1,
  tote TEXT,
  package_barcode TEXT,
  latitude FLOAT8 NOT NULL,
  longitude FLOAT8 NOT NULL,
  promised_at TIMESTAMPTZ NOT NULL,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS pick_list_by_state ON fulfillment.pick_list (state, promised_at);
CREATE TABLE IF NOT EXISTS fulfillment.pick_line (
  id TEXT NOT NULL PRIMARY KEY,
  pick_list_id TEXT NOT NULL,
  position INT8 NOT NULL,
  sku TEXT NOT NULL,
  barcode TEXT NOT NULL,
  weight_grams INT8 NOT NULL,
  aisle INT8 NOT NULL,
  bin_position INT8 NOT NULL,
  level INT8 NOT NULL,
  quantity INT8 NOT NULL CHECK (quantity > 0),
  picked INT8 NOT NULL DEFAULT 0 CHECK (picked >= 0),
  short INT8 NOT NULL DEFAULT 0 CHECK (short >= 0),
  CHECK (picked + short <= quantity)
);
CREATE INDEX IF NOT EXISTS pick_line_by_list ON fulfillment.pick_line (pick_list_id, position);
CREATE TABLE IF NOT EXISTS fulfillment.scan (
  event_id TEXT NOT NULL,
  pick_list_id TEXT NOT NULL,
  line_id TEXT NOT NULL,
  kind TEXT NOT NULL CHECK (kind IN ('pick', 'short')),
  quantity INT8 NOT NULL CHECK (quantity > 0),
  applied BOOL NOT NULL DEFAULT false,
  at TIMESTAMPTZ NOT NULL DEFAULT now(),
  PRIMARY KEY (pick_list_id, event_id)
);
-- An order may be called off before its confirmation has arrived here.
CREATE TABLE IF NOT EXISTS fulfillment.called_off (
  order_id TEXT NOT NULL PRIMARY KEY,
  at TIMESTAMPTZ NOT NULL DEFAULT now()
);
