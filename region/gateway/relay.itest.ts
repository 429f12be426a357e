import { connect } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { eventually } from "../../platform/testing/stores.ts";
import { answerJson, type CellServer } from "./testing/cellserver.ts";
import { type Harness, startHarness } from "./testing/harness.ts";

let gateway: Harness;
let cell: CellServer;
beforeEach(async () => {
  gateway = await startHarness({ cells: ["seoul"] });
  cell = gateway.cells[0] as CellServer;
});
afterEach(() => gateway.close());

const KIB = 1024;
const things = () => `${gateway.url}/v1/centers/seoul/inventory/things`;

async function post(body: Uint8Array | ReadableStream, path = things()): Promise<Response> {
  return fetch(path, {
    method: "POST",
    headers: { ...(await gateway.authorization()), "idempotency-key": "one" },
    body,
    duplex: "half",
  } as RequestInit);
}

/** Sends bytes as they are, and gives everything that came back until the other side closed. */
async function raw(text: string): Promise<string> {
  const socket = connect(gateway.port, "127.0.0.1").setEncoding("utf8");
  let answer = "";
  socket.on("data", (chunk: string) => {
    answer += chunk;
  });
  socket.write(text);
  await new Promise((resolve) => socket.once("close", resolve));
  return answer;
}

describe("bodies", () => {
  it("of 256 KiB go through whole, also in pieces of unknown length", async () => {
    const sizes: number[] = [];
    cell.answer = async (request, response) => {
      let size = 0;
      for await (const chunk of request) size += (chunk as Buffer).length;
      sizes.push(size);
      answerJson(response, 200, {});
    };
    const whole = new Uint8Array(256 * KIB);
    expect((await post(whole)).status).toBe(200);
    expect((await post(new Blob([whole]).stream())).status).toBe(200);
    expect(sizes).toEqual([256 * KIB, 256 * KIB]);
  });

  it.each<[string, () => Uint8Array | ReadableStream]>([
    ["by its stated length", () => new Uint8Array(256 * KIB + 1)],
    ["found out on the way", () => new Blob([new Uint8Array(256 * KIB + 1)]).stream()],
  ])("over 256 KiB are refused before the cell hears of them, %s", async (_name, body) => {
    for (const path of [things(), `${gateway.url}/v1/orders`]) {
      const response = await post(body(), path);
      expect({ status: response.status, body: await response.json() }).toMatchObject({
        status: 413,
        body: { code: "payload-too-large" },
      });
    }
    expect(cell.taken).toEqual([]);
  });

  it("that break off cost the cell nothing", async () => {
    const { authorization } = await gateway.authorization();
    const socket = connect(gateway.port, "127.0.0.1");
    socket.write(
      `POST /v1/centers/seoul/inventory/things HTTP/1.1\r\nhost: x\r\nauthorization: ${authorization}\r\ncontent-length: 10\r\n\r\nhalf`,
      () => socket.destroy(),
    );
    await eventually(
      async () => (await gateway.metric("gateway_rejections_total", { reason: "invalid-request" })) === 1,
    );
    expect(cell.taken).toEqual([]);
  });

  it("of answers over 4 MiB are not passed on as if they were whole", async () => {
    const large = Buffer.alloc(4 * KIB * KIB + 1);
    const headers = await gateway.authorization();
    cell.answer = (_request, response) =>
      void response.writeHead(200, { "content-length": large.length }).end(large);
    const stated = await fetch(things(), { headers });
    expect({ status: stated.status, body: await stated.json() }).toMatchObject({
      status: 502,
      body: { code: "bad-gateway" },
    });
    cell.answer = (_request, response) => void response.writeHead(200).end(large);
    const streamed = await fetch(things(), { headers });
    await expect(streamed.arrayBuffer()).rejects.toThrow();
  });
});

describe("headers", () => {
  it("of one connection, and those that only the gateway may set, do not reach the cell", async () => {
    let seen: NodeJS.Dict<string | string[]> = {};
    cell.answer = (request, response) => {
      seen = request.headers;
      answerJson(response, 200, {});
    };
    const { authorization } = await gateway.authorization({
      sub: "kim",
      roles: ["picker"],
      centers: ["seoul"],
    });
    const answer = await raw(
      [
        "GET /v1/centers/seoul/inventory/things HTTP/1.1",
        "host: gateway",
        `authorization: ${authorization}`,
        "connection: close, x-mine",
        "x-mine: 1",
        "te: trailers",
        "proxy-authorization: Basic eDp5",
        "x-cells-user: root",
        "x-cells-roles: staff",
        "x-deadline-ms: 99999999999999",
        "accept-language: ko",
        "",
        "",
      ].join("\r\n"),
    );
    expect(answer).toMatch(/^HTTP\/1.1 200/);
    for (const name of ["x-mine", "te", "proxy-authorization"]) expect(seen[name]).toBeUndefined();
    expect(seen).toMatchObject({
      "accept-language": "ko",
      "x-cells-user": "kim",
      "x-cells-roles": "picker",
      host: `127.0.0.1:${cell.port}`,
    });
    expect(Number(seen["x-deadline-ms"])).toBeLessThan(Date.now() + 60_000);
    // The cell server has checked it: the gateway's own token, for this cell.
    expect(seen.authorization).not.toBe(authorization);
    expect(seen.authorization).toMatch(/^Bearer /);
  });

  it("of one connection, and what cells tell gateways alone, do not reach the client", async () => {
    cell.answer = (_request, response) => {
      response.writeHead(200, {
        connection: "keep-alive, x-hop",
        "x-hop": "1",
        "keep-alive": "timeout=99",
        "proxy-authenticate": "Basic",
        "x-cells-refusal": "signed",
        "x-kept": "yes",
        "set-cookie": ["a=1", "b=2"],
      });
      response.end("{}");
    };
    const response = await fetch(things(), { headers: await gateway.authorization() });
    expect(response.headers.get("x-kept")).toBe("yes");
    expect(response.headers.getSetCookie()).toEqual(["a=1", "b=2"]);
    for (const name of ["x-hop", "proxy-authenticate", "x-cells-refusal"])
      expect(response.headers.get(name)).toBeNull();
    expect(response.headers.get("keep-alive")).not.toBe("timeout=99");
  });
});

describe("a client that leaves", () => {
  it.each(["GET", "POST"])("before the answer ends the call in the cell (%s)", async (method) => {
    let ended = false;
    cell.answer = (_request, response) => {
      response.on("close", () => {
        ended = true;
      });
    };
    const gone = new AbortController();
    const headers = { ...(await gateway.authorization()), "idempotency-key": "one" };
    const asked = fetch(things(), { method, headers, signal: gone.signal }).catch(() => undefined);
    await eventually(async () => cell.taken.length === 1);
    gone.abort();
    await asked;
    await eventually(async () => ended);
    expect(await gateway.metric("gateway_requests_total", { cell: "seoul", code: "499" })).toBe(1);
  });

  it("in the middle of an event stream ends that, and each event comes before the stream's end", async () => {
    let ended = false;
    const order = "ord_seoul_0190a8c0-0000-7000-8000-000000000000";
    let tell: (text: string) => void = () => {};
    cell.answer = (_request, response) => {
      response.writeHead(200, { "content-type": "text/event-stream" }).flushHeaders();
      tell = (text) => void response.write(`data: ${text}\n\n`);
      response.on("close", () => {
        ended = true;
      });
    };
    const gone = new AbortController();
    const response = await fetch(`${gateway.url}/v1/tracking/${order}/stream`, {
      headers: await gateway.authorization(),
      signal: gone.signal,
    });
    const reader = (response.body as ReadableStream<Uint8Array>).getReader();
    for (const text of ["one", "two"]) {
      tell(text);
      expect(Buffer.from((await reader.read()).value ?? []).toString()).toBe(`data: ${text}\n\n`);
    }
    expect(ended).toBe(false);
    gone.abort();
    await eventually(async () => ended);
  });
});

describe("closing", () => {
  it("lets what is under way end, tells its client to go, and takes nothing new", async () => {
    let finish = () => {};
    cell.answer = (_request, response) => {
      finish = () => answerJson(response, 200, { late: true });
    };
    const asked = fetch(things(), { headers: await gateway.authorization() });
    await eventually(async () => cell.taken.length === 1);
    const closed = gateway.closeGently(30_000);
    await expect(fetch(things())).rejects.toThrow();
    finish();
    const response = await asked;
    expect({ body: await response.json(), connection: response.headers.get("connection") }).toEqual({
      body: { late: true },
      connection: "close",
    });
    await closed;
  });

  it("cuts what does not end in time", async () => {
    cell.answer = () => {};
    const asked = fetch(things(), { headers: await gateway.authorization() }).then(
      () => "answered",
      () => "cut",
    );
    await eventually(async () => cell.taken.length === 1);
    await gateway.closeGently(100);
    expect(await asked).toBe("cut");
  });
});
