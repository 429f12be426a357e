import { Agent, request } from "node:http";
import type { SliceName } from "../platform/slices.ts";
import { createSigner, type PrivateKey } from "../platform/trust.ts";
import { pause } from "./time.ts";

/** `status` 0: no answer, so it may have happened or not. */
export interface Reply {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: every field that is read is compared with what it should be
  readonly body: any;
}

/** One request of a person. */
export interface Ask {
  readonly sub: string;
  readonly role: "customer" | "picker" | "courier" | "staff";
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: object;
  readonly key?: string;
  /** Instead of the slice's own address. */
  readonly at?: string;
}

/** People's way to the cell: what the gateway would send for them. */
export interface Client {
  ask(slice: SliceName, ask: Ask): Promise<Reply>;
  /** The same request under the same key until there is a definite answer; status 0 when the patience is over. */
  insist(slice: SliceName, ask: Ask, patienceMs: number): Promise<Reply>;
  close(): void;
}

const TIMEOUT_MS = 15_000;
const REPEAT_MS = 150;
const MAX_SOCKETS = 128;
/** Answers after which the same request is worth a repetition. */
const AGAIN = new Set([
  ...["request-in-progress", "outcome-unknown", "unavailable", "overloaded", "rate-limited"],
  ...["not-accepting", "processor-unavailable", "deadline-exceeded", "bad-gateway", "internal", "fenced"],
]);

/** Makes a client that signs as the gateway does. */
export async function createClient(
  key: PrivateKey,
  center: string,
  url: (slice: SliceName) => string,
): Promise<Client> {
  const signer = await createSigner({ jwk: key, issuer: "gateway", subject: "gateway" });
  const agent = new Agent({ keepAlive: true, maxSockets: MAX_SOCKETS });

  async function ask(slice: SliceName, { sub, role, method, path, body, key: own, at }: Ask): Promise<Reply> {
    const text = body === undefined ? undefined : JSON.stringify(body);
    const headers: Record<string, string> = {
      authorization: `Bearer ${await signer.token(center)}`,
      "x-cells-user": sub,
      "x-cells-roles": role,
      ...(own === undefined ? {} : { "idempotency-key": own }),
      ...(text === undefined
        ? {}
        : { "content-type": "application/json", "content-length": String(Buffer.byteLength(text)) }),
    };
    return new Promise((resolve) => {
      const lost = () => resolve({ status: 0, body: undefined });
      const target = new URL(path, at ?? url(slice));
      const sending = request(target, { agent, method, headers, timeout: TIMEOUT_MS }, (response) => {
        let answer = "";
        response.setEncoding("utf8");
        response.on("data", (chunk: string) => {
          answer += chunk;
        });
        response.on("error", lost);
        response.on("close", lost);
        response.on("end", () => resolve(replyOf(response.statusCode ?? 0, answer)));
      });
      sending.on("timeout", () => sending.destroy(new Error("no answer in time")));
      sending.on("error", lost);
      sending.end(text);
    });
  }

  return {
    ask,
    async insist(slice, wish, patienceMs) {
      const untilMs = performance.now() + patienceMs;
      let current = wish;
      for (;;) {
        const reply = await ask(slice, current);
        if (!isOpen(reply)) return reply;
        if (performance.now() > untilMs) return { status: 0, body: reply.body };
        // Whoever was asked first may be gone; the next time any replica will do.
        const { at: _gone, ...rest } = current;
        current = rest;
        await pause(REPEAT_MS);
      }
    },
    close: () => agent.destroy(),
  };
}

function isOpen({ status, body }: Reply): boolean {
  return status === 0 || AGAIN.has(body?.code) || (status >= 500 && body?.code === undefined);
}

function replyOf(status: number, text: string): Reply {
  try {
    return { status, body: text === "" ? undefined : JSON.parse(text) };
  } catch {
    return { status: 0, body: undefined };
  }
}
