import { createRequire } from "node:module";

const POOL = 16;
const require = createRequire(import.meta.url);

/**
 * The inventory module of Medusa, from npm, by itself on PostgreSQL. It reads, compares and writes back, so calls for one item must
 * not overlap: like the cart's step that reserves, each call holds a lock on its item. The lock here is a queue in memory, which
 * costs nothing.
 */
export async function open({ databaseUrl }) {
  process.env.DATABASE_URL = databaseUrl;
  process.env.LOG_LEVEL = "error";
  const { MedusaApp } = require("@medusajs/framework/modules-sdk");
  const { createPgConnection } = require("@medusajs/framework/utils");
  const connection = createPgConnection({
    clientUrl: databaseUrl,
    driverOptions: { connection: { ssl: false } },
    pool: { min: 0, max: POOL },
  });
  const app = await MedusaApp({
    sharedResourcesConfig: { database: { clientUrl: databaseUrl } },
    modulesConfig: {
      inventory: { resolve: "@medusajs/inventory", options: { database: { clientUrl: databaseUrl } } },
    },
    injectedDependencies: { __pg_connection__: connection },
    cwd: import.meta.dirname,
  });
  await app.runMigrations();
  await app.onApplicationStart();
  const inventory = app.modules.inventory;
  const { version } = require("@medusajs/inventory/package.json");
  const isolation = (await connection.raw("SHOW transaction_isolation")).rows[0].transaction_isolation;
  let items = [];
  let locks = [];
  return {
    about: `@medusajs/inventory ${version}, createReservationItems under a lock for each item, ${isolation}, ${POOL} connections`,
    async fill(skus, units) {
      await connection.raw("TRUNCATE inventory_item, inventory_level, reservation_item CASCADE");
      items = [];
      for (let from = 0; from < skus; from += 500) {
        const size = Math.min(500, skus - from);
        const made = await inventory.createInventoryItems(
          Array.from({ length: size }, (_, at) => ({ sku: `sku-${from + at}` })),
        );
        await inventory.createInventoryLevels(
          made.map(({ id }) => ({ inventory_item_id: id, location_id: "loc", stocked_quantity: units })),
        );
        items.push(...made.map(({ id }) => id));
      }
      locks = items.map(() => Promise.resolve());
    },
    take(sku) {
      const reserve = async () => {
        try {
          await inventory.createReservationItems([
            { inventory_item_id: items[sku], location_id: "loc", quantity: 1 },
          ]);
          return true;
        } catch (error) {
          if (error?.type === "not_allowed") return false;
          throw error;
        }
      };
      const taking = locks[sku].then(reserve);
      locks[sku] = taking.then(
        () => undefined,
        () => undefined,
      );
      return taking;
    },
    async taken() {
      const { rows } = await connection.raw(
        "SELECT coalesce(sum(reserved_quantity), 0)::INT8 AS reserved, (SELECT coalesce(sum(quantity), 0) FROM reservation_item)::INT8 AS noted FROM inventory_level",
      );
      if (rows[0].reserved !== rows[0].noted) throw new Error("reservations and stock do not agree");
      return Number(rows[0].reserved);
    },
    async close() {
      await connection.destroy();
    },
  };
}
