-- The fold of a SKU's movements up to a version, so that comparing does not start at the first day every time.
CREATE TABLE IF NOT EXISTS inventory.checkpoint (
  sku TEXT NOT NULL,
  bin_id TEXT NOT NULL,
  version INT8 NOT NULL,
  on_hand INT8 NOT NULL,
  allocated INT8 NOT NULL,
  damaged INT8 NOT NULL,
  PRIMARY KEY (sku, bin_id)
);
