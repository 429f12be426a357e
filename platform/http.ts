import type { IncomingMessage, ServerResponse } from "node:http";
import type { z } from "zod";
import type { Failure } from "./problem.ts";

export const ROLES = ["customer", "picker", "courier", "staff"] as const;
/** What an end user may be. Believed only from the gateway. */
export type Role = (typeof ROLES)[number];

/** Who calls, as proved by the token. `user` is the person behind the gateway's request. */
export interface Principal {
  readonly kind: "gateway" | "slice" | "anonymous";
  /** The calling slice, or `gateway`. */
  readonly subject: string;
  readonly user?: { readonly sub: string; readonly roles: readonly Role[] } | undefined;
}

export interface HttpRequest<B = unknown> {
  readonly method: string;
  readonly path: string;
  readonly params: Readonly<Record<string, string>>;
  readonly query: Readonly<Record<string, string>>;
  readonly headers: Readonly<Record<string, string | undefined>>;
  readonly body: B;
  /** The body as it came, for signatures over it. */
  readonly rawBody: string;
  readonly principal: Principal;
  readonly idempotencyKey: string | undefined;
  /** Epoch milliseconds after which nobody waits for the answer. */
  readonly deadlineMs: number;
  /** Aborts when the client goes away or the deadline passes. */
  readonly signal: AbortSignal;
  /** For event streams only. */
  readonly raw: { readonly req: IncomingMessage; readonly res: ServerResponse };
}

export interface HttpResult {
  readonly status: number;
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string>>;
}

/**
 * Who may call: users of these roles through the gateway (staff may do all that any user may), only the region and the
 * slices of this cell, or anybody.
 */
export type Access = { readonly roles: readonly Role[] } | "internal" | "public";

/** One operation: the HTTP server, the OpenAPI document and the checks all come from it. */
export interface Route {
  readonly method: "GET" | "POST" | "PUT" | "DELETE";
  /** With `:parameters`, such as `/v1/orders/:orderId`. */
  readonly path: string;
  readonly summary: string;
  readonly access: Access;
  readonly body?: z.ZodType;
  readonly query?: z.ZodType;
  /** The body of each status it may answer with, problems aside. */
  readonly responses: Readonly<Record<number, z.ZodType | undefined>>;
  /**
   * Default: required for POST. With `own` the key is required, and the handler keeps it or makes sure by
   * itself that a repetition changes nothing; `none` asks for none.
   */
  readonly idempotency?: "required" | "own" | "none";
  /** A body that holds a card's number is refused: payments know tokens only. */
  readonly cards?: "refused";
  /** The handler writes to `raw.res` itself; the deadline does not apply. */
  readonly stream?: boolean;
  handler(request: HttpRequest<never>): Promise<HttpResult | Failure>;
}

/** Whether a request has to carry an Idempotency-Key. */
export function needsKey({ method, idempotency }: Route): boolean {
  return (idempotency ?? (method === "POST" ? "required" : "none")) !== "none";
}

/** Declares a route whose handler sees its body and query as the schemas give them. */
export function defineRoute<B>(
  route: Omit<Route, "handler"> & {
    readonly body?: z.ZodType<B>;
    handler(request: HttpRequest<B>): Promise<HttpResult | Failure>;
  },
): Route {
  return route as unknown as Route;
}

export const ok = (body: unknown, headers?: Readonly<Record<string, string>>): HttpResult => ({
  status: 200,
  body,
  ...(headers ? { headers } : {}),
});
export const created = (body: unknown): HttpResult => ({ status: 201, body });
export const accepted = (body: unknown): HttpResult => ({ status: 202, body });
export const noContent = (): HttpResult => ({ status: 204 });
