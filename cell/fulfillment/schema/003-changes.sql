-- Units that the customer has cancelled: nobody goes for them any more.
ALTER TABLE fulfillment.pick_line ADD COLUMN IF NOT EXISTS cancelled INT8 NOT NULL DEFAULT 0;
-- The version of the order whose place and time these are.
ALTER TABLE fulfillment.pick_list ADD COLUMN IF NOT EXISTS delivery_version INT8 NOT NULL DEFAULT 0;
