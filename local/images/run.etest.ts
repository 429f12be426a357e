import { type ChildProcess, spawn } from "node:child_process";
import { chownSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { tryRun } from "../cluster/command.ts";
import { silentReport } from "../cluster/report.ts";
import { freePorts } from "../ports.ts";
import { redisAnswers } from "../stores/answers.ts";
import { buildCellImage } from "./cell.ts";
import { buildStoresImage } from "./stores.ts";
import { type Unpacked, unpackImage } from "./testing/unpacked.ts";

const ROOT = join(import.meta.dirname, "..", "..");
const DEADLINE_MS = 60_000;

/**
 * Becomes what a pod under Pod Security "restricted" is: user 10001, no capability, no way to new privileges, a root that can
 * only be read, a volume at /data, an empty /tmp. The mounts end with the process.
 */
const AS_POD = `
root=$0 data=$1; shift
mount --bind "$root" "$root"
[ -z "\${OWN_NETWORK:-}" ] || ip link set lo up
mount --rbind /dev "$root/dev"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=1777 none "$root/tmp"
[ ! -d "$root/data" ] || mount --bind "$data" "$root/data"
mount -o remount,bind,ro "$root"
exec setpriv --no-new-privs --bounding-set -all,+setuid,+setgid,+sys_chroot chroot --userspec=10001:10001 "$root" "$@"
`;

let work: string;
const runs: Run[] = [];

interface Run {
  readonly child: ChildProcess;
  readonly output: () => string;
  readonly ended: Promise<number | null>;
}

/**
 * Kills the first process in the new pid namespace, and with it the kernel kills the rest. Killing unshare is not enough:
 * the change of user clears the wish to end with the parent (prctl(2), PR_SET_PDEATHSIG).
 */
async function kill(run: Run): Promise<void> {
  const { pid } = run.child;
  if (pid !== undefined && run.child.exitCode === null) {
    const inside = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim();
    process.kill(inside === "" ? pid : Number(inside), "SIGKILL");
  }
  await run.ended;
}

/** Starts the entrypoint of an image with these arguments. */
function start(
  image: Unpacked,
  volume: string,
  args: readonly string[],
  env: Record<string, string> = {},
): Run {
  const data = join(work, "volumes", volume);
  mkdirSync(data, { recursive: true });
  chownSync(data, 10_001, 10_001);
  const { Entrypoint = [], Env = [] } = image.config;
  const own = [...Env, ...Object.entries(env).map(([name, value]) => `${name}=${value}`)];
  // The environment is set inside: outside, setpriv and chroot have to be found.
  const names = own.map((one) => one.slice(0, one.indexOf("=")));
  const values = Object.fromEntries(
    own.map((one) => [one.slice(0, one.indexOf("=")), one.slice(one.indexOf("=") + 1)]),
  );
  const path = { PATH: `${values.PATH}:/usr/local/sbin:/usr/sbin:/sbin:/usr/bin:/bin` };
  expect(names).toContain("PATH");
  const unshare = [
    ...(env.OWN_NETWORK ? ["--net"] : []),
    "--mount",
    "--pid",
    "--fork",
    "--kill-child",
    "sh",
    "-ec",
    AS_POD,
    image.root,
    data,
  ];
  const child = spawn("unshare", [...unshare, ...Entrypoint, ...args], { env: { ...values, ...path } });
  let text = "";
  for (const stream of [child.stdout, child.stderr])
    stream?.on("data", (chunk) => (text = (text + chunk).slice(-100_000)));
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  const run = { child, output: () => text, ended };
  runs.push(run);
  return run;
}

async function until(what: string, run: Run, check: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + DEADLINE_MS;
  while (performance.now() < deadline && run.child.exitCode === null) {
    if (await check().catch(() => false)) return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  throw new Error(`${what} did not happen: ${run.output()}`);
}

beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), "images-run-"));
});

afterAll(async () => {
  await Promise.all(runs.map(kill));
  rmSync(work, { recursive: true, force: true });
});

describe("the cell image", () => {
  it("loads every package of the product as a pod would", async () => {
    const { base, cell } = await buildCellImage(ROOT);
    const image = await unpackImage([base.archive, cell.archive], join(work, "cell"));
    const { dependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    const names = Object.keys(dependencies).filter((name) => name !== "node");
    const lines = names.map((name) => `await import(${JSON.stringify(name)});`);
    const facts = "console.log(JSON.stringify([process.getuid(), process.version.split('.')[0]]));";
    const denied =
      "await import('node:fs').then((fs) => { try { fs.writeFileSync('/app/x', ''); } catch (e) { console.log(e.code); } });";
    writeFileSync(join(image.root, "app", "load.mjs"), [...lines, facts, denied].join("\n"));
    const run = start(image, "none", ["/app/load.mjs"]);
    expect({ code: await run.ended, output: run.output() }).toEqual({
      code: 0,
      output: '[10001,"v24"]\nEROFS\n',
    });
  });
});

describe("the stores image", () => {
  let image: Unpacked;
  beforeAll(async () => {
    const { archive } = await buildStoresImage(silentReport());
    image = await unpackImage([archive], join(work, "stores"));
  });

  const psql = (port: number, text: string, database = "cell") =>
    tryRun(
      [
        "psql",
        "-X",
        "-w",
        "-tA",
        "-h",
        "127.0.0.1",
        "-p",
        String(port),
        "-U",
        "boss",
        "-d",
        database,
        "-c",
        text,
      ],
      {
        env: { ...process.env, PGPASSWORD: "se'cret" },
      },
    );

  it("runs PostgreSQL: its database is made once and kept", async () => {
    const [port] = (await freePorts(1)) as [number];
    const env = { POSTGRES_USER: "boss", POSTGRES_PASSWORD: "se'cret", POSTGRES_DB: "cell" };
    const args = ["postgres", "-c", `port=${port}`, "-c", "max_connections=20"];
    const answers = async () => (await psql(port, "select 1")).exitCode === 0;
    const first = start(image, "postgres", args, env);
    await until("an answer", first, answers);
    expect((await psql(port, "show default_transaction_isolation")).stdout.trim()).toBe("serializable");
    expect((await psql(port, "show max_connections")).stdout.trim()).toBe("20");
    expect((await psql(port, "create table kept as select 42 as n")).exitCode).toBe(0);
    const noon = "select timestamptz '2026-07-01 12:00+09' at time zone 'Asia/Seoul'";
    expect((await psql(port, noon)).stdout.trim()).toBe("2026-07-01 12:00:00");
    await kill(first);
    const second = start(image, "postgres", args, env);
    await until("an answer after a crash", second, answers);
    expect((await psql(port, "select n from kept")).stdout.trim()).toBe("42");
    await kill(second);
  });

  it("runs Redis: with a password, without eviction", async () => {
    const [port] = (await freePorts(1)) as [number];
    const run = start(image, "redis", ["redis-server", "--port", String(port)], {
      REDIS_PASSWORD: "abc",
      REDIS_MAXMEMORY: "64mb",
    });
    await until("an answer", run, () => redisAnswers(port, "abc"));
    const { stdout } = await tryRun(["redis-cli", "-p", String(port), "config", "get", "maxmemory*"], {
      env: { ...process.env, REDISCLI_AUTH: "abc" },
    });
    expect(stdout.split("\n")).toEqual(expect.arrayContaining(["noeviction", String(64 * 1024 * 1024)]));
    await kill(run);
  });

  it("runs Kafka until it says that it serves", async () => {
    // Its ports are fixed, so it gets a network of its own.
    const env = { KAFKA_ADVERTISED_HOST: "127.0.0.1", KAFKA_HEAP: "256m", OWN_NETWORK: "yes" };
    const run = start(image, "kafka", ["kafka"], env);
    await until("the start", run, async () => run.output().includes("Kafka Server started"));
    await kill(run);
  });

  it.each([
    ["postgres", "POSTGRES_PASSWORD"],
    ["redis-server", "REDIS_PASSWORD"],
    ["kafka", "KAFKA_ADVERTISED_HOST"],
  ])("%s says which setting it lacks", async (program, name) => {
    const run = start(image, "lacking", [program]);
    expect(await run.ended).not.toBe(0);
    expect(run.output()).toMatch(new RegExp(`Set ${name} to `));
  });

  it("says what it can run when it is told nothing", async () => {
    const run = start(image, "lacking", []);
    expect(await run.ended).toBe(64);
    expect(run.output()).toContain("Say which store to run");
  });
});
