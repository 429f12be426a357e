import { rmSync } from "node:fs";
import { join } from "node:path";
import { isAlive, signalProcess, startProcess } from "../local/cluster/process.ts";
import type { Report } from "../local/cluster/report.ts";
import { kafkaAnswers, redisAnswers } from "../local/stores/answers.ts";
import { postgresAnswers } from "../local/stores/postgres.ts";
import { readRecords, writeRecords } from "../local/stores/records.ts";
import { type Stores, startStores } from "../local/stores/stores.ts";
import { waitFor } from "./time.ts";

export type StoreName = "redis" | "postgresql" | "kafka";

/** Stores of the run's own, each of which can be killed. */
export interface MortalStores extends Stores {
  /** Ends one at once, as a crash does; returns when it is gone. */
  kill(name: StoreName): Promise<void>;
  /** Takes away all that the hold store has on disk; it must not run. */
  wipe(): void;
  /** Starts it again as it was; returns when it answers. */
  revive(name: StoreName): Promise<void>;
}

const GONE_MS = 10_000;
/** A killed PostgreSQL replays its log, and its children may still hold its memory for a moment. */
const BACK_MS = 90_000;

/** Starts PostgreSQL, Redis and Kafka in `dir`. */
export async function startMortalStores(options: {
  readonly dir: string;
  readonly report: Report;
  readonly fsync: boolean;
}): Promise<MortalStores> {
  const { dir } = options;
  const stores = await startStores(options);
  const database = new URL(stores.databaseUrl);
  const redis = new URL(stores.redisUrl);
  const answers: Record<StoreName, () => Promise<boolean>> = {
    postgresql: () => postgresAnswers(Number(database.port), database.password),
    redis: () => redisAnswers(Number(redis.port), redis.password),
    kafka: () => kafkaAnswers(Number(stores.kafkaBrokers.split(":")[1])),
  };
  const recordOf = (name: StoreName) => {
    const found = readRecords(dir).find((record) => record.name === name);
    if (!found) throw new Error(`no ${name} was started in ${dir}`);
    return found;
  };
  return {
    ...stores,
    async kill(name) {
      const record = recordOf(name);
      signalProcess(record, "SIGKILL");
      if (!(await waitFor(async () => !isAlive(record), GONE_MS, 20)))
        throw new Error(`${name} (process ${record.pid}) does not end`);
    },
    wipe() {
      rmSync(join(dir, "redis", "appendonlydir"), { recursive: true, force: true });
    },
    async revive(name) {
      const isBack = await waitFor(async () => {
        const record = recordOf(name);
        if (!isAlive(record)) {
          const { logPath, argv, env, joinFiles } = record;
          const started = await startProcess({ name, logPath, argv, env, joinFiles });
          writeRecords(
            dir,
            readRecords(dir).map((one) => (one.name === name ? started : one)),
          );
        }
        return answers[name]();
      }, BACK_MS);
      if (!isBack) throw new Error(`${name} does not come back; its log is ${recordOf(name).logPath}`);
    },
  };
}
