ALTER TABLE payments.intent ADD COLUMN IF NOT EXISTS risk_customer TEXT;
ALTER TABLE payments.intent ADD COLUMN IF NOT EXISTS risk_address TEXT;
ALTER TABLE payments.intent ADD COLUMN IF NOT EXISTS risk_score INT8;
ALTER TABLE payments.intent ADD COLUMN IF NOT EXISTS risk_reasons TEXT;
-- Open, approved, refused, or closed when the money went away first; nothing where nobody has to look.
ALTER TABLE payments.intent ADD COLUMN IF NOT EXISTS review TEXT;
ALTER TABLE payments.intent ADD COLUMN IF NOT EXISTS review_until TIMESTAMPTZ;
ALTER TABLE payments.intent ADD COLUMN IF NOT EXISTS review_actor TEXT;
ALTER TABLE payments.intent ADD COLUMN IF NOT EXISTS reviewed_at TIMESTAMPTZ;
CREATE INDEX IF NOT EXISTS intent_by_review ON payments.intent (review, review_until, intent_id);
-- What is known of who pays, by digests that only the orders of this cell can make.
CREATE TABLE IF NOT EXISTS payments.payer (
  customer TEXT NOT NULL PRIMARY KEY,
  first_seen_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
CREATE TABLE IF NOT EXISTS payments.paid_address (
  customer TEXT NOT NULL,
  address TEXT NOT NULL,
  first_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  PRIMARY KEY (customer, address)
);
