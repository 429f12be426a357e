ALTER TABLE orders.orders ADD COLUMN IF NOT EXISTS body_hash TEXT NOT NULL DEFAULT '';
-- The length of the queue, apart from the orders: an index over their state would make every move of an order conflict with its neighbours'.
CREATE TABLE IF NOT EXISTS orders.waiting (
  order_id TEXT NOT NULL PRIMARY KEY,
  since TIMESTAMPTZ NOT NULL DEFAULT now()
);
INSERT INTO orders.waiting (order_id)
  SELECT id FROM orders.orders WHERE state IN ('created', 'reserved', 'confirmed', 'picking', 'substitution_pending')
  ON CONFLICT (order_id) DO NOTHING;
DROP INDEX IF EXISTS orders.orders_by_state;
ALTER TABLE orders.orders SET (fillfactor = 60);
