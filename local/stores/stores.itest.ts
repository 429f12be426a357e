import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { run, tryRun } from "../cluster/command.ts";
import { isAlive, type ProcessRecord, startTicksOf } from "../cluster/process.ts";
import { silentReport } from "../cluster/report.ts";
import { freePorts } from "../ports.ts";
import { kafkaAnswers, redisAnswers } from "./answers.ts";
import { readRecords } from "./records.ts";
import { type Stores, startStores, stopStores } from "./stores.ts";

const report = silentReport();
const folders: string[] = [];

function folder(): string {
  const dir = mkdtempSync(join(tmpdir(), "stores-test-"));
  folders.push(dir);
  return dir;
}

async function sql(stores: Stores, text: string): Promise<string> {
  return (await run(["psql", "-X", "-w", "-tA", stores.databaseUrl, "-c", text])).trim();
}

function portOf(url: string): number {
  return Number(/:(\d+)(?:\/|$)/.exec(url)?.[1]);
}

function isOpen(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: "127.0.0.1", port });
    socket.once("connect", () => resolve(true)).once("error", () => resolve(false));
    socket.once("connect", () => socket.destroy());
  });
}

afterAll(async () => {
  for (const dir of folders) {
    await stopStores(dir);
    rmSync(dir, { recursive: true, force: true });
  }
});

describe("stores", () => {
  const dir = folder();
  let stores: Stores;
  beforeAll(async () => {
    stores = await startStores({ dir, report });
  });

  it("answer at the addresses that were given, each as it has to be set up", async () => {
    expect(await sql(stores, "show default_transaction_isolation")).toBe("serializable");
    expect(await sql(stores, "select rolsuper from pg_roles where rolname = current_user")).toBe("t");
    const settings = await run(["redis-cli", "-u", stores.redisUrl, "config", "get", "maxmemory-policy"]);
    expect(settings).toContain("noeviction");
    expect(await kafkaAnswers(portOf(stores.kafkaBrokers))).toBe(true);
    expect(stores.pids).toHaveLength(3);
  });

  it("refuse a wrong password", async () => {
    const wrong = stores.databaseUrl.replace(/:[^:@]+@/, ":wrong@");
    const result = await tryRun(["psql", "-X", "-w", wrong, "-c", "select 1"]);
    expect(result).toMatchObject({
      exitCode: 2,
      stderr: expect.stringContaining("password authentication failed"),
    });
    expect(await redisAnswers(portOf(stores.redisUrl), "wrong")).toBe(false);
  });

  it("listen on loopback only", async () => {
    const sockets = await run(["ss", "-ltnH"]);
    const ours = [stores.databaseUrl, stores.redisUrl, stores.kafkaBrokers].map(portOf);
    const addresses = sockets
      .split("\n")
      .map((line) => /\s(\S+):(\d+)\s/.exec(line))
      .filter((match) => ours.includes(Number(match?.[2])))
      .map((match) => match?.[1]);
    expect(addresses.length).toBeGreaterThanOrEqual(3);
    expect(new Set(addresses.map((address) => address?.replace(/[[\]]|::ffff:/g, "")))).toEqual(
      new Set(["127.0.0.1"]),
    );
  });

  it("show no password in the list of processes", () => {
    const lines = stores.pids.map((pid) => readFileSync(`/proc/${pid}/cmdline`, "utf8")).join("\n");
    for (const url of [stores.databaseUrl, stores.redisUrl]) {
      expect(lines).not.toContain(/:([^:@]+)@/.exec(url)?.[1]);
    }
  });

  it("are found and replaced after a crash, at the same addresses and with the same data", async () => {
    await sql(stores, "create table kept (n int); insert into kept values (42)");
    await run(["redis-cli", "-u", stores.redisUrl, "set", "kept", "42"]);
    const before = readRecords(dir);
    // The launcher is gone without a word and one store has died; the others were left running.
    const dead = before.find(({ name }) => name === "postgresql") as ProcessRecord;
    process.kill(dead.pid, "SIGKILL");
    const again = await startStores({ dir, report });
    expect(before.filter(isAlive)).toEqual([]);
    expect(again).toMatchObject({
      databaseUrl: stores.databaseUrl,
      redisUrl: stores.redisUrl,
      kafkaBrokers: stores.kafkaBrokers,
    });
    expect(await sql(again, "select n from kept")).toBe("42");
    expect(await run(["redis-cli", "-u", again.redisUrl, "get", "kept"])).toContain("42");
  });

  it("are gone when they were stopped", async () => {
    const records = readRecords(dir);
    await stores.stop();
    expect(records).toHaveLength(3);
    expect(records.filter(isAlive)).toEqual([]);
    const ports = [stores.databaseUrl, stores.redisUrl, stores.kafkaBrokers].map(portOf);
    expect(await Promise.all(ports.map(isOpen))).toEqual([false, false, false]);
    expect(await stopStores(dir)).toBe(false);
  });
});

it("a process that only has the number of one of ours is left alone", async () => {
  const dir = folder();
  const other = { pid: process.pid, startTicks: (startTicksOf(process.pid) ?? 0) - 1 };
  writeFileSync(
    join(dir, "pids.json"),
    JSON.stringify([{ name: "redis", logPath: "", argv: [], env: {}, ...other }]),
  );
  expect(await stopStores(dir)).toBe(false);
});

it("a port that is taken is named, and nothing stays behind", async () => {
  const dir = folder();
  const first = await startStores({ dir: folder(), report });
  const [postgres, redis, kafka] = [first.databaseUrl, first.redisUrl, first.kafkaBrokers].map(portOf) as [
    number,
    number,
    number,
  ];
  const [free] = await freePorts(1);
  const ports = { postgres, redis, kafka, kafkaController: free as number };
  await expect(startStores({ dir, report, ports })).rejects.toThrow(
    /ended by itself.*address already in use/is,
  );
  expect(readRecords(dir)).toEqual([]);
  await first.stop();
});
