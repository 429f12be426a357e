import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { ProcessSpec } from "../cluster/process.ts";

export interface RedisOptions {
  /** Folder of this server alone; made when it is missing. */
  readonly dir: string;
  readonly port: number;
  readonly password: string;
}

/** Writes the configuration and returns how to start the server. The password stays out of the command line. */
export function prepareRedis(options: RedisOptions): ProcessSpec {
  mkdirSync(options.dir, { recursive: true, mode: 0o700 });
  const config = join(options.dir, "redis.conf");
  const lines = [
    "bind 127.0.0.1",
    `port ${options.port}`,
    `requirepass ${options.password}`,
    `dir ${JSON.stringify(options.dir)}`,
    "daemonize no",
    "maxmemory 512mb",
    "maxmemory-policy noeviction",
    "appendonly yes",
    "appendfsync everysec",
    'save ""',
  ];
  writeFileSync(config, `${lines.join("\n")}\n`, { mode: 0o600 });
  return { name: "redis", argv: ["redis-server", config], logPath: join(options.dir, "..", "redis.log") };
}
