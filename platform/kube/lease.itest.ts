import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from "vitest";
import type { KubeClient } from "./client.ts";
import { KINDS } from "./kinds.ts";
import type { KubeObject } from "./objects.ts";
import { type RealServer, startRealServer } from "./testing/realserver.ts";
import { until } from "./testing/until.ts";

const DEADLINE_MS = 60_000;
let real: RealServer;
let client: KubeClient;
let namespace: string;
let counter = 0;
const started: ChildProcess[] = [];

beforeAll(async () => {
  real = await startRealServer();
  client = real.client("observer");
});
beforeEach(async () => {
  namespace = `lease-${++counter}`;
  await client.create(KINDS.namespace, {
    apiVersion: "v1",
    kind: "Namespace",
    metadata: { name: namespace },
  });
});
afterEach(() => {
  for (const child of started.splice(0)) child.kill("SIGKILL");
});
afterAll(() => real?.close());

interface Candidate {
  readonly child: ChildProcess;
  readonly identity: string;
  /** What it said so far: `standing by`, `wrote`, a failure's code, or `ended` and why. */
  readonly said: string[];
}

function candidate(role: string): Candidate {
  const identity = `${role}-${namespace}`;
  const program = join(import.meta.dirname, "testing", "leader", "main.ts");
  const child = spawn(process.execPath, [program, identity, namespace, real.kubeconfigPath], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  started.push(child);
  const said: string[] = [];
  child.stdout?.on("data", (chunk: Buffer) => said.push(...chunk.toString("utf8").trim().split("\n")));
  return { child, identity, said };
}

const wrote = (one: Candidate) => one.said.filter((word) => word === "wrote").length;
const writes = (one: Candidate) =>
  real.asked(one.identity).filter(({ verb, objectRef }) => verb === "patch" && objectRef?.name === "written");
const lease = async () => {
  const result = await client.get<KubeObject>(KINDS.lease, { name: "leader", namespace });
  return result.ok
    ? (result.value.spec as { holderIdentity?: string; leaseTransitions?: number })
    : undefined;
};

it("a process that slept through its lease sends no write when it wakes", async () => {
  const one = candidate("one");
  await until("the first writes", () => wrote(one) > 2, DEADLINE_MS);
  const two = candidate("two");
  await until("the second stands by", () => two.said.includes("standing by"), DEADLINE_MS);
  expect(writes(two)).toEqual([]);
  one.child.kill("SIGSTOP");
  await until("the second writes", () => wrote(two) > 2, DEADLINE_MS);
  const before = writes(one).length;
  one.child.kill("SIGCONT");
  await until("the first has noticed", () => one.said.some((word) => word.startsWith("ended")), DEADLINE_MS);
  expect(one.said.at(-1)).toBe("ended lost");
  // What it had sent before it was stopped may have been answered meanwhile; nothing new may have come.
  expect(writes(one)).toHaveLength(before);
  expect((await lease())?.holderIdentity).toBe(two.identity);
  const had = wrote(two);
  await until("the second goes on", () => wrote(two) > had + 2, DEADLINE_MS);
});

it("a process that is asked to stop gives the lease up, and the next one need not wait for its end", async () => {
  const one = candidate("one");
  await until("the first writes", () => wrote(one) > 2, DEADLINE_MS);
  const two = candidate("two");
  await until("the second stands by", () => two.said.includes("standing by"), DEADLINE_MS);
  one.child.kill("SIGTERM");
  await until("the first has ended", () => one.said.at(-1) === "ended stopped", DEADLINE_MS);
  await until("the second writes", () => wrote(two) > 0, DEADLINE_MS);
  const entries = real.asked(one.identity);
  const lastOfLease = entries.findLast(({ objectRef }) => objectRef?.resource === "leases");
  // The last thing that it did was to give up, after the last of its writes.
  expect([entries.at(-1), lastOfLease?.verb]).toEqual([lastOfLease, "update"]);
  // One lease, given up and taken: a third change of hands would be a takeover of one that had run out.
  expect(await lease()).toMatchObject({ holderIdentity: two.identity, leaseTransitions: 2 });
});
