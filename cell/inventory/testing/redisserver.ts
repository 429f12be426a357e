import { type ChildProcess, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePorts } from "../../../local/ports.ts";
import { silentLogger } from "../../../platform/log.ts";
import { createRedis } from "../../../platform/redis.ts";
import { eventually } from "../../../platform/testing/stores.ts";

/** A Redis of one test's own, to be flushed, killed and started again without harm to others. */
export interface RedisServer {
  readonly url: string;
  start(): Promise<void>;
  /** SIGKILL: what was not yet written to disk is lost. */
  kill(): Promise<void>;
  flush(): Promise<void>;
  stop(): Promise<void>;
}

/** Starts a real redis-server on the loopback, with the settings of a cell's cache. */
export async function startRedisServer(): Promise<RedisServer> {
  const [port] = await freePorts(1);
  const dir = await mkdtemp(join(tmpdir(), "redis-"));
  const url = `redis://127.0.0.1:${port}`;
  let child: ChildProcess | undefined;
  const admin = createRedis({ url, log: silentLogger() });

  async function kill(): Promise<void> {
    const running = child;
    child = undefined;
    if (!running || running.exitCode !== null) return;
    await new Promise<void>((resolve) => {
      running.once("exit", () => resolve());
      running.kill("SIGKILL");
    });
  }

  const server: RedisServer = {
    url,
    async start() {
      const settings = ["--port", `${port}`, "--bind", "127.0.0.1", "--dir", dir, "--save", ""];
      const durability = [
        "--appendonly",
        "yes",
        "--appendfsync",
        "everysec",
        "--maxmemory-policy",
        "noeviction",
      ];
      child = spawn("redis-server", [...settings, ...durability], { stdio: "ignore" });
      await eventually(async () => admin.isReady() && (await admin.call("PING")) === "PONG");
    },
    kill,
    async flush() {
      await admin.call("FLUSHALL");
    },
    async stop() {
      await admin.close();
      await kill();
      await rm(dir, { recursive: true, force: true });
    },
  };
  await server.start();
  return server;
}
