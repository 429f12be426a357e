-- Who scanned, so that a scan that was interrupted can be completed word for word.
ALTER TABLE fulfillment.scan ADD COLUMN IF NOT EXISTS actor TEXT NOT NULL DEFAULT 'unknown';
-- A short that a recount of the tote found: its units go back to their bin instead of out of the ledger.
ALTER TABLE fulfillment.scan ADD COLUMN IF NOT EXISTS recount BOOL NOT NULL DEFAULT false;
CREATE INDEX IF NOT EXISTS scan_pending ON fulfillment.scan (at) WHERE NOT applied;
CREATE INDEX IF NOT EXISTS pick_list_by_state_id ON fulfillment.pick_list (state, id);
-- A label that is on two packages would send one of them to the wrong door.
CREATE UNIQUE INDEX IF NOT EXISTS pick_list_by_barcode ON fulfillment.pick_list (package_barcode);
CREATE INDEX IF NOT EXISTS called_off_by_time ON fulfillment.called_off (at);
