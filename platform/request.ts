import type { IncomingHttpHeaders } from "node:http";
import type { z } from "zod";
import { holdsCardNumber } from "./cards.ts";
import { needsKey, type Principal, ROLES, type Role, type Route } from "./http.ts";
import { type Failure, fail } from "./problem.ts";
import type { Verifier } from "./trust.ts";

/** Finds out who calls and whether they may. */
export async function admit(
  route: Route,
  headers: IncomingHttpHeaders,
  verifier: Verifier | undefined,
): Promise<Principal | Failure> {
  if (route.access === "public") return { kind: "anonymous", subject: "anonymous" };
  const token = /^Bearer (\S+)$/i.exec(headers.authorization ?? "")?.[1];
  const caller = token === undefined ? undefined : await verifier?.verify(token);
  if (!caller)
    return fail("unauthenticated", "Call through the region's gateway, or with a token of this cell.");
  if (caller.issuer === "cell") {
    if (route.access === "internal") return { kind: "slice", subject: caller.subject };
    return fail("forbidden", "This operation is for users, through the gateway.");
  }
  const principal: Principal = { kind: "gateway", subject: "gateway", user: userOf(headers) };
  if (route.access === "internal") return principal;
  const roles = principal.user?.roles ?? [];
  const allowed = route.access.roles;
  if (roles.includes("staff") || roles.some((role) => allowed.includes(role))) return principal;
  return fail("forbidden", `This needs one of the roles: ${[...new Set([...allowed, "staff"])].join(", ")}.`);
}

function userOf(headers: IncomingHttpHeaders): Principal["user"] {
  const sub = headers["x-cells-user"];
  if (typeof sub !== "string" || sub === "") return undefined;
  const named = String(headers["x-cells-roles"] ?? "").split(",");
  return { sub, roles: named.filter((role): role is Role => (ROLES as readonly string[]).includes(role)) };
}

export interface RequestInput {
  readonly body: unknown;
  /** As it came, for the hash under an Idempotency-Key. */
  readonly rawBody: string;
  readonly query: Readonly<Record<string, string>>;
  readonly idempotencyKey: string | undefined;
}

interface RawRequest {
  readonly headers: IncomingHttpHeaders;
  readonly body?: unknown;
  readonly query: unknown;
}

/** Checks key, body and query by the route's schemas. */
export function readInput(route: Route, request: RawRequest): RequestInput | Failure {
  const keyed = needsKey(route);
  const key = request.headers["idempotency-key"];
  if (keyed && (typeof key !== "string" || !/^[\x21-\x7e]{1,128}$/.test(key)))
    return fail(
      "idempotency-key-missing",
      "Send an Idempotency-Key of 1 to 128 visible ASCII characters, the same one again when you repeat the request.",
    );
  const rawBody = typeof request.body === "string" ? request.body : "";
  let body: unknown;
  if (route.body) {
    const read = readBodyAs(route.body, rawBody, request.headers["content-type"], route.cards);
    if (!read.ok) return read;
    body = read.body;
  }
  const query = request.query as Record<string, string>;
  const twice = Object.keys(query).find((name) => typeof query[name] !== "string");
  if (twice !== undefined) return fail("invalid-request", `Give ${twice.slice(0, 64)} once.`);
  if (route.query) {
    const parsed = route.query.safeParse(query);
    if (!parsed.success) return invalid(parsed.error);
    const typed = parsed.data as Record<string, string>;
    return { body, rawBody, query: typed, idempotencyKey: keyed ? (key as string) : undefined };
  }
  return { body, rawBody, query, idempotencyKey: keyed ? (key as string) : undefined };
}

/** Checks a body by a schema; `cards` "refused" turns away what holds a card's number, and repeats nothing of it. */
export function readBodyAs<T>(
  schema: z.ZodType<T>,
  rawBody: string,
  contentType: string | undefined,
  cards?: Route["cards"],
): { readonly ok: true; readonly body: T } | Failure {
  const json = parseJson(rawBody, contentType);
  if (!json.ok) return json;
  if (cards === "refused" && holdsCardNumber(json.value))
    return fail(
      "invalid-request",
      "The body holds the number of a payment card. Send a token of the payment processor instead; nothing of this was kept.",
    );
  const parsed = schema.safeParse(json.value);
  return parsed.success ? { ok: true, body: parsed.data } : invalid(parsed.error);
}

function parseJson(text: string, type: string | undefined): { ok: true; value: unknown } | Failure {
  if (type !== undefined && !/^application\/([\w.+-]+\+)?json\b/i.test(type))
    return fail("unsupported-media-type", "Send the body as application/json.");
  try {
    // A missing body is an empty object: operations without required fields need none.
    return { ok: true, value: text === "" ? {} : JSON.parse(text) };
  } catch {
    return fail("invalid-request", "The body is not JSON.");
  }
}

const MAX_ISSUES = 20;

function invalid(error: z.ZodError): Failure {
  const issues = error.issues
    .slice(0, MAX_ISSUES)
    .map(({ path, message }) => ({ path: path.join("."), message }));
  const first = issues[0];
  const where = first?.path ? `${first.path}: ` : "";
  return fail("invalid-request", `${where}${first?.message ?? "The request does not fit its schema."}`, {
    issues,
  });
}
