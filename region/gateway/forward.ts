import { Agent, type IncomingMessage, type RequestOptions, request } from "node:http";
import type { CellAddress } from "./domain.ts";
import type { ForwardOutcome } from "./outcomes.ts";

/** One request for one slice of one cell. `body` undefined means that there is none. */
export interface Outgoing {
  readonly address: CellAddress;
  readonly method: string;
  /** Path with query. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body?: Buffer | undefined;
  /** Until the response's head; a stream may go on for longer. */
  readonly timeoutMs: number;
  /** Ends the call when nobody waits for its answer any more. */
  readonly signal?: AbortSignal | undefined;
}

/** Why there is no answer when that says nothing about the cell's health. */
export type OwnCause = "full" | "breaker-open" | "client-gone";

export type StreamOutcome =
  | { readonly kind: "answered"; readonly response: IncomingMessage }
  | (Exclude<ForwardOutcome, { kind: "answered" }> & { readonly cause?: OwnCause });

/** The way to one cell: its own sockets, its own cap, so that a hung cell costs no other cell anything. */
export interface CellPool {
  isFull(): boolean;
  /** Answers once the response's head is here; the body is the caller's to read or pipe. */
  stream(outgoing: Outgoing): Promise<StreamOutcome>;
  /** Reads the whole answer, at most `MAX_ANSWER_BYTES`. */
  exchange(outgoing: Outgoing): Promise<ForwardOutcome>;
  close(): void;
}

export interface CellPoolOptions {
  /** Requests under way at once; one more is answered `not-sent`. */
  readonly maxInFlight: number;
  /** Event streams at once. They have a cap of their own: people who watch a parcel must not keep others from ordering. */
  readonly maxStreams?: number;
  /** Told of each change of the number of requests under way. */
  onInFlight?(inFlight: number): void;
}

export const MAX_ANSWER_BYTES = 4 * 1024 * 1024;
const CONNECT_TIMEOUT_MS = 1_000;
/** A cell that says nothing for this long in the middle of an answer is given up; event streams beat every 15 s. */
const SILENCE_MS = 60_000;
const MAX_STREAMS = 1_024;
/** What is answered when the cap is reached. */
export const FULL: StreamOutcome = {
  kind: "not-sent",
  reason: "too many requests under way to this center",
  cause: "full",
};

/** Makes the pool of one cell. */
export function createCellPool(options: CellPoolOptions): CellPool {
  const { maxInFlight, maxStreams = MAX_STREAMS, onInFlight = () => {} } = options;
  const agent = new Agent({
    keepAlive: true,
    maxSockets: maxInFlight + maxStreams,
    maxFreeSockets: 32,
    timeout: SILENCE_MS,
  });
  let inFlight = 0;
  let streams = 0;
  const isFull = () => inFlight >= maxInFlight;
  const count = (change: 1 | -1) => {
    inFlight += change;
    onInFlight(inFlight);
  };

  async function stream(outgoing: Outgoing): Promise<StreamOutcome> {
    if (isFull()) return FULL;
    count(1);
    const outcome = await send(agent, outgoing);
    if (outcome.kind !== "answered") {
      count(-1);
      return outcome;
    }
    const { response } = outcome;
    if (!isEventStream(response)) {
      response.once("close", () => count(-1));
      return outcome;
    }
    count(-1);
    if (streams >= maxStreams) {
      response.destroy();
      return { kind: "ambiguous", reason: "too many event streams of this center", cause: "full" };
    }
    streams++;
    response.once("close", () => streams--);
    return outcome;
  }

  return {
    isFull,
    stream,
    async exchange(outgoing) {
      const outcome = await stream(outgoing);
      return outcome.kind === "answered" ? readAnswer(outcome.response) : outcome;
    },
    close: () => agent.destroy(),
  };
}

/** True for an answer of server-sent events, which has no end of its own. */
export function isEventStream(response: IncomingMessage): boolean {
  return response.headers["content-type"]?.startsWith("text/event-stream") ?? false;
}

const GONE = "the client has gone";

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
    const { signal } = outgoing;
    if (signal?.aborted) return resolve({ kind: "not-sent", reason: GONE, cause: "client-gone" });
    const outbound = request(options);
    // A kept-alive socket may have carried bytes to the cell before it broke; only a fresh one that never connected proves that nothing arrived.
    let connected = false;
    let connectTimer: NodeJS.Timeout | undefined;
    let timedOut = false;
    outbound.once("socket", (socket) => {
      // One that was kept alive still has the short limit of its idle time, as the cell asked for it.
      socket.setTimeout(SILENCE_MS);
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
    const giveUp = () => outbound.destroy(new Error(GONE));
    signal?.addEventListener("abort", giveUp, { once: true });
    outbound.once("close", () => signal?.removeEventListener("abort", giveUp));
    outbound.on("timeout", () => outbound.destroy(new Error("silent for too long")));
    const settle = (outcome: StreamOutcome) => {
      clearTimeout(timer);
      clearTimeout(connectTimer);
      resolve(outcome);
    };
    outbound.once("response", (response) => settle({ kind: "answered", response }));
    outbound.on("error", (error: NodeJS.ErrnoException) => {
      const reason = timedOut ? "no answer in time" : (error.code ?? error.message);
      const kind = connected ? "ambiguous" : "not-sent";
      settle(signal?.aborted ? { kind, reason: GONE, cause: "client-gone" } : { kind, reason });
    });
    outbound.end(outgoing.body);
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

/** The JSON in a body; undefined when it is none. */
export function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString("utf8"));
  } catch {
    return undefined;
  }
}
