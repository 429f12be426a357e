import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { tryRun } from "./command.ts";
import { withLock } from "./lock.ts";
import { isAlive, signalProcess, startProcess, stopProcess, tail } from "./process.ts";
import { waitUntil } from "./wait.ts";

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), "process-"));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const shell = (script: string) => ({
  name: "shell",
  argv: ["/bin/sh", "-c", script],
  logPath: join(dir, "log"),
});

it("records the very process that runs the program, and ends it", async () => {
  const record = await startProcess(shell("echo started; exec sleep 300"));
  expect(isAlive(record)).toBe(true);
  const check = async (): Promise<boolean> => tail(record.logPath, 1).includes("started");
  await waitUntil({ what: "Its first word", boundMs: 20_000, needs: [record], check });
  await stopProcess(record);
  expect(isAlive(record)).toBe(false);
});

it("kills what does not end by itself", async () => {
  const record = await startProcess(shell("trap '' TERM; echo trapped; while :; do sleep 0.1; done"));
  await waitUntil({
    what: "The trap",
    boundMs: 20_000,
    check: async () => tail(record.logPath, 1).includes("trapped"),
  });
  await stopProcess(record, 200);
  expect(isAlive(record)).toBe(false);
});

it("leaves another process alone that has got the same pid", async () => {
  const record = await startProcess(shell("exec sleep 300"));
  const earlier = { ...record, startTicks: record.startTicks - 1 };
  expect(isAlive(earlier)).toBe(false);
  expect(signalProcess(earlier, "SIGKILL")).toBe(false);
  await stopProcess(earlier, 0);
  expect(isAlive(record)).toBe(true);
  await stopProcess(record, 0);
});

it("says which part ended and what it said last", async () => {
  const record = await startProcess(shell("echo no room on the disk >&2; exit 3"));
  const waiting = waitUntil({
    what: "The start",
    boundMs: 60_000,
    needs: [record],
    check: async () => false,
  });
  await expect(waiting).rejects.toThrow(/shell ended by itself; last lines of .*log:\nno room on the disk/);
});

it("shows the last words of a part that runs but is not ready in time", async () => {
  const record = await startProcess(shell("echo waiting for a friend; exec sleep 300"));
  const check = async (): Promise<boolean> => {
    throw new Error("refused");
  };
  const waiting = waitUntil({ what: "Its start", boundMs: 300, needs: [record], check });
  await expect(waiting).rejects.toThrow(
    /Its start did not happen within 0 s \(refused\); .*\nwaiting for a friend/s,
  );
  await stopProcess(record, 0);
});

it("lets one work at a time, and takes over from a holder that has died", async () => {
  const path = join(dir, "lock");
  let inside = 0;
  let most = 0;
  const work = async (): Promise<void> => {
    inside += 1;
    most = Math.max(most, inside);
    await new Promise((done) => setTimeout(done, 20));
    inside -= 1;
  };
  await Promise.all([1, 2, 3].map(() => withLock(path, "work", 20_000, work)));
  expect(most).toBe(1);
  await tryRun(["/bin/sh", "-c", `echo '{"pid":999999999,"startTicks":1}' > ${path}`]);
  await withLock(path, "work", 0, work);
  writeFileSync(path, "");
  utimesSync(path, 1, 1);
  await withLock(path, "work", 0, work);
  expect(readdirSync(dir)).toEqual([]);
});

it("names the holder when the lock does not become free", async () => {
  const path = join(dir, "lock");
  await withLock(path, "work", 0, async () => {
    const second = withLock(path, "its work", 0, async () => {});
    await expect(second).rejects.toThrow(`Process ${process.pid} is busy with its work`);
  });
});
