import { createHash } from "node:crypto";
import { isLoginRefused } from "../platform/database.ts";
import { errorText, type Logger } from "../platform/log.ts";
import { createRedis } from "../platform/redis.ts";
import { createSql, type SqlOptions } from "../platform/sql.ts";

/** How long a change of a mounted Secret may take to reach a running pod: kubelets look every minute. */
const FILE_BOUND_MS = 180_000;
const RETRY_MS = 2_000;
const CONNECT_BOUND_MS = 4_000;

/** Redis does not let somebody in who should be let in, or lets somebody in who should not. */
export class CacheNotReady extends Error {}

/**
 * While credentials change, the server may still know the administrator's password from before only: then the new one is put in
 * force with it. A server that cannot be reached is left to who opens it next.
 */
export async function changeAdminPassword(
  env: { readonly DATABASE_ADMIN_PASSWORD_BEFORE?: string | undefined },
  options: Omit<SqlOptions, keyof DatabaseAddress>,
  now: DatabaseAddress,
): Promise<void> {
  const former = env.DATABASE_ADMIN_PASSWORD_BEFORE;
  if (former === undefined || former === now.password) return;
  const admin = createSql({ ...options, ...now });
  const refused = await admin
    .query("SELECT 1")
    .then(() => false, isLoginRefused)
    .finally(() => admin.close());
  if (!refused) return;
  const before = createSql({ ...options, ...now, password: former });
  try {
    // DDL takes no parameters; both are ours.
    const quoted = `'${now.password.replaceAll("'", "''")}'`;
    await before.query(`ALTER ROLE ${now.user} PASSWORD ${quoted}`);
  } finally {
    await before.close();
  }
}

type DatabaseAddress = Pick<SqlOptions, "host" | "port" | "database" | "user" | "password" | "tls">;

/**
 * Waits until Redis lets the new password in. Redis reads its users from a file of the Secret, and is told to read it again with
 * whichever password it knows; connections that are open stay open.
 */
export async function admitToCache(url: string, urlBefore: string | undefined, log: Logger): Promise<void> {
  await untilCache(log, async () => {
    if (await letsIn(url, log)) return true;
    if (urlBefore !== undefined) await cacheDo(urlBefore, log, [["ACL", "LOAD"]]);
    return false;
  });
}

/** Waits until Redis lets nothing in but the password of `url`. */
export async function retireFromCache(url: string, log: Logger): Promise<void> {
  const password = decodeURIComponent(new URL(url).password);
  const only = createHash("sha256").update(password).digest("hex");
  await untilCache(log, async () => {
    const [, user] = await cacheDo(url, log, [
      ["ACL", "LOAD"],
      ["ACL", "GETUSER", "default"],
    ]);
    return passwordsOf(user).join() === only;
  });
}

async function letsIn(url: string, log: Logger): Promise<boolean> {
  try {
    await cacheDo(url, log, [["PING"]]);
    return true;
  } catch (error) {
    if (error instanceof CacheNotReady) return false;
    throw error;
  }
}

function passwordsOf(user: unknown): string[] {
  if (!Array.isArray(user)) return [];
  const passwords: unknown = user[user.indexOf("passwords") + 1];
  return Array.isArray(passwords) ? passwords.map(String) : [];
}

async function untilCache(log: Logger, holds: () => Promise<boolean>): Promise<void> {
  const endMs = Date.now() + FILE_BOUND_MS;
  let last = "its file of users has not changed yet";
  for (;;) {
    try {
      if (await holds()) return;
    } catch (error) {
      last = errorText(error);
    }
    if (Date.now() > endMs) throw new CacheNotReady(`Redis does not take the new credentials: ${last}`);
    log.debug({ last }, "waiting for redis");
    await sleep(RETRY_MS);
  }
}

/** Runs commands over a connection of their own; CacheNotReady when Redis does not let us in. */
async function cacheDo(url: string, log: Logger, commands: readonly string[][]): Promise<unknown[]> {
  const redis = createRedis({ url, log });
  try {
    const endMs = Date.now() + CONNECT_BOUND_MS;
    while (!redis.isReady()) {
      if (Date.now() > endMs)
        throw new CacheNotReady("no connection with these credentials within four seconds");
      await sleep(50);
    }
    const answers: unknown[] = [];
    for (const [command = "", ...args] of commands) answers.push(await redis.call(command, ...args));
    return answers;
  } finally {
    await redis.close();
  }
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));
