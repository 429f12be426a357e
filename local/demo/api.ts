import { randomUUID } from "node:crypto";

export type Role = "customer" | "picker" | "courier" | "staff";

export interface Answer {
  readonly status: number;
  // biome-ignore lint/suspicious/noExplicitAny: the demo reads the API as a client does, without the server's types.
  readonly body: any;
  readonly retryAfterMs: number | undefined;
}

/** The API as one person uses it. */
export interface Person {
  get(path: string): Promise<Answer>;
  post(path: string, body: unknown, key?: string): Promise<Answer>;
}

export interface Api {
  as(sub: string, ...roles: Role[]): Promise<Person>;
  readonly gatewayUrl: string;
}

const TIMEOUT_MS = 12_000;

/** A client of the gateway; tokens come from the issuer of the demo. */
export function createApi(options: { gatewayUrl: string; issuerUrl: string }): Api {
  const { gatewayUrl, issuerUrl } = options;

  async function tokenFor(sub: string, roles: readonly Role[]): Promise<string> {
    const answer = await fetch(`${issuerUrl}/token`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ sub, roles, centers: ["*"], ttlSeconds: 7_200 }),
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    if (!answer.ok) throw new Error(`the issuer answered ${answer.status}`);
    return ((await answer.json()) as { access_token: string }).access_token;
  }

  return {
    gatewayUrl,
    async as(sub, ...roles) {
      const token = await tokenFor(sub, roles);
      const call = async (method: string, path: string, body?: unknown, key?: string): Promise<Answer> => {
        try {
          const response = await fetch(gatewayUrl + path, {
            method,
            headers: {
              authorization: `Bearer ${token}`,
              ...(body === undefined ? {} : { "content-type": "application/json" }),
              ...(key === undefined ? {} : { "idempotency-key": key }),
            },
            ...(body === undefined ? {} : { body: JSON.stringify(body) }),
            signal: AbortSignal.timeout(TIMEOUT_MS),
          });
          const text = await response.text();
          const after = Number(response.headers.get("retry-after"));
          const retryAfterMs = response.headers.has("retry-after") && after >= 0 ? after * 1000 : undefined;
          return { status: response.status, body: text === "" ? undefined : JSON.parse(text), retryAfterMs };
        } catch (error) {
          return { status: 0, body: { detail: String(error) }, retryAfterMs: undefined };
        }
      };
      return {
        get: (path) => call("GET", path),
        post: (path, body, key = randomUUID()) => call("POST", path, body, key),
      };
    },
  };
}

/** Repeats with the same key until the answer is not "later"; bounded. For what must happen whatever is down meanwhile. */
export async function untilDone(send: () => Promise<Answer>, untilMs: number): Promise<Answer> {
  for (;;) {
    const answer = await send();
    const isLater = answer.status === 0 || answer.status >= 500 || answer.status === 429;
    if (!isLater && answer.body?.code !== "request-in-progress") return answer;
    if (Date.now() > untilMs) return answer;
    await pause(Math.min(answer.retryAfterMs ?? 500, 2_000));
  }
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
