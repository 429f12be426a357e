-- The version of the pick list whose place and time these are.
ALTER TABLE dispatch.job ADD COLUMN IF NOT EXISTS delivery_version INT8 NOT NULL DEFAULT 0;
