-- When a hold that was granted here was brought over to the hold store: it counts here for a while longer, for replicas that do not trust the store yet.
ALTER TABLE inventory.hold ADD COLUMN IF NOT EXISTS moved_at TIMESTAMPTZ;
