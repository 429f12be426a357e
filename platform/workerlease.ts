import type { Sql } from "./sql.ts";

/**
 * Takes or renews the right to be the one that does `name` in this schema. The database's clock decides; a holder
 * that stops renewing is replaced after `seconds`.
 */
export async function holdLease(
  sql: Sql,
  schema: string,
  name: string,
  holder: string,
  seconds: number,
): Promise<boolean> {
  const rows = await sql.query(
    `INSERT INTO ${schema}.worker_lease (name, holder, until) VALUES ($1, $2, now() + $3::INT8 * INTERVAL '1 second')
     ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, until = excluded.until
     WHERE worker_lease.holder = excluded.holder OR worker_lease.until < now() RETURNING name`,
    [name, holder, seconds],
  );
  return rows.length === 1;
}

/** Gives the right back, so that the next one need not wait. */
export async function releaseLease(sql: Sql, schema: string, name: string, holder: string): Promise<void> {
  await sql.query(`UPDATE ${schema}.worker_lease SET until = now() WHERE name = $1 AND holder = $2`, [
    name,
    holder,
  ]);
}
