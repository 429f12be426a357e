import { chmodSync, chownSync, existsSync, mkdirSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run, tryRun } from "../cluster/command.ts";
import { ClusterError } from "../cluster/errors.ts";
import type { ProcessSpec } from "../cluster/process.ts";

export interface PostgresOptions {
  /** Folder of this server alone; made when it is missing. */
  readonly dir: string;
  readonly port: number;
  readonly password: string;
  /** Wait for the disk at each commit. Off, a power cut may lose the data; a killed server never does. */
  readonly fsync: boolean;
}

export const POSTGRES_USER = "admin";
const MAX_CONNECTIONS = 300;

/** Makes the data folder when there is none and returns how to start the server on it. */
export async function preparePostgres(options: PostgresOptions): Promise<ProcessSpec> {
  const bin = postgresBin();
  const account = await serverAccount();
  const data = join(options.dir, "data");
  mkdirSync(options.dir, { recursive: true, mode: 0o700 });
  if (account) {
    chownSync(options.dir, account.uid, account.gid);
    await checkReach(options.dir, account);
  }
  if (!existsSync(join(data, "PG_VERSION"))) await initialise(options, bin, account);
  const settings: Record<string, string | number> = {
    listen_addresses: "127.0.0.1",
    port: options.port,
    unix_socket_directories: "",
    max_connections: MAX_CONNECTIONS,
    default_transaction_isolation: "serializable",
    fsync: options.fsync ? "on" : "off",
    full_page_writes: options.fsync ? "on" : "off",
    shared_buffers: "128MB",
    max_pred_locks_per_transaction: 256,
    timezone: "UTC",
    log_timezone: "UTC",
  };
  const flags = Object.entries(settings).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
  const argv = [...asAccount(account), join(bin, "postgres"), "-D", data, ...flags];
  return { name: "postgresql", argv, logPath: join(options.dir, "..", "postgresql.log") };
}

/** True when the server runs a statement for the administrator. */
export async function postgresAnswers(port: number, password: string): Promise<boolean> {
  const address = ["-h", "127.0.0.1", "-p", String(port), "-U", POSTGRES_USER, "-d", "postgres"];
  const argv = [join(postgresBin(), "psql"), "-X", "-w", "-tA", ...address, "-c", "select 1"];
  const result = await tryRun(argv, { timeoutMs: 5_000, env: { ...process.env, PGPASSWORD: password } });
  return result.exitCode === 0 && result.stdout.trim() === "1";
}

interface Account {
  readonly uid: number;
  readonly gid: number;
}

/** PostgreSQL refuses to run as root: then the package's own account is used. */
async function serverAccount(): Promise<Account | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const uid = Number(await run(["id", "-u", "postgres"]));
  const gid = Number(await run(["id", "-g", "postgres"]));
  return { uid, gid };
}

/** Without this the server would only say that it can not change its folder. */
async function checkReach(dir: string, account: Account): Promise<void> {
  const result = await tryRun([...asAccount(account), "test", "-x", dir], { cwd: "/" });
  if (result.exitCode === 0) return;
  throw new ClusterError(
    "command-failed",
    `PostgreSQL runs as the user postgres, who may not enter ${dir}: choose a folder whose parents everybody may enter.`,
  );
}

/** setpriv becomes the program, so the recorded pid stays that of the server. */
function asAccount(account: Account | undefined): string[] {
  if (!account) return [];
  return ["setpriv", `--reuid=${account.uid}`, `--regid=${account.gid}`, "--clear-groups", "--"];
}

async function initialise(
  options: PostgresOptions,
  bin: string,
  account: Account | undefined,
): Promise<void> {
  const data = join(options.dir, "data");
  const passwordFile = join(options.dir, "password");
  rmSync(data, { recursive: true, force: true });
  writeFileSync(passwordFile, options.password, { mode: 0o600 });
  chmodSync(passwordFile, 0o600);
  if (account) chownSync(passwordFile, account.uid, account.gid);
  try {
    const auth = ["--username", POSTGRES_USER, "--auth", "scram-sha-256", "--pwfile", passwordFile];
    const flags = ["--encoding", "UTF8", "--locale", "C.UTF-8", ...(options.fsync ? [] : ["--no-sync"])];
    await run([...asAccount(account), join(bin, "initdb"), "-D", data, ...auth, ...flags], { cwd: "/" });
  } catch (error) {
    rmSync(data, { recursive: true, force: true });
    throw error;
  } finally {
    rmSync(passwordFile, { force: true });
  }
}

/** Folder of the newest server that is installed; Debian keeps it out of the PATH. */
function postgresBin(): string {
  const root = "/usr/lib/postgresql";
  const versions = existsSync(root) ? readdirSync(root).map(Number).filter(Number.isFinite) : [];
  const newest = versions
    .sort((a, b) => b - a)
    .find((version) => existsSync(join(root, String(version), "bin/initdb")));
  if (newest !== undefined) return join(root, String(newest), "bin");
  throw new ClusterError(
    "tool-missing",
    "PostgreSQL's server is not installed: apt-get install postgresql, then run again.",
  );
}
