import { createServiceClient } from "../../../platform/fetch.ts";
import { silentLogger } from "../../../platform/log.ts";
import { createMetrics } from "../../../platform/metrics.ts";
import { createSql, parseDatabaseUrl } from "../../../platform/sql.ts";
import { testStores } from "../../../platform/testing/stores.ts";
import type { Entry, FaultBody, LedgerAnswer, Manner } from "../contract.ts";
import type { Telling } from "../notifications.ts";
import { type RunningPsp, startPsp } from "../server.ts";

/** A real processor over a fresh database. */
export interface TestPsp {
  readonly url: string;
  readonly databaseUrl: string;
  post(path: string, body: unknown): Promise<{ status: number; body: Entry & { code?: string } }>;
  /** How merchants are notified from now on. */
  manner(manner: Partial<Manner>): Promise<void>;
  fault(kind: FaultBody["kind"], forSeconds: number, ratio?: number): Promise<void>;
  ledger(query?: string): Promise<LedgerAnswer>;
  /** Stops the process's server and starts another one on the same database. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

let made = 0;

/** Starts a processor for one test file. It tells nobody of anything unless it is given a way to. */
export async function startTestPsp(telling?: Telling): Promise<TestPsp> {
  const log = silentLogger();
  const { databaseUrl } = testStores();
  const root = createSql({
    ...parseDatabaseUrl(databaseUrl),
    applicationName: "test",
    log,
    metrics: createMetrics({ service: "test" }),
    max: 1,
  });
  const database = `psp_${process.pid}_${made++}_${Date.now().toString(36)}`;
  await root.query(`CREATE DATABASE ${database}`);
  const own = new URL(databaseUrl);
  own.pathname = `/${database}`;
  const start = (port: number): Promise<RunningPsp> =>
    startPsp({
      databaseUrl: own.toString(),
      port,
      host: "127.0.0.1",
      log,
      metrics: createMetrics({ service: "psp" }),
      telling,
    });
  let psp = await start(0);
  await psp.prepared;
  const { port } = psp;
  const url = `http://127.0.0.1:${port}`;
  const client = createServiceClient({
    name: "psp",
    baseUrl: url,
    metrics: createMetrics({ service: "test" }),
    timeoutMs: 15_000,
  });

  async function post(path: string, body: unknown): ReturnType<TestPsp["post"]> {
    const response = await fetch(`${url}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    return { status: response.status, body: (await response.json()) as Entry & { code?: string } };
  }

  return {
    url,
    databaseUrl: own.toString(),
    post,
    async manner(manner) {
      const { status } = await post("/v1/manner", manner);
      if (status !== 200) throw new Error(`the manner was answered ${status}`);
    },
    async fault(kind, forSeconds, ratio = 1) {
      const { status } = await post("/v1/faults", { kind, forSeconds, ratio });
      if (status !== 200) throw new Error(`the fault was answered ${status}`);
    },
    async ledger(query = "") {
      const answer = await client.call<LedgerAnswer>({ method: "GET", path: `/v1/ledger${query}` });
      if (!answer.ok) throw new Error(`${answer.code}: ${answer.detail}`);
      return answer.body;
    },
    async restart() {
      await psp.stop();
      psp = await start(port);
      await psp.prepared;
    },
    async stop() {
      await client.close();
      await psp.stop();
      await root.query(`DROP DATABASE ${database} WITH (FORCE)`);
      await root.close();
    },
  };
}
