import {
  Agent,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestOptions,
  request,
} from "node:http";
import type { Readable } from "node:stream";
import type { CellAddress } from "./domain.ts";
import type { ForwardOutcome } from "./placement.ts";

/** One request for one slice of one cell. `body` undefined means that there is none. */
export interface Outgoing {
  readonly address: CellAddress;
  readonly method: string;
  /** Path with query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer | Readable | undefined;
  /** Until the response's head; a stream may go on for longer. */
  readonly timeoutMs: number;
}

export type StreamOutcome =
  | { readonly kind: "answered"; readonly response: IncomingMessage }
  | Exclude<ForwardOutcome, { kind: "answered" }>;

/** The way to one cell: its own sockets, its own cap, so that a hung cell costs no other cell anything. */
export interface CellPool {
  readonly inFlight: number;
  /** Answers once the response's head is here; the body is the caller's to read or pipe. */
  stream(outgoing: Outgoing): Promise<StreamOutcome>;
  /** Reads the whole answer, at most `MAX_ANSWER_BYTES`. */
  exchange(outgoing: Outgoing): Promise<ForwardOutcome>;
  close(): void;
}

export interface CellPoolOptions {
  /** Requests under way at once; one more is answered `not-sent`. Event streams count as well. */
  readonly maxInFlight: number;
}

const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
const CONNECT_TIMEOUT_MS = 1_000;

/** Makes the pool of one cell. */
export function createCellPool(options: CellPoolOptions): CellPool {
  const agent = new Agent({
    keepAlive: true,
    maxSockets: options.maxInFlight,
    maxFreeSockets: 32,
    timeout: 60_000,
  });
  let inFlight = 0;

  async function stream(outgoing: Outgoing): Promise<StreamOutcome> {
    if (inFlight >= options.maxInFlight)
      return { kind: "not-sent", reason: "too many requests under way to this cell" };
    inFlight++;
    const outcome = await send(agent, outgoing);
    if (outcome.kind === "answered") outcome.response.once("close", () => inFlight--);
    else inFlight--;
    return outcome;
  }

  return {
    get inFlight() {
      return inFlight;
    },
    stream,
    async exchange(outgoing) {
      const outcome = await stream(outgoing);
      return outcome.kind === "answered" ? readAnswer(outcome.response) : outcome;
    },
    close: () => agent.destroy(),
  };
}

function send(agent: Agent, outgoing: Outgoing): Promise<StreamOutcome> {
  return new Promise((resolve) => {
    const options: RequestOptions = {
      agent,
      // The address first: a ClusterIP needs no DNS, which may be away together with the API server.
      host: outgoing.address.ip ?? outgoing.address.host,
      port: outgoing.address.port,
      method: outgoing.method,
      path: outgoing.path,
      headers: { ...outgoing.headers, host: `${outgoing.address.host}:${outgoing.address.port}` },
    };
    const outbound = request(options);
    // A kept-alive socket may have carried bytes to the cell before it broke; only a fresh one that never connected proves that nothing arrived.
    let connected = false;
    let connectTimer: NodeJS.Timeout | undefined;
    let timedOut = false;
    outbound.once("socket", (socket) => {
      connected = !socket.connecting;
      if (connected) return;
      connectTimer = setTimeout(
        () => outbound.destroy(new Error("no connection in time")),
        CONNECT_TIMEOUT_MS,
      );
      socket.once("connect", () => {
        connected = true;
        clearTimeout(connectTimer);
      });
    });
    const timer = setTimeout(() => {
      timedOut = true;
      outbound.destroy(new Error("no answer in time"));
    }, outgoing.timeoutMs);
    const settle = (outcome: StreamOutcome) => {
      clearTimeout(timer);
      clearTimeout(connectTimer);
      resolve(outcome);
    };
    outbound.once("response", (response) => settle({ kind: "answered", response }));
    outbound.on("error", (error: NodeJS.ErrnoException) => {
      const reason = timedOut ? "no answer in time" : (error.code ?? error.message);
      settle({ kind: connected ? "ambiguous" : "not-sent", reason });
    });
    if (outgoing.body === undefined || Buffer.isBuffer(outgoing.body)) outbound.end(outgoing.body);
    else outgoing.body.on("error", (error) => outbound.destroy(error)).pipe(outbound);
  });
}

/** Reads a whole answer into memory; broken off or too large, its outcome is ambiguous. */
export async function readAnswer(response: IncomingMessage): Promise<ForwardOutcome> {
  const chunks: Buffer[] = [];
  let length = 0;
  try {
    for await (const chunk of response.iterator({ destroyOnReturn: true })) {
      length += (chunk as Buffer).length;
      if (length > MAX_ANSWER_BYTES) return { kind: "ambiguous", reason: "the answer is too large" };
      chunks.push(chunk as Buffer);
    }
  } catch (error) {
    return { kind: "ambiguous", reason: String((error as NodeJS.ErrnoException).code ?? error) };
  }
  return {
    kind: "answered",
    status: response.statusCode ?? 502,
    headers: response.headers,
    body: Buffer.concat(chunks),
  };
}

/** Headers that belong to one connection and are never passed on (RFC 9110 section 7.6.1), and those that only this gateway may set. */
const NOT_PASSED_ON = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "host",
  "authorization",
  "traceparent",
  "x-deadline-ms",
]);

/** The client's headers as they go on to the cell: without hop-by-hop ones and without any `x-cells-*` that the client made up. */
export function passedOnHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const named = new Set((headers.connection ?? "").split(",").map((name) => name.trim().toLowerCase()));
  const passed: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || NOT_PASSED_ON.has(name) || named.has(name) || name.startsWith("x-cells-"))
      continue;
    passed[name] = Array.isArray(value) ? value.join(", ") : value;
  }
  return passed;
}
