import { createHolding } from "../../cell/inventory/holding.ts";
import { createStockParts, type StockParts } from "../../cell/inventory/parts.ts";
import { findDrift } from "../../cell/inventory/reconcile.ts";
import { createWorkers } from "../../cell/inventory/workers.ts";
import { roleOf } from "../../platform/credentials.ts";
import { silentLogger } from "../../platform/log.ts";
import { createMetrics, type Metrics } from "../../platform/metrics.ts";
import { createRedis, type Redis } from "../../platform/redis.ts";
import { cellEnvSchema } from "../../platform/slice.ts";
import { createSql, parseDatabaseUrl, type Sql } from "../../platform/sql.ts";
import { startWorkers } from "../../platform/workers.ts";
import type { HoldContender, HoldStores } from "./contender.ts";

/** The parts of the inventory slice, put together as the slice does it. */
interface Parts extends StockParts {
  readonly sql: Sql;
  readonly admin: Sql;
  readonly redis: Redis;
  readonly metrics: Metrics;
}

const TTL_MS = 300_000;
const PAGE = 500;
const BIN = { aisle: 1, position: 1, level: 0 };
const log = silentLogger();

async function openParts(stores: HoldStores): Promise<Parts> {
  const env = cellEnvSchema.parse(stores.env);
  const metrics = createMetrics({ service: "inventory", cell: env.CELL });
  const redis = createRedis({ url: stores.redisUrl, log });
  while (!redis.isReady()) await new Promise((resolve) => setTimeout(resolve, 10));
  const address = parseDatabaseUrl(stores.databaseUrl);
  const sql = createSql({
    ...address,
    user: roleOf("inventory", env.CREDENTIALS_GENERATION, env.DATABASE_ROLE_PREFIX),
    password: stores.env.DATABASE_PASSWORD_INVENTORY ?? "",
    ...{ applicationName: "inventory", max: env.DATABASE_POOL, epoch: env.CELL_EPOCH, log, metrics },
  });
  const admin = createSql({
    ...address,
    ...{ applicationName: "bench", max: 2, log, metrics, statementTimeoutMs: 60_000 },
  });
  // The limit is counted and compared as in a cell, but set so high that it is the machine that ends the row.
  const limits = { ratePerSku: 1_000_000 };
  const about = { center: env.CELL, epoch: env.CELL_EPOCH, ...limits };
  return { ...createStockParts({ sql, redis, log, metrics, ...about }), sql, admin, redis, metrics };
}

const skuName = (sku: number) => `sku-${sku}`;
const namesOf = (from: number, to: number) =>
  Array.from({ length: to - from }, (_, at) => skuName(from + at));

async function fill(parts: Parts, skus: number, units: number): Promise<void> {
  const { admin, redis, writer, rebuilder } = parts;
  await redis.call("FLUSHDB");
  await admin.query(
    `TRUNCATE inventory.movement, inventory.command, inventory.allocation, inventory.allocation_line, inventory.hold,
       inventory.hold_line, inventory.mirror_due, inventory.drop_due, inventory.balance, inventory.sku, inventory.bin,
       inventory.repair, inventory.checkpoint, inventory.outbox, inventory.in_transit, inventory.hold_event`,
  );
  for (let from = 0; from < skus; from += PAGE) {
    const names = namesOf(from, Math.min(skus, from + PAGE));
    await admin.query(
      `INSERT INTO inventory.sku (sku, barcode, name, weight_grams, temperature)
       SELECT s, s, s, 500, 'ambient' FROM unnest($1::TEXT[]) AS n (s)`,
      [names],
    );
    const lines = names.map((sku) => ({ sku, bin: BIN, quantity: units }));
    const received = await writer.submit({ kind: "receive", id: `fill-${from}-${Date.now()}`, lines });
    if (!received.ok) throw new Error(received.detail);
  }
  const result = await rebuilder.check();
  if (result !== "rebuilt") throw new Error(`the hold store is ${result}`);
}

async function close({ sql, admin, redis, writer }: Parts): Promise<void> {
  await writer.stop();
  await redis.close();
  await sql.close();
  await admin.close();
}

/** Takes holds as the slice's hold store does: idempotent by hold id and call key, fenced by epoch and generation, given back by TTL. */
export async function openVolatile(stores: HoldStores): Promise<HoldContender> {
  const parts = await openParts(stores);
  const { holds } = parts;
  let numbers = 0;
  let skusFilled = 0;
  return {
    about: "the slice's hold store: idempotent, fenced by epoch and generation, expired holds swept",
    async fill(skus, units) {
      skusFilled = skus;
      await fill(parts, skus, units);
    },
    async take(sku) {
      const holdId = `h${numbers++}`;
      const lines = [{ sku: skuName(sku), quantity: 1 }];
      const placed = await holds.place({
        ...{ holdId, callKey: holdId, orderId: `ord-${holdId}`, owner: "u-1", ttlMs: TTL_MS, lines },
      });
      if (placed.kind === "placed") return true;
      if (placed.kind === "short") return false;
      throw new Error(`a hold was answered ${placed.kind}`);
    },
    async taken() {
      let sum = 0;
      for (let from = 0; from < skusFilled; from += PAGE) {
        const units = await holds.reserved(namesOf(from, Math.min(skusFilled, from + PAGE)));
        for (const reserved of units?.values() ?? []) sum += reserved;
      }
      const { openHolds } = await holds.status();
      if (openHolds !== sum) throw new Error(`${openHolds} holds are open for ${sum} units`);
      return sum;
    },
    close: () => close(parts),
  };
}

/** A hold and then its allocation, which is committed: the slice's whole way, its background work running beside it. */
export async function openDurable(stores: HoldStores): Promise<HoldContender> {
  const parts = await openParts(stores);
  const { admin, sql, writer, rebuilder, metrics } = parts;
  const holding = createHolding({
    ...{ ...parts, log, epoch: Number(stores.env.CELL_EPOCH), ttlSeconds: TTL_MS / 1000 },
    ...{ trusted: rebuilder.trusted, storeAway: rebuilder.doubt, storeLost: rebuilder.doubt },
  });
  const start = () => startWorkers(createWorkers({ ...parts, log }), { log, metrics });
  let stopWorkers: (() => Promise<void>) | undefined;
  let numbers = 0;
  const [facts] = await sql.query<{ fsync: string; version: string }>(
    "SELECT current_setting('fsync') AS fsync, current_setting('server_version') AS version",
  );
  return {
    about: `hold, then allocate by the one writer: PostgreSQL ${facts?.version}, serializable, fsync ${facts?.fsync}, with movement, answer and event`,
    async fill(skus, units) {
      await stopWorkers?.();
      await fill(parts, skus, units);
      stopWorkers = start();
    },
    async take(sku) {
      const holdId = `h${numbers++}`;
      const lines = [{ sku: skuName(sku), quantity: 1 }];
      const held = await holding.place({ holdId, orderId: `ord-${holdId}`, owner: "u-1", lines }, holdId);
      if (held.ok) {
        const bound = await writer.submit({ kind: "allocate", id: holdId, orderId: `ord-${holdId}`, lines });
        if (bound.ok) return true;
        if (bound.code === "overloaded") return false;
        throw new Error(`an allocation was answered ${bound.code}: ${bound.detail}`);
      }
      if (held.code === "out-of-stock") return false;
      throw new Error(`a hold was answered ${held.code}: ${held.detail}`);
    },
    async taken() {
      const [row] = await admin.query<{ units: number; lines: number }>(
        `SELECT coalesce(sum(allocated), 0)::INT8 AS units,
           (SELECT coalesce(sum(quantity), 0) FROM inventory.allocation_line)::INT8 AS lines FROM inventory.balance`,
      );
      const skus = await admin.query<{ sku: string }>("SELECT sku FROM inventory.sku");
      for (let from = 0; from < skus.length; from += PAGE) {
        const drift = await findDrift(
          admin,
          skus.slice(from, from + PAGE).map(({ sku }) => sku),
        );
        if (drift.length > 0) throw new Error(`${drift.length} balances are not the sum of their movements`);
      }
      if (row?.units !== row?.lines) throw new Error("balances and allocations do not agree");
      return row?.units ?? 0;
    },
    async close() {
      await stopWorkers?.();
      await close(parts);
    },
  };
}
