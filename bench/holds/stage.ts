import { spawn } from "node:child_process";
import { join } from "node:path";
import { silentLogger } from "../../platform/log.ts";
import { createMetrics } from "../../platform/metrics.ts";
import { createSql, parseDatabaseUrl } from "../../platform/sql.ts";
import { startTestCell } from "../../platform/testing/cell.ts";
import { testStores } from "../../platform/testing/stores.ts";
import { type Child, startChild } from "../load/child.ts";
import type { HoldContenderName, HoldStores } from "./contender.ts";

/** The contenders, each in a process, with a database and a Redis database of its own. */
export interface Stage {
  readonly players: readonly Player[];
  close(): Promise<void>;
}

export interface Player extends HoldContenderName {
  readonly child: Child;
  readonly about: string;
}

const PEERS_DIR = join(import.meta.dirname, "..", "peers");
const SETUP = join(import.meta.dirname, "..", "..", "local", "setup", "packages.mjs");
const MAIN = join(import.meta.dirname, "main.ts");

/** Installs the packages of the peers where they are missing. */
export async function ensurePeers(): Promise<void> {
  const child = spawn(process.execPath, [SETUP, PEERS_DIR], { stdio: ["ignore", "ignore", "inherit"] });
  const code = await new Promise((resolve) => child.on("close", resolve));
  if (code !== 0) throw new Error("The packages of the peers could not be installed.");
}

/** Makes the databases and starts the processes; the stores are those of the environment. */
export async function openStage(
  names: readonly HoldContenderName[],
  profileDir: string | undefined,
): Promise<Stage> {
  const stores = testStores();
  const closing: (() => Promise<unknown>)[] = [];
  const close = async () => {
    for (const undo of closing.splice(0).reverse()) await undo();
  };
  const root = createSql({
    ...parseDatabaseUrl(stores.databaseUrl),
    ...{
      applicationName: "bench",
      max: 1,
      log: silentLogger(),
      metrics: createMetrics({ service: "bench" }),
    },
  });
  closing.push(() => root.close());
  const player = async (who: HoldContenderName, index: number): Promise<Player> => {
    const found = who.isOurs ? await ourDatabase() : await peerDatabase(who.name);
    closing.push(found.remove);
    const redisUrl = `${stores.redisUrl}/${index + 1}`;
    const where: HoldStores = {
      databaseUrl: urlOf(stores.databaseUrl, found.database),
      redisUrl,
      env: found.env,
    };
    const env = { ...process.env, BENCH_STORES: JSON.stringify(where) };
    const child = startChild(MAIN, [who.name], { env, profileDir: who.isOurs ? profileDir : undefined });
    closing.push(() => child.stop());
    return { ...who, child, about: await child.ask<string>("about") };
  };

  async function peerDatabase(name: string) {
    const database = `bench_${name.replaceAll("-", "_")}_${process.pid}`;
    await root.query(`CREATE DATABASE ${database}`);
    // Peers would be undone again and again at the level that our cells ask of their server.
    await root.query(`ALTER DATABASE ${database} SET default_transaction_isolation = 'read committed'`);
    return { database, env: {}, remove: () => root.query(`DROP DATABASE ${database} WITH (FORCE)`) };
  }

  try {
    const players: Player[] = [];
    for (const [index, who] of names.entries()) players.push(await player(who, index));
    return { players, close };
  } catch (error) {
    await close();
    throw error;
  }
}

async function ourDatabase() {
  const cell = await startTestCell({ slices: [] });
  return { database: cell.env.DATABASE_NAME ?? "", env: cell.env, remove: () => cell.stop() };
}

function urlOf(serverUrl: string, database: string): string {
  const url = new URL(serverUrl);
  url.pathname = `/${database}`;
  return url.toString();
}
