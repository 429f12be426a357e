import type { ServerResponse } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { eventually } from "../../platform/testing/stores.ts";
import { answerJson, type CellServer } from "./testing/cellserver.ts";
import { type Harness, startHarness } from "./testing/harness.ts";

const CAP = 8;
let gateway: Harness;
let hung: CellServer;
let well: CellServer;
beforeEach(async () => {
  gateway = await startHarness({ cells: ["hung", "well"], maxInFlightPerCell: CAP });
  [hung, well] = gateway.cells as [CellServer, CellServer];
});
afterEach(() => gateway.close());

async function ask(center: string): Promise<{ status: number; retryAfter: string | null; body: unknown }> {
  const response = await fetch(`${gateway.url}/v1/centers/${center}/inventory/stock`, {
    headers: await gateway.authorization(),
  });
  return {
    status: response.status,
    retryAfter: response.headers.get("retry-after"),
    body: await response.json(),
  };
}

/** A cell that takes requests and answers when it is told to. */
function hang(cell: CellServer): { waiting: ServerResponse[]; release(): void } {
  const waiting: ServerResponse[] = [];
  cell.answer = (_request, response) => void waiting.push(response);
  return {
    waiting,
    release() {
      for (const response of waiting.splice(0)) answerJson(response, 200, {});
    },
  };
}

const times = <T>(count: number, make: () => Promise<T>) => Array.from({ length: count }, make);

describe("a cell that hangs", () => {
  it("takes its cap of requests and no more; the next ones hear at once why", async () => {
    const { waiting, release } = hang(hung);
    const first = times(CAP, () => ask("hung"));
    await eventually(async () => waiting.length === CAP);
    expect(await gateway.metric("gateway_cell_in_flight", { cell: "hung" })).toBe(CAP);

    const over = await Promise.all(times(5, () => ask("hung")));
    expect(over).toEqual(
      times(5, async () => 0).map(() => ({
        status: 503,
        retryAfter: "2",
        body: expect.objectContaining({
          code: "overloaded",
          detail: expect.stringContaining("too many requests under way to this center"),
        }),
      })),
    );
    expect(waiting).toHaveLength(CAP);
    expect(await gateway.metric("gateway_cell_refused_total", { cell: "hung", reason: "full" })).toBe(5);

    release();
    expect((await Promise.all(first)).map(({ status }) => status)).toEqual(Array(CAP).fill(200));
    await eventually(async () => (await gateway.metric("gateway_cell_in_flight", { cell: "hung" })) === 0);
    hung.answer = (_request, response) => answerJson(response, 200, {});
    expect((await ask("hung")).status).toBe(200);
  });

  it("costs the other cell nothing: every one of its requests is answered while all of the first still wait", async () => {
    const { waiting, release } = hang(hung);
    const first = times(CAP, () => ask("hung"));
    await eventually(async () => waiting.length === CAP);
    const others: number[] = [];
    for (let round = 0; round < 10; round++) {
      const answers = await Promise.all(times(CAP, () => ask("well")));
      others.push(...answers.map(({ status }) => status));
    }
    expect(others).toEqual(Array(10 * CAP).fill(200));
    expect(waiting).toHaveLength(CAP);
    expect(well.taken).toHaveLength(10 * CAP);
    expect(await gateway.metric("gateway_cell_refused_total", { cell: "well", reason: "full" })).toBe(0);
    release();
    await Promise.all(first);
  });

  it("is not blamed for the requests that were never sent: breaker and health stay as they are", async () => {
    const { waiting, release } = hang(hung);
    const first = times(CAP, () => ask("hung"));
    await eventually(async () => waiting.length === CAP);
    await Promise.all(times(40, () => ask("hung")));
    const order = await fetch(`${gateway.url}/v1/orders`, {
      method: "POST",
      headers: { ...(await gateway.authorization()), "idempotency-key": "one" },
      body: JSON.stringify({ deliverTo: hung.entry.location, lines: [{ sku: "apple" }] }),
    });
    // Rerouted: nothing was sent to the first, so the key may go on to the other.
    expect({ status: order.status, by: await order.json() }).toEqual({ status: 200, by: { cell: "well" } });
    expect(await gateway.metric("gateway_cell_breaker_state", { cell: "hung" })).toBe(0);
    expect(gateway.fleet.removed("hung")).toBe(false);
    release();
    await Promise.all(first);
  });

  it("keeps its event streams apart from its requests", async () => {
    hung.answer = (_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
    };
    const headers = await gateway.authorization();
    const watching = new AbortController();
    const url = `${gateway.url}/v1/centers/hung/tracking/all/stream`;
    for (let i = 0; i < CAP + 3; i++)
      expect((await fetch(url, { headers, signal: watching.signal })).status).toBe(200);
    expect(await gateway.metric("gateway_cell_in_flight", { cell: "hung" })).toBe(0);
    watching.abort();
  });
});

describe("the breaker of a cell", () => {
  const state = (cell: string) => gateway.metric("gateway_cell_breaker_state", { cell });
  const fail = () => {
    hung.answer = (_request, response) => answerJson(response, 500, {});
  };
  const openIt = async () => {
    fail();
    await Promise.all(times(4, () => ask("hung")));
    for (let i = 0; i < 12; i++) await ask("hung");
    expect(await state("hung")).toBe(2);
  };

  it("opens on failures, asks nothing while open, tries one request, and closes when that is well", async () => {
    await openIt();
    const taken = hung.taken.length;
    const refused = await ask("hung");
    expect(refused).toMatchObject({
      status: 503,
      retryAfter: "2",
      body: { code: "cell-unavailable", detail: expect.stringContaining("too many failures of this center") },
    });
    expect(hung.taken).toHaveLength(taken);
    expect((await ask("well")).status).toBe(200);
    expect(await state("well")).toBe(0);
    expect(
      await gateway.metric("gateway_cell_refused_total", { cell: "hung", reason: "breaker-open" }),
    ).toBeGreaterThan(0);

    await eventually(async () => (await state("hung")) === 1);
    const { waiting, release } = hang(hung);
    const probe = ask("hung");
    await eventually(async () => waiting.length === 1);
    expect((await Promise.all(times(5, () => ask("hung")))).map(({ status }) => status)).toEqual(
      Array(5).fill(503),
    );
    expect(waiting).toHaveLength(1);
    release();
    expect((await probe).status).toBe(200);
    expect(await state("hung")).toBe(0);
  });

  it("opens again when the one request fails", async () => {
    await openIt();
    await eventually(async () => (await state("hung")) === 1);
    await ask("hung");
    expect(await state("hung")).toBe(2);
  });

  it("is not closed by a client who did not wait for the one request", async () => {
    await openIt();
    await eventually(async () => (await state("hung")) === 1);
    const { waiting } = hang(hung);
    const gone = new AbortController();
    const probe = fetch(`${gateway.url}/v1/centers/hung/inventory/stock`, {
      headers: await gateway.authorization(),
      signal: gone.signal,
    }).catch(() => undefined);
    await eventually(async () => waiting.length === 1);
    gone.abort();
    await probe;
    await eventually(async () => (await state("hung")) === 2);
  });

  it("does not count answers that refuse", async () => {
    hung.answer = (_request, response) => answerJson(response, 503, { code: "not-accepting" });
    for (let i = 0; i < 15; i++) expect((await ask("hung")).status).toBe(503);
    expect(await state("hung")).toBe(0);
    expect(hung.taken).toHaveLength(15);
  });

  it("does not count clients who leave", async () => {
    const { waiting } = hang(hung);
    const headers = await gateway.authorization();
    const url = `${gateway.url}/v1/centers/hung/inventory/stock`;
    for (let round = 1; round <= 3; round++) {
      const gone = new AbortController();
      const left = times(CAP, () => fetch(url, { headers, signal: gone.signal }).catch(() => undefined));
      await eventually(async () => waiting.length === round * CAP);
      gone.abort();
      await Promise.all(left);
      await eventually(async () => (await gateway.metric("gateway_cell_in_flight", { cell: "hung" })) === 0);
    }
    expect(await state("hung")).toBe(0);
  });
});
