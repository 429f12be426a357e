import { createHash } from "node:crypto";
import { Command, Redis as IORedis } from "ioredis";
import { errorText, type Logger } from "./log.ts";

type Argument = string | number | Buffer;

/** What a script is given, and when it goes. */
export interface ScriptInput {
  readonly keys: readonly string[];
  readonly args: readonly Argument[];
  /**
   * On the wire at once. Otherwise it travels with what else is asked for in this turn of the event loop, and not before the answers to
   * what went before it are there: cheaper for many small calls, and a wait for one that is many calls already.
   */
  readonly atOnce?: boolean;
}

/** One connection with pipelining. Calls fail fast while Redis is away; nothing is queued beyond a bound. */
export interface Redis {
  call<T = unknown>(command: string, ...args: Argument[]): Promise<T>;
  /** Runs a Lua script by its hash, and loads it when Redis does not know it (after a restart, say). */
  script<T = unknown>(
    script: { readonly name: string; readonly lua: string },
    input: ScriptInput,
  ): Promise<T>;
  /** Calls `handler` for each message of a channel until the returned function is called. */
  subscribe(channel: string, handler: (message: string) => void): Promise<() => Promise<void>>;
  isReady(): boolean;
  close(): Promise<void>;
}

export interface RedisOptions {
  readonly url: string;
  readonly log: Logger;
  readonly commandTimeoutMs?: number;
}

/** Redis cannot be reached, or did not answer in time: whether the command ran is then unknown. */
export class RedisAway extends Error {}

const MAX_PENDING = 10_000;
const RECONNECT_MAX_MS = 1_000;

/** Connects in the background and goes on trying for as long as it takes. */
export function createRedis(options: RedisOptions): Redis {
  const { url, log, commandTimeoutMs = 1_000 } = options;
  const settings = {
    commandTimeout: commandTimeoutMs,
    connectTimeout: 2_000,
    enableOfflineQueue: false,
    maxRetriesPerRequest: 0,
    enableAutoPipelining: true,
    retryStrategy: (times: number) => Math.min(RECONNECT_MAX_MS, 50 * times),
  };
  const client = new IORedis(url, settings);
  const hashes = new Map<string, string>();
  let pending = 0;
  let lastError = "";
  client.on("error", (error: Error) => {
    // One line for each new cause, not one for each attempt to reconnect.
    if (errorText(error) !== lastError) log.warn({ error: errorText(error) }, "redis cannot be reached");
    lastError = errorText(error);
  });
  client.on("ready", () => {
    lastError = "";
  });

  async function bounded<T>(run: () => Promise<T>): Promise<T> {
    if (client.status !== "ready") throw new RedisAway("redis is not connected");
    if (pending >= MAX_PENDING) throw new RedisAway("too many redis commands are waiting");
    pending++;
    try {
      return await run();
    } catch (error) {
      throw isConnectionError(error) ? new RedisAway(errorText(error), { cause: error }) : error;
    } finally {
      pending--;
    }
  }

  function hashOf(lua: string): string {
    const found = hashes.get(lua);
    if (found !== undefined) return found;
    const hash = createHash("sha1").update(lua).digest("hex");
    hashes.set(lua, hash);
    return hash;
  }

  return {
    isReady: () => client.status === "ready",
    call: <T>(command: string, ...args: Argument[]) =>
      bounded(() => client.call(command, ...args) as Promise<T>),
    script: <T>({ lua }: { lua: string }, { keys, args, atOnce = false }: ScriptInput): Promise<T> => {
      const send = (name: string, body: string) =>
        atOnce
          ? client.sendCommand(
              new Command(name, [body, keys.length, ...keys, ...args], { replyEncoding: "utf8" }),
            )
          : client.call(name, body, keys.length, ...keys, ...args);
      return bounded(async () => {
        try {
          return (await send("EVALSHA", hashOf(lua))) as T;
        } catch (error) {
          if (!String((error as Error).message).startsWith("NOSCRIPT")) throw error;
          return (await send("EVAL", lua)) as T;
        }
      });
    },
    async subscribe(channel, handler) {
      const subscriber = new IORedis(url, {
        ...settings,
        enableOfflineQueue: true,
        commandTimeout: undefined,
      });
      subscriber.on("error", () => undefined);
      subscriber.on("message", (from: string, message: string) => {
        if (from === channel) handler(message);
      });
      await subscriber.subscribe(channel);
      return async () => subscriber.disconnect();
    },
    close: async () => client.disconnect(),
  };
}

function isConnectionError(error: unknown): boolean {
  const text = String((error as Error | undefined)?.message ?? error);
  return /Command timed out|Connection is closed|writeable|ECONN|EPIPE|ETIMEDOUT|max retries|LOADING/i.test(
    text,
  );
}
