import pg from "pg";

/** Connections; more of them only wait for the same row. */
const POOL = 16;

const SCHEMA = `
CREATE TABLE IF NOT EXISTS stock (sku TEXT PRIMARY KEY, available INT8 NOT NULL CHECK (available >= 0)) WITH (fillfactor = 50);
CREATE TABLE IF NOT EXISTS reservation (id TEXT PRIMARY KEY, sku TEXT NOT NULL, quantity INT8 NOT NULL, created_at TIMESTAMPTZ NOT NULL DEFAULT now())`;

/** A statement that the server has parsed before, which is the quickest way to send it. */
const named = (name, text, values) => ({ name, text, values });

/** Commits each unit by itself: one statement, in READ COMMITTED, where nothing is ever repeated. */
async function takeByUpdate(pool, sku) {
  const { rowCount } = await pool.query(
    named("take", "UPDATE stock SET available = available - $2 WHERE sku = $1 AND available >= $2", [sku, 1]),
  );
  return rowCount === 1;
}

/** Locks the row, looks, changes it and writes the reservation down: what shops do. */
async function takeUnderLock(pool, sku, id) {
  const client = await pool.connect();
  try {
    await client.query("BEGIN");
    const { rows } = await client.query(
      named("look", "SELECT available FROM stock WHERE sku = $1 FOR UPDATE", [sku]),
    );
    const enough = Number(rows[0]?.available ?? 0) >= 1;
    if (enough) {
      await client.query(named("change", "UPDATE stock SET available = available - 1 WHERE sku = $1", [sku]));
      await client.query(
        named("note", "INSERT INTO reservation (id, sku, quantity) VALUES ($1, $2, 1)", [id, sku]),
      );
    }
    await client.query(enough ? "COMMIT" : "ROLLBACK");
    return enough;
  } catch (error) {
    await client.query("ROLLBACK");
    throw error;
  } finally {
    client.release();
  }
}

/** Opens the contender `pg-update` or `pg-for-update` on a database of its own. */
export async function open({ databaseUrl, name }) {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    max: POOL,
    options: "-c default_transaction_isolation=read\\ committed",
  });
  await pool.query(SCHEMA);
  const {
    rows: [facts],
  } = await pool.query(
    "SELECT current_setting('transaction_isolation') AS isolation, current_setting('fsync') AS fsync, current_setting('server_version') AS version",
  );
  let filled = 0;
  let holds = 0;
  const take = name === "pg-update" ? takeByUpdate : takeUnderLock;
  return {
    about: `PostgreSQL ${facts.version}, ${facts.isolation}, fsync ${facts.fsync}, ${POOL} connections, prepared statements`,
    async fill(skus, units) {
      filled = skus * units;
      await pool.query("TRUNCATE stock, reservation");
      await pool.query("INSERT INTO stock SELECT 'sku-' || n, $2 FROM generate_series(0, $1 - 1) AS n", [
        skus,
        units,
      ]);
      await pool.query("VACUUM ANALYZE stock");
    },
    take: (sku) => take(pool, `sku-${sku}`, `h${holds++}`),
    async taken() {
      const { rows } = await pool.query(
        "SELECT coalesce(sum(available), 0)::INT8 AS left, (SELECT count(*) FROM reservation) AS noted FROM stock",
      );
      const taken = filled - Number(rows[0].left);
      if (name === "pg-for-update" && Number(rows[0].noted) !== taken)
        throw new Error("reservations and stock do not agree");
      return taken;
    },
    close: () => pool.end(),
  };
}
