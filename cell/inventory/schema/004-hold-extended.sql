-- A hold that was asked for again ends later than at first, once.
ALTER TABLE inventory.hold ADD COLUMN IF NOT EXISTS extended BOOL NOT NULL DEFAULT false;
