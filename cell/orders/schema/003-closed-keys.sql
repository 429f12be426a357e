-- Keys under which this cell will take no order, because another one may have.
CREATE TABLE IF NOT EXISTS orders.closed_key (
  sub TEXT NOT NULL,
  key TEXT NOT NULL,
  closed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  PRIMARY KEY (sub, key)
);
CREATE INDEX IF NOT EXISTS closed_key_by_time ON orders.closed_key (closed_at);
